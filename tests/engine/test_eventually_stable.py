"""Once people, pods, metrics and faults leave it alone, a rollout reaches what its last inputs call for, and stays."""

import asyncio
import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.engine.history import HISTORIES, QUIET, History, Step, end_of, without_numbers
from tests.support.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("MODELROLLOUT_HISTORIES", "200"))


def played(steps: list[Step]) -> tuple[str | None, int, bool]:
    """Return what is wrong in the end, how many writes a quiet hour takes, and whether anything changes in it."""

    async def play() -> tuple[str | None, int, bool]:
        history = History()
        try:
            await history.play(steps)
            wrong = end_of(history)
            before, writes, shares = history.stage.status(), len(history.stage.writes), list(history.stage.shares)
            await asyncio.sleep(QUIET.total_seconds())
            after = history.stage.status()
            moved = without_numbers(before) != without_numbers(after) or shares != history.stage.shares
            under_way = "attempt" in after and "outcome" not in after["attempt"]
            return wrong, 0 if under_way else len(history.stage.writes) - writes, moved
        finally:
            await history.end()

    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(play())
    finally:
        loop.close()


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(HISTORIES)
def test_after_any_history_it_reaches_what_the_last_inputs_call_for_and_rests(steps: list[Step]):
    wrong, writes, moved = played(steps)

    assert wrong is None
    assert writes == 0
    assert not moved
