"""checkov on the chart in both modes and on the Dockerfile: nothing but what .checkov.yaml excuses, and no excuse too many."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.cluster import LocalCluster
from tests.charts.test_chart import EVERYTHING
from tests.support.chart import TOP, render

pytestmark = pytest.mark.cluster

CONFIG = TOP / ".checkov.yaml"
MODES = {"cluster.yaml": {}, "namespaced.yaml": {"namespaces": ["a", "b"]}, "everything.yaml": EVERYTHING}
EXCUSED = dict(re.findall(r"^ +- (CKV2?_\w+) +# (.+)$", CONFIG.read_text("utf-8"), re.MULTILINE))
WRONG = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "wrong", "namespace": "ops"},
    "spec": {"containers": [{"name": "wrong", "image": "wrong:1", "securityContext": {"privileged": True}}]},
}
Findings = set[tuple[str, str, str]]
"""File, check and resource."""


@pytest.fixture(scope="module")
def files(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    place = tmp_path_factory.mktemp("rendered")
    for name, values in MODES.items():
        (place / name).write_text(yaml.safe_dump_all(render(cluster, values, "ops")), "utf-8")
    return [*(place / name for name in MODES), TOP / "Dockerfile"]


def scan(checkov: Path, files: Sequence[Path], *options: str) -> subprocess.CompletedProcess[str]:
    # It would ask its maker's server for links to explanations, and has no network here.
    environment = os.environ | {"BC_SKIP_MAPPING": "TRUE", "CHECKOV_RUN_SCA_PACKAGE_SCAN": "false"}
    named = [part for file in files for part in ("--file", str(file))]
    command = [str(checkov), *named, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=files[0].parent)


@pytest.fixture(scope="module")
def findings(checkov: Path, files: list[Path]) -> Findings:
    """What checkov finds without any excuse."""
    wrong = files[0].with_name("wrong.yaml")
    wrong.write_text(yaml.safe_dump(WRONG), "utf-8")
    options = ("--framework", "kubernetes", "dockerfile", "--skip-download", "--output", "json", "--quiet")
    reports: list[dict[str, Any]] = json.loads(scan(checkov, [*files, wrong], *options).stdout)
    return {
        (Path(one["file_path"]).name, one["check_id"], one["resource"])
        for report in reports
        for one in report["results"]["failed_checks"]
    }


def test_with_its_configuration_it_finds_nothing(checkov: Path, files: list[Path]):
    answer = scan(checkov, files, "--config-file", str(CONFIG))

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert re.findall(r"Passed checks: [1-9]\d*, Failed checks: (\d+)", answer.stdout) == ["0", "0"]


def test_each_excuse_is_for_something_that_is_found_and_has_a_reason(findings: Findings):
    assert {check for file, check, _ in findings if file != "wrong.yaml"} == set(EXCUSED)
    assert yaml.safe_load(CONFIG.read_text("utf-8"))["skip-check"] == list(EXCUSED)


def test_what_is_excused_concerns_what_runs_the_image_and_the_dockerfile_alone(findings: Findings):
    found = {resource.partition(".")[0] for file, _, resource in findings if file in MODES}

    assert found == {"Deployment", "CronJob"}


def test_an_image_by_digest_needs_two_excuses_less(findings: Findings):
    def checks(file: str) -> set[str]:
        return {check for one, check, _ in findings if one == file}

    assert checks("cluster.yaml") - checks("everything.yaml") == {"CKV_K8S_15", "CKV_K8S_43"}


def test_a_privileged_pod_would_be_found(findings: Findings):
    assert ("wrong.yaml", "CKV_K8S_16", "Pod.ops.wrong") in findings


def test_the_page_for_administrators_names_the_same_excuses():
    page = (TOP / "docs" / "install.md").read_text("utf-8")

    assert set(re.findall(r"^\| (CKV2?_\w+) ", page, re.MULTILINE)) == set(EXCUSED)
