"""What leaves the cluster while engines work: each transition once, also over crashes and take-overs."""

import asyncio
from collections import Counter
from datetime import timedelta

from modelrollout.core.notices import Notice, Recorded
from modelrollout.engine.ports import Refused, Unavailable
from structlog.typing import EventDict

from tests.engine.stage import Stage
from tests.support.fake_api import Call


def transitions(stage: Stage) -> list[str]:
    return [told.transition.value for told in stage.announced if isinstance(told, Notice)]


def segments(stage: Stage) -> list[str]:
    return [told.id for told in stage.announced if isinstance(told, Recorded)]


def fails(verb: str, error: Exception, times: int):
    left = iter(range(times))

    def before(call: Call) -> None:
        if call.verb == verb and next(left, None) is not None:
            raise error

    return before


async def test_a_promotion_is_told_step_by_step_and_each_step_once():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await stage.phase("Promoted")
        await asyncio.sleep(60)

    assert transitions(stage) == ["started", "step", "step", "step", "promoted"]


async def test_a_rollback_by_a_gate_is_told_with_its_record_and_numbers():
    stage = Stage()
    stage.source.errors["v2"] = 0.2
    stage.apply()
    async with stage.engine():
        await stage.phase("RolledBack")
        await asyncio.sleep(60)

    assert transitions(stage) == ["started", "rollingBack", "rolledBack"]
    told = [one for one in stage.announced if isinstance(one, Notice)][-1]
    assert told.gate
    assert told.gate.samples
    assert stage.api.object("modelrolloutrecords", "models", told.record or "")["status"]["outcome"] == "RolledBack"


async def test_over_restarts_at_every_step_nothing_is_told_twice():
    stage = Stage()
    stage.apply()
    for phase in ("Shadow", "Canary", "Full", "Promoted"):
        async with stage.engine():
            await stage.phase(phase)
            await asyncio.sleep(1)

    assert transitions(stage) == ["started", "step", "step", "step", "promoted"]


async def test_of_two_engines_at_once_one_tells():
    stage = Stage()
    stage.source.errors["v2"] = 0.2
    stage.apply()
    async with stage.engine(), stage.engine():
        await stage.phase("RolledBack")
        await asyncio.sleep(60)

    assert Counter(transitions(stage)) == {"started": 1, "rollingBack": 1, "rolledBack": 1}


async def test_what_was_not_written_down_is_not_told():
    stage = Stage()
    stage.apply()
    stage.before = fails("patch status", Unavailable("503"), times=1000)
    async with stage.engine():
        await asyncio.sleep(60)

    assert transitions(stage) == []


async def test_a_route_that_is_refused_at_each_try_has_one_id():
    stage = Stage()
    stage.apply()
    stage.before = fails("create", Refused("403: forbidden"), times=1000)
    async with stage.engine():
        await asyncio.sleep(300)

    refused = [one for one in stage.announced if isinstance(one, Notice) and one.reason == "RouteRefused"]
    assert len(refused) > 1
    assert len({one.id for one in refused}) == 1


class TestSegments:
    async def test_each_is_told_and_is_a_line_of_the_log_with_all_that_it_says(self, logs: list[EventDict]):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(60)

        (record,) = [one for one in stage.announced if isinstance(one, Notice) and one.record][0:1]
        stored = stage.api.object("modelrolloutrecords", "models", record.record or "")["status"]["segments"]
        lines = [entry for entry in logs if entry["event"] == "segment recorded"]
        assert [told.segment for told in stage.announced if isinstance(told, Recorded)] == stored
        assert [line["seq"] for line in lines] == [one["seq"] for one in stored]
        assert all(stored[line["seq"]].keys() <= line.keys() for line in lines)

    async def test_one_whose_teller_ended_is_told_by_the_next_under_the_same_id(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: len(segments(stage)) > 0)
        known = segments(stage)
        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(60)

        assert len(set(segments(stage))) == max(int(one.split("/")[1]) for one in segments(stage)) + 1
        assert known[-1] in segments(stage)[len(known) :]

    async def test_one_whose_write_s_answer_got_lost_is_told_all_the_same(self):
        stage = Stage()
        stage.apply()
        stage.after = fails("extend record", Unavailable("the connection broke"), times=5)
        async with stage.engine():
            await stage.phase("Promoted", within=timedelta(hours=3))
            await asyncio.sleep(60)

        numbers = {int(one.split("/")[1]) for one in segments(stage)}
        assert numbers == set(range(max(numbers) + 1))
