"""Two operators on one cluster: a mistake that must cost nothing but some refused writes."""

import asyncio

import pytest

from tests.engine.stage import Stage

STEPS = ["v1 100, 100% copied to v2", "v1 95, v2 5", "v1 50, v2 50", "v2 100"]


async def test_two_engines_promote_as_one_does():
    stage = Stage()
    stage.apply()

    async with stage.engine(), stage.engine():
        await stage.phase("Promoted")
        await asyncio.sleep(60)
        writes = len(stage.writes)
        await asyncio.sleep(3600)

    assert stage.shares == STEPS
    assert stage.status()["attempt"]["number"] == 1
    assert len(stage.writes) == writes
    assert set(stage.telemetry.outcomes) <= {"ok", "conflict"}


async def test_two_engines_roll_back_once():
    stage = Stage()
    stage.apply()

    async with stage.engine(), stage.engine():
        await stage.until(lambda: stage.route() == "v1 50, v2 50")
        stage.source.errors["v2"] = 0.2
        await stage.phase("RolledBack")
        await asyncio.sleep(3600)

    assert stage.shares == [*STEPS[:3], "v1 100"]
    assert stage.status()["attempt"]["rollback"]["cause"] == "GateFailed"


@pytest.mark.parametrize("command", ["hold", "rollback"])
async def test_two_engines_handle_a_message_once(command):
    stage = Stage()
    stage.apply()

    async with stage.engine(), stage.engine():
        await stage.until(lambda: stage.route() == "v1 50, v2 50")
        stage.control(**{command: {"reason": "just once"}})
        await asyncio.sleep(60)

    assert [handled["command"] for handled in stage.status()["commands"]] == [command]


async def test_an_engine_that_takes_over_goes_on_where_the_other_was():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == "v1 95, v2 5")
        await asyncio.sleep(60)
        applied = stage.status()["attempt"]["appliedAt"]

    async with stage.engine():
        await asyncio.sleep(1)
        assert stage.status()["attempt"]["appliedAt"] == applied
        await stage.phase("Promoted")

    assert stage.shares == STEPS


async def test_row_16_a_route_that_somebody_undoes_again_and_again_is_not_fought():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == "v1 50, v2 50")
        await asyncio.sleep(20)
        writes = len(stage.shares)
        for _ in range(50):
            stage.edit_route(
                {"weighted": {"services": [{"kind": "Service", "name": "fraud-v1", "port": 8080, "weight": 1}]}}
            )
            await asyncio.sleep(5)

        assert len(stage.shares) == writes + 1
        assert stage.condition("Held") == ("True", "RouteChanged")
