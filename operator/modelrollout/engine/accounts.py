"""When a pass writes its record: before a growth, which may not be without one, and after a rollback, which never waits."""

from dataclasses import replace
from datetime import datetime

import structlog

from modelrollout.api.status import HeldStatus
from modelrollout.core.case import Case
from modelrollout.core.decide import decide
from modelrollout.core.projection import Decision
from modelrollout.core.record import grows
from modelrollout.core.rollout import Rollout
from modelrollout.engine.memory import Notes
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable
from modelrollout.engine.recorder import Recorder, hold_for

log = structlog.get_logger(__name__)


class Accounts:
    """Has the recorder do its part of a pass, and says what follows where it cannot."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def allow(self, case: Case, decision: Decision, notes: Notes, seen_at: datetime) -> Decision:
        """Have the record say what is seen and what will grow; return the decision that this allows.

        Raises:
            Conflict: somebody else writes the record.
            Gone: the namespace is ending.
            Unavailable: nothing can grow now; when that has lasted a while it is a hold instead.
        """
        problem: Exception | None = None
        if case.seen.recorded is None:
            try:
                mark = await self._recorder.catch_up(case.rollout, case.seen, notes, seen_at)
            except (Gone, Refused, Unavailable) as error:
                problem = error
            else:
                case = replace(case, seen=replace(case.seen, recorded=mark))
                decision = decide(case) if mark else decision
        _note_problem(notes, problem)
        if not grows(case, decision.verb, decision.write.shares if decision.write else None):
            if case.seen.looked:
                notes.unrecordable = None
            return _held(case, notes) if notes.unrecordable else decision
        try:
            if problem:
                raise problem
            await self._recorder.announce(case, decision, notes)
        except (Refused, Unavailable) as error:
            notes.record_failures += 1
            notes.unrecordable = hold_for(error, notes.record_failures)
            if notes.unrecordable is None:
                raise
            return _held(case, notes)
        notes.unrecordable, notes.record_failures = None, 0
        return decision

    async def fill_in(self, case: Case, notes: Notes, seen_at: datetime, stands: Rollout) -> None:
        """Have the record say what was seen before a rollback's pass, and how its attempt has ended by now."""
        problem: Exception | None = None
        try:
            await self._recorder.catch_up(case.rollout, case.seen, notes, seen_at, ended=stands.status.attempt)
        except (Conflict, Gone, Refused, Unavailable) as error:
            problem = error
        _note_problem(notes, problem)

    async def note_hold(self, case: Case, held: HeldStatus | None, notes: Notes, seen_at: datetime) -> None:
        """Have the record say that a person holds the attempt, or no longer does; it has happened in any case."""
        try:
            await self._recorder.note_hold(case.rollout, case.seen, held, notes, seen_at)
        except (Conflict, Gone, Refused, Unavailable) as error:
            log.warning("hold not recorded", error=str(error))


def _held(case: Case, notes: Notes) -> Decision:
    """Return the decision where nothing may grow."""
    return decide(replace(case, seen=replace(case.seen, unrecordable=notes.unrecordable)))


def _note_problem(notes: Notes, problem: Exception | None) -> None:
    """Remember why the record lacks something, and say so once."""
    if problem and not notes.unrecorded:
        log.warning("record not written", error=str(problem))
    elif notes.unrecorded and not problem:
        log.info("record written again")
    notes.unrecorded = str(problem) if problem else ""
