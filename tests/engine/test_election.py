"""Processes that share a Lease, in virtual time: who works, when another takes over, and who may write."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from modelrollout.cluster.election import Election
from modelrollout.cluster.lease import Terms
from modelrollout.cluster.server import Resource
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable

from tests.support.virtual_time import VirtualTimeLoop, virtual_now


def seconds() -> float:
    return asyncio.get_running_loop().time()


class Store:
    """The Lease in the API server."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.writes = 0

    def write(self, spec: Mapping[str, Any], guard: str | None) -> dict[str, Any]:
        if guard is not None and self.lease is None:
            raise Gone
        if (self.lease["metadata"]["resourceVersion"] if self.lease else None) != guard:
            raise Conflict
        self.writes += 1
        old = self.lease["spec"] if self.lease else {}
        self.lease = {"metadata": {"resourceVersion": str(self.writes)}, "spec": {**old, **spec}}
        return self.lease

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""


class Replica:
    """One process, and its way to the server, which may fail or stall; notes when it began and stopped to work."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.failure: Exception | None = None
        self.stalls = False
        self.slow_answers = False
        self.turns: list[tuple[float, float | None]] = []
        self.writes: list[float] = []
        self.election = Election(
            self, namespace="ops", name="lease", me=name, terms=Terms(3.0), clock=virtual_now, seconds=seconds
        )

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        del resource, namespace, name
        await self._travel()
        if self.store.lease is None:
            raise Gone
        return self.store.lease

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        del resource, namespace
        await self._travel()
        return self.store.write(body["spec"], None)

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        del resource, namespace, name
        await self._travel()
        written = self.store.write(body["spec"], body["metadata"]["resourceVersion"])
        if self.slow_answers:
            await asyncio.sleep(0.1)
        return written

    async def _travel(self) -> None:
        await asyncio.sleep(1.0 if self.stalls else 0.01)
        if self.stalls:
            raise Unavailable("no answer")
        if self.failure:
            raise self.failure

    async def work(self) -> None:
        """Write ten times a second, as the fence allows."""
        began = seconds()
        self.turns.append((began, None))
        try:
            while True:
                self.try_to_write()
                await asyncio.sleep(0.1)
        finally:
            self.turns[-1] = (began, seconds())

    def try_to_write(self) -> None:
        try:
            self.election.time_left()
        except Unavailable:
            return
        self.writes.append(seconds())


@asynccontextmanager
async def running(*replicas: Replica) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.ensure_future(replica.election.run(replica.work)) for replica in replicas]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def two() -> tuple[Store, Replica, Replica]:
    store = Store()
    return store, Replica(store, "a"), Replica(store, "b")


async def until_led_by(replica: Replica) -> float:
    """Return when it began to lead."""
    async with asyncio.timeout(60):
        while not replica.election.is_leading:  # noqa: ASYNC110 - it is virtual time
            await asyncio.sleep(0.01)
    return seconds()


async def test_one_of_two_works_and_the_other_waits():
    _, a, b = await two()

    async with running(a):
        await until_led_by(a)
        async with running(b):
            await asyncio.sleep(600)

    assert len(a.turns) == 1
    assert b.turns == []
    assert b.writes == []


async def test_a_standby_works_within_four_seconds_of_a_holder_that_says_no_more():
    store, a, b = await two()

    async with running(a, b) as tasks:
        await until_led_by(a)
        await asyncio.sleep(7.77)
        a.failure = Unavailable("killed")  # as after SIGKILL, nothing is given back
        tasks[0].cancel()
        killed = seconds()

        assert await until_led_by(b) - killed < 4
        assert store.holder == "b"


async def test_a_holder_that_stops_hands_over_at_once():
    _, a, b = await two()

    async with running(a, b) as tasks:
        await until_led_by(a)
        stopped = seconds()
        tasks[0].cancel()

        assert await until_led_by(b) - stopped < 0.6


async def test_a_holder_that_stops_in_the_middle_of_a_renewal_hands_over_too():
    store, a, b = await two()

    async with running(a, b) as tasks:
        await until_led_by(a)
        a.slow_answers, writes = True, store.writes
        while store.writes == writes:  # noqa: ASYNC110 - it is virtual time
            await asyncio.sleep(0.01)
        a.slow_answers, stopped = False, seconds()
        tasks[0].cancel()

        assert await until_led_by(b) - stopped < 0.7


async def test_a_holder_without_answers_writes_no_more_before_another_begins():
    _, a, b = await two()

    async with running(a, b):
        await until_led_by(a)
        await asyncio.sleep(5)
        a.stalls = True
        cut = seconds()
        began = await until_led_by(b)
        a.stalls = False
        await asyncio.sleep(60)

    assert a.writes[-1] < cut + 2 < began < cut + 5
    assert a.turns[0][1] < began
    assert len(a.turns) == 1
    assert not a.election.is_leading


async def test_a_fence_closes_by_itself_though_nothing_else_runs():
    _, a, _ = await two()

    async with running(a):
        await until_led_by(a)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.jump(30)  # as a process that was stopped finds out

        with pytest.raises(Unavailable, match="does not hold the Lease"):
            a.election.time_left()


async def test_a_short_silence_of_the_server_changes_nothing():
    _, a, b = await two()

    async with running(a, b):
        await until_led_by(a)
        for _ in range(20):
            a.failure = b.failure = Unavailable("503")
            await asyncio.sleep(0.95)
            a.failure = b.failure = None
            await asyncio.sleep(3)

        assert a.turns == [(a.turns[0][0], None)]
        assert b.turns == []


async def test_after_a_long_silence_one_works_again():
    _, a, b = await two()

    async with running(a, b):
        await until_led_by(a)
        a.failure = b.failure = Unavailable("503")
        await asyncio.sleep(60)
        assert not a.election.is_leading
        a.failure = b.failure = None
        await asyncio.sleep(5)

        assert a.election.is_leading != b.election.is_leading


async def test_a_lease_that_somebody_deletes_is_made_again_and_has_one_holder():
    store, a, b = await two()

    async with running(a, b):
        await until_led_by(a)
        store.lease = None
        await asyncio.sleep(10)

        assert a.election.is_leading != b.election.is_leading
    assert not set(a.writes) & set(b.writes)


async def test_a_right_that_is_missing_is_said_and_nothing_is_done():
    _, a, _ = await two()
    a.failure = Refused("may not get leases")

    async with running(a):
        await asyncio.sleep(60)

        assert a.election.problem == "the Lease lease cannot be had: may not get leases"
        a.failure = None
        await until_led_by(a)
        assert a.election.problem is None


async def test_work_that_fails_ends_everything_and_gives_the_lease_back():
    store, a, _ = await two()

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        await a.election.run(fail)

    assert store.holder == ""
