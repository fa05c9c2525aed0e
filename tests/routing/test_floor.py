"""From and to nothing by way of one in a million, where each backend has a cluster of its own."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.core.traffic import BASELINE_ONLY, CANDIDATE_ONLY, Routed, Shares
from modelrollout.engine.ports import Conflict
from modelrollout.routing.driver import RouteDriver
from modelrollout.routing.floor import Weights, weights_on_the_way

from tests.routing.conftest import ROUTERS, users_route
from tests.support.fake_api import FakeApi
from tests.support.virtual_time import VirtualTimeLoop

ADOPTED = ROUTERS["adopted rule"]
OWN = {"filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}]}
FIVE = Shares(Percent(500), NONE)


@pytest.mark.parametrize(
    ("now", "shares", "weights"),
    [
        pytest.param((100, 0), FIVE, (999_999, 1), id="the candidate begins"),
        pytest.param((999_999, 1), FIVE, None, id="the candidate has begun"),
        pytest.param((95, 5), Shares(Percent(2_500), NONE), None, id="both have something"),
        pytest.param((50, 50), CANDIDATE_ONLY, (1, 999_999), id="the baseline ends"),
        pytest.param((1, 999_999), CANDIDATE_ONLY, None, id="the baseline has ended"),
        pytest.param((0, 100), Shares(Percent(5_000), NONE), (1, 999_999), id="the baseline begins again"),
        pytest.param((100, 0), CANDIDATE_ONLY, (999_999, 1), id="one begins before the other ends"),
        pytest.param((999_999, 1), CANDIDATE_ONLY, (1, 999_999), id="and then the other ends"),
        pytest.param((50, 50), BASELINE_ONLY, (999_999, 1), id="back: all but the floor at once"),
        pytest.param((0, 100), BASELINE_ONLY, (999_999, 1), id="back from everything: at once too"),
        pytest.param((999_999, 1), BASELINE_ONLY, None, id="back, and out"),
        pytest.param((100, 0), BASELINE_ONLY, None, id="nothing to do"),
        pytest.param((100, 0), Shares(NONE, ALL), None, id="copies need no weight"),
        pytest.param((100, 0), Shares(Percent(1), NONE), None, id="as little as a floor"),
        pytest.param((0, 0), FIVE, (999_999, 1), id="nobody has anything"),
    ],
)
def test_the_next_weights(now: Weights, shares: Shares, weights: Weights | None) -> None:
    assert weights_on_the_way(now, shares) == weights


class Rule:
    """A user's rule whose baseline has a filter of its own, in virtual time."""

    def __init__(self) -> None:
        self.api = FakeApi()
        route = users_route("models")
        route["spec"]["rules"][1]["backendRefs"][0] |= OWN
        self.api.add("httproutes", route)
        self.driver: RouteDriver = ADOPTED.make_driver(self.api)

    def refs(self) -> list[tuple[str, int]]:
        rule = self.api.object("httproutes", "models", "shared")["spec"]["rules"][1]
        return [(ref["name"], ref["weight"]) for ref in rule["backendRefs"]]

    async def write(self, shares: Shares) -> tuple[Routed, float]:
        """Return the route after one write, and how many seconds that took."""
        loop = asyncio.get_running_loop()
        found, began = await self.driver.read(ADOPTED.place()), loop.time()
        written = await self.driver.write(ADOPTED.place(), shares, found.guard)  # type: ignore[union-attr]  # it is there
        assert isinstance(written, Routed)
        return written, loop.time() - began


def run(story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story)


def test_the_candidate_begins_with_one_in_a_million_and_has_its_share_a_second_later() -> None:
    async def story() -> None:
        rule = Rule()

        first, at_once = await rule.write(FIVE)
        assert rule.refs() == [("fraud-v1", 999_999), ("fraud-v2", 1)]
        assert first.shares != FIVE
        second, later = await rule.write(FIVE)

        assert rule.refs() == [("fraud-v1", 95), ("fraud-v2", 5)]
        assert second.shares == FIVE
        assert at_once == 0
        assert later == pytest.approx(1)

    run(story())


def test_the_way_back_takes_everything_but_one_in_a_million_at_once_and_leaves_nothing_in_the_end() -> None:
    async def story() -> None:
        rule = Rule()
        await rule.write(FIVE)
        await rule.write(FIVE)

        _, at_once = await rule.write(BASELINE_ONLY)
        assert rule.refs() == [("fraud-v1", 999_999), ("fraud-v2", 1)]
        ended, _ = await rule.write(BASELINE_ONLY)

        assert at_once == 0
        assert rule.refs() == [("fraud-v1", 100)]
        assert ended.shares == BASELINE_ONLY

    run(story())


def test_who_starts_between_the_two_writes_sees_that_the_second_is_missing() -> None:
    async def story() -> None:
        rule = Rule()
        await rule.write(FIVE)

        rule.driver = ADOPTED.make_driver(rule.api)
        found = await rule.driver.read(ADOPTED.place())
        assert isinstance(found, Routed)
        assert found.shares not in {FIVE, BASELINE_ONLY}
        await rule.write(FIVE)

        assert rule.refs() == [("fraud-v1", 95), ("fraud-v2", 5)]

    run(story())


def test_a_gateways_word_between_the_two_writes_is_no_conflict_and_somebodys_edit_is() -> None:
    async def story() -> None:
        rule = Rule()
        await rule.write(FIVE)
        said: dict[str, Any] = {"status": {"parents": []}}
        found = await rule.driver.read(ADOPTED.place())
        write = asyncio.create_task(rule.driver.write(ADOPTED.place(), FIVE, found.guard))  # type: ignore[union-attr]
        await asyncio.sleep(0.5)
        rule.api.edit("httproutes", "models", "shared", said, status=True)
        assert isinstance(await write, Routed)

        await rule.write(BASELINE_ONLY)
        found = await rule.driver.read(ADOPTED.place())
        write = asyncio.create_task(rule.driver.write(ADOPTED.place(), BASELINE_ONLY, found.guard))  # type: ignore[union-attr]
        await asyncio.sleep(0.5)
        rule.api.edit("httproutes", "models", "shared", {"spec": {"hostnames": ["new.test"]}})
        with pytest.raises(Conflict):
            await write

    run(story())


def test_a_reference_is_kept_at_zero_before_one_that_has_weight() -> None:
    """Clusters are called by the number of their reference: the other one would change its name in mid-flight."""

    async def story() -> None:
        rule = Rule()
        route = users_route("models")["spec"]["rules"]
        route[1]["backendRefs"].append({"name": "fraud-v2", "port": 8080, "weight": 0, **OWN})
        rule.api.edit("httproutes", "models", "shared", {"spec": {"rules": route}})

        for _ in range(3):
            ended, _ = await rule.write(CANDIDATE_ONLY)

        assert ended.shares == CANDIDATE_ONLY
        assert rule.refs() == [("fraud-v1", 0), ("fraud-v2", 100)]

    run(story())
