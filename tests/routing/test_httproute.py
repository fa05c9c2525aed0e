"""What only an HTTPRoute has: an object of ours, a rule of somebody's, and a status."""

from typing import Any

import pytest
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.traffic import Traffic
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    Acceptance,
    Blocked,
    Foreign,
    Place,
    Routed,
    Shares,
    Unmanaged,
)
from modelrollout.engine.ports import Refused
from modelrollout.routing.driver import RouteDriver

from tests.routing.conftest import PARENTS, ROUTERS, V1, V2, users_route
from tests.support.fake_api import FakeApi

OWNED, ADOPTED = ROUTERS["HTTPRoute"], ROUTERS["adopted rule"]
FIVE = Shares(Percent(500), NONE)
TRUE = [{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}]


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


async def write(driver: RouteDriver, place: Place, shares: Shares) -> Routed:
    found = await driver.read(place)
    assert not isinstance(found, Blocked), found
    written = await driver.write(place, shares, None if isinstance(found, Unmanaged) else found.guard)
    assert isinstance(written, Routed), written
    return written


async def test_the_route_of_our_own_says_where_it_comes_from(api: FakeApi) -> None:
    traffic = {"httpRoute": {"parentRefs": PARENTS, "hostnames": ["models.test"], "path": "/v1/score"}}
    place = Place("models", "fraud", Traffic.model_validate(traffic), V1, V2)

    await write(OWNED.make_driver(api), place, FIVE)

    made = api.object("httproutes", "models", "fraud")
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "modelrollout",
        "modelrollout.dev/rollout": "fraud",
    }
    assert made["spec"] == {
        "parentRefs": PARENTS,
        "hostnames": ["models.test"],
        "rules": [
            {
                "name": "rollout",
                "matches": [{"path": {"type": "PathPrefix", "value": "/v1/score"}}],
                "backendRefs": [
                    {"name": "fraud-v1", "port": 8080, "weight": 95},
                    {"name": "fraud-v2", "port": 8080, "weight": 5},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("mirror", "rendered"),
    [
        (Percent(1_000), {"percent": 10}),
        (Percent(50), {"fraction": {"numerator": 50, "denominator": 10_000}}),
        (ALL, {}),
    ],
)
async def test_a_mirror_is_written_as_the_smallest_thing_that_says_it(
    api: FakeApi, mirror: Percent, rendered: dict[str, Any]
) -> None:
    await write(OWNED.make_driver(api), OWNED.place(), Shares(NONE, mirror))

    rule = api.object("httproutes", "models", "fraud")["spec"]["rules"][0]
    ref = {"name": "fraud-v2", "port": 8080}
    assert rule["filters"] == [{"type": "RequestMirror", "requestMirror": {"backendRef": ref, **rendered}}]


async def test_changed_parents_come_with_the_next_write(api: FakeApi) -> None:
    driver = OWNED.make_driver(api)
    before = await write(driver, OWNED.place(), FIVE)
    moved = Traffic.model_validate({"httpRoute": {"parentRefs": [{"name": "new"}], "hostnames": ["new.test"]}})

    await driver.write(Place("models", "fraud", moved, V1, V2), FIVE, before.guard)

    spec = api.object("httproutes", "models", "fraud")["spec"]
    assert (spec["parentRefs"], spec["hostnames"]) == ([{"name": "new"}], ["new.test"])


async def test_without_the_gateway_apis_kinds_it_says_what_to_install(api: FakeApi) -> None:
    api.unserved.add("httproutes")
    driver = OWNED.make_driver(api)

    found = await driver.read(OWNED.place())

    assert isinstance(found, Blocked)
    assert found.reason == "RouterNotInstalled"
    with pytest.raises(Refused, match="install the Gateway API"):
        await driver.write(OWNED.place(), BASELINE_ONLY, None)


@pytest.mark.parametrize(
    ("conditions", "generation", "acceptance", "detail"),
    [
        pytest.param(TRUE, 1, Acceptance.ACCEPTED, "", id="accepted as it stands"),
        pytest.param(TRUE, 0, Acceptance.WAITING, "", id="of an older generation"),
        pytest.param(TRUE[:1], 1, Acceptance.WAITING, "", id="half said"),
        pytest.param(
            [*TRUE[:1], {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "no v2"}],
            1,
            Acceptance.REJECTED,
            "BackendNotFound: no v2",
            id="a Service is missing",
        ),
        pytest.param(
            [*TRUE, {"type": "PartiallyInvalid", "status": "True", "reason": "UnsupportedValue", "message": "dropped"}],
            1,
            Acceptance.REJECTED,
            "UnsupportedValue: dropped",
            id="partially invalid",
        ),
    ],
)
async def test_what_the_gateway_says_of_the_route(
    api: FakeApi, conditions: list[dict[str, Any]], generation: int, acceptance: Acceptance, detail: str
) -> None:
    driver = OWNED.make_driver(api)
    await write(driver, OWNED.place(), FIVE)
    said = [{**condition, "observedGeneration": generation} for condition in conditions]
    parents = [{"parentRef": PARENTS[0], "controllerName": "x/y", "conditions": said}]
    api.edit("httproutes", "models", "fraud", {"status": {"parents": parents}}, manager="gateway", status=True)

    found = await driver.read(OWNED.place())

    assert isinstance(found, Routed)
    assert found.acceptance is acceptance
    assert detail in found.detail


async def test_a_route_that_no_gateway_has_answered_for_is_waiting(api: FakeApi) -> None:
    driver = OWNED.make_driver(api)
    await write(driver, OWNED.place(), FIVE)
    parents = [{"parentRef": {"name": "another"}, "controllerName": "x/y", "conditions": TRUE}]
    api.edit("httproutes", "models", "fraud", {"status": {"parents": parents}}, status=True)

    found = await driver.read(OWNED.place())

    assert isinstance(found, Routed)
    assert found.acceptance is Acceptance.WAITING


async def test_an_adopted_rule_is_its_owners_until_the_first_write(api: FakeApi) -> None:
    api.add("httproutes", users_route("models"), manager="argocd-controller")
    driver = ADOPTED.make_driver(api)

    found = await driver.read(ADOPTED.place())

    assert isinstance(found, Foreign)
    assert found.shares == BASELINE_ONLY
    assert found.manager.startswith("argocd-controller")


async def test_of_an_adopted_route_only_the_named_rule_changes_and_comes_back(api: FakeApi) -> None:
    before = api.add("httproutes", users_route("models"))["spec"]["rules"]
    driver = ADOPTED.make_driver(api)

    await write(driver, ADOPTED.place(), Shares(Percent(500), Percent(1_000)))

    during = api.object("httproutes", "models", "shared")["spec"]["rules"]
    assert (during[0], during[2]) == (before[0], before[2])
    assert [filter_["type"] for filter_ in during[1]["filters"]] == ["RequestHeaderModifier", "RequestMirror"]
    assert [ref["weight"] for ref in during[1]["backendRefs"]] == [95, 5]

    await write(driver, ADOPTED.place(), BASELINE_ONLY)

    after = api.object("httproutes", "models", "shared")["spec"]["rules"]
    assert after == [
        before[0],
        {**before[1], "backendRefs": [{**before[1]["backendRefs"][0], "weight": 100}]},
        before[2],
    ]


async def test_a_reference_with_filters_of_its_own_is_kept_at_zero(api: FakeApi) -> None:
    route = users_route("models")
    own = {"filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}]}
    route["spec"]["rules"][1]["backendRefs"].append({"name": "fraud-v2", "port": 8080, "weight": 0, **own})
    api.add("httproutes", route)
    driver = ADOPTED.make_driver(api)

    for shares, weights in ((FIVE, [95, 5]), (BASELINE_ONLY, [100, 0])):
        await write(driver, ADOPTED.place(), shares)  # Half-way: see test_floor.py.
        assert (await write(driver, ADOPTED.place(), shares)).shares == shares
        refs = api.object("httproutes", "models", "shared")["spec"]["rules"][1]["backendRefs"]
        assert [ref["weight"] for ref in refs] == weights
        assert refs[1]["filters"] == own["filters"]


async def test_mirrors_to_others_are_their_owners(api: FakeApi) -> None:
    route = users_route("models")
    recorder = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "recorder", "port": 80}}}
    route["spec"]["rules"][1]["filters"].append(recorder)
    api.add("httproutes", route)
    driver = ADOPTED.make_driver(api)

    await write(driver, ADOPTED.place(), Shares(NONE, ALL))
    await write(driver, ADOPTED.place(), BASELINE_ONLY)

    assert recorder in api.object("httproutes", "models", "shared")["spec"]["rules"][1]["filters"]


async def test_an_adopted_route_that_is_missing_is_not_made(api: FakeApi) -> None:
    driver = ADOPTED.make_driver(api)

    found = await driver.read(ADOPTED.place())

    assert isinstance(found, Blocked)
    assert found.reason == "RouteMissing"
    with pytest.raises(Refused, match="create it"):
        await driver.write(ADOPTED.place(), BASELINE_ONLY, None)
    assert api.writes == []


async def test_a_rule_that_is_missing_is_answered_with_those_that_there_are(api: FakeApi) -> None:
    route = users_route("models")
    route["spec"]["rules"][1]["name"] = "scoring"
    api.add("httproutes", route)

    found = await ADOPTED.make_driver(api).read(ADOPTED.place())

    assert isinstance(found, Blocked)
    assert found.reason == "RuleMissing"
    assert "its rules are scoring, other" in found.message


@pytest.mark.parametrize(
    "ref",
    [
        {"name": "fraud-v1", "port": 9090},
        {"name": "fraud-v1", "port": 8080, "namespace": "other"},
        {"name": "fraud-v1", "kind": "TraefikService", "group": "traefik.io"},
        {"name": "somebody", "port": 8080, "weight": 3},
    ],
)
async def test_a_rule_that_gives_weight_to_another_backend_is_reported_with_it(
    api: FakeApi, ref: dict[str, Any]
) -> None:
    route = users_route("models")
    route["spec"]["rules"][1]["backendRefs"].append(ref)
    api.add("httproutes", route)

    found = await ADOPTED.make_driver(api).read(ADOPTED.place())

    assert isinstance(found, Foreign)
    assert found.shares is None
    assert ref["name"] in found.detail


async def test_a_live_share_that_rounds_to_nothing_is_not_called_nothing(api: FakeApi) -> None:
    route = users_route("models")
    rule = route["spec"]["rules"][1]
    rule["backendRefs"] = [
        {"name": "fraud-v1", "port": 8080, "weight": 999_999},
        {"name": "fraud-v2", "port": 8080, "weight": 1},
    ]
    api.add("httproutes", route)

    found = await ADOPTED.make_driver(api).read(ADOPTED.place())

    assert isinstance(found, Foreign)
    assert found.shares == Shares(Percent(1), NONE)
