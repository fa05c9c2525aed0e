"""Events on their way to the API server: posted in the order of their happening, never in the way of a pass.

They are half of what a rollback asks of the API server. When many rollouts go back at once, their routes come first. And
a namespace whose rollouts have much to tell tells it in its own share: an event costs the API server as much as a status.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import structlog

from modelrollout.core.events import Event
from modelrollout.engine.ports import Announcer, Cluster, Conflict, Gone, Refused, Unavailable

log = structlog.get_logger(__name__)

MOST_WAITING, MOST_OF_A_NAMESPACE = 10_000, 5_000
POSTED_AT_ONCE = 2
LAST_WORDS = 1.0
"""Seconds that events which still wait at the end are given."""

BREATH = 0.5
"""Seconds between two events while there is more urgent work than can be done."""

BURST, EACH_SECOND = 100, 25
"""Events of one namespace that go out at once, and after them each second."""

_INSTANT = 0.001

_Waiting = tuple[Mapping[str, Any], Event]


class _Shares:
    """What waits, first in first out within each namespace; namespaces take turns, and none has more than its share.

    Source: the generic cell rate algorithm, a token bucket that keeps the time at which it would be full again.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._full_at: dict[str, float] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, item: _Waiting) -> bool:
        """Let it wait; return whether there is room for it."""
        namespace = item[0]["metadata"].get("namespace", "")
        if len(self) >= MOST_WAITING or len(self._waiting.get(namespace, ())) >= MOST_OF_A_NAMESPACE:
            return False
        self._waiting.setdefault(namespace, deque()).append(item)
        self._news.set()
        return True

    async def get(self) -> _Waiting:
        """Return the next one, once there is one whose namespace has a share left."""
        while True:
            now = asyncio.get_running_loop().time()
            self._full_at = {namespace: at for namespace, at in self._full_at.items() if at > now}
            pause = {
                namespace: self._full_at.get(namespace, now) - now - BURST / EACH_SECOND for namespace in self._waiting
            }
            namespace = next((one for one, seconds in pause.items() if seconds < _INSTANT), None)
            if namespace is not None:
                self._full_at[namespace] = max(now, self._full_at.get(namespace, now)) + 1 / EACH_SECOND
                return self._take(namespace)
            self._news.clear()
            try:
                async with asyncio.timeout(min(pause.values(), default=None)):
                    await self._news.wait()
            except TimeoutError:
                continue

    def rest(self) -> Iterator[_Waiting]:
        """Yield what waits, whatever the shares; it waits no longer."""
        while self._waiting:
            yield self._take(next(iter(self._waiting)))

    def _take(self, namespace: str) -> _Waiting:
        items = self._waiting.pop(namespace)
        item = items.popleft()
        if items:
            self._waiting[namespace] = items  # At the end: the others have their turn first.
        return item


class Outbox:
    """Posts what it is told; an event that cannot be posted is logged and is no reason to fail anything.

    `is_busy` says whether there is more urgent work than can be done: then it goes slowly. `announcer` is handed what
    of it is told outside of the cluster.
    """

    def __init__(self, cluster: Cluster, is_busy: Callable[[], bool], announcer: Announcer | None = None) -> None:
        self._cluster = cluster
        self._announcer = announcer
        self._is_busy = is_busy
        self._waiting = _Shares()

    def tell(self, about: Mapping[str, Any], events: Iterable[Event]) -> None:
        """Log the events, and have them posted about the object; of it what names it and its version is enough."""
        for event in events:
            say = log.warning if event.type == "Warning" else log.info
            say(event.note, reason=event.reason)
            if self._announcer and event.notice:
                self._announcer.announce(event.notice)
            if not self._waiting.put((about, event)):
                log.warning("event not posted", reason=event.reason, error="too many others wait already")

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
                for about, event in self._waiting.rest():
                    await self._post(about, event)
        except TimeoutError:
            log.warning("events not posted", count=len(self._waiting))
