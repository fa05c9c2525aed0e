"""Cut at every write: killed before it, with its reply lost, or after it, a fresh operator ends in the same world.

The story of an attempt: shadow, canary, full; and one whose candidate breaks at half of the requests. Each case is
compared with the same story without a kill: the route and all shares it ever had, the steps, status, events.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.faults.case import OVER, STEPS, Case, Ground
from tests.faults.crowd import failures_of, told
from tests.faults.mishaps import KillAt

pytestmark = pytest.mark.cluster

Story = Callable[[Case], None]
BACK = [*STEPS[:3], "v1 100"]


def promoted(case: Case) -> None:
    """Nothing is wrong with the candidate."""
    del case


def rolled_back(case: Case) -> None:
    """The candidate fails under half of the requests; as long as it has fewer, it does not."""
    case.numbers.errors_now = lambda: {"fraud-v2": 0.4} if case.shares() == STEPS[2] else {}


STORIES = [pytest.param(promoted, STEPS, id="promoted"), pytest.param(rolled_back, BACK, id="rolled back")]


@contextmanager
def running(ground: Ground, story: Story, **arguments: Any) -> Iterator[Case]:
    """Yield a case whose story goes on by itself, once its rollout is applied and an operator runs."""
    case = ground.case(**arguments)
    try:
        story(case)
        yield case
    finally:
        case.end()


@pytest.fixture(scope="module")
def golden(ground: Ground) -> dict[Story, tuple[dict[str, Any], int, Counter[str]]]:
    """Return the world, the number of writes and the events of each story without a fault."""
    found: dict[Story, tuple[dict[str, Any], int, Counter[str]]] = {}
    for story in (promoted, rolled_back):
        with running(ground, story) as case:
            case.apply()
            case.start_operator()
            case.until_over()
            case.until_recorded()
            case.until_quiet()
            found[story] = case.world(), len(case.proxy.writes), kinds(case.events())
    return found


@pytest.mark.parametrize(("story", "shares"), STORIES)
def test_without_a_kill_the_shares_are_those_of_the_plan(golden, story, shares):
    world, _, events = golden[story]

    assert world["shares"] == shares
    assert set(events.values()) == {1}


@pytest.mark.parametrize("moment", KillAt.MOMENTS)
@pytest.mark.parametrize("story", [promoted, rolled_back])
def test_killed_at_any_write_it_ends_in_the_same_world(ground, golden, story, moment):
    world, writes, events = golden[story]

    def cut_at(number: int) -> None:
        with running(ground, story) as case:
            kill = KillAt(number, moment, lambda: case.operator.kill())  # noqa: PLW0108 - it runs by then
            case.proxy.faults = (kill,)
            case.apply()
            case.start_operator()
            case.until("killed or over", lambda: bool(kill.killed_at) or case.status().get("phase") in OVER)
            if not kill.killed_at:
                case.until_quiet()  # Its last writes, or it needs fewer of them than the golden one.
            if kill.killed_at:
                case.restart_operator()
            case.until_over()
            case.until_recorded()
            case.until_quiet()

            assert case.world() == world, f"killed at {kill.killed_at}"
            assert_told_once(case.events(), events)

    failures = failures_of(cut_at, range(1, writes + 1))

    assert not failures, told(failures)


def kinds(events: Counter[str]) -> Counter[str]:
    """Return the steps of the story as they were told, without counts and times, and names that hold a uid."""
    return Counter(
        re.sub(r": \d+ of \d+ requests.*| in [\d.]+s\b|, record [-.\w]+", "", event)
        for event in events.elements()
        if not event.startswith("Gate")
    )


def assert_told_once(events: Counter[str], expected: Counter[str]) -> None:
    """Check that nothing is told twice, and that what a kill may cost is what waits to be told: of two passes."""
    told_of = kinds(events)

    assert max(events.values()) == 1
    assert told_of <= expected
    assert (expected - told_of).total() <= 2
