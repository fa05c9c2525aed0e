"""The end of a drain is noticed by itself, by whichever process runs then."""

import asyncio
from datetime import timedelta

from tests.engine.stage import Stage


async def rolled_back(stage: Stage) -> None:
    await stage.until(lambda: stage.route() == "v1 50, v2 50")
    stage.control(rollback={})
    await stage.phase("RolledBack")


def is_idle(stage: Stage) -> bool:
    return "idleSince" in stage.status()["attempt"].get("drain", {})


def told(stage: Stage) -> int:
    return [event.reason for event in stage.api.events].count("CandidateIdle")


async def test_a_candidate_is_called_idle_when_its_drain_is_over_and_nothing_else_happens():
    stage = Stage(rollback={"drain": "7m"})
    stage.apply()
    async with stage.engine():
        await rolled_back(stage)
        await asyncio.sleep(7 * 60 - 1)
        assert not is_idle(stage)

        await stage.until(lambda: is_idle(stage), within=timedelta(seconds=2))
        await asyncio.sleep(3600)

    assert told(stage) == 1


async def test_a_drain_that_ends_while_the_operator_is_down_is_told_after_the_restart():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await rolled_back(stage)
    until = stage.status()["attempt"]["drain"]["until"]

    await asyncio.sleep(3600)
    async with stage.engine():
        await stage.until(lambda: is_idle(stage), within=timedelta(seconds=2))

    assert stage.status()["attempt"]["drain"] == {"until": until, "idleSince": until}
    assert told(stage) == 1


async def test_a_retry_before_its_end_calls_nobody_idle():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await rolled_back(stage)
        await asyncio.sleep(60)
        stage.control(retry={})
        await stage.phase("Promoted")
        await asyncio.sleep(3600)

    assert told(stage) == 0
    assert "drain" not in stage.status()["attempt"]
