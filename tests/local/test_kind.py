"""`make kind`, as far as it can be proven without Docker: its manifests on a real API server, its acts on the local stack."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.build import find_definitions
from local.cluster import LocalCluster
from local.demo.installed import install
from local.demo.manifest import HOST, NAMESPACE
from local.kind import __main__ as kind
from local.kind import manifests, steps
from local.load import Load
from local.paths import TOOLS
from local.process import wait_until
from local.release.image import IMAGE
from local.release.lock import needed, operator_needs, read_lock
from local.targets import TRAEFIK, TRAEFIK_ROLES
from tests.support.chart import TOP, Values, render


def roles() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(find_definitions(TRAEFIK_ROLES).read_text("utf-8"))
    return found


def parts() -> list[dict[str, Any]]:
    return [*manifests.gateway(roles()), *manifests.prometheus(), *manifests.models(IMAGE)]


def pods() -> list[dict[str, Any]]:
    return [one["spec"]["template"]["spec"] for one in parts() if one["kind"] == "Deployment"]


@pytest.mark.cluster
def test_the_api_server_takes_every_part_strictly(cluster: LocalCluster, namespace: str):
    for one in (*manifests.namespaces(), *copy.deepcopy(parts())):
        if "namespace" in one["metadata"]:
            one["metadata"]["namespace"] = namespace
        path = f"{cluster.api.path_of(one)}?fieldManager=kind&dryRun=All&fieldValidation=Strict&force=true"
        cluster.api.call("PATCH", path, one, content_type="application/apply-patch+yaml")


@pytest.mark.cluster
def test_every_pod_meets_the_restricted_standard(cluster: LocalCluster):
    namespace = cluster.new_namespace("restricted")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    for name in ("default", "traefik"):
        meta = {"name": name, "namespace": namespace}
        cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})

    for number, spec in enumerate(pods()):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}, "spec": spec}
        cluster.api.call("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)


@pytest.mark.cluster
def test_the_chart_takes_the_values(cluster: LocalCluster):
    values: Values = manifests.operator_values(IMAGE)

    (deployment,) = (one for one in render(cluster, values, manifests.HOME) if one["kind"] == "Deployment")

    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return where the files of the acts are, their spans of time shortened."""
    for name, text in steps.files(IMAGE, [], []).items():
        (tmp_path / name).write_text(re.sub("minDuration: [68]s", "minDuration: 2s", text), "utf-8")
    return tmp_path


@pytest.fixture
def users(cluster: LocalCluster) -> Iterator[tuple[LocalCluster, dict[str, Any], Load]]:
    """Four models, their users and the operator, in the namespace that the acts name."""
    operator = install(cluster)
    models = {name: cluster.model(NAMESPACE, f"fraud-{name}", version=name) for name in manifests.VERSIONS}
    load = cluster.load(HOST, "/v1/score", requests_per_second=50)
    yield cluster, models, load
    operator.process.kill()
    load.process.stop()
    for model in models.values():
        model.stop()
    cluster.kubectl("delete", "modelrollout,httproute,traefikservice", "--all", f"--namespace={NAMESPACE}")


@pytest.mark.cluster
def test_the_acts_play_on_the_local_stack(files: Path, users: tuple[LocalCluster, dict[str, Any], Load]):
    cluster, models, load = users
    told = ""

    for number, step in enumerate(steps.demo_steps(str(files), context="")):
        if step.needs_pods:  # the API server has no way to a pod where there are none
            models["v3"].behave(error_share=0.5)
            continue
        program, *arguments = step.command
        assert program == "kubectl"
        told = cluster.kubectl(*arguments)
        if number == 0:
            wait_until(lambda: load.snapshot().versions["v1"], "v1 to answer: before its route there are 404s")
            served = load.snapshot()

    seen = load.since(served)
    assert "RolledBack" in told
    assert seen.errors == 0
    assert {"v1", "v2", "v4"} == set(seen.versions)


def test_a_dry_run_writes_the_files_prints_every_command_and_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    find_definitions(TRAEFIK_ROLES)
    monkeypatch.setattr(kind, "TOP", tmp_path)
    monkeypatch.setattr("local.kind.__main__.subprocess.run", lambda *_, **__: pytest.fail("something was run"))

    code = kind.main(["--dry-run"])

    printed = capsys.readouterr().out
    wanted = [*steps.cluster_steps(IMAGE, "build/kind"), *steps.demo_steps("build/kind")]
    named = {name for step in wanted for part in step.command for name in re.findall(r"build/kind/(\S+)", part)}
    assert code == 0
    assert [step.says for step in wanted if f"# {step.says}\n{step.command[0]} " not in printed] == []
    assert {file.name for file in (tmp_path / "build/kind").iterdir()} == named


def test_without_its_programs_it_says_which(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("local.kind.__main__.shutil.which", lambda name: None if name == "kind" else f"/bin/{name}")

    assert kind.main([]) == 1
    assert "not found: kind;" in capsys.readouterr().err


def test_the_nodes_ports_are_those_of_the_services():
    config = yaml.safe_load((TOP / "kind-config.yaml").read_text("utf-8"))
    mapped = {one["containerPort"] for node in config["nodes"] for one in node.get("extraPortMappings", [])}
    ports = {port.get("nodePort") for one in parts() if one["kind"] == "Service" for port in one["spec"]["ports"]}

    assert mapped == ports - {None}
    assert config["name"] == steps.CLUSTER


def test_images_are_of_the_versions_that_the_local_stack_has():
    module = (TOOLS / "prometheus/go.mod").read_text("utf-8")
    (minor,) = re.findall(r"github.com/prometheus/prometheus v0\.3(\d\d)\.0", module)

    assert manifests.TRAEFIK_IMAGE.rpartition(":")[2] == TRAEFIK.module.rpartition("@")[2]
    assert manifests.PROMETHEUS_IMAGE.endswith(f":v3.{int(minor)}.0")
    assert {container["image"] for pod in pods() for container in pod["containers"]} == {
        manifests.TRAEFIK_IMAGE,
        manifests.PROMETHEUS_IMAGE,
        IMAGE,
    }


@pytest.mark.parametrize("module", ["local.model_server", "local.load_generator"])
def test_models_and_users_need_no_more_than_their_files_and_what_the_image_has(tmp_path: Path, module: str):
    (sources,) = (one["data"] for one in manifests.models(IMAGE) if one["kind"] == "ConfigMap")
    (tmp_path / "local").mkdir()
    for name, text in sources.items():
        (tmp_path / "local" / name).write_text(text, "utf-8")
    lock = read_lock((TOP / "requirements.lock").read_text("utf-8"))
    image = {one.name for one in needed(lock, operator_needs((TOP / "pyproject.toml").read_text("utf-8")))}
    script = (
        f"import sys, importlib.metadata as m; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"before = set(sys.modules); import {module}\n"
        "found = m.packages_distributions()\n"
        "print(*{d for name in sys.modules.keys() - before for d in found.get(name.partition('.')[0], [])})"
    )

    answer = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)

    assert {name.lower().replace("_", "-") for name in answer.stdout.split()} <= image
