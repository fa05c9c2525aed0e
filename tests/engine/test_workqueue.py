"""What the queue promises to those who add keys and those who take them."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelrollout.engine.worker import URGENT_WORKERS, most_of_a_namespace
from modelrollout.engine.workqueue import AFTERWARDS_ONLY, ALL_LANES, URGENT_ONLY, Lane, WorkQueue

from tests.support.virtual_time import VirtualTimeLoop


def elapsed() -> float:
    return round(asyncio.get_running_loop().time(), 6)


async def taken(queue: WorkQueue) -> list[str]:
    """Return what is due now, in order."""
    found = []
    while queue.depth:
        found.append(await queue.get())
    for key in found:
        queue.done(key)
    return found


class TestDue:
    async def test_a_key_that_is_added_twice_runs_once(self):
        queue = WorkQueue()

        queue.add("a")
        queue.add("a")

        assert await taken(queue) == ["a"]

    async def test_keys_run_in_the_order_in_which_they_became_due(self):
        queue = WorkQueue()

        for key in "cab":
            queue.add(key)

        assert await taken(queue) == ["c", "a", "b"]

    async def test_a_getter_waits_until_there_is_something_to_get(self):
        queue = WorkQueue()
        getter = asyncio.ensure_future(queue.get())
        await asyncio.sleep(5)

        queue.add("a")

        assert await getter == "a"
        assert elapsed() == 5

    async def test_a_delayed_key_comes_back_in_its_lane(self):
        queue = WorkQueue()
        queue.add_after("rollback", 1, Lane.ROLLBACK)
        await asyncio.sleep(0.9)
        queue.add("a")
        await asyncio.sleep(0.2)

        assert await taken(queue) == ["rollback", "a"]

    async def test_lateness_is_how_long_the_oldest_due_key_has_waited(self):
        queue = WorkQueue()
        queue.add("a")
        await asyncio.sleep(2)
        queue.add("b")
        await asyncio.sleep(1)

        assert queue.lateness == pytest.approx(3)
        await queue.get()
        assert queue.lateness == pytest.approx(1)
        await queue.get()
        assert queue.lateness == 0


class TestDelays:
    async def test_a_delayed_key_comes_when_it_is_time(self):
        queue = WorkQueue()
        queue.add_after("a", 3600)

        assert await queue.get() == "a"
        assert elapsed() == 3600

    async def test_of_several_delays_the_earliest_counts(self):
        queue = WorkQueue()
        for delay in (30, 10, 20):
            queue.add_after("a", delay)

        await queue.get()

        assert elapsed() == 10
        queue.done("a")
        await asyncio.sleep(3600)
        assert queue.depth == 0

    async def test_a_key_that_is_due_needs_no_delay(self):
        queue = WorkQueue()
        queue.add("a")
        queue.add_after("a", 5)

        assert await taken(queue) == ["a"]
        await asyncio.sleep(60)
        assert queue.depth == 0

    async def test_adding_a_delayed_key_makes_it_due_once(self):
        queue = WorkQueue()
        queue.add_after("a", 5)
        queue.add("a")

        assert await taken(queue) == ["a"]
        await asyncio.sleep(60)
        assert queue.depth == 0

    @pytest.mark.parametrize("seconds", [0, -3])
    async def test_a_delay_that_is_over_is_none(self, seconds):
        queue = WorkQueue()

        queue.add_after("a", seconds)

        assert queue.depth == 1

    async def test_delayed_keys_come_in_the_order_of_their_times(self):
        queue = WorkQueue()
        for key, delay in (("late", 9), ("early", 1), ("middle", 5)):
            queue.add_after(key, delay)

        order = [(await queue.get(), elapsed()) for _ in range(3)]

        assert order == [("early", 1), ("middle", 5), ("late", 9)]

    async def test_a_closed_queue_lets_no_timer_go_off(self):
        queue = WorkQueue()
        queue.add_after("a", 1)

        queue.clear()
        await asyncio.sleep(10)

        assert queue.depth == 0


class TestRunning:
    async def test_a_key_never_runs_twice_at_once(self):
        queue = WorkQueue()
        queue.add("a")
        await queue.get()

        queue.add("a")

        assert queue.depth == 0

    async def test_a_key_that_became_due_while_it_ran_runs_once_more(self):
        queue = WorkQueue()
        queue.add("a")
        key = await queue.get()
        queue.add("a")
        queue.add("a")

        queue.done(key)

        assert await taken(queue) == ["a"]
        assert queue.depth == 0

    async def test_a_rollback_asked_for_while_it_ran_keeps_its_lane(self):
        queue = WorkQueue()
        queue.add("a")
        key = await queue.get()
        queue.add("b")
        queue.add("a", Lane.ROLLBACK)
        queue.add("a")

        queue.done(key)

        assert await taken(queue) == ["a", "b"]

    async def test_a_delay_set_while_it_runs_counts_from_then(self):
        queue = WorkQueue()
        queue.add("a")
        key = await queue.get()
        queue.add_after("a", 7)
        queue.done(key)

        await queue.get()

        assert elapsed() == 7

    async def test_a_key_that_is_running_is_not_late(self):
        queue = WorkQueue()
        queue.add("a")
        await queue.get()
        await asyncio.sleep(60)

        assert queue.lateness == 0

    async def test_a_forgotten_key_never_comes_back(self):
        queue = WorkQueue()
        queue.add("a")
        queue.add_after("b", 5)
        queue.add("c")
        running = await queue.get()
        queue.add(running)

        for key in "abc":
            queue.forget(key)
        queue.done(running)
        await asyncio.sleep(60)

        assert queue.depth == 0


class TestLanes:
    async def test_a_rollback_overtakes_all_others(self):
        queue = WorkQueue()
        for key in "abc":
            queue.add(key)

        queue.add("d", Lane.ROLLBACK)

        assert await taken(queue) == ["d", "a", "b", "c"]

    async def test_a_waiting_key_overtakes_once_a_rollback_is_asked_for(self):
        queue = WorkQueue()
        for key in "abc":
            queue.add(key)

        queue.add("c", Lane.ROLLBACK)
        queue.add("c")

        assert await taken(queue) == ["c", "a", "b"]

    async def test_an_urgent_getter_takes_rollbacks_only(self):
        queue = WorkQueue()
        queue.add("a")
        getter = asyncio.ensure_future(queue.get(URGENT_ONLY))
        await asyncio.sleep(1)
        assert not getter.done()

        queue.add("b", Lane.ROLLBACK)

        assert await getter == "b"
        assert await taken(queue) == ["a"]

    async def test_an_urgent_getter_that_finds_nothing_hides_no_news_from_others(self):
        queue = WorkQueue()
        urgent = asyncio.ensure_future(queue.get(URGENT_ONLY))
        normal = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)

        queue.add("a")

        assert await normal == "a"
        urgent.cancel()


class TestCancelledGetters:
    async def test_a_getter_cancelled_at_the_moment_of_its_wake_up_strands_no_key(self):
        queue = WorkQueue()
        first, second = asyncio.ensure_future(queue.get()), asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)

        queue.add("a")
        first.cancel()

        assert await second == "a"

    async def test_a_key_waits_for_the_next_getter_when_the_only_one_was_cancelled(self):
        queue = WorkQueue()
        getter = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)

        queue.add("a")
        getter.cancel()
        await asyncio.sleep(0)

        assert await taken(queue) == ["a"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abc"), st.sampled_from(list(Lane))),
        st.tuples(st.just("after"), st.sampled_from("abc"), st.integers(1, 20)),
        st.tuples(st.just("sleep"), st.just(""), st.integers(1, 20)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(steps=STEPS, workers=st.integers(1, 3), most=st.sampled_from([None, 1, 2]))
def test_whatever_happens_each_key_runs_after_its_last_add_and_never_twice_at_once(steps, workers, most):
    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(_work_off(steps, workers, most))
    finally:
        loop.close()


async def _work_off(steps: list[tuple[str, str, int]], workers: int, most: int | None) -> None:
    limits = dict.fromkeys(Lane, most) if most else {}
    queue = WorkQueue(group_of=lambda key: "ab" if key in "ab" else key, most=limits)
    running, last_run, wanted = set[str](), dict[str, float](), dict[str, float]()

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in running
            running.add(key)
            last_run[key] = elapsed()
            await asyncio.sleep(3)
            running.discard(key)
            queue.done(key)

    tasks = [asyncio.ensure_future(work()) for _ in range(workers)]
    for step, key, value in steps:
        match step:
            case "add":
                queue.add(key, Lane(value))
                wanted[key] = elapsed()
            case "after":
                queue.add_after(key, value)
                wanted.setdefault(key, elapsed())
            case _:
                await asyncio.sleep(value)
    await asyncio.sleep(200)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert all(task.cancelled() for task in tasks)
    assert {key: time for key, time in wanted.items() if last_run.get(key, -1.0) < time} == {}
    assert (queue.depth, queue.lateness) == (0, 0)


class TestWaking:
    async def test_each_key_wakes_one_getter(self):
        queue = WorkQueue()
        getters = [asyncio.ensure_future(queue.get(URGENT_ONLY if number < 2 else ALL_LANES)) for number in range(6)]
        await asyncio.sleep(0)

        for key in "abc":
            queue.add(key)
        await asyncio.sleep(0.1)

        assert sorted(getter.result() for getter in getters if getter.done()) == ["a", "b", "c"]
        assert not any(getter.done() for getter in getters[:2])
        await _end(getters)

    async def test_a_key_of_each_lane_finds_a_getter_whoever_is_woken_first(self):
        queue = WorkQueue()
        getters = [asyncio.ensure_future(queue.get(URGENT_ONLY if number == 0 else ALL_LANES)) for number in range(3)]
        await asyncio.sleep(0)

        queue.add("normal")
        queue.add("back", Lane.ROLLBACK)
        await asyncio.sleep(0.1)

        assert sorted(getter.result() for getter in getters if getter.done()) == ["back", "normal"]
        await _end(getters)

    @pytest.mark.parametrize("lane", Lane)
    @pytest.mark.parametrize("is_cancelled_first", [True, False])
    async def test_a_getter_cancelled_at_that_moment_strands_no_key(self, lane, is_cancelled_first):
        queue = WorkQueue()
        first, second = (asyncio.ensure_future(queue.get()) for _ in range(2))
        await asyncio.sleep(0)

        if is_cancelled_first:
            first.cancel()
        queue.add("a", lane)
        first.cancel()
        await asyncio.wait([first])

        assert await asyncio.wait_for(second, 1) == "a"


async def _end(getters):
    for getter in getters:
        getter.cancel()
    await asyncio.wait(getters)


class TestBehind:
    async def test_a_queue_is_behind_while_a_key_waits_that_nobody_takes(self):
        queue = WorkQueue()
        queue.add("a")
        assert queue.is_behind

        queue.done(await queue.get())

        assert not queue.is_behind

    async def test_what_is_for_afterwards_puts_no_queue_behind(self):
        queue = WorkQueue()

        queue.add("a", Lane.AFTER)

        assert not queue.is_behind
        assert await queue.get(AFTERWARDS_ONLY) == "a"

    async def test_a_queue_is_behind_while_many_keys_run(self):
        queue = WorkQueue(busy_at=2)
        for key in "ab":
            queue.add(key)
        assert await queue.get() == "a"
        assert await queue.get() == "b"
        assert queue.is_behind

        queue.done("a")

        assert not queue.is_behind

    async def wait_behind_a_busy_one(self) -> tuple[WorkQueue, asyncio.Future[str]]:
        """Return a queue as busy as can be, with one key for afterwards, and somebody who would take any."""
        queue = WorkQueue(busy_at=1)
        queue.add("urgent")
        queue.add("later", Lane.AFTER)
        assert await queue.get() == "urgent"
        waiting = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        return queue, waiting

    async def test_while_many_keys_run_what_is_for_afterwards_is_left_to_those_who_take_nothing_else(self):
        queue, waiting = await self.wait_behind_a_busy_one()

        assert await queue.get(AFTERWARDS_ONLY) == "later"
        waiting.cancel()

    async def test_what_is_for_afterwards_is_anybodys_again_once_few_run(self):
        queue, waiting = await self.wait_behind_a_busy_one()

        queue.done("urgent")

        assert await waiting == "later"


class TestGroups:
    """Keys are `group/name`."""

    def queue(self, **most: int) -> WorkQueue:
        return WorkQueue(
            group_of=lambda key: key.partition("/")[0], most={Lane[lane]: count for lane, count in most.items()}
        )

    async def test_groups_take_turns_however_many_keys_one_of_them_has(self):
        queue = self.queue()
        for number in range(1000):
            queue.add(f"hostile/{number}")
        for number in range(3):
            queue.add(f"models/{number}")

        order = (await taken(queue))[:6]

        assert order == ["hostile/0", "models/0", "hostile/1", "models/1", "hostile/2", "models/2"]

    async def test_a_rollback_of_another_group_comes_after_one_of_a_thousand(self):
        queue = self.queue()
        for number in range(1000):
            queue.add(f"hostile/{number}", Lane.ROLLBACK)
        queue.add("models/a", Lane.ROLLBACK)

        assert (await taken(queue))[:2] == ["hostile/0", "models/a"]

    async def test_a_group_runs_no_more_than_its_limit_until_one_of_its_keys_is_done(self):
        queue = self.queue(NORMAL=2)
        for number in range(5):
            queue.add(f"hostile/{number}")
        running = [await queue.get(), await queue.get()]
        waiting = asyncio.ensure_future(queue.get())
        await asyncio.sleep(60)
        assert not waiting.done()

        queue.done(running[0])

        assert await waiting == "hostile/2"

    async def test_while_one_group_is_at_its_limit_others_are_served(self):
        queue = self.queue(NORMAL=1)
        for key in ("hostile/0", "hostile/1", "models/a"):
            queue.add(key)

        assert [await queue.get(), await queue.get()] == ["hostile/0", "models/a"]

    async def test_a_groups_own_rollback_does_not_wait_for_its_other_passes(self):
        queue = self.queue(NORMAL=1, ROLLBACK=1)
        queue.add("models/a")
        queue.add("models/b")
        await queue.get()

        queue.add("models/c", Lane.ROLLBACK)

        assert await queue.get() == "models/c"
        assert queue.depth == 1

    async def test_a_key_that_ran_out_of_a_full_group_leaves_nothing_behind(self):
        queue = self.queue(NORMAL=1)
        queue.add("models/a")
        key = await queue.get()
        queue.add(key)
        queue.done(key)
        queue.forget(key)
        queue.done(key)

        assert (queue.depth, queue.lateness) == (0, 0)

    async def test_one_group_alone_leaves_workers_for_others_in_each_lane(self):
        """As the engine sets the limits: whatever one namespace does, a rollback elsewhere starts at once."""
        workers = 32
        most = most_of_a_namespace(workers)
        queue = self.queue(NORMAL=most[Lane.NORMAL], ROLLBACK=most[Lane.ROLLBACK])
        for number in range(100):
            queue.add(f"hostile/{number}", Lane.NORMAL if number % 2 else Lane.ROLLBACK)

        normal = [asyncio.ensure_future(queue.get()) for _ in range(workers)]
        urgent = [asyncio.ensure_future(queue.get(URGENT_ONLY)) for _ in range(URGENT_WORKERS)]
        await asyncio.sleep(1)
        queue.add("models/a", Lane.ROLLBACK)
        await asyncio.sleep(1)

        assert "models/a" in {getter.result() for getter in (*normal, *urgent) if getter.done()}
        for getter in (*normal, *urgent):
            getter.cancel()

    @pytest.mark.parametrize("workers", [1, 2, 3, 4, 5, 32, 256])
    def test_the_limits_leave_the_workers_that_serve_rollbacks_only(self, workers):
        most = most_of_a_namespace(workers)

        assert min(most.values()) >= 1
        assert sum(most.values()) <= max(3, workers)
