"""One of several processes works at a time: the one that holds the Lease."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

import structlog

from modelrollout.cluster.lease import Create, Lease, Look, Standing, Terms, Wait, Write, parse_lease, render_lease
from modelrollout.cluster.server import Resource
from modelrollout.engine.ports import Clock, Conflict, Gone, Refused, Unavailable

log = structlog.get_logger(__name__)

LEASES = Resource("coordination.k8s.io", "v1", "leases")


class Server(Protocol):
    """The API server, as far as a Lease needs it. Its own connection: a Lease must not wait behind other calls."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        """Return the object."""
        ...

    async def create(self, resource: Resource, namespace: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create the object and return it."""
        ...

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Merge the body into the object, guarded by its resourceVersion, and return it."""
        ...


def machine_seconds() -> float:
    """Return seconds on a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Election:
    """Holds a Lease as long as it can be had. `me` must be this process's alone, a restart included.

    A call of `server` may take `Terms.call_limit` at most. `seconds` is a monotonic clock; `clock` only dates the Lease.
    """

    def __init__(
        self,
        server: Server,
        *,
        namespace: str,
        name: str,
        me: str,
        terms: Terms,
        clock: Clock,
        seconds: Callable[[], float] = machine_seconds,
    ) -> None:
        self._server = server
        self._namespace = namespace
        self._name = name
        self._clock = clock
        self._seconds = seconds
        self._standing = Standing(me, terms)
        self.problem: str | None = "the Lease has not been read yet"

    @property
    def is_leading(self) -> bool:
        """Whether this process may write."""
        return self._seconds() < self._standing.stops_at

    @property
    def renewed_ago(self) -> float | None:
        """Seconds since the renewal that counts was sent; `None` while the Lease is not held."""
        since = self._standing.renewed_at
        return None if since is None else self._seconds() - since

    def time_left(self) -> timedelta:
        """Return how long a write that is sent now may take: a fence for `ApiServer`.

        Raises:
            Unavailable: this process does not hold the Lease, or has not renewed it for too long.
        """
        left = self._standing.stops_at - self._seconds()
        if left <= 0:
            raise Unavailable(f"nothing is written: this process does not hold the Lease {self._name} now")
        return timedelta(seconds=left)

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` while the Lease is held, from the start each time, until cancelled; then give the Lease back."""
        async with asyncio.TaskGroup() as group:
            working: asyncio.Task[None] | None = None
            try:
                while True:
                    if working is None and self.is_leading:
                        log.info("this process decides now", lease=self._name)
                        working = group.create_task(work())
                    elif working is not None and not self.is_leading:
                        log.warning("this process stands by: the Lease could not be renewed in time", lease=self._name)
                        await _ended(working)
                        working = None
                    await self._step()
            finally:
                if working is not None:
                    await _ended(working)
                await self._release()

    async def _step(self) -> None:
        now = self._seconds()
        match self._standing.step(now):
            case Wait(until):
                # The end of the Lease is no later than that.
                end = self._standing.stops_at if self._standing.stops_at > now else until
                await asyncio.sleep(min(until, end) - now)
            case Look():
                await self._attempt(self._look, now)
            case Create() as create:
                await self._attempt(lambda: self._create(create), now)
            case Write() as write:
                await self._attempt(lambda: self._write(write, now), now)

    async def _attempt(self, call: Callable[[], Coroutine[Any, Any, None]], sent_at: float) -> None:
        try:
            await call()
        except Gone:
            self._standing = self._standing.saw(None, self._seconds())
        except Conflict:
            self._standing = self._standing.outdated()
        except (Refused, Unavailable) as error:
            self._standing = self._standing.failed(sent_at)
            self._report(str(error))
            return
        self._report(None)

    def _report(self, problem: str | None) -> None:
        if problem and problem != self.problem:
            log.warning("no answer about the Lease", lease=self._name, error=problem)
        self.problem = problem and f"the Lease {self._name} cannot be had: {problem}"

    async def _look(self) -> None:
        found = await self._server.get(LEASES, self._namespace, self._name)
        self._standing = self._standing.saw(parse_lease(found), self._seconds())

    async def _create(self, step: Create) -> None:
        metadata = {"name": self._name, "namespace": self._namespace}
        spec = render_lease(self._standing, step, self._clock())
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        made = await self._server.create(LEASES, self._namespace, body)
        self._standing = self._standing.saw(parse_lease(made), self._seconds())

    async def _write(self, step: Write, sent_at: float) -> None:
        spec = render_lease(self._standing, step, self._clock())
        body = {"metadata": {"resourceVersion": step.guard}, "spec": spec}
        written = await self._server.patch(LEASES, self._namespace, self._name, body)
        self._standing = self._standing.wrote(parse_lease(written), sent_at, self._seconds())

    async def _release(self) -> None:
        """Give the Lease back, so that another need not wait for its end; from here on nothing is written."""
        held, lease = self.is_leading, self._standing.lease
        self._standing = replace(self._standing, renewed_at=None)
        if not (held and lease):
            return
        try:
            try:
                await self._give_back(lease)
            except Conflict:
                # A renewal that was under way when we were told to stop may have arrived all the same.
                found = parse_lease(await self._server.get(LEASES, self._namespace, self._name))
                if found.holder != self._standing.me:
                    return
                await self._give_back(found)
        except (Conflict, Gone, Refused, Unavailable) as error:
            log.warning("the Lease could not be given back", lease=self._name, error=str(error))
        else:
            log.info("the Lease is given back", lease=self._name)

    async def _give_back(self, lease: Lease) -> None:
        body = {"metadata": {"resourceVersion": lease.guard}, "spec": {"holderIdentity": ""}}
        await self._server.patch(LEASES, self._namespace, self._name, body)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.wait({task})
