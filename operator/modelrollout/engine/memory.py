"""What a worker remembers of a rollout between passes. All of it can be lost: it only saves work."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from modelrollout.api.status import GateStatus
from modelrollout.core.looking import judged_step, may_end_at
from modelrollout.core.projection import RouteWrite
from modelrollout.core.recall import Recalled
from modelrollout.core.record import Standing
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import Blocked, Route, Routed, Shares
from modelrollout.engine.store import Key

WRITES_UNDONE = 4
CONTEST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Why a record lacks something: that failed so often in a row. `said` is what people are told of it, if anything.

    Before `again_at` it is tried again only where something could grow.
    """

    failures: int
    again_at: datetime
    said: Blocked | None


@dataclass(slots=True)
class Notes:
    """The last look at the metrics, and how often in a row a pass has failed, or met a conflict.

    `unseen` is how long nobody looked at the step, and until which stored look that lasts: until status has it.

    `standing` is where the record stands that is being written; `unwritten` is why it lacks something, if it does,
    `unrecordable` why nothing could grow when it last should have, and `record_failures` how often in a row.

    `recalled` is what the records say of a rollout whose status says nothing of an attempt, `False` before anybody has
    asked them; `recall_failures` is how often in a row that has failed.

    `leave_alone_until` is a time of the event loop: before it the API server asked for no further call.
    `given_back` is the guard of the route as a rollback's own write left it: what was read back with it stands, as long
    as the watch's copy is that one.
    `interrupt` is set when a rollback is asked for: a pass that waits for metrics gives up.
    """

    step: object = None
    gates: tuple[GateStatus, ...] = ()
    looked_at: datetime | None = None
    unseen: tuple[datetime, timedelta] | None = None
    failures: int = 0
    conflicts: int = 0
    leave_alone_until: float = 0.0
    writes_in_a_row: int = 0
    patience_until: datetime | None = None
    written: Shares | None = None
    standing: Standing | None = None
    unwritten: Unwritten | None = None
    unrecordable: Blocked | None = None
    record_failures: int = 0
    recalled: Recalled | Blocked | Literal[False] | None = False
    recall_failures: int = 0
    written_at: tuple[datetime, ...] = ()
    given_back: str | None = None
    interrupt: asyncio.Event = field(default_factory=asyncio.Event)

    def note_write(self, write: RouteWrite | None, route: Route, now: datetime) -> None:
        """Take note of a write of the route, and count it where it found a route that we had written ourselves."""
        self.writes_in_a_row = self.writes_in_a_row + 1 if write else 0
        if write is None or not isinstance(route, Routed):
            return
        earlier = self.written_at if write.shares == self.written else ()
        self.written, self.written_at = write.shares, (*earlier, now)[-WRITES_UNDONE:]

    def is_contested(self, now: datetime) -> bool:
        """Whether the same shares had to be written again and again, though nobody else's name is on the route."""
        return len(self.written_at) == WRITES_UNDONE and now - self.written_at[0] <= CONTEST


@dataclass(slots=True)
class Memory:
    """Notes by uid."""

    _notes: dict[Key, Notes] = field(default_factory=dict)

    def of(self, rollout: Rollout) -> Notes:
        """Return the notes of a rollout; those of an earlier step are void."""
        notes = self._notes.setdefault(rollout.uid, Notes())
        attempt = rollout.status.attempt
        step = (attempt.number, attempt.stage, attempt.step, attempt.applied_at, attempt.plan) if attempt else None
        if notes.step != step:
            notes.step, notes.gates, notes.looked_at, notes.unseen = step, (), None, None
        return notes

    def interrupt(self, key: Key) -> None:
        """Have a pass of this rollout that waits for metrics give up."""
        if notes := self._notes.get(key):
            notes.interrupt.set()

    def is_back(self, key: Key) -> bool:
        """Return whether this rollout's rollback is on its route already, and only has to be written down."""
        notes = self._notes.get(key)
        return notes is not None and notes.given_back is not None

    def failed(self, key: Key) -> int:
        """Count a failed pass; return how many there have been in a row."""
        notes = self._notes.setdefault(key, Notes())
        notes.failures += 1
        return notes.failures

    def leave_alone(self, key: Key, until: float) -> None:
        """Remember that the API server asked for a pause."""
        self._notes.setdefault(key, Notes()).leave_alone_until = until

    def pause_of(self, key: Key, time: float) -> float:
        """Return the seconds that are left of it."""
        notes = self._notes.get(key)
        return max(0.0, notes.leave_alone_until - time) if notes else 0.0

    def conflicted(self, key: Key) -> int:
        """Count a pass that met a conflict; return how many there have been in a row."""
        notes = self._notes.setdefault(key, Notes())
        notes.conflicts += 1
        return notes.conflicts

    def succeeded(self, key: Key) -> None:
        """Forget the failures."""
        if notes := self._notes.get(key):
            notes.failures = notes.conflicts = 0

    def drop(self, key: Key) -> None:
        """Forget the rollout."""
        self._notes.pop(key, None)


def next_look(rollout: Rollout, notes: Notes, now: datetime) -> datetime | None:
    """Return when the metrics have to be looked at next, `None` while no step is being judged.

    The end of a step's minimum time, or of its waiting at a person's word, is looked at at once, not up to an interval later.
    """
    found = judged_step(rollout)
    if found is None:
        return None
    attempt, step, _, policy = found
    end = may_end_at(attempt, step, attempt.blind_for or timedelta(0))
    # A look of the future was made before the clock was set back.
    if notes.looked_at is None or end is None or notes.looked_at > now:
        return now
    regular = notes.looked_at + policy.interval
    least = notes.looked_at + min(policy.interval, timedelta(seconds=1))
    return min(regular, max(end, least)) if notes.looked_at < end else regular
