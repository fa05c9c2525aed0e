"""kubeconform on all that the chart can render, against the schemas of a real API server."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.api import parse_objects
from local.build import find_definitions
from local.cluster import LocalCluster
from local.targets import PROMETHEUS_OPERATOR
from local.traefik import install_definitions
from tests.charts.test_chart import EVERYTHING
from tests.support.chart import CHART, TOP, Values, install_crds, render
from tests.support.schemas import LOCATION, Kind, write_schemas

pytestmark = pytest.mark.cluster

Conform = Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]


@pytest.fixture(scope="module")
def conform(cluster: LocalCluster, kubeconform: Path, tmp_path_factory: pytest.TempPathFactory) -> Conform:
    """Return what kubeconform says of objects: its JSON report."""
    install_crds(cluster)
    install_definitions(cluster.api, [find_definitions(PROMETHEUS_OPERATOR)])
    place = tmp_path_factory.mktemp("schemas")
    written: set[Kind] = set()

    def run(objects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        missing = {(one["apiVersion"], one["kind"]) for one in objects} - written
        write_schemas(cluster.api, missing, place)
        written.update(missing)
        command = [str(kubeconform), "-strict", "-summary", "-output=json", f"-schema-location={place}/{LOCATION}", "-"]
        text = yaml.safe_dump_all(objects)
        answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        report: dict[str, Any] = json.loads(answer.stdout)
        assert (answer.returncode == 0) == (not report.get("resources")), answer.stderr
        return report

    return run


def assert_clean(report: Mapping[str, Any], count: int) -> None:
    assert report.get("resources", []) == []
    assert report["summary"] == {"valid": count, "invalid": 0, "errors": 0, "skipped": 0}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="the whole cluster"),
        pytest.param({"namespaces": ["a", "b"]}, id="two namespaces"),
        pytest.param(EVERYTHING, id="everything at once"),
        *(
            pytest.param({name: value}, id=f"{name} alone")
            for name, value in EVERYTHING.items()
            if name != "namespaces"
        ),
        pytest.param({"networkPolicy": {"enabled": False}}, id="no network policy"),
        pytest.param({"replicas": 0}, id="stopped"),
    ],
)
def test_what_the_chart_renders_is_what_the_schemas_say(cluster: LocalCluster, conform: Conform, values: Values):
    objects = render(cluster, values, "ops")

    assert_clean(conform(objects), len(objects))


@pytest.mark.parametrize("folder", [CHART / "crds", TOP / "crds", TOP / "examples"], ids=["chart", "crds", "examples"])
def test_committed_manifests_are_what_the_schemas_say(conform: Conform, folder: Path):
    files = sorted(folder.glob("*.yaml"))
    objects = [one for file in files for one in parse_objects(file.read_text("utf-8"))]

    assert len(objects) >= len(files) > 0
    assert_clean(conform(objects), len(objects))


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        pytest.param("Deployment", ("spec", "template", "spec", "container"), [], id="an unknown field of a pod"),
        pytest.param("Deployment", ("spec", "replicas"), "one", id="a word for a number"),
        pytest.param("NetworkPolicy", ("spec", "egress"), [{"ports": [{"ports": 53}]}], id="a misspelt port"),
        pytest.param("ServiceMonitor", ("spec", "endpoint"), [], id="an unknown field of a custom resource"),
        pytest.param("ClusterRole", ("rules",), [{"verb": ["get"]}], id="a misspelt verb"),
    ],
)
def test_a_wrong_field_is_found(
    cluster: LocalCluster, conform: Conform, kind: str, path: tuple[str, ...], value: object
):
    wrong = next(one for one in render(cluster, EVERYTHING, "ops") if one["kind"] == kind)
    place = wrong
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value

    report = conform([wrong])

    assert report["summary"]["invalid"] == 1
    assert path[-1] in json.dumps(report["resources"])
