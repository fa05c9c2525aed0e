"""What gRPC clients get: the GRPCRoute driver's routes on a real Envoy Gateway."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.traffic import Traffic
from modelrollout.api.versions import ServiceRef
from modelrollout.core.traffic import BASELINE_ONLY, Acceptance, Blocked, Place, Route, Routed, Shares, Unmanaged
from modelrollout.routing.driver import RouteDriver
from modelrollout.routing.gateway import Gateways
from modelrollout.routing.httproute import grpcroute_driver
from modelrollout.routing.status import acceptance_of

from local.cluster import LocalCluster
from local.envoy_gateway import EnvoyGateway
from local.grpc_serving import GrpcServer
from local.load import Load, Snapshot
from local.process import wait_until
from tests.routing.stage import open_kubernetes

pytestmark = pytest.mark.cluster
CALLS = 2_000
V1, V2 = ServiceRef(name="scorer-v1", port=8080), ServiceRef(name="scorer-v2", port=8080)
Models = tuple[str, GrpcServer, GrpcServer]


@pytest.fixture(scope="module")
def models(cluster: LocalCluster) -> Models:
    """A namespace with two versions in it."""
    namespace = cluster.new_namespace("grpc")
    return namespace, cluster.grpc_model(namespace, V1.name), cluster.grpc_model(namespace, V2.name)


class Bench:
    """Makes routes, each on a host of its own."""

    def __init__(self, cluster: LocalCluster, driver: RouteDriver, gateway: EnvoyGateway, namespace: str) -> None:
        self.driver = driver
        self.cluster = cluster
        self.gateway = gateway
        self._namespace = namespace

    def place(self, host: str, candidate: ServiceRef = V2) -> Place:
        traffic = {"parentRefs": [self.gateway.parent_ref], "hostnames": [host], "service": "fraud.v1.Scorer"}
        return Place(
            self._namespace, host.replace(".", "-"), Traffic.model_validate({"grpcRoute": traffic}), V1, candidate
        )

    async def serve(self, host: str, shares: Shares, candidate: ServiceRef = V2) -> Place:
        """Return the place of a route of our own once a version answers."""
        place = self.place(host, candidate)
        await self.write(place, shares)
        wait_until(lambda: self.call(host, 1).statuses == {0: 1}, f"{host} answers", within=timedelta(seconds=20))
        return place

    def service_of_its_own(self, name: str, model: GrpcServer) -> ServiceRef:
        """Return one more Service of a model, which nothing refers to yet."""
        self.cluster.service(self._namespace, name, model.address)
        return ServiceRef(name=name, port=8080)

    async def write(self, place: Place, shares: Shares) -> Route:
        found = await self.driver.read(place, live=True)
        assert not isinstance(found, Blocked)
        return await self.driver.write(place, shares, None if isinstance(found, Unmanaged) else found.guard)

    async def step(self, load: Load, place: Place, shares: Shares) -> None:
        """Write the shares, and return once the load has made a good many calls since."""
        await self.write(place, shares)
        mark = load.snapshot()
        wait_until(lambda: load.since(mark).sent >= 150, "the step has traffic")

    async def until_accepted(self, place: Place) -> None:
        async with asyncio.timeout(20):
            while True:
                found = await self.driver.read(place, live=True)
                if isinstance(found, Routed) and found.acceptance is Acceptance.ACCEPTED:
                    return
                await asyncio.sleep(0.02)

    def call(self, host: str, count: int) -> Snapshot:
        """Return what clients saw of so many calls once all have been answered."""
        load = self.cluster.calls(host, calls_per_second=500, count=count)
        wait_until(lambda: load.snapshot().versions.total() == count, "all are answered", within=timedelta(seconds=60))
        return load.stop()


@pytest.fixture
async def bench(cluster: LocalCluster, envoy_gateway: EnvoyGateway, models: Models) -> AsyncIterator[Bench]:
    server, kubernetes = await open_kubernetes(cluster)
    yield Bench(cluster, grpcroute_driver(kubernetes, Gateways(kubernetes, {})), envoy_gateway, models[0])
    await server.close()


@pytest.mark.parametrize("percent", [1, 25, 50])
async def test_the_clients_get_the_split_that_was_written(bench: Bench, percent: int) -> None:
    host = f"split-{percent}.grpc.test"
    await bench.serve(host, Shares(Percent(percent * 100), NONE))

    seen = bench.call(host, CALLS)

    assert seen.statuses == {0: CALLS}
    assert seen.versions.total() == seen.versions[V1.name] + seen.versions[V2.name]
    assert _is_fair(seen.versions[V2.name], percent)


async def test_in_shadow_the_candidate_gets_its_share_of_copies_and_the_clients_none_of_its_answers(
    bench: Bench, models: Models
) -> None:
    _, v1, v2 = models
    alone = bench.service_of_its_own("scorer-copied", v2)
    await bench.until_accepted(await bench.serve("shadow.grpc.test", Shares(NONE, Percent(3_000)), alone))

    # The draws are random, and one honest draw in 370 is further off: then a second one has to be right.
    for _ in range(2):
        live, copies = v1.requests.total(), v2.requests.total()
        assert bench.call("shadow.grpc.test", CALLS).answers == {(0, V1.name): CALLS}
        _wait_until_quiet(v2)
        assert v1.requests.total() - live == CALLS
        if _is_fair(v2.requests.total() - copies, 30):
            return
    pytest.fail(f"{v2.requests.total() - copies} copies of {CALLS} calls at 30%")


async def test_steps_up_and_back_under_load_break_no_call(bench: Bench) -> None:
    host = "steps.grpc.test"
    place = await bench.serve(host, BASELINE_ONLY)
    load = bench.cluster.calls(host, calls_per_second=200, count=100_000)

    await bench.step(load, place, Shares(NONE, Percent(3_000)))
    for percent in (0, 1, 25, 50, 100, 50, 1, 100):
        await bench.step(load, place, Shares(Percent(100 * percent), NONE))
    back_at = time.time()
    await bench.step(load, place, BASELINE_ONLY)
    ended = load.stop()

    assert ended.statuses.keys() == {0}
    assert ended.versions.keys() == {V1.name, V2.name}
    assert ended.last_sent[V2.name] - back_at < 3


async def test_a_mirror_to_a_service_that_no_reference_names_breaks_the_whole_rule(
    bench: Bench, models: Models
) -> None:
    """The reason for the candidate's reference at weight 0; without it we would break the baseline too."""
    host = "alone.grpc.test"
    place = await bench.serve(host, Shares(NONE, ALL), bench.service_of_its_own("scorer-alone", models[2]))
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GRPCRoute",
        "metadata": {"name": place.rollout, "namespace": place.namespace},
    }
    path = bench.cluster.api.path_of(route)
    rule = bench.cluster.api.call("GET", path)["spec"]["rules"][0]

    without = {"spec": {"rules": [{**rule, "backendRefs": rule["backendRefs"][:1]}]}}
    bench.cluster.api.call("PATCH", path, without, content_type="application/merge-patch+json")

    wait_until(lambda: 0 not in bench.call(host, 1).statuses, "no call is answered any more")
    assert acceptance_of(bench.cluster.api.call("GET", path))[0] is Acceptance.REJECTED


def _is_fair(count: int, percent: int) -> bool:
    """Whether `count` of CALLS is within three standard deviations of a share."""
    fraction = percent / 100
    return abs(count - CALLS * fraction) <= 3 * math.sqrt(CALLS * fraction * (1 - fraction))


def _wait_until_quiet(model: GrpcServer) -> None:
    """Return once the copies that were under way have arrived: none came for a fifth of a second."""
    seen, since = model.requests.total(), time.monotonic()

    def is_quiet() -> bool:
        nonlocal seen, since
        if (now := model.requests.total()) != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 0.2

    wait_until(is_quiet, "no more copies arrive", within=timedelta(seconds=20))
