"""Fault matrix row 49: the operator is upgraded and taken back while a canary has traffic, on real parts."""

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.api import Api
from local.cluster import LocalCluster
from local.pods import environment_of
from local.process import Process
from tests.support.chart import CHART, TOP, install_crds
from tests.support.scene import STAGES, Scene

pytestmark = pytest.mark.cluster

STEP = ("number", "startedAt", "stage", "step", "stepStartedAt", "appliedAt", "target")
NEXT = "0.2.0"
ADDED = "pace"
"""A field of status.attempt that the next release has and this one does not know."""


class Release:
    """A release of the chart, and the operator that its Deployment asks for: here is no kubelet to start it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._name = scene.namespace
        self._values = scene.cluster.logs / f"values-{self._name}.json"
        values = {
            "namespaces": [scene.namespace],
            "metricsSources": {"default": {"url": scene.cluster.prometheus.url, "timeout": "2s"}},
            "settings": {"minInterval": "1s", "statusRefresh": "1s"},
        }
        self._values.write_text(json.dumps(values), "utf-8")

    def helm(self, verb: str, *arguments: str) -> None:
        """Replace what runs, as `Recreate` does: the old operator ends before the new one starts."""
        if hasattr(self._scene, "operator"):
            assert self._scene.operator.stop() == 0
        self._scene.cluster.helm(verb, self._name, *arguments, "--namespace", self._name)
        self._scene.operator = self._start()

    def install(self, verb: str, chart: Path, *settings: str) -> None:
        self.helm(verb, str(chart), "--skip-crds", "--values", str(self._values), *settings)

    def deployment(self) -> dict[str, Any]:
        told = self._scene.cluster.kubectl("get", "deployment", "-n", self._name, "-o", "json")
        (found,) = json.loads(told)["items"]
        assert isinstance(found, dict)
        return found

    def write_status(self, status: dict[str, Any]) -> None:
        """Merge something into the rollout's status under the operator's account: nobody else may."""
        cluster = self._scene.cluster
        account = self.deployment()["spec"]["template"]["spec"]["serviceAccountName"]
        api = Api(cluster.server, cluster.ca_file, cluster.token(self._name, account))
        body = {"status": status}
        api.call("PATCH", f"{self._scene.path}/status", body, content_type="application/merge-patch+json")

    def _start(self) -> Process:
        pod = self.deployment()["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        cluster = self._scene.cluster
        token = cluster.token(self._name, pod["serviceAccountName"])
        kubeconfig = cluster.kubeconfig_for(token, f"operator-{self._name}")
        maps = json.loads(cluster.kubectl("get", "configmap", "-n", self._name, "-o", "json"))["items"]
        environment = environment_of(pod, maps, cluster.logs / f"files-{self._name}") | {
            "PYTHONPATH": str(TOP / "operator"),
            "MODELROLLOUT_LISTEN": "127.0.0.1:0",
        }
        argv = [sys.executable, *container["command"][1:], f"--kubeconfig={kubeconfig}", *container.get("args", [])]
        return cluster.spawn(f"operator-{self._name}", argv, env=environment)


@pytest.fixture
def scene(cluster: LocalCluster, namespace: str) -> Iterator[Scene]:
    """Return a scene with v1 and v2 answering, whose operator a release starts."""
    found = Scene(cluster, namespace)
    found.serve("v1", "v2")
    try:
        yield found
    finally:
        found.end()


@pytest.fixture
def next_chart(cluster: LocalCluster, tmp_path: Path) -> Iterator[Path]:
    """Return the chart of the next release, whose CRD has one field more; this one's CRDs are back afterwards."""
    place = tmp_path / "modelrollout"
    shutil.copytree(CHART, place)
    about = place / "Chart.yaml"
    own = yaml.safe_load(about.read_text("utf-8"))
    about.write_text(yaml.safe_dump(own | {"version": NEXT, "appVersion": NEXT}), "utf-8")
    for file in (place / "crds").glob("*_modelrollouts.yaml"):
        definition = yaml.safe_load(file.read_text("utf-8"))
        for version in definition["spec"]["versions"]:
            status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
            status["properties"]["attempt"]["properties"][ADDED] = {"type": "string"}
        file.write_text(yaml.safe_dump(definition), "utf-8")
    yield place
    install_crds(cluster)


def test_row_49_an_upgrade_and_the_way_back_in_mid_canary_go_on_at_the_same_step(scene: Scene, next_chart: Path):
    install_crds(scene.cluster)
    release = Release(scene)
    release.install("install", CHART)
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=STAGES[1:]))
    # Without requests no gate passes: the rollout stays in mid-canary until the load begins.
    started = scene.until_step("canary", 0)["attempt"]
    leaf = scene.leaf()["spec"]

    for file in sorted((next_chart / "crds").glob("*.yaml")):
        scene.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
    release.install("upgrade", next_chart, "--set", "settings.workers=8")
    upgraded = release.deployment()
    judged_again(scene)
    # What only the next release writes; it stands in status when this one comes back.
    release.write_status({"attempt": {ADDED: "steady"}})
    release.helm("rollback", "1")
    back = release.deployment()
    found = judged_again(scene)
    load = scene.load()
    status = scene.until_phase("Promoted")

    assert (version_of(upgraded), version_of(back)) == (NEXT, version_of_chart())
    assert "MODELROLLOUT_WORKERS" in json.dumps(upgraded)
    assert "MODELROLLOUT_WORKERS" not in json.dumps(back)
    assert {name: found.get(name) for name in STEP} == {name: started.get(name) for name in STEP}
    assert found[ADDED] == "steady"
    assert leaf["weighted"]["services"][1]["weight"] > 0
    assert scene.seen == [("v2", "canary", 0), ("v2", "canary", 1), ("v2", "full", 0)]
    assert (status["attempt"]["number"], status["attempt"]["startedAt"]) == (1, started["startedAt"])
    assert load.stop().errors == 0


def test_row_49_without_an_operator_between_two_releases_traffic_stays_and_a_command_is_not_lost(scene: Scene):
    install_crds(scene.cluster)
    release = Release(scene)
    release.install("install", CHART)
    held = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, STAGES[2]]
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=held))
    scene.load()
    scene.until_step("canary", 0)
    scene.operator.stop()
    before = scene.leaf()["spec"]

    scene.ask(rollback={"reason": "in the middle of an upgrade"})
    after_command = scene.leaf()["spec"]
    release.install("upgrade", CHART, "--set", "settings.workers=8")
    status = scene.until_phase("RolledBack")

    assert after_command == before
    assert status["attempt"]["rollback"]["cause"] == "Manual"
    assert [one["name"] for one in scene.leaf()["spec"]["weighted"]["services"]] == ["fraud-v1"]


def judged_again(scene: Scene) -> dict[str, Any]:
    """Return the attempt once the operator that runs now has judged a gate."""
    began = datetime.now(UTC)

    def is_judged(status: dict[str, Any]) -> bool:
        times = [datetime.fromisoformat(gate["evaluatedAt"]) for gate in status["attempt"].get("gates", [])]
        return any(at > began for at in times)

    attempt: dict[str, Any] = scene.until("judged by the operator that runs now", is_judged)["attempt"]
    return attempt


def version_of(deployment: dict[str, Any]) -> str:
    version = deployment["metadata"]["labels"]["app.kubernetes.io/version"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f":{version}")
    return str(version)


def version_of_chart() -> str:
    return str(yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["version"])
