"""Keys that are due: duplicates merge, a key never runs twice at once, rollbacks have a lane of their own.

Within a lane groups (namespaces) take turns, and none may run more than its limit at once: whatever one of them does,
the others' keys wait for a turn, not for its end.
"""

import asyncio
import heapq
import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import partial

from modelrollout.engine.store import Key


class Lane(IntEnum):
    """Which keys go first. `AFTER` is for what is left to write down when a rollback's traffic is back."""

    ROLLBACK = 0
    NORMAL = 1
    AFTER = 2


URGENT_ONLY = (Lane.ROLLBACK,)
AFTERWARDS_ONLY = (Lane.AFTER,)
ALL_LANES = tuple(Lane)


def _one_group(key: Key) -> str:
    del key
    return ""


class WorkQueue:
    """An asyncio queue of keys with delays. `time` is monotonic seconds, the event loop's by default.

    A key that becomes due while it runs is run once more afterwards. Of several delays the earliest counts.
    `group_of` says whose a key is, and `most` how many keys of one group may run at once out of each lane; without
    them all are one group without limit. `busy_at` is how many may run out of the other lanes before what is for
    afterwards is left to those who take nothing else.
    """

    def __init__(
        self,
        time: Callable[[], float] | None = None,
        *,
        group_of: Callable[[Key], str] = _one_group,
        most: Mapping[Lane, int] | None = None,
        busy_at: int | None = None,
    ) -> None:
        self._time = time or (lambda: asyncio.get_running_loop().time())
        self._group_of = group_of
        self._most = dict(most or {})
        self._busy_at = busy_at
        self._ready: dict[Lane, _Turns] = {lane: _Turns() for lane in Lane}
        self._runs: dict[Key, tuple[Lane, str]] = {}
        self._run_by: Counter[tuple[Lane, str]] = Counter()
        self._lanes: dict[Key, Lane] = {}
        self._due_since: dict[Key, float] = {}
        self._running: set[Key] = set()
        self._again: dict[Key, Lane] = {}
        self._delayed: dict[Key, float] = {}
        self._delayed_lanes: dict[Key, Lane] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._tie = itertools.count()
        self._waiting: dict[tuple[Lane, ...], deque[asyncio.Future[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def add(self, key: Key, lane: Lane = Lane.NORMAL) -> None:
        """Make the key due now; in the rollback lane it overtakes the others, wherever it stood."""
        self._delayed.pop(key, None)
        self._delayed_lanes.pop(key, None)
        if key in self._running:
            self._again[key] = min(lane, self._again.get(key, lane))
        elif key not in self._lanes:
            self._enter(key, lane)
        elif lane < self._lanes[key]:
            self._ready[self._lanes[key]].remove(key)
            since = self._due_since[key]
            self._enter(key, lane)
            self._due_since[key] = since

    def add_after(self, key: Key, seconds: float, lane: Lane = Lane.NORMAL) -> None:
        """Make the key due in so many seconds, in a lane, unless it is due earlier anyway."""
        if seconds <= 0:
            self.add(key, lane)
            return
        due = self._time() + seconds
        if key in self._lanes or self._delayed.get(key, due + 1) <= due:
            return
        self._delayed[key] = due
        self._delayed_lanes[key] = lane
        heapq.heappush(self._heap, (due, next(self._tie), key))
        self._arm()

    def clear(self) -> None:
        """Forget what is due and what is planned; nothing goes off any more until something is added."""
        if self._timer:
            self._timer.cancel()
        self._timer = None
        self._ready = {lane: _Turns() for lane in Lane}
        self._heap.clear()
        self._delayed.clear()
        self._delayed_lanes.clear()
        self._lanes.clear()
        self._due_since.clear()
        self._again.clear()

    def forget(self, key: Key) -> None:
        """Drop what is planned for the key; a run under way is not disturbed."""
        self._delayed.pop(key, None)
        self._delayed_lanes.pop(key, None)
        self._again.pop(key, None)
        if key in self._lanes:
            self._ready[self._lanes.pop(key)].remove(key)
            self._due_since.pop(key, None)

    async def get(self, lanes: tuple[Lane, ...] = ALL_LANES) -> Key:
        """Wait for a due key of these lanes and take it, out of the first lane that has one. The taker must call `done`."""
        while (found := self._take(lanes)) is None:
            await self._news(self._waiting.setdefault(lanes, deque()))
        self._wake()  # It may have been woken for another key, which somebody else has to take now.
        return found

    def done(self, key: Key) -> None:
        """Give the key back; if it became due meanwhile, it is ready again."""
        self._running.discard(key)
        if run := self._runs.pop(key, None):
            self._run_by[run] -= 1
            if not self._run_by[run]:
                del self._run_by[run]
            self._wake()  # A getter may wait for this group to be below its limit.
        self._due_since.pop(key, None)
        lane = self._again.pop(key, None)
        if lane is not None:
            self._delayed.pop(key, None)
            self._delayed_lanes.pop(key, None)
            self._enter(key, lane)

    @property
    def depth(self) -> int:
        """How many keys are due and not yet taken."""
        return sum(len(lane) for lane in self._ready.values())

    @property
    def is_behind(self) -> bool:
        """Whether there is more to do than can be done, not counting what is for afterwards: keys wait or many run.

        Many at once do not run, but wait for an API server or a source of metrics that is late already.
        """
        return self._is_busy or any(self._ready[lane] for lane in Lane if lane is not Lane.AFTER)

    @property
    def _is_busy(self) -> bool:
        return self._busy_at is not None and self._busy_at <= sum(
            lane is not Lane.AFTER for lane, _ in self._runs.values()
        )

    @property
    def lateness(self) -> float:
        """Seconds that the longest-waiting due key has waited."""
        waiting = [since for key, since in self._due_since.items() if key not in self._running]
        return max(0.0, self._time() - min(waiting)) if waiting else 0.0

    def _take(self, lanes: tuple[Lane, ...]) -> Key | None:
        for lane in lanes:
            if lane is Lane.AFTER and lanes != AFTERWARDS_ONLY and self._is_busy:
                continue
            if found := self._ready[lane].take(partial(self._is_full, lane)):
                key, group = found
                self._running.add(key)
                self._runs[key] = lane, group
                self._run_by[lane, group] += 1
                del self._lanes[key]
                return key
        return None

    def _is_full(self, lane: Lane, group: str) -> bool:
        most = self._most.get(lane)
        return most is not None and self._run_by[lane, group] >= most

    def _enter(self, key: Key, lane: Lane) -> None:
        self._lanes[key] = lane
        self._ready[lane].append(key, self._group_of(key))
        self._due_since[key] = self._time()
        self._wake()

    async def _news(self, waiting: deque[asyncio.Future[None]]) -> None:
        """Wait until there may be a key to take. All getters at once were a third of a look's CPU."""
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
        """Of the getters that wait for the same lanes wake one, if there may be a key for them."""
        for lanes, waiting in self._waiting.items():
            is_any = any(self._ready[lane] for lane in lanes)
            while is_any and waiting:
                woken = waiting.popleft()
                if not woken.done():  # Else its getter was cancelled, and has not run since.
                    woken.set_result(None)
                    break

    def _arm(self) -> None:
        """Have the timer go off when the earliest delayed key is due."""
        while self._heap and self._delayed.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # Overtaken by an earlier time, or by an add.
        if self._timer and self._heap and self._rings_at == self._heap[0][0]:
            return
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if self._heap:
            self._rings_at = self._heap[0][0]
            wait = max(0.0, self._rings_at - self._time())
            self._timer = asyncio.get_running_loop().call_later(wait, self._ring)

    def _ring(self) -> None:
        now, self._timer = self._time(), None
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._delayed.get(key) == due:
                self.add(key, self._delayed_lanes[key])
        self._arm()


class _Turns:
    """Keys in order of arrival within each group; groups take turns."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, deque[Key]] = OrderedDict()
        self._groups: dict[Key, str] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def append(self, key: Key, group: str) -> None:
        """Let the key wait behind the others of its group."""
        self._groups[key] = group
        self._keys.setdefault(group, deque()).append(key)

    def remove(self, key: Key) -> None:
        """Take the key out, wherever it stands."""
        group = self._groups.pop(key)
        self._keys[group].remove(key)
        if not self._keys[group]:
            del self._keys[group]

    def take(self, is_full: Callable[[str], bool]) -> tuple[Key, str] | None:
        """Return the next key and its group, out of the groups that are not full; `None` where there is none.

        Few groups can be full, as it takes so many workers for each: the search is short.
        """
        group = next((group for group in self._keys if not is_full(group)), None)
        if group is None:
            return None
        key = self._keys[group].popleft()
        del self._groups[key]
        if self._keys[group]:
            self._keys.move_to_end(group)
        else:
            del self._keys[group]
        return key, group
