"""Keys that are due: duplicates merge, a key never runs twice at once, rollbacks have a lane of their own."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from enum import IntEnum

from modelrollout.engine.store import Key


class Lane(IntEnum):
    """Which keys go first."""

    ROLLBACK = 0
    NORMAL = 1


class WorkQueue:
    """An asyncio queue of keys with delays. `time` is monotonic seconds, the event loop's by default.

    A key that becomes due while it runs is run once more afterwards. Of several delays the earliest counts.
    """

    def __init__(self, time: Callable[[], float] | None = None) -> None:
        self._time = time or (lambda: asyncio.get_running_loop().time())
        self._ready: dict[Lane, deque[Key]] = {lane: deque() for lane in Lane}
        self._lanes: dict[Key, Lane] = {}
        self._due_since: dict[Key, float] = {}
        self._running: set[Key] = set()
        self._again: dict[Key, Lane] = {}
        self._delayed: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._tie = itertools.count()
        self._waiting: dict[tuple[Lane, Lane], deque[asyncio.Future[None]]] = {
            (Lane.ROLLBACK, last): deque() for last in Lane
        }
        self._timer: asyncio.TimerHandle | None = None

    def add(self, key: Key, lane: Lane = Lane.NORMAL) -> None:
        """Make the key due now; in the rollback lane it overtakes the others, wherever it stood."""
        self._delayed.pop(key, None)
        if key in self._running:
            self._again[key] = min(lane, self._again.get(key, lane))
        elif key not in self._lanes:
            self._enter(key, lane)
        elif lane < self._lanes[key]:
            self._ready[self._lanes[key]].remove(key)
            since = self._due_since[key]
            self._enter(key, lane)
            self._due_since[key] = since

    def add_after(self, key: Key, seconds: float) -> None:
        """Make the key due in so many seconds, unless it is due earlier anyway."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._time() + seconds
        if key in self._lanes or self._delayed.get(key, due + 1) <= due:
            return
        self._delayed[key] = due
        heapq.heappush(self._heap, (due, next(self._tie), key))
        self._arm()

    def clear(self) -> None:
        """Forget what is due and what is planned; nothing goes off any more until something is added."""
        if self._timer:
            self._timer.cancel()
        self._timer = None
        for lane in self._ready.values():
            lane.clear()
        self._heap.clear()
        for known in (self._delayed, self._due_since):
            known.clear()
        for lanes in (self._lanes, self._again):
            lanes.clear()

    def forget(self, key: Key) -> None:
        """Drop what is planned for the key; a run under way is not disturbed."""
        self._delayed.pop(key, None)
        self._again.pop(key, None)
        if key in self._lanes:
            self._ready[self._lanes.pop(key)].remove(key)
            self._due_since.pop(key, None)

    async def get(self, *, urgent_only: bool = False) -> Key:
        """Wait for a due key and take it: the rollback lane first. The taker must call `done`."""
        lanes = (Lane.ROLLBACK,) if urgent_only else tuple(Lane)
        while not any(self._ready[lane] for lane in lanes):
            await self._news(self._waiting[min(lanes), max(lanes)])
        lane = next(lane for lane in lanes if self._ready[lane])
        key = self._ready[lane].popleft()
        self._running.add(key)
        del self._lanes[key]
        # It may have been woken for another key, of a lane that somebody else has to serve now.
        self._wake()
        return key

    def done(self, key: Key) -> None:
        """Give the key back; if it became due meanwhile, it is ready again."""
        self._running.discard(key)
        self._due_since.pop(key, None)
        lane = self._again.pop(key, None)
        if lane is not None:
            self._delayed.pop(key, None)
            self._enter(key, lane)

    @property
    def depth(self) -> int:
        """How many keys are due and not yet taken."""
        return sum(len(lane) for lane in self._ready.values())

    @property
    def lateness(self) -> float:
        """Seconds that the longest-waiting due key has waited."""
        waiting = [since for key, since in self._due_since.items() if key not in self._running]
        return max(0.0, self._time() - min(waiting)) if waiting else 0.0

    def _enter(self, key: Key, lane: Lane) -> None:
        self._lanes[key] = lane
        self._ready[lane].append(key)
        self._due_since[key] = self._time()
        self._wake()

    async def _news(self, waiting: deque[asyncio.Future[None]]) -> None:
        """Wait until there may be a key. One getter is woken for each: all of them were a third of a look's CPU."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(woken)
        try:
            await woken
        except asyncio.CancelledError:
            if woken in waiting:
                waiting.remove(woken)
            else:
                self._wake()  # Woken and cancelled at once: the key must not be stranded.
            raise

    def _wake(self) -> None:
        """Wake one getter that can take what is ready."""
        lane = next((lane for lane in Lane if self._ready[lane]), None)
        able = [waiting for (_, last), waiting in self._waiting.items() if lane is not None and lane <= last]
        for waiting in able:
            while waiting:
                woken = waiting.popleft()
                if not woken.done():  # Else its getter was cancelled, and has not run since.
                    woken.set_result(None)
                    return

    def _arm(self) -> None:
        """Have the timer go off when the earliest delayed key is due."""
        if self._timer:
            self._timer.cancel()
        while self._heap and self._delayed.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # Overtaken by an earlier time, or by an add.
        self._timer = None
        if self._heap:
            wait = max(0.0, self._heap[0][0] - self._time())
            self._timer = asyncio.get_running_loop().call_later(wait, self._ring)

    def _ring(self) -> None:
        now = self._time()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._delayed.get(key) == due:
                self.add(key)
        self._arm()
