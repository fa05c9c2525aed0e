"""Rows of the fault matrix that are about what the real API server does."""

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelrollout.cluster.kubernetes import Kubernetes
from modelrollout.cluster.server import ApiServer, connect
from modelrollout.cluster.world import World
from modelrollout.engine.apply import dropped_fields
from modelrollout.engine.ports import Conflict, Gone, Unavailable

from local.cluster import LocalCluster
from tests.api.manifests import good
from tests.support.chart import install_crds

pytestmark = pytest.mark.cluster

CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modelrollouts.modelrollout.dev"
MERGE = "application/merge-patch+json"


@pytest.fixture
async def server(cluster: LocalCluster) -> AsyncIterator[ApiServer]:
    made = await connect(cluster.kubeconfig, call_limit=timedelta(seconds=10))
    yield made
    await made.close()


@pytest.fixture
def kubernetes(server: ApiServer) -> Kubernetes:
    return Kubernetes(server, World(), clock=lambda: datetime.now(UTC), identity="test")


async def test_row_26_a_real_server_that_drops_a_field_is_noticed(
    cluster: LocalCluster, kubernetes: Kubernetes, namespace: str
):
    install_crds(cluster)
    cluster.apply({**good(), "metadata": {"name": "fraud", "namespace": namespace}})
    patch = {"observedGeneration": 1, "weight": "5%", "commands": []}
    served = cluster.api.call("GET", CRD)["spec"]["versions"]
    older = _without_weight(served)
    try:
        cluster.api.call("PATCH", CRD, {"spec": {"versions": older}}, content_type=MERGE)
        lost = await _until_dropped(kubernetes, namespace, patch)
    finally:
        cluster.api.call("PATCH", CRD, {"spec": {"versions": served}}, content_type=MERGE)
        install_crds(cluster)

    assert lost == ["weight"]


async def test_row_51_a_real_namespace_that_ends_refuses_as_gone(
    cluster: LocalCluster, kubernetes: Kubernetes, namespace: str
):
    cluster.api.call("DELETE", f"/api/v1/namespaces/{namespace}")
    leaf = {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "TraefikService",
        "metadata": {"name": "fraud", "namespace": namespace},
        "spec": {"weighted": {"services": [{"kind": "Service", "name": "fraud-v1", "port": 8080}]}},
    }

    with pytest.raises(Gone, match="terminat"):
        await kubernetes.create("traefikservices", namespace, leaf)


async def test_row_44_the_clock_of_a_real_server_is_known_after_three_answers(
    kubernetes: Kubernetes, server: ApiServer
):
    assert kubernetes.clock_skew() is None

    for _ in range(3):
        await server.served("", "v1")

    skew = kubernetes.clock_skew()
    assert skew is not None
    assert abs(skew) < timedelta(seconds=5)


def _without_weight(versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (version,) = versions
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    fields = {name: value for name, value in status["properties"].items() if name != "weight"}
    schema = version["schema"]["openAPIV3Schema"]
    properties = {**schema["properties"], "status": {**status, "properties": fields}}
    columns = [c for c in version.get("additionalPrinterColumns", []) if ".weight" not in c["jsonPath"]]
    return [
        {
            **version,
            "additionalPrinterColumns": columns,
            "schema": {"openAPIV3Schema": {**schema, "properties": properties}},
        }
    ]


async def _until_dropped(kubernetes: Kubernetes, namespace: str, patch: dict[str, Any]) -> list[str]:
    """Write until the server has taken up its older schema; return what it dropped."""
    end = time.monotonic() + 30
    stands: dict[str, Any] = {"status": patch}
    while time.monotonic() < end:
        # For a moment in between the server knows neither the one definition nor the other.
        with suppress(Conflict, Gone, Unavailable):
            known = await kubernetes.get_rollout(namespace, "fraud")
            clean = {**dict.fromkeys(known.get("status") or {}), **patch}
            stands = await kubernetes.patch_status(
                namespace, "fraud", known["metadata"]["resourceVersion"], {**clean, "gates": str(time.monotonic())}
            )
        if lost := list(dropped_fields(patch, stands.get("status") or {})):
            return lost
    return []
