"""Once people, pods, metrics and faults leave it alone, a rollout reaches what its last inputs call for, and stays."""

import asyncio
import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.engine.account import lies, untold
from tests.engine.history import HISTORIES, QUIET, History, Step, end_of, without_numbers
from tests.support.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("MODELROLLOUT_HISTORIES", "200"))


# What somebody else does to a route while nobody looks is known to nobody, and what a predecessor of the name has left has
# a record of its own.
OTHERS = frozenset({"route edit", "route deleted", "deleted and made again"})


def played(steps: list[Step]) -> tuple[str | None, int, bool, list[str]]:
    """Return what is wrong in the end, how many writes a quiet hour takes, whether anything changes in it, and what the
    records say that was not so, or do not say.
    """

    async def play() -> tuple[str | None, int, bool, list[str]]:
        history = History()
        try:
            await history.play(steps)
            wrong = end_of(history)
            before, writes, shares = history.stage.status(), len(history.stage.writes), list(history.stage.shares)
            await asyncio.sleep(QUIET.total_seconds())
            after = history.stage.status()
            moved = without_numbers(before) != without_numbers(after) or shares != history.stage.shares
            under_way = "attempt" in after and "outcome" not in after["attempt"]
            told = [lie for lie in lies(history.stage) if "but it was" not in lie]
            if not history.ever & OTHERS:
                told += untold(history.stage)
            return wrong, 0 if under_way else len(history.stage.writes) - writes, moved, told
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
    wrong, writes, moved, told = played(steps)

    assert wrong is None
    assert writes == 0
    assert not moved
    assert told == []
