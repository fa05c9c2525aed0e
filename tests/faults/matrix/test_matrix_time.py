"""Rows of the fault matrix in which time passes: nobody looks, clocks jump, hundreds of rollouts tick."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from modelrollout.api.fields import parse_time
from modelrollout.core.evidence import Counted, Gap, Measured, NoData, Question, Unknown
from modelrollout.core.stats import Counts
from modelrollout.engine.ports import Unavailable

from tests.engine.stage import Stage
from tests.support.virtual_time import virtual_now

HALF = "v1 50, v2 50"
STEPS = ["v1 100, 100% copied to v2", "v1 95, v2 5", HALF, "v2 100"]
LONG = [
    {"name": "canary", "canary": {"weights": [5, 50]}, "minDuration": "30m"},
    {"name": "full", "full": {}, "minDuration": "10m"},
]


def unseen(share: float) -> Callable[[Gap], float | NoData]:
    return lambda _: 1 - share


async def down_for(hour: timedelta, seen: Callable[[Gap], float | NoData], **changes: Any) -> tuple[Stage, float]:
    """Return the stage, and how many minutes the step took whose operator was away after its first five minutes."""
    stage = Stage(stages=LONG, **changes)
    stage.source.seen = seen
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == "v1 95, v2 5")
        began = virtual_now()
        await asyncio.sleep(300)
    await asyncio.sleep(hour.total_seconds())
    async with stage.engine():
        await stage.until(lambda: stage.route() == HALF)
    return stage, (virtual_now() - began) / timedelta(minutes=1)


class TestRow07:
    """The operator is down for an hour in mid-canary."""

    async def test_row_07_an_hour_that_metrics_saw_is_time_in_the_step(self):
        stage, minutes = await down_for(timedelta(hours=1), unseen(0))

        assert 65 <= minutes < 67
        assert len(stage.source.gaps) == 1

    async def test_row_07_an_hour_that_nobody_saw_is_added_to_the_steps_minimum(self):
        _, minutes = await down_for(timedelta(hours=1), unseen(1))

        assert 89 <= minutes <= 93

    async def test_row_07_of_an_hour_half_seen_half_is_added(self):
        _, minutes = await down_for(timedelta(hours=1), unseen(0.5))

        assert 65 <= minutes < 67  # 5 + 60 are over, of which 30 count as unseen: the minimum of 30 is long over.

    async def test_row_07_what_the_source_cannot_say_was_not_seen(self):
        _, minutes = await down_for(timedelta(hours=1), lambda _: NoData(Unknown.TIMED_OUT, "too slow"))

        assert 89 <= minutes <= 93

    async def test_row_07_the_value_of_a_query_was_not_looked_at_whatever_the_source_saw(self):
        stage = Stage(stages=LONG, gates=[{"name": "share", "value": {"query": "x", "max": "1"}}])

        async def measured(_: Question) -> Any:
            return Measured(0.5)

        stage.source.act = measured
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 95, v2 5")
            await asyncio.sleep(300)
        await asyncio.sleep(3600)
        async with stage.engine():
            await asyncio.sleep(60)
            attempt = stage.status()["attempt"]

        assert stage.source.gaps == []
        assert attempt["blindFor"].startswith(("59m", "1h"))
        assert stage.route() == "v1 95, v2 5"

    async def test_row_07_the_weight_stays_and_people_read_why_it_takes_longer(self):
        stage = Stage(stages=LONG)
        stage.source.seen = unseen(1)
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 95, v2 5")
            await asyncio.sleep(300)
        await asyncio.sleep(3600)

        assert stage.route() == "v1 95, v2 5"
        async with stage.engine():
            await asyncio.sleep(30)
            (ready,) = [c for c in stage.status()["conditions"] if c["type"] == "Ready"]

        assert "as nobody could look for" in ready["message"]

    async def test_row_07_a_short_restart_asks_one_question_at_most_and_adds_nothing(self):
        stage, minutes = await down_for(timedelta(seconds=20), unseen(0))

        assert len(stage.source.gaps) <= 1
        assert 30 <= minutes < 32

    async def test_row_07_a_status_write_that_fails_loses_none_of_it(self):
        stage = Stage(stages=LONG)
        stage.source.seen = unseen(1)
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 95, v2 5")
            await asyncio.sleep(300)
        await asyncio.sleep(3600)
        refused = iter([True] * 3)

        def before(call: Any) -> None:
            if call.verb == "patch status" and next(refused, False):
                raise Unavailable("503")

        stage.before = before
        async with stage.engine():
            await asyncio.sleep(60)

        assert stage.status()["attempt"]["blindFor"].startswith(("59m", "1h"))
        assert len(stage.source.gaps) == 1


class TestRow52:
    """The operator alone is cut off: from its metrics, or from everything."""

    async def test_row_52_an_outage_of_the_metrics_is_added_when_it_is_over(self):
        stage = Stage(stages=LONG)
        stage.apply()

        async def lost(_: Question) -> NoData:
            return NoData(Unknown.UNREACHABLE, "connection refused")

        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 95, v2 5")
            began = virtual_now()
            await asyncio.sleep(300)
            stage.source.act = lost
            await asyncio.sleep(1200)
            assert stage.condition("MetricsAvailable") == ("False", "Unreachable")
            stage.source.act = stage.source.count
            await stage.until(lambda: stage.route() == HALF)

        assert 49 <= (virtual_now() - began) / timedelta(minutes=1) <= 52
        assert stage.source.gaps == []

    async def test_row_52_what_was_known_before_is_not_acted_on_when_it_is_back(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == HALF)
            stage.deaf = True
            stage.edit_route(
                {"weighted": {"services": [{"kind": "Service", "name": "fraud-v1", "port": 8080, "weight": 1}]}}
            )
            await asyncio.sleep(3600)
            stage.deaf = False
            stage.deliver()
            await asyncio.sleep(60)

        assert stage.shares[-1] == "v1 1"
        assert stage.condition("Held") == ("True", "RouteChanged")


class TestRow44:
    """The operator's clock jumps by an hour."""

    async def test_row_44_no_step_ends_while_the_clock_is_an_hour_off_and_then_it_goes_on(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 95, v2 5")
            stage.api.skew = lambda: timedelta(hours=1)
            await asyncio.sleep(1800)
            assert stage.route() == "v1 95, v2 5"
            assert stage.condition("Held") == ("True", "ClockSkew")
            stage.api.skew = lambda: timedelta(0)
            await stage.phase("Promoted")

        assert stage.shares == STEPS

    async def test_row_44_a_rollback_needs_no_clock(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == HALF)
            stage.api.skew = lambda: -timedelta(hours=1)
            await asyncio.sleep(60)
            stage.control(rollback={"reason": "p99"})
            await asyncio.sleep(1)

        assert stage.route() == "v1 100"

    @pytest.mark.parametrize("skew", [timedelta(seconds=29), -timedelta(seconds=29)])
    async def test_row_44_half_a_minute_is_allowed(self, skew: timedelta):
        stage = Stage()
        stage.api.skew = lambda: skew
        stage.apply()
        async with stage.engine():
            await stage.phase("Promoted")

        assert stage.shares == STEPS

    async def test_row_44_a_step_that_began_in_the_future_begins_again(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: "appliedAt" in stage.status().get("attempt", {}))
            await stage.until(lambda: stage.route() == "v1 95, v2 5")
            await asyncio.sleep(30)
        stage.write_attempt(appliedAt=_text(virtual_now() + timedelta(hours=1)))
        began = virtual_now()
        async with stage.engine():
            await stage.until(lambda: stage.route() == HALF)

        assert timedelta(minutes=2) <= virtual_now() - began <= timedelta(minutes=4)
        assert parse_time(stage.status()["attempt"]["stepStartedAt"]) <= virtual_now()

    async def test_row_44_a_candidate_without_endpoints_is_rolled_back_though_that_began_in_the_future(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == HALF)
            stage.set_ready("fraud-v2", 0)
            await asyncio.sleep(1)
        stage.write_attempt(unreadySince=_text(virtual_now() + timedelta(hours=1)))
        async with stage.engine():
            await stage.phase("RolledBack", within=timedelta(minutes=1))

        assert stage.route() == "v1 100"


async def test_row_46_two_hundred_that_tick_together_all_keep_their_interval_and_a_rollback_does_not_wait():
    stage = Stage()
    asked: dict[str, list[datetime]] = {}

    async def slow(question: Question) -> Any:
        asked.setdefault(question.candidate.route_name, []).append(virtual_now())
        await asyncio.sleep(0.05)
        return await stage.source.count(question)

    stage.source.act = slow
    for number in range(200):
        stage.apply(f"fraud-{number}", stages=LONG)
    async with stage.engine(workers=32):
        await asyncio.sleep(60)
        stage.control("fraud-150", rollback={"reason": "p99"})
        await asyncio.sleep(1)

        assert stage.route("fraud-150") == "v1 100"
    gaps = [later - sooner for times in asked.values() for sooner, later in pairwise(times)]
    assert len(asked) == 200
    assert max(gaps) <= timedelta(seconds=12)


async def test_row_40_errors_of_a_cold_start_do_not_count_but_half_of_all_do():
    stage = Stage()
    burst = [0.2]

    async def cold(question: Question) -> Any:
        total = round(50 * (question.until - question.since).total_seconds())
        warm = virtual_now() - parse_time(stage.status()["attempt"]["appliedAt"]) > timedelta(seconds=16)
        bad = 0 if warm else round(total * burst[0])
        return Counted(Counts(total, bad), Counts(total, 0) if question.baseline else None)

    stage.source.act = cold
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == HALF)
        burst[0] = 0.6
        await stage.phase("RolledBack", "Promoted")

    assert stage.status()["attempt"]["rollback"]["cause"] == "Catastrophe"


def _text(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")
