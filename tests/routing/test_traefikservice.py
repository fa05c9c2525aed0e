"""What only a TraefikService has: either weights or a mirror, and whole percents."""

import pytest
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.core.traffic import BASELINE_ONLY, Blocked, Foreign, Routed, Shares
from modelrollout.engine.ports import Refused

from tests.routing.conftest import ROUTERS
from tests.support.fake_api import FakeApi

LEAF = ROUTERS["TraefikService"]


async def test_a_mirror_and_weights_replace_each_other_in_one_write() -> None:
    api = FakeApi()
    driver = LEAF.make_driver(api)
    made = await driver.write(LEAF.place(), Shares(NONE, Percent(1_000)), None)
    assert isinstance(made, Routed)
    v1, v2 = ({"kind": "Service", "name": f"fraud-{version}", "port": 8080} for version in ("v1", "v2"))
    mirroring = {**v1, "mirrors": [{**v2, "percent": 10}]}
    assert api.object("traefikservices", "models", "leaf")["spec"] == {"mirroring": mirroring}

    await driver.write(LEAF.place(), Shares(Percent(50), NONE), made.guard)

    weighted = {"services": [{**v1, "weight": 9_950}, {**v2, "weight": 50}]}
    assert api.object("traefikservices", "models", "leaf")["spec"] == {"weighted": weighted}
    assert len(api.writes) == 2


async def test_a_broken_percentage_is_refused_rather_than_rounded() -> None:
    api = FakeApi()

    with pytest.raises(Refused, match="whole percents"):
        await LEAF.make_driver(api).write(LEAF.place(), Shares(NONE, Percent(50)), None)

    assert api.writes == []


async def test_what_traefik_can_do_is_said_beforehand() -> None:
    found = await LEAF.make_driver(FakeApi()).capabilities(LEAF.place())

    assert not isinstance(found, Blocked)
    assert (found.mirror, found.mirror_percent, found.fractional_mirror) == (True, True, False)


async def test_another_kind_of_leaf_is_foreign_and_gives_way_to_a_rollback() -> None:
    api = FakeApi()
    driver = LEAF.make_driver(api)
    await driver.write(LEAF.place(), Shares(NONE, ALL), None)
    failover = {"mirroring": None, "failover": {"service": "fraud-v1", "fallback": "fraud-v2"}}
    api.edit("traefikservices", "models", "leaf", {"spec": failover})

    found = await driver.read(LEAF.place())

    assert isinstance(found, Foreign)
    assert (found.shares, found.detail) == (None, "it is failover instead of weighted or mirroring")
    written = await driver.write(LEAF.place(), BASELINE_ONLY, found.guard)
    assert isinstance(written, Routed)
    assert written.shares == BASELINE_ONLY


async def test_a_changed_mirror_is_foreign_though_the_rest_is_still_ours() -> None:
    api = FakeApi()
    driver = LEAF.make_driver(api)
    await driver.write(LEAF.place(), Shares(NONE, Percent(1_000)), None)
    mirrors = [{"kind": "Service", "name": "fraud-v2", "port": 8080, "percent": 100}]
    api.edit("traefikservices", "models", "leaf", {"spec": {"mirroring": {"mirrors": mirrors}}}, manager="somebody")

    found = await driver.read(LEAF.place())

    assert isinstance(found, Foreign)
    assert found.shares == Shares(NONE, ALL)
    assert found.manager.startswith("somebody")


async def test_without_traefiks_kinds_it_says_what_to_install() -> None:
    api = FakeApi()
    api.unserved.add("traefikservices")

    found = await LEAF.make_driver(api).read(LEAF.place())

    assert isinstance(found, Blocked)
    assert found.reason == "RouterNotInstalled"
    assert "kubernetesCRD" in found.message
