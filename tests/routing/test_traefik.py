"""What clients get: the drivers' routes on a real Traefik, counted at the client and at the model servers."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.traffic import Traffic
from modelrollout.api.versions import ServiceRef
from modelrollout.cluster.kubernetes import Kubernetes
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    Acceptance,
    Blocked,
    Capabilities,
    Endpoints,
    Place,
    Route,
    Routed,
    Shares,
    Unmanaged,
)
from modelrollout.routing.driver import RouteDriver
from modelrollout.routing.gateway import Gateways
from modelrollout.routing.httproute import httproute_driver
from modelrollout.routing.traefikservice import traefikservice_driver

from local.cluster import LocalCluster
from local.process import wait_until
from local.serving import ModelServer
from tests.routing.stage import open_kubernetes

pytestmark = pytest.mark.cluster
REQUESTS = 2_000
V1, V2 = ServiceRef(name="fraud-v1", port=8080), ServiceRef(name="fraud-v2", port=8080)
KINDS = ["HTTPRoute", "TraefikService"]


@pytest.fixture(scope="module")
def models(cluster: LocalCluster) -> tuple[str, ModelServer, ModelServer]:
    """A namespace with two versions in it."""
    namespace = cluster.new_namespace("traefik")
    return namespace, cluster.model(namespace, V1.name), cluster.model(namespace, V2.name)


@pytest.fixture
async def kubernetes(cluster: LocalCluster, models: object) -> AsyncIterator[Kubernetes]:
    """The operator's view, with the models' Services in it."""
    del models
    server, made = await open_kubernetes(cluster)
    yield made
    await server.close()


class Bench:
    """Makes routes, each on a host of its own: as soon as the host is known, its weights are in force."""

    def __init__(self, kind: str, cluster: LocalCluster, kubernetes: Kubernetes, namespace: str) -> None:
        self.driver = _driver(kind, kubernetes)
        self._kind = kind
        self._cluster = cluster
        self._namespace = namespace

    def place(self, host: str) -> Place:
        name = host.replace(".", "-")
        parent = self._cluster.traefik.parent_ref
        if self._kind == "HTTPRoute":
            traffic = {"httpRoute": {"parentRefs": [parent], "hostnames": [host]}}
        else:
            traffic = {"traefikService": {"name": name}}
            self._cluster.apply(_users_route(self._namespace, name, host, parent))
        return Place(self._namespace, name, Traffic.model_validate(traffic), V1, V2)

    async def serve(self, host: str, shares: Shares) -> Place:
        """Return the place once its host answers."""
        place = self.place(host)
        await self.write(place, shares)
        wait_until(
            lambda: "status 404" not in self._cluster.send(host), f"{host} answers", within=timedelta(seconds=10)
        )
        return place

    async def write(self, place: Place, shares: Shares) -> Route:
        found = await self.driver.read(place, live=True)
        assert not isinstance(found, Blocked)
        return await self.driver.write(place, shares, None if isinstance(found, Unmanaged) else found.guard)


@pytest.fixture(params=KINDS)
def bench(
    request: pytest.FixtureRequest,
    cluster: LocalCluster,
    kubernetes: Kubernetes,
    models: tuple[str, ModelServer, ModelServer],
) -> Bench:
    """Each kind of routing object in turn."""
    return Bench(request.param, cluster, kubernetes, models[0])


@pytest.mark.parametrize("percent", [1, 5, 25, 50])
async def test_the_clients_get_the_split_that_was_written(bench: Bench, cluster: LocalCluster, percent: int) -> None:
    host = f"split-{percent}-{bench.driver.kind.lower()}.test"
    await bench.serve(host, Shares(Percent(percent * 100), NONE))

    counts = cluster.send(host, count=REQUESTS)

    share = percent / 100
    assert counts.total() == counts[V1.name] + counts[V2.name] == REQUESTS
    assert abs(counts[V2.name] - REQUESTS * share) <= 3 * math.sqrt(REQUESTS * share * (1 - share))


@pytest.mark.parametrize("bench", ["TraefikService"], indirect=True)
@pytest.mark.parametrize("percent", [10, 100])
async def test_in_shadow_the_candidate_gets_copies_and_the_clients_none_of_its_answers(
    bench: Bench, cluster: LocalCluster, models: tuple[str, ModelServer, ModelServer], percent: int
) -> None:
    _, v1, v2 = models
    host = f"shadow-{percent}.test"
    await bench.serve(host, Shares(NONE, Percent(percent * 100)))
    live, copies = _requests(v1), _requests(v2)

    counts = cluster.send(host, count=1_000)

    assert counts == {V1.name: 1_000}
    wanted = 10 * percent
    wait_until(lambda: _requests(v2) - copies >= wanted - 1, "the copies arrive", within=timedelta(seconds=10))
    assert _requests(v1) - live == 1_000
    # Copies of the requests that waited for the route may still have been under way.
    assert abs(_requests(v2) - copies - wanted) <= 2


async def test_steps_up_and_back_under_load_break_no_request(bench: Bench, cluster: LocalCluster) -> None:
    host = f"steps-{bench.driver.kind.lower()}.test"
    place = await bench.serve(host, BASELINE_ONLY)
    load = cluster.load(host, "/", requests_per_second=100, duration=timedelta(minutes=1))
    shadow = [Shares(NONE, ALL)] if bench.driver.kind == "TraefikService" else []

    for shares in [*shadow, *(Shares(Percent(100 * percent), NONE) for percent in (1, 25, 50, 100, 50))]:
        await bench.write(place, shares)
        mark = load.snapshot()
        wait_until(lambda mark=mark: load.since(mark).sent >= 60, "the step has traffic")  # type: ignore[misc]
    back_at = time.time()
    await bench.write(place, BASELINE_ONLY)
    mark = load.snapshot()
    wait_until(lambda: load.since(mark).sent >= 100, "the way back has traffic")
    ended = load.stop()

    assert ended.errors == 0
    assert ended.statuses.keys() == {200}
    assert ended.versions[V2.name] > 0
    assert ended.last_sent[V2.name] - back_at < 3


async def test_a_route_is_accepted_once_the_gateway_has_seen_it(bench: Bench) -> None:
    place = await bench.serve(f"accepted-{bench.driver.kind.lower()}.test", Shares(Percent(500), NONE))

    assert isinstance(await bench.driver.read(place, live=True), Routed)
    await _until(bench, place, lambda found: isinstance(found, Routed) and found.acceptance is Acceptance.ACCEPTED)


@pytest.mark.parametrize("bench", ["HTTPRoute"], indirect=True)
async def test_a_missing_service_is_rejected_in_the_gateways_words(bench: Bench) -> None:
    place = bench.place("missing.test")
    nowhere = Place(place.namespace, place.rollout, place.traffic, V1, ServiceRef(name="nowhere", port=8080))
    await bench.write(nowhere, Shares(Percent(500), NONE))

    found = await _until(
        bench, nowhere, lambda found: isinstance(found, Routed) and found.acceptance is Acceptance.REJECTED
    )

    assert isinstance(found, Routed)
    assert "BackendNotFound" in found.detail


@pytest.mark.parametrize("bench", ["HTTPRoute"], indirect=True)
async def test_a_shadow_on_traefiks_httproute_is_refused_by_what_its_class_says(bench: Bench) -> None:
    found = await bench.driver.capabilities(bench.place("refused.test"))

    assert isinstance(found, Capabilities)
    assert not found.mirror
    assert "spec.traffic.traefikService" in found.remedy


@pytest.mark.parametrize("bench", ["HTTPRoute"], indirect=True)
async def test_the_refusal_is_for_a_reason(bench: Bench, cluster: LocalCluster) -> None:
    """Traefik answers 500 to the whole rule, and says that all is well: when it no longer does, we may mirror."""
    place = await bench.serve("why-refused.test", Shares(NONE, ALL))

    assert cluster.send("why-refused.test", count=10) == {"status 500": 10}
    await _until(bench, place, lambda found: isinstance(found, Routed) and found.acceptance is Acceptance.ACCEPTED)


async def test_the_watches_copy_knows_the_models_endpoints(
    kubernetes: Kubernetes, models: tuple[str, ModelServer, ModelServer]
) -> None:
    namespace, _, v2 = models
    assert kubernetes.endpoints(namespace, V2) is Endpoints.READY

    v2.set_ready(False)
    try:
        changed = await kubernetes.relist("endpointslices", [namespace])
    finally:
        v2.set_ready(True)

    assert (namespace, V2.name) in changed
    assert kubernetes.endpoints(namespace, V2) is Endpoints.NONE_READY


def _driver(kind: str, kubernetes: Kubernetes) -> RouteDriver:
    if kind == "HTTPRoute":
        return httproute_driver(kubernetes, Gateways(kubernetes, {}))
    return traefikservice_driver(kubernetes)


def _users_route(namespace: str, name: str, host: str, parent: dict[str, str]) -> dict[str, object]:
    ref = {"group": "traefik.io", "kind": "TraefikService", "name": name}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [parent], "hostnames": [host], "rules": [{"backendRefs": [ref]}]},
    }


def _requests(model: ModelServer) -> int:
    return model.requests.total()


async def _until(bench: Bench, place: Place, holds: Callable[[Route], bool]) -> Route:
    """Return the route once it is as `holds` says; the gateway answers within a second or so."""
    async with asyncio.timeout(20):
        while not holds(found := await bench.driver.read(place, live=True)):  # noqa: ASYNC110  # It is another process.
            await asyncio.sleep(0.02)
    return found
