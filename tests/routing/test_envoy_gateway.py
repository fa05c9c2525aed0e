"""What clients get: the HTTPRoute driver's routes on a real Envoy Gateway, which mirrors percentages."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from urllib.parse import urlencode
from urllib.request import urlopen

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
    Place,
    Route,
    Routed,
    Shares,
    Unmanaged,
)
from modelrollout.routing.gateway import Gateways
from modelrollout.routing.httproute import httproute_driver

from local.cluster import LocalCluster
from local.envoy_gateway import EnvoyGateway
from local.load import Load
from local.process import wait_until
from local.serving import ModelServer
from tests.routing.stage import open_kubernetes

pytestmark = pytest.mark.cluster
REQUESTS = 2_000
V1, V2 = ServiceRef(name="fraud-v1", port=8080), ServiceRef(name="fraud-v2", port=8080)


@pytest.fixture(scope="module")
def models(cluster: LocalCluster) -> tuple[str, ModelServer, ModelServer]:
    """A namespace with two versions in it."""
    namespace = cluster.new_namespace("envoy")
    return namespace, cluster.model(namespace, V1.name), cluster.model(namespace, V2.name)


@pytest.fixture
async def kubernetes(cluster: LocalCluster, envoy_gateway: EnvoyGateway, models: object) -> AsyncIterator[Kubernetes]:
    """The operator's view, with the gateway and the models' Services in it."""
    del envoy_gateway, models
    server, made = await open_kubernetes(cluster)
    yield made
    await server.close()


class Bench:
    """Makes routes, each on a host of its own: as soon as the host is known, its weights are in force."""

    def __init__(self, cluster: LocalCluster, gateway: EnvoyGateway, kubernetes: Kubernetes, namespace: str) -> None:
        self.driver = httproute_driver(kubernetes, Gateways(kubernetes, {}))
        self.cluster = cluster
        self.gateway = gateway
        self._namespace = namespace

    def place(self, host: str, candidate: ServiceRef = V2) -> Place:
        traffic = {"httpRoute": {"parentRefs": [self.gateway.parent_ref], "hostnames": [host]}}
        return self._place(host, traffic, candidate)

    def adopt(self, host: str, weights: tuple[int, int]) -> Place:
        """Return the place of a user's rule whose backends have a filter each, and with it a cluster each."""
        refs = [
            {"name": service.name, "port": service.port, "weight": weight, "filters": [_header(service.name)]}
            for service, weight in zip((V1, V2), weights, strict=True)
        ]
        place = self._place(host, {"httpRoute": {"adopt": {"name": host.replace(".", "-"), "rule": "score"}}})
        self.cluster.apply(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": place.rollout, "namespace": place.namespace},
                "spec": {
                    "parentRefs": [self.gateway.parent_ref],
                    "hostnames": [host],
                    "rules": [{"name": "score", "backendRefs": refs}],
                },
            }
        )
        self._wait_until_served(host)
        return place

    def _place(self, host: str, traffic: Mapping[str, object], candidate: ServiceRef = V2) -> Place:
        return Place(self._namespace, host.replace(".", "-"), Traffic.model_validate(traffic), V1, candidate)

    async def serve(self, host: str, shares: Shares) -> Place:
        """Return the place of a route of our own once its host is answered by a version."""
        place = self.place(host)
        await self.write(place, shares)
        self._wait_until_served(host)
        return place

    def _wait_until_served(self, host: str) -> None:
        # A route that is new may be known for a moment before its cluster is, and then says 503.
        versions = {V1.name, V2.name}
        wait_until(
            lambda: self.cluster.send(host, gateway=self.gateway).keys() <= versions,
            f"{host} answers",
            within=timedelta(seconds=10),
        )

    async def write(self, place: Place, shares: Shares) -> Route:
        """Write until the route gives these shares, as the engine does from pass to pass."""
        while True:
            found = await self.driver.read(place, live=True)
            assert not isinstance(found, Blocked)
            written = await self.driver.write(place, shares, None if isinstance(found, Unmanaged) else found.guard)
            assert isinstance(written, Routed)
            if written.shares == shares:
                return written

    def load(self, host: str) -> Load:
        return self.cluster.load(host, requests_per_second=200, duration=timedelta(minutes=2), gateway=self.gateway)

    async def step(self, load: Load, place: Place, shares: Shares) -> None:
        """Write the shares, and return once the load has sent a good many requests since."""
        await self.write(place, shares)
        mark = load.snapshot()
        wait_until(lambda: load.since(mark).sent >= 150, "the step has traffic")

    async def until(self, place: Place, holds: Callable[[Route], bool]) -> Route:
        """Return the route once it is as `holds` says; the gateway answers within a second or so."""
        async with asyncio.timeout(20):
            while not holds(found := await self.driver.read(place, live=True)):  # noqa: ASYNC110  # Another process.
                await asyncio.sleep(0.02)
        return found

    async def until_accepted(self, place: Place) -> Route:
        return await self.until(
            place, lambda found: isinstance(found, Routed) and found.acceptance is Acceptance.ACCEPTED
        )


@pytest.fixture
def bench(
    cluster: LocalCluster,
    envoy_gateway: EnvoyGateway,
    kubernetes: Kubernetes,
    models: tuple[str, ModelServer, ModelServer],
) -> Bench:
    return Bench(cluster, envoy_gateway, kubernetes, models[0])


async def test_it_can_mirror_a_percentage_by_the_name_of_its_controller(bench: Bench) -> None:
    found = await bench.driver.capabilities(bench.place("capable.test"))

    assert found == Capabilities(mirror=True, mirror_percent=True, fractional_mirror=True, one_cluster=True)
    assert not bench.cluster.api.call("GET", "/apis/gateway.networking.k8s.io/v1/gatewayclasses/envoy")["status"].get(
        "supportedFeatures"
    )


@pytest.mark.parametrize("mirror", [Percent(50), Percent(3_000), ALL], ids=lambda mirror: f"{mirror}%")
async def test_in_shadow_the_candidate_gets_its_share_of_copies_and_the_clients_none_of_its_answers(
    bench: Bench, models: tuple[str, ModelServer, ModelServer], mirror: Percent
) -> None:
    _, v1, v2 = models
    host = f"shadow-{mirror.hundredths}.test"
    await bench.until_accepted(await bench.serve(host, Shares(NONE, mirror)))

    # The draws are random, and one honest draw in 370 is further off: then a second one has to be right.
    for _ in range(2):
        _wait_until_quiet(v2)
        live, copies = v1.requests.total(), v2.requests.total()
        assert bench.cluster.send(host, count=REQUESTS, gateway=bench.gateway) == {V1.name: REQUESTS}
        _wait_until_quiet(v2)
        assert v1.requests.total() - live == REQUESTS
        if _is_fair(v2.requests.total() - copies, mirror):
            return
    pytest.fail(f"{v2.requests.total() - copies} copies of {REQUESTS} requests at {mirror}%")


@pytest.mark.parametrize("percent", [1, 25])
async def test_the_clients_get_the_split_that_was_written(bench: Bench, percent: int) -> None:
    host = f"split-{percent}.test"
    await bench.serve(host, Shares(Percent(percent * 100), NONE))

    counts = bench.cluster.send(host, count=REQUESTS, gateway=bench.gateway)

    assert counts.total() == counts[V1.name] + counts[V2.name] == REQUESTS
    assert _is_fair(counts[V2.name], Percent(100 * percent))


@pytest.mark.parametrize("clusters", ["one cluster", "a cluster for each backend"])
async def test_steps_from_nothing_to_everything_and_back_break_no_request(bench: Bench, clusters: str) -> None:
    host = f"steps-{len(clusters)}.test"
    has_own = clusters != "one cluster"
    place = bench.adopt(host, (1, 0)) if has_own else await bench.serve(host, BASELINE_ONLY)
    load = bench.load(host)

    for mirror in (3_000, 0, 10_000, 0):
        await bench.step(load, place, Shares(NONE, Percent(mirror)))
    for percent in (1, 25, 50, 100, 50, 1, 25):
        await bench.step(load, place, Shares(Percent(100 * percent), NONE))
    rule = f"httproute/{place.namespace}/{place.rollout}/rule/0{'/backend/1' if has_own else ''}"
    _wait_until_scraped(bench.cluster, f'envoy_cluster_upstream_rq_total{{envoy_cluster_name="{rule}"}} > 0')
    back_at = time.time()
    await bench.step(load, place, BASELINE_ONLY)
    ended = load.stop()

    assert ended.statuses.keys() == {200}
    assert ended.errors == 0
    assert ended.versions[V2.name] > 0
    assert ended.last_sent[V2.name] - back_at < 3


async def test_a_missing_service_is_rejected_in_the_gateways_words(bench: Bench) -> None:
    place = bench.place("missing.test", candidate=ServiceRef(name="nowhere", port=8080))
    await bench.write(place, Shares(Percent(500), NONE))

    found = await bench.until(
        place, lambda found: isinstance(found, Routed) and found.acceptance is Acceptance.REJECTED
    )

    assert isinstance(found, Routed)
    assert "BackendNotFound" in found.detail


async def test_prometheus_knows_the_copies_from_the_requests_by_the_cluster(bench: Bench) -> None:
    host = "scraped.test"
    place = await bench.serve(host, Shares(NONE, ALL))

    bench.cluster.send(host, count=20, gateway=bench.gateway)

    rule = f"httproute/{place.namespace}/{place.rollout}/rule/0"
    for name in (rule, f"{rule}-mirror-0"):
        query = f'envoy_cluster_upstream_rq_total{{job="envoy", envoy_cluster_name="{name}"}} >= 20'
        _wait_until_scraped(bench.cluster, query)


def _is_fair(count: int, share: Percent) -> bool:
    """Whether `count` of REQUESTS is within three standard deviations of a share."""
    fraction = share.hundredths / 10_000
    return abs(count - REQUESTS * fraction) <= 3 * math.sqrt(REQUESTS * fraction * (1 - fraction))


def _header(track: str) -> dict[str, object]:
    return {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "x-track", "value": track}]},
    }


def _wait_until_scraped(cluster: LocalCluster, query: str) -> None:
    """Return once Prometheus has a series that the query selects."""
    url = f"{cluster.prometheus.url}/api/v1/query?{urlencode({'query': query})}"

    def has_series() -> bool:
        with urlopen(url, timeout=5) as answer:
            return bool(json.load(answer)["data"]["result"])

    wait_until(has_series, f"{query} is scraped", within=timedelta(seconds=20))


def _wait_until_quiet(model: ModelServer) -> None:
    """Return once the copies that were under way have arrived: none came for a fifth of a second."""
    seen, since = model.requests.total(), time.monotonic()

    def is_quiet() -> bool:
        nonlocal seen, since
        if (now := model.requests.total()) != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 0.2

    wait_until(is_quiet, "no more copies arrive", within=timedelta(seconds=20))
