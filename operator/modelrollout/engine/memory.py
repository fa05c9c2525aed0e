"""What a worker remembers of a rollout between passes. All of it can be lost: it only saves work."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelrollout.api.status import GateStatus
from modelrollout.core.looking import judged_step
from modelrollout.core.rollout import Rollout
from modelrollout.engine.store import Key


@dataclass(slots=True)
class Notes:
    """The last look at the metrics, and how often in a row a pass has failed, or met a conflict.

    `interrupt` is set when a rollback is asked for: a pass that waits for metrics gives up.
    """

    step: object = None
    gates: tuple[GateStatus, ...] = ()
    looked_at: datetime | None = None
    failures: int = 0
    conflicts: int = 0
    writes_in_a_row: int = 0
    interrupt: asyncio.Event = field(default_factory=asyncio.Event)


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
            notes.step, notes.gates, notes.looked_at = step, (), None
        return notes

    def interrupt(self, key: Key) -> None:
        """Have a pass of this rollout that waits for metrics give up."""
        if notes := self._notes.get(key):
            notes.interrupt.set()

    def failed(self, key: Key) -> int:
        """Count a failed pass; return how many there have been in a row."""
        notes = self._notes.setdefault(key, Notes())
        notes.failures += 1
        return notes.failures

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

    The end of a step's minimum time is looked at at once, not up to an interval later.
    """
    found = judged_step(rollout)
    if found is None:
        return None
    attempt, step, _, policy = found
    if notes.looked_at is None or attempt.applied_at is None:
        return now
    regular = notes.looked_at + policy.interval
    end = attempt.applied_at + step.min_duration
    least = notes.looked_at + min(policy.interval, timedelta(seconds=1))
    return min(regular, max(end, least)) if notes.looked_at < end else regular
