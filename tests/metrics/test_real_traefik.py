"""Whether the preset's labels tell two versions apart on a real Traefik."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from modelrollout.api.gates import Gate
from modelrollout.core.evidence import Answer, Counted, Question
from modelrollout.core.stats import Counts
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.sources import Sources

from local.cluster import LocalCluster
from local.serving import ModelServer
from tests.metrics.builders import COMPARED, STANDING, TRAEFIK, track
from tests.metrics.conftest import Calls, now

pytestmark = pytest.mark.cluster

# Two dashes in a row and a dot: names that Traefik does not keep as they are.
BASELINE, CANDIDATE, ROUTE = "fraud-v1", "fraud--v2", "fraud.scorer"
SLOW = {"name": "slow", "latency": {"threshold": "100ms", "maxAbove": "5%", "maxIncrease": "25%"}}


@pytest.fixture
async def source(cluster: LocalCluster, calls: Calls) -> AsyncIterator[Sources]:
    made = Sources({"default": SourceConfig(url=cluster.prometheus.url)}, now, calls)
    yield made
    await made.close()


@pytest.fixture
def candidate(cluster: LocalCluster, namespace: str) -> Iterator[ModelServer]:
    baseline, candidate = (cluster.model(namespace, service) for service in (BASELINE, CANDIDATE))
    yield candidate
    baseline.stop()
    candidate.stop()


async def settled(source: Sources, namespace: str, kind: str, gate: dict[str, Any], wanted: Counts) -> Answer:
    """Return the first answer that has the candidate's counts, or the last one within 15 seconds."""
    deadline = now() + timedelta(seconds=15)
    while True:
        until = now()
        answer = await source.measure(
            Question(
                metrics=TRAEFIK,
                gate=Gate.model_validate(gate),
                candidate=track(CANDIDATE, namespace=namespace, route_kind=kind, route_name=ROUTE),
                baseline=track(BASELINE, namespace=namespace, route_kind=kind, route_name=ROUTE),
                since=until - timedelta(minutes=5),
                until=until,
                freshness=timedelta(minutes=1),
                at=STANDING,
            )
        )
        if until > deadline or (isinstance(answer, Counted) and answer.candidate == wanted):
            return answer


def route(cluster: LocalCluster, namespace: str, backends: list[dict[str, Any]]) -> str:
    """Apply a route to the backends, and return its host once it answers."""
    host = f"{namespace}.example"
    cluster.apply({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": ROUTE, "namespace": namespace},
        "spec": {
            "parentRefs": [cluster.traefik.parent_ref],
            "hostnames": [host],
            "rules": [{"name": "rollout", "backendRefs": backends}],
        },
    })  # fmt: skip
    return host


def leaf(cluster: LocalCluster, namespace: str, spec: dict[str, Any]) -> str:
    """Apply a leaf and a route to it, and return the route's host."""
    meta = {"name": "leaf", "namespace": namespace}
    cluster.apply({"apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "metadata": meta, "spec": spec})
    return route(cluster, namespace, [{"group": "traefik.io", "kind": "TraefikService", "name": "leaf"}])


def send(cluster: LocalCluster, host: str, count: int) -> tuple[int, int]:
    """Return how many of `count` requests each version answered: baseline, candidate.

    Until the route is programmed Traefik answers 404, which is nobody's.
    """
    seen = cluster.send(host)
    while seen["status 404"]:
        seen = cluster.send(host)
    seen += cluster.send(host, count=count - 1)
    return seen[BASELINE], count - seen[BASELINE]


def service(name: str, weight: int) -> dict[str, Any]:
    return {"name": name, "kind": "Service", "port": 8080, "weight": weight}


async def test_the_backends_of_an_httproute_are_counted_apart(
    cluster: LocalCluster, namespace: str, candidate: ModelServer, source: Sources
) -> None:
    candidate.behave(error_share=1.0)
    host = route(cluster, namespace, [service(BASELINE, 75), service(CANDIDATE, 25)])

    old, new = send(cluster, host, 200)

    errors = await settled(source, namespace, "HTTPRoute", COMPARED, Counts(new, new))
    slow = await settled(source, namespace, "HTTPRoute", SLOW, Counts(new, 0))
    assert (old, new) == (150, 50)
    assert errors == Counted(Counts(50, 50), Counts(150, 0))
    assert isinstance(slow, Counted)
    assert slow.candidate.total == 50
    assert slow.baseline is not None
    assert slow.baseline.total == 150


@pytest.mark.usefixtures("candidate")
async def test_the_only_backend_of_an_httproute_is_counted(
    cluster: LocalCluster, namespace: str, source: Sources
) -> None:
    host = route(cluster, namespace, [service(CANDIDATE, 100)])

    send(cluster, host, 20)

    answer = await settled(source, namespace, "HTTPRoute", COMPARED, Counts(20, 0))
    assert answer == Counted(Counts(20, 0), Counts(0, 0))


async def test_the_services_of_a_leaf_are_counted_apart(
    cluster: LocalCluster, namespace: str, candidate: ModelServer, source: Sources
) -> None:
    candidate.behave(error_share=1.0)
    weighted = {"weighted": {"services": [service(BASELINE, 75), service(CANDIDATE, 25)]}}
    host = leaf(cluster, namespace, weighted)

    send(cluster, host, 200)

    answer = await settled(source, namespace, "TraefikService", COMPARED, Counts(50, 50))
    assert answer == Counted(Counts(50, 50), Counts(150, 0))


async def test_mirrored_copies_are_counted_at_the_candidate(
    cluster: LocalCluster, namespace: str, candidate: ModelServer, source: Sources
) -> None:
    candidate.behave(error_share=1.0)
    mirrors = [{"name": CANDIDATE, "port": 8080, "percent": 50}]
    host = leaf(cluster, namespace, {"mirroring": {"name": BASELINE, "port": 8080, "mirrors": mirrors}})

    old, _ = send(cluster, host, 200)

    answer = await settled(source, namespace, "TraefikService", COMPARED, Counts(100, 100))
    assert old == 200
    assert answer == Counted(Counts(100, 100), Counts(200, 0))
