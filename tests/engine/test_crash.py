"""Killed after any write, or just before it: a new engine ends in the same world, with no step repeated or skipped."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.engine.account import lies, told
from tests.engine.stage import Stage
from tests.support.fake_api import WRITES, Call

QUICK = [
    {"name": "shadow", "shadow": {}, "minDuration": "20s"},
    {"name": "canary", "canary": {"weights": [5, 50]}, "minDuration": "20s"},
    {"name": "full", "full": {}, "minDuration": "20s"},
]


class Killed(BaseException):
    """A SIGKILL, as far as one process can play it: no handler of errors stops it."""


def promoted() -> Stage:
    return Stage(stages=QUICK)


def rolled_back() -> Stage:
    """Return a stage whose candidate breaks as soon as it has half of the requests."""
    stage = Stage(stages=QUICK)

    def after(_: Call) -> None:
        if stage.route() == "v1 50, v2 50":
            stage.source.errors["v2"] = 0.4

    stage.after = after
    return stage


async def run(stage: Stage) -> int:
    """Run a rollout to its end, with a new engine whenever one is killed; return how many it took."""
    stage.apply()
    engines = 0
    while not is_over(stage):
        engines += 1
        async with stage.engine() as task:
            await stage.until(lambda: task.done() or is_over(stage), within=timedelta(minutes=10))
    return engines


def is_over(stage: Stage) -> bool:
    status = stage.status()
    if status.get("phase") not in {"Promoted", "RolledBack"} or stage.notes():
        return False
    return "record" in status["route"]


def kill_at(number: int, then: Callable[[Call], None]) -> Callable[[Call], None]:
    """Return what kills the engine at its write of this number."""
    writes = itertools.count(1)

    def kill(call: Call) -> None:
        then(call)
        if call.verb in WRITES and next(writes) == number:
            raise Killed

    return kill


def world(stage: Stage) -> dict[str, Any]:
    """Return the world without its times."""
    status = stage.status()
    attempt = status["attempt"]
    return {
        "phase": status["phase"],
        "serving": status["serving"]["version"],
        "attempt": (attempt["number"], attempt["stage"], attempt["step"], attempt["outcome"]),
        "rollback": (attempt.get("rollback") or {}).get("cause"),
        "route": stage.route(),
        "shares": stage.shares,
        "notes": stage.notes(),
        "record": [told(record) for record in stage.api.records()],
        "lies": lies(stage),
        "conditions": {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]},
    }


@pytest.mark.parametrize("story", [promoted, rolled_back])
async def test_a_crash_just_before_any_write_changes_nothing_of_the_end(story):
    golden = story()
    await run(golden)

    for number in range(1, len(golden.writes) + 1):
        stage = story()
        stage.before = kill_at(number, stage.before)

        assert (await run(stage), world(stage)) == (2, world(golden)), f"killed before write {number}"


@pytest.mark.parametrize("story", [promoted, rolled_back])
async def test_a_crash_just_after_any_write_changes_nothing_of_the_end(story):
    golden = story()
    await run(golden)

    for number in range(1, len(golden.writes)):
        stage = story()
        stage.after = kill_at(number, stage.after)

        assert (await run(stage), world(stage)) == (2, world(golden)), f"killed after write {number}"


@pytest.mark.parametrize(
    ("story", "steps"),
    [
        pytest.param(promoted, ["v1 100, 100% copied to v2", "v1 95, v2 5", "v1 50, v2 50", "v2 100"], id="promoted"),
        pytest.param(
            rolled_back, ["v1 100, 100% copied to v2", "v1 95, v2 5", "v1 50, v2 50", "v1 100"], id="rolled back"
        ),
    ],
)
async def test_without_a_crash_the_steps_are_those_of_the_plan(story, steps):
    stage = story()
    await run(stage)

    assert stage.shares == steps
