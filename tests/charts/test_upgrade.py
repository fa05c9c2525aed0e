"""A release comes, changes, goes back and goes, while a rollout is in progress."""

import json
from typing import Any

import pytest

from local.cluster import LocalCluster
from tests.api.manifests import good
from tests.support.chart import CHART, install_crds

pytestmark = pytest.mark.cluster

IN_PROGRESS = {"status": {"control": {"hold": {"reason": "month end", "requestedBy": "admin"}}}}


class Release:
    """One release of the chart, by helm itself."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def helm(self, verb: str, *arguments: str) -> None:
        self._cluster.helm(verb, self._namespace, *arguments, "--namespace", self._namespace)

    def apply(self, verb: str, *values: str) -> None:
        settings = (part for value in (f"namespaces={{{self._namespace}}}", *values) for part in ("--set", value))
        self.helm(verb, str(CHART), "--skip-crds", *settings)

    def environment(self) -> dict[str, str]:
        """Return what the operator's container is told now."""
        told = self._cluster.kubectl("get", "deployment", "-n", self._namespace, "-o", "json")
        (deployment,) = json.loads(told)["items"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return {one["name"]: one["value"] for one in container["env"]}


def rollout_of(cluster: LocalCluster, manifest: dict[str, Any]) -> dict[str, Any]:
    found = cluster.api.call("GET", cluster.api.path_of(manifest))
    assert isinstance(found, dict)
    return found


def test_a_release_changes_goes_back_and_goes_and_leaves_rollouts_alone(cluster: LocalCluster, namespace: str):
    install_crds(cluster)
    release = Release(cluster, namespace)
    release.apply("install")
    manifest = good(namespace=namespace)
    cluster.apply(manifest)
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps(IN_PROGRESS))
    cluster.kubectl("patch", "mr", manifest["metadata"]["name"], "-n", namespace, *patch)
    before = rollout_of(cluster, manifest)

    release.apply("upgrade", "settings.minInterval=1m", "metricsSources.default.url=http://prometheus:9090")
    upgraded = release.environment()
    release.helm("rollback", "1")
    back = release.environment()
    release.helm("uninstall")

    assert upgraded["MODELROLLOUT_MIN_INTERVAL"] == "1m"
    assert "MODELROLLOUT_MIN_INTERVAL" not in back
    assert rollout_of(cluster, manifest) == before
    assert "No resources found" in cluster.kubectl("get", "deployment,networkpolicy,role", "-n", namespace)
