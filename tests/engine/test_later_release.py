"""An operator that came back after a later release: what that one wrote and we do not know is not lost."""

import asyncio
from typing import Any

from tests.engine.stage import Stage
from tests.support.fake_api import ROLLOUTS


def write_as_the_later_release(stage: Stage, status: dict[str, Any]) -> None:
    stage.api.edit(ROLLOUTS, "models", "fraud", {"status": status}, status=True)


async def canary(stage: Stage, step: int) -> None:
    def is_there() -> bool:
        attempt = stage.status().get("attempt", {})
        return (attempt.get("stage"), attempt.get("step")) == ("canary", step) and "appliedAt" in attempt

    await stage.until(is_there)


async def test_fields_of_a_later_release_stay_while_the_attempt_lasts():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await canary(stage, 0)
    write_as_the_later_release(stage, {"pace": "steady", "attempt": {"pace": "slow"}})

    async with stage.engine():
        await canary(stage, 1)

        assert stage.status()["pace"] == "steady"
        assert stage.status()["attempt"]["pace"] == "slow"


async def test_an_attempts_fields_of_a_later_release_go_with_it():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await canary(stage, 0)
    write_as_the_later_release(stage, {"pace": "steady", "attempt": {"pace": "slow"}})

    async with stage.engine():
        stage.apply(candidate={"version": "v3", "service": {"name": "fraud-v3", "port": 8080}})
        await stage.until(lambda: stage.status()["attempt"]["number"] == 2)

        assert stage.status()["pace"] == "steady"
        assert "pace" not in stage.status()["attempt"]


async def test_what_a_later_release_writes_causes_no_writes_of_ours():
    stage = Stage(
        stages=[{"name": "canary", "canary": {"weights": [5]}, "minDuration": "10h"}, {"name": "full", "full": {}}]
    )
    stage.apply()
    async with stage.engine():
        await canary(stage, 0)
    write_as_the_later_release(stage, {"pace": "steady", "attempt": {"pace": "slow"}})

    async with stage.engine():
        await stage.until(lambda: stage.source.asked > 40)
        before = len(stage.writes)
        stage.deliver()
        await asyncio.sleep(1200)

        assert stage.source.asked > 100
        assert len(stage.writes) == before
