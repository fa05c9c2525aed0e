"""Refusals, stalls, lost replies, deaf watches and kills at random: the story ends as it would have without them."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.faults.case import STEPS, Ground
from tests.faults.crowd import WIDTH
from tests.faults.mishaps import Storm

pytestmark = pytest.mark.cluster

SEEDS = range(24)
STORM_SECONDS = 6.0
CALM_WITHIN = timedelta(seconds=120)
BACK = [*STEPS[:3], "v1 100"]
STAGES = [
    {"name": "shadow", "shadow": {"percent": 100}, "minDuration": "1s"},
    {"name": "canary", "canary": {"weights": [10, 50]}, "minDuration": "1s"},
    {"name": "full", "full": {}, "minDuration": "1s"},
]


def weather(ground: Ground, seed: int) -> None:
    """Tell one story in a storm; every other candidate is bad at half of the requests, every third operator dies."""
    chance = random.Random(seed)
    is_bad = bool(seed % 2)
    case = ground.case(stages=STAGES)
    try:
        if is_bad:
            case.numbers.errors_now = lambda: {"fraud-v2": 0.4} if case.shares() == STEPS[2] else {}
        case.apply()
        case.start_operator()
        storm = Storm(seed, STORM_SECONDS)
        case.proxy.faults = (storm,)
        if seed % 3 == 0:
            time.sleep(chance.uniform(0.5, 4.0))
            case.operator.kill()
        case.until("over", lambda: case.is_over_with_restarts() and storm.is_over, CALM_WITHIN)
        case.proxy.faults = ()
        case.until_quiet()

        assert storm.met.total() > 0
        assert case.shares_seen() == (BACK if is_bad else STEPS), storm.met
        assert case.status()["attempt"]["outcome"] == ("RolledBack" if is_bad else "Promoted")
        assert case.status()["attempt"]["number"] == 1
        # A gate may pass with the same numbers in two steps, and then says the same of both.
        told = [count for what, count in case.events().items() if not what.startswith("Gate")]
        assert max(told, default=1) == 1
    finally:
        case.end()


@pytest.fixture(scope="module")
def stories(ground: Ground, request: pytest.FixtureRequest) -> Iterator[dict[int, Future[None]]]:
    """Yield the stories of the seeds that were asked for, told side by side."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    seeds = [int(str(item.callspec.params["seed"])) for item in items]
    with ThreadPoolExecutor(WIDTH) as threads:
        yield {seed: threads.submit(weather, ground, seed) for seed in seeds}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_changes_nothing_of_the_end(stories: dict[int, Future[None]], seed: int):
    stories[seed].result()
