"""Reads the records of a rollout whose status says nothing of an attempt: it may have been lost."""

import asyncio
from datetime import datetime, timedelta

import structlog

from modelrollout.core.case import is_urgent
from modelrollout.core.events import Event, completed
from modelrollout.core.recall import Recalled, attempts_newest_first, recall
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import Blocked
from modelrollout.engine.memory import Notes
from modelrollout.engine.ports import Gone, Records, Refused, Unavailable

log = structlog.get_logger(__name__)

TRIES_BEFORE_A_HOLD = 3
PATIENCE_OF_A_ROLLBACK = timedelta(seconds=1)
"""A rollback waits so long for the record, which knows what to go back to; then it goes back to spec.baseline."""


class Recollection:
    """Finds out what status has lost. It asks once for each rollout without an attempt, and remembers the answer."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def of(self, rollout: Rollout, notes: Notes, now: datetime) -> Recalled | Blocked | None:
        """Return what the records say, `None` where no attempt ever began, and why that cannot be known.

        Raises:
            Gone: the namespace is ending.
            Unavailable: the records cannot be read now; when that has lasted a while it is Blocked instead.
        """
        if rollout.status.attempt is not None:
            notes.recalled, notes.recall_failures = False, 0
            return None
        if notes.recalled is not False:
            return notes.recalled
        if is_urgent(rollout):
            return await self._in_a_hurry(rollout, now)
        try:
            notes.recalled = await self._ask(rollout, now)
        except (Refused, Unavailable) as error:
            notes.recall_failures += 1
            if isinstance(error, Unavailable) and notes.recall_failures < TRIES_BEFORE_A_HOLD:
                raise
            return _unknown(error)
        if isinstance(notes.recalled, Blocked):
            found, notes.recalled = notes.recalled, False  # Somebody may mend it.
            return found
        return notes.recalled

    async def _in_a_hurry(self, rollout: Rollout, now: datetime) -> Recalled | None:
        try:
            async with asyncio.timeout(PATIENCE_OF_A_ROLLBACK.total_seconds()):
                found = await self._ask(rollout, now)
        except (Gone, Refused, Unavailable, TimeoutError) as error:
            log.warning("rolls back without having looked for a record", error=str(error))
            return None
        return found if isinstance(found, Recalled) else None

    async def _ask(self, rollout: Rollout, now: datetime) -> Recalled | Blocked | None:
        """Return what the newest attempt's records say that tell of any traffic."""
        names = await self._records.record_names(rollout.namespace, rollout.uid)
        for parts in attempts_newest_first(names):
            try:
                records = [await self._records.get_record(rollout.namespace, name) for name in parts]
            except Gone as error:  # Taken away in this very moment.
                raise Unavailable(f"a record has gone while it was read: {error}") from error
            if found := recall(rollout, records, now):
                return found
        return None


def recalled_event(rollout: Rollout, at: datetime) -> Event:
    """Return what people are told of a status that was lost. `rollout` is as its records have it."""
    attempt = rollout.status.attempt
    note = "status was lost"
    if attempt:
        where = attempt.outcome or f"stage {attempt.stage}, step {attempt.step}"
        note += f": attempt {attempt.number} of {attempt.candidate.version} ({where}) is taken from record {attempt.record} again"
    return completed(Event("Warning", "StatusRecalled", "Read", note), rollout, at)


def _unknown(error: Refused | Unavailable) -> Blocked:
    remedy = "see to that" if isinstance(error, Refused) else "it goes on by itself when they can be read"
    return Blocked(
        "RecordUnavailable",
        "status says nothing of an attempt, and the records, which know whether it has lost one, cannot be read:"
        f" {error}; {remedy}. control.rollback works",
    )
