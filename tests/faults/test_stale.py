"""Answers that are old: nothing is done on what was, whatever an operator without a memory is told."""

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.case import Case, Ground
from tests.faults.crowd import failures_of, told
from tests.faults.proxy import Past
from tests.faults.witness import LEAVES, ROLLOUTS

pytestmark = pytest.mark.cluster

STAYS = [
    {"name": "shadow", "shadow": {"percent": 100}, "minDuration": "0s"},
    {"name": "canary", "canary": {"weights": [10, 50]}, "minDuration": "0s"},
    {"name": "bake", "canary": {"weights": [60]}, "minDuration": "1h"},
    {"name": "full", "full": {}, "minDuration": "0s"},
]
AT_60 = "v1 40, v2 60"
LONGEST_LOOK = 2.0
"""Seconds that an operator lives in the past: it starts, lists everything and looks at the metrics in less."""
MOST_CALLS = 150
"""Of an operator in so long: its start takes some forty, each try half a dozen, and nobody may ask in a tight circle."""
AGES = (1, 2, 3, 4, 5, 6, 7, 8, 12)
"""In versions of the rollout and its route. The last is from before the canary."""


def in_mid_canary(case: Case) -> None:
    """Let the rollout come to a step in which it stays."""
    case.until_shares(AT_60)
    case.until("applied", lambda: "appliedAt" in case.status().get("attempt", {}))


def held(case: Case) -> None:
    """Let the rollout come to that step, and be paused in it."""
    in_mid_canary(case)
    case.edit({"paused": True})
    case.until("held", lambda: case.status().get("phase") == "Held")


def rolled_back(case: Case) -> None:
    """Let the rollout come to that step, and be rolled back by a person."""
    in_mid_canary(case)
    case.ask(rollback={"reason": "stale"})
    case.until_over()


def rolled_back_at_its_first_weight(case: Case) -> None:
    """Let a route stand before the attempt: its status then says what it says again after the rollback."""
    case.until_shares("v1 100")
    case.edit({"paused": False})
    case.until_shares("v1 90, v2 10")
    case.ask(rollback={})
    case.until_over()


def tried_again(case: Case) -> None:
    """Let the rollout be rolled back early, and come to that step in its second attempt."""
    case.until_shares("v1 50, v2 50")
    case.ask(rollback={})
    case.until_over()
    case.ask(retry={})
    in_mid_canary(case)


STORIES = (in_mid_canary, held, rolled_back, rolled_back_at_its_first_weight, tried_again)
WHAT = [
    pytest.param(frozenset(), True, id="everything is old"),
    pytest.param(frozenset({ROLLOUTS}), False, id="lists of rollouts are old"),
    pytest.param(frozenset({ROLLOUTS}), True, id="rollouts are old"),
    pytest.param(frozenset({LEAVES}), False, id="lists of routes are old"),
    pytest.param(frozenset({LEAVES}), True, id="routes are old"),  # No API server answers like this: see the test.
]


@pytest.fixture(scope="module")
def ended(ground: Ground) -> Iterator[dict[str, list[Case]]]:
    """Yield cases whose story is over and whose operator was killed: as many of each story as there are tests."""
    found: dict[str, list[Case]] = {story.__name__: [] for story in STORIES}

    def tell(story: Callable[[Case], None]) -> None:
        case = ground.case(stages=STAYS)
        found[story.__name__].append(case)
        case.apply()
        if story is rolled_back_at_its_first_weight:
            case.edit({"paused": True, "stages": STAYS[1:]})
        case.start_operator()
        story(case)
        case.until_quiet()
        case.operator.kill()

    try:
        failures = failures_of(tell, STORIES * len(WHAT))
        assert not failures, told(failures)
        yield found
    finally:
        for case in itertools.chain(*found.values()):
            case.end()


@pytest.mark.parametrize(("resources", "gets"), WHAT)
def test_an_operator_that_starts_in_the_past_moves_nothing(ended, resources: frozenset[str], gets: bool):
    def start_in_the_past(story: str) -> None:
        case = ended[story].pop()
        before = case.world()
        numbers = [one.number for one in case.witness.versions(case.namespace, ROLLOUTS, LEAVES)]
        for age in (age for age in AGES if age < len(numbers)):
            case.proxy.live_in(Past(numbers[-1 - age], resources, gets=gets))
            calls = len(case.proxy.calls)
            case.restart_operator()
            time.sleep(LONGEST_LOOK)
            asked = case.proxy.calls[calls:]
            case.operator.kill()

            # Old routes beside a new status look like somebody's edit, and no read can tell: their guard can.
            world = case.world()
            if resources == {LEAVES} and gets:
                before = {**world, "route": before["route"], "shares": before["shares"]}
            assert world == before, f"started {age} versions ago"
            assert len(asked) < MOST_CALLS, [f"started {age} versions ago", *map(str, asked[-20:])]

        case.proxy.live_in(None)
        case.restart_operator()
        case.until_quiet()

        assert case.shares_seen() == before["shares"]

    failures = failures_of(start_in_the_past, [story.__name__ for story in STORIES])

    assert not failures, told(failures)
