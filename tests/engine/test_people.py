"""What people say to go on, played in virtual time: advance, approvals, windows and a freeze."""

import asyncio
from datetime import timedelta
from typing import Any

from modelrollout.core.evidence import NoData, Question, Unknown

from tests.engine.stage import STAGES, Stage
from tests.support.virtual_time import virtual_now

MINUTE = timedelta(minutes=1)
LONG = [
    {"name": "canary", "canary": {"weights": [5]}, "minDuration": "2h"},
    {"name": "full", "full": {}, "minDuration": "2m"},
]


def waits_for(stage: Stage, reason: str) -> bool:
    return stage.condition("Held") == ("True", reason)


def answers(stage: Stage) -> list[str]:
    return [command["result"] for command in stage.status().get("commands", [])]


async def blind(_: Question) -> NoData:
    return NoData(Unknown.UNREACHABLE, "Prometheus does not answer")


async def test_an_advance_ends_a_step_as_soon_as_its_gates_pass():
    stage = Stage(stages=LONG)
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == "v1 95, v2 5")
        stage.control(advance={"reason": "enough", "requestedBy": "ada"})
        # No request has been counted yet: the gate does not know, so nothing is skipped.
        await stage.until(lambda: "advanced" in stage.status()["attempt"])
        assert stage.route() == "v1 95, v2 5"

        await stage.until(lambda: stage.route() == "v2 100", within=MINUTE)

    assert stage.status()["attempt"]["overrides"] == []


async def test_gates_are_overridden_at_once_and_for_one_step():
    stage = Stage(stages=LONG)
    stage.source.act = blind
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: waits_for(stage, "Unreachable"))
        stage.control(advance={"reason": "Prometheus is gone", "requestedBy": "ada", "overrideGates": True})
        await stage.until(lambda: stage.route() == "v2 100", within=timedelta(seconds=5))
        await asyncio.sleep(3600)

    assert stage.status()["phase"] == "Held"
    (kept,) = stage.status()["attempt"]["overrides"]
    assert (kept["requestedBy"], kept["stage"]) == ("ada", "canary")


async def test_two_people_approve_and_a_restart_in_between_forgets_nothing():
    stages: list[dict[str, Any]] = [STAGES[0], {**STAGES[1], "approval": {"required": 2}}, STAGES[2]]
    stage = Stage(stages=stages)
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: waits_for(stage, "ApprovalNeeded"))
        stage.control(approve=[{"requestedBy": "ada"}])
        await stage.until(lambda: "control" not in stage.status())
    async with stage.engine():
        await asyncio.sleep(60)
        assert "v2 5" not in stage.route()
        stage.control(approve=[{"requestedBy": "ada"}, {"requestedBy": "eve"}])
        await stage.phase("Promoted")

    assert answers(stage) == [
        "counts for stage canary: 1 of 2",
        "nothing to do: ada has approved stage canary already",
        "counts for stage canary: 2 of 2",
    ]


async def test_while_people_are_waited_for_a_bad_candidate_goes_back():
    stages: list[dict[str, Any]] = [{**STAGES[1]}, {**STAGES[2], "approval": {"required": 1}}]
    stage = Stage(stages=stages)
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: waits_for(stage, "ApprovalNeeded"))
        stage.source.errors["v2"] = 0.5
        await stage.phase("RolledBack", within=3 * MINUTE)

    assert stage.route() == "v1 100"


async def test_an_attempt_begins_when_its_window_opens_and_not_a_pass_later():
    opens = (virtual_now() + timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
    stage = Stage(windows=[{"start": f"0 {opens.hour} * * *", "duration": "1h"}])
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: waits_for(stage, "OutsideWindow"))
        assert stage.status()["nextWindow"] == f"{opens:%Y-%m-%dT%H}:00:00.000Z"
        writes = len(stage.writes)
        await asyncio.sleep((opens - virtual_now()).total_seconds() - 1)
        assert len(stage.writes) == writes

        await asyncio.sleep(2)
        assert stage.route() == "v1 100, 100% copied to v2"


async def test_a_freeze_stops_growth_and_no_rollback():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == "v1 95, v2 5")
        stage.api.freeze = "year's end"
        await stage.until(lambda: waits_for(stage, "Frozen"))
        await asyncio.sleep(3600)
        assert stage.route() == "v1 95, v2 5"

        stage.api.freeze = None
        await stage.until(lambda: stage.route() == "v1 50, v2 50", within=MINUTE)
        stage.api.freeze = "again"
        stage.control(rollback={"reason": "p99"})
        await stage.phase("RolledBack", within=timedelta(seconds=5))


async def test_a_drill_is_played_before_the_first_live_weight_and_timed():
    stage = Stage(rollback={"drill": {}})
    stage.apply()
    async with stage.engine():
        await stage.phase("Promoted")

    assert stage.shares == ["v1 100, 100% copied to v2", "v1 100", "v1 95, v2 5", "v1 50, v2 50", "v2 100"]
    drill = stage.status()["attempt"]["drill"]
    assert drill["ok"]
    assert "RollbackRehearsed" in [event.reason for event in stage.api.events]


async def test_without_a_shadow_the_smallest_weight_goes_out_and_back_first():
    stage = Stage(rollback={"drill": {}}, stages=STAGES[1:])
    stage.apply()
    async with stage.engine():
        await stage.phase("Promoted")

    assert stage.shares == ["v1 99, v2 1", "v1 100", "v1 95, v2 5", "v1 50, v2 50", "v2 100"]


async def test_while_it_bakes_the_way_back_is_rehearsed_again_and_its_clock_goes_on():
    bake = {"name": "full", "full": {}, "minDuration": "150m"}
    stage = Stage(rollback={"drill": {"every": "1h"}}, stages=[*STAGES[1:2], bake])
    stage.apply()
    async with stage.engine():
        await stage.phase("Full")
        began = stage.status()["attempt"]["stageStartedAt"]
        await stage.phase("Promoted")

    assert stage.shares[3:] == ["v1 50, v2 50", *(["v2 100", "v1 1, v2 99"] * 2), "v2 100"]
    assert stage.status()["attempt"]["stageStartedAt"] == began
    assert [event.reason for event in stage.api.events].count("RollbackRehearsed") == 3
    lasted = stage.routes[-1][0] - next(at for at, shares in stage.routes if shares == "v2 100")
    assert lasted < timedelta(minutes=125)  # The second one, two hours after the first look.
