"""What makes the process worth a restart, and what does not."""

import asyncio
from collections.abc import Iterator
from functools import partial

from modelrollout.engine.ports import Unavailable
from modelrollout.wiring.kinds import EVERY, until_more_are_served
from modelrollout.wiring.watchdog import Watchdog, measure_lag

from tests.support.virtual_time import VirtualTimeLoop


def test_row_47_a_pass_that_never_ends_is_a_problem():
    async def ask() -> list[str | None]:
        return [Watchdog(partial(float, seconds)).problem() for seconds in (0, 119, 121)]

    assert asyncio.run(ask()) == [None, None, "a pass has been under way for 121 s"]


async def test_a_watch_that_ends_while_the_rest_goes_on_is_a_problem():
    watchdog = Watchdog(lambda: 0.0)
    ended = asyncio.Event()
    tasks = [asyncio.create_task(ended.wait(), name=f"watcher for {kind}") for kind in ("services", "modelrollouts")]
    assert watchdog.problem() is None

    tasks[1].cancel()
    await asyncio.wait({tasks[1]})

    assert watchdog.problem() == "the watcher for modelrollouts has ended"
    ended.set()
    await asyncio.wait(tasks)


async def test_tasks_of_other_names_may_end():
    watchdog = Watchdog(lambda: 0.0)
    task = asyncio.create_task(asyncio.sleep(1), name="worker")
    watchdog.problem()
    await task

    assert watchdog.problem() is None


async def test_row_47_a_loop_that_was_held_up_shows_by_how_much():
    noted: list[float] = []
    task = asyncio.create_task(measure_lag(noted.append))
    await asyncio.sleep(1)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)

    loop.jump(2.5)
    await asyncio.sleep(0.5)
    task.cancel()

    assert 2.2 < max(noted) < 2.6
    assert sorted(noted)[-2] < 0.01


async def test_kinds_that_a_cluster_gets_later_are_noticed():
    served = ["services"]
    answers: Iterator[list[str] | Exception] = iter([["services"], Unavailable("503"), ["services", "httproutes"]])

    async def look() -> list[str]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    began = asyncio.get_running_loop().time()
    assert await until_more_are_served(served, look) == ["httproutes"]
    assert asyncio.get_running_loop().time() - began > 2 * EVERY
