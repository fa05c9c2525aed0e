"""What an engine is told may be old: nothing is done on it, and nobody asks for better in a tight circle."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

from modelrollout.engine.ports import Conflict, Unavailable

from tests.engine.stage import ROUTES, STAGES, STEP, Stage
from tests.support.fake_api import ROLLOUTS, Call


async def test_an_old_status_moves_no_route():
    """The status in which a route write was tried again, seen once more when its rollback is over.

    All that this status says of the route is true again, so that none has to be written before the route.
    """
    stage = Stage(paused=True, stages=STAGES[1:])
    intent: list[dict[str, Any]] = []

    def keep(call: Call) -> None:
        if call.verb == "patch" and len(intent) < 3:
            intent.append(stage.api.object(ROLLOUTS, "models", "fraud"))
            raise Unavailable("not now")

    stage.before = keep
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == "v1 100")
        stage.apply(paused=False)
        await stage.until(lambda: stage.route() == "v1 95, v2 5")
        stage.control(rollback={})
        await stage.phase("RolledBack")
    shares = list(stage.shares)

    async with stage.engine():
        stage._engines[-1].seen(intent[-1])
        await asyncio.sleep(60)

    assert stage.shares == shares


async def test_a_route_write_that_always_conflicts_is_not_tried_in_a_tight_circle():
    stage = Stage()

    def refuse(call: Call) -> None:
        if call.verb == "create":
            raise Conflict("somebody was faster")

    stage.before = refuse
    stage.apply()

    async with stage.engine():
        await asyncio.sleep(60)

    assert len([call for call in stage.api.calls if call.verb == "create"]) < 20


async def test_a_rollback_whose_status_always_conflicts_is_tried_every_two_seconds_at_least():
    stage = Stage()
    times: list[float] = []

    def refuse(call: Call) -> None:
        if call.verb == "patch status" and stage.status().get("control"):
            times.append(asyncio.get_running_loop().time())
            raise Conflict("somebody was faster")

    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == "v1 95, v2 5")
        stage.before = refuse
        stage.control(rollback={})
        await asyncio.sleep(60)

    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 2.1


async def test_a_rollout_that_was_deleted_and_made_again_unseen_begins_anew():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == "v1 95, v2 5")
        old = stage.api.object(ROLLOUTS, "models", "fraud")
        stage.api.delete(ROLLOUTS, "models", "fraud")
        stage.api.delete(ROUTES, "models", "fraud")
        stage.api.add(ROLLOUTS, {"metadata": {"name": "fraud", "namespace": "models"}, "spec": old["spec"]})
        stage._names.clear()  # No watch tells of it.

        await stage.until(lambda: stage.status().get("attempt", {}).get("stage") == "shadow", within=2 * STEP)
        calls = len(stage.api.calls)
        await asyncio.sleep(10)

    assert stage.status()["attempt"]["number"] == 1
    assert len(stage.api.calls) - calls < 50


async def test_a_conflict_is_decided_anew_at_once():
    stage = Stage()
    left = 2

    def refuse(call: Call) -> None:
        nonlocal left
        if call.verb == "patch status" and left:
            left -= 1
            raise Conflict("somebody was faster")

    stage.before = refuse
    stage.apply()

    async with stage.engine():
        await stage.until(lambda: "attempt" in stage.status(), within=timedelta(milliseconds=50))
