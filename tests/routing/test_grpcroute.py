"""What only a GRPCRoute has: calls picked by service and method, and a mirror that needs a reference beside it."""

import pytest
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.traffic import Traffic
from modelrollout.core.traffic import BASELINE_ONLY, Blocked, Place, Routed, Shares, Unmanaged
from modelrollout.engine.ports import Refused
from modelrollout.routing.driver import RouteDriver

from tests.routing.conftest import PARENTS, ROUTERS, V1, V2, users_grpc_route
from tests.support.fake_api import FakeApi

OWNED, ADOPTED = ROUTERS["GRPCRoute"], ROUTERS["adopted gRPC rule"]
ZERO = {"name": "fraud-v2", "port": 8080, "weight": 0}


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


async def write(driver: RouteDriver, place: Place, shares: Shares) -> Routed:
    found = await driver.read(place)
    assert not isinstance(found, Blocked), found
    written = await driver.write(place, shares, None if isinstance(found, Unmanaged) else found.guard)
    assert isinstance(written, Routed), written
    return written


@pytest.mark.parametrize(
    ("picks", "matches"),
    [
        pytest.param({}, None, id="every call"),
        pytest.param(
            {"service": "fraud.v1.Scorer"},
            [{"method": {"type": "Exact", "service": "fraud.v1.Scorer"}}],
            id="a service",
        ),
        pytest.param(
            {"service": "fraud.v1.Scorer", "method": "Score"},
            [{"method": {"type": "Exact", "service": "fraud.v1.Scorer", "method": "Score"}}],
            id="a method of a service",
        ),
        pytest.param({"method": "Score"}, [{"method": {"type": "Exact", "method": "Score"}}], id="a method of any"),
    ],
)
async def test_the_route_of_our_own_picks_calls_by_service_and_method(
    api: FakeApi, picks: dict[str, str], matches: list[object] | None
) -> None:
    traffic = Traffic.model_validate({"grpcRoute": {"parentRefs": PARENTS, **picks}})

    await write(OWNED.make_driver(api), Place("models", "fraud", traffic, V1, V2), Shares(Percent(500), NONE))

    made = api.object("grpcroutes", "models", "fraud")
    (rule,) = made["spec"]["rules"]
    assert made["kind"] == "GRPCRoute"
    assert rule.get("matches") == matches
    assert [ref["weight"] for ref in rule["backendRefs"]] == [95, 5]


@pytest.mark.parametrize("router", ["GRPCRoute", "adopted gRPC rule"])
async def test_a_mirror_comes_and_goes_with_a_reference_at_weight_zero(api: FakeApi, router: str) -> None:
    kind = ROUTERS[router]
    if kind.users_own:
        api.add("grpcroutes", users_grpc_route("models"))
    driver, place = kind.make_driver(api), kind.place()

    for shares, refers in ((Shares(NONE, Percent(3_000)), True), (Shares(NONE, ALL), True), (BASELINE_ONLY, False)):
        assert (await write(driver, place, shares)).shares == shares

        rules = api.object("grpcroutes", "models", kind.name)["spec"]["rules"]
        rule = next(rule for rule in rules if rule.get("name") in {"rollout", "score"})
        assert (ZERO in rule["backendRefs"]) is refers


async def test_what_is_missing_is_told_in_the_words_of_its_kind(api: FakeApi) -> None:
    missing = await ADOPTED.make_driver(api).read(ADOPTED.place())
    api.unserved.add("grpcroutes")

    assert isinstance(missing, Blocked)
    assert "GRPCRoute shared does not exist" in missing.message
    assert "spec.traffic.grpcRoute.adopt.name" in missing.message
    with pytest.raises(Refused, match="knows no kind GRPCRoute"):
        await OWNED.make_driver(api).write(OWNED.place(), BASELINE_ONLY, None)
