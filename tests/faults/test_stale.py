"""Answers that are old: nothing is done on what was, whatever an operator without a memory is told."""

import time
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.faults.case import STEPS, Case, Ground
from tests.faults.crowd import failures_of, told
from tests.faults.proxy import Past
from tests.faults.witness import LEAVES, ROLLOUTS

pytestmark = pytest.mark.cluster

BACK = [*STEPS[:3], "v1 100"]
STAYS = [
    {"name": "shadow", "shadow": {"percent": 100}, "minDuration": "0s"},
    {"name": "canary", "canary": {"weights": [10, 50]}, "minDuration": "0s"},
    {"name": "bake", "canary": {"weights": [60]}, "minDuration": "1h"},
    {"name": "full", "full": {}, "minDuration": "0s"},
]
AT_60 = [*STEPS[:3], "v1 40, v2 60"]
LONGEST_LOOK = 3.0
"""Seconds that an operator lives in the past: it starts, lists everything and looks at the metrics in less."""
MOST_CALLS = 80
"""Of an operator in so long: its start takes some thirty, and nobody may ask in a tight circle."""

EVERYTHING: frozenset[str] = frozenset()


class Age(NamedTuple):
    """How old the answers are, counted in versions of the rollout and its route; and which of them."""

    versions: int
    resources: frozenset[str]
    gets: bool

    def __str__(self) -> str:
        what = "+".join(sorted(self.resources)) or "everything"
        return f"{what} {self.versions} versions old, single objects {'too' if self.gets else 'not'}"


AGES = [
    Age(versions, resources, gets)
    for versions in (1, 2, 3, 5, 8, 12)
    for resources in (EVERYTHING, frozenset({ROLLOUTS}), frozenset({LEAVES}))
    for gets in (False, True)
]


def in_mid_canary(case: Case) -> None:
    """Let the rollout come to a step in which it stays."""
    case.until_shares(AT_60[-1])
    case.until("judged", lambda: case.status().get("attempt", {}).get("appliedAt") is not None)


def rolled_back(case: Case) -> None:
    """Let the rollout come to that step, and be rolled back by a person."""
    in_mid_canary(case)
    case.ask(rollback={"reason": "stale"})
    case.until_over()


def superseded(case: Case) -> None:
    """Let the rollout come to that step, and its spec go back to what serves."""
    in_mid_canary(case)
    case.edit({"paused": True})
    case.until("held", lambda: case.status().get("phase") == "Held")


def go_back(case: Case, age: Age) -> None:
    """Let the proxy answer as it was that many versions ago."""
    numbers = [one.number for one in case.witness.versions(case.namespace, ROLLOUTS, LEAVES)]
    case.proxy.live_in(Past(numbers[max(0, len(numbers) - 1 - age.versions)], age.resources, gets=age.gets))


@pytest.mark.parametrize("story", [in_mid_canary, rolled_back, superseded])
def test_an_operator_that_starts_in_the_past_moves_nothing(ground: Ground, story: Callable[[Case], None]):
    def start_in_the_past(age: Age) -> None:
        case = ground.case(stages=STAYS)
        try:
            case.apply()
            case.start_operator()
            story(case)
            case.until_quiet()
            case.operator.kill()
            before, shares = case.world(), case.shares_seen()

            go_back(case, age)
            calls = len(case.proxy.calls)
            case.restart_operator()
            time.sleep(LONGEST_LOOK)
            asked = len(case.proxy.calls) - calls
            case.proxy.live_in(None)
            case.until_quiet()

            assert case.shares_seen() == shares
            assert case.world() == before
            assert asked < MOST_CALLS, [str(call) for call in case.proxy.calls[-20:]]
        finally:
            case.end()

    failures = failures_of(start_in_the_past, AGES)

    assert not failures, told(failures)
