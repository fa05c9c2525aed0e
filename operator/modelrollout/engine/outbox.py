"""Events on their way to the API server: posted in the order of their happening, never in the way of a pass.

They are half of what a rollback asks of the API server. When many rollouts go back at once, their routes come first.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from modelrollout.core.events import Event
from modelrollout.engine.ports import Announcer, Cluster, Conflict, Gone, Refused, Unavailable

log = structlog.get_logger(__name__)

MOST_WAITING = 10_000
POSTED_AT_ONCE = 2
LAST_WORDS = 1.0
"""Seconds that events which still wait at the end are given."""


BREATH = 0.05
"""Seconds between two events while there is more urgent work than can be done."""


class Outbox:
    """Posts what it is told; an event that cannot be posted is logged and is no reason to fail anything.

    `is_busy` says whether there is more urgent work than can be done: then it goes slowly. `announcer` is handed what
    of it is told outside of the cluster.
    """

    def __init__(self, cluster: Cluster, is_busy: Callable[[], bool], announcer: Announcer | None = None) -> None:
        self._cluster = cluster
        self._announcer = announcer
        self._is_busy = is_busy
        self._waiting: asyncio.Queue[tuple[Mapping[str, Any], Event]] = asyncio.Queue(MOST_WAITING)

    def tell(self, about: Mapping[str, Any], events: Iterable[Event]) -> None:
        """Log the events, and have them posted about the object; of it what names it and its version is enough."""
        for event in events:
            say = log.warning if event.type == "Warning" else log.info
            say(event.note, reason=event.reason)
            if self._announcer and event.notice:
                self._announcer.announce(event.notice)
            try:
                self._waiting.put_nowait((about, event))
            except asyncio.QueueFull:
                log.warning("event not posted", reason=event.reason, error=f"{MOST_WAITING} others wait already")

    async def run(self) -> None:
        """Post until cancelled; what waits then has a second to go out."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(POSTED_AT_ONCE):
                    group.create_task(self._post_all())
        finally:
            await self._say_last_words()

    async def _post_all(self) -> None:
        while True:
            if self._is_busy():
                await asyncio.sleep(BREATH)
            about, event = await self._waiting.get()
            await self._post(about, event)

    async def _post(self, about: Mapping[str, Any], event: Event) -> None:
        try:
            await self._cluster.post_event(about, event)
        except (Conflict, Gone, Refused, Unavailable) as error:
            name = about["metadata"].get("name")
            log.warning("event not posted", name=name, reason=event.reason, error=str(error))

    async def _say_last_words(self) -> None:
        try:
            async with asyncio.timeout(LAST_WORDS):
                while not self._waiting.empty():
                    await self._post(*self._waiting.get_nowait())
        except TimeoutError:
            log.warning("events not posted", count=self._waiting.qsize())
