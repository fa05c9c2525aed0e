"""When a pass writes its record: before a growth, which may not be without one, and after a rollback, which never waits."""

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from modelrollout.api.status import HeldStatus
from modelrollout.core.case import Case
from modelrollout.core.decide import decide
from modelrollout.core.projection import Decision
from modelrollout.core.record import grows
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import Blocked
from modelrollout.engine.memory import Notes, Unwritten
from modelrollout.engine.ports import Conflict, Gone, Refused, Telemetry, Unavailable
from modelrollout.engine.recorder import TRIES_BEFORE_A_HOLD, Recorder, hold_for
from modelrollout.engine.store import Store

log = structlog.get_logger(__name__)

SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(seconds=30)
_Problem = Conflict | Gone | Refused | Unavailable
_OUTCOMES: dict[type[Exception], str] = {
    Conflict: "conflict",
    Gone: "gone",
    Refused: "refused",
    Unavailable: "unavailable",
}


class Accounts:
    """Has the recorder do its part of a pass, and says what follows where it cannot."""

    def __init__(self, recorder: Recorder, store: Store, telemetry: Telemetry) -> None:
        self._recorder = recorder
        self._store = store
        self._telemetry = telemetry

    async def allow(self, case: Case, decision: Decision, notes: Notes, seen_at: datetime) -> Decision:
        """Have the record say what is seen and what will grow; return the decision that this allows.

        Raises:
            Conflict: somebody else writes the record, or the rollout is no longer what was decided on.
            Gone: the namespace is ending.
            Refused: the rollout cannot be confirmed.
            Unavailable: nothing can grow now; when that has lasted a while it is a hold instead.
        """
        case, decision, problem = await self._catch_up(case, decision, notes, seen_at)
        if not grows(case, decision.verb, decision.write.shares if decision.write else None):
            if case.seen.looked:
                notes.unrecordable = None
            return _held(case, notes) if notes.unrecordable else decision
        # The record is not to blame for what this says: it puts the pass off, as a status that cannot be written does.
        if confirmed := await self._recorder.confirm(case.rollout, decision):
            self._store.put(confirmed)
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

    async def _catch_up(
        self, case: Case, decision: Decision, notes: Notes, seen_at: datetime
    ) -> tuple[Case, Decision, _Problem | None]:
        """Have the record say what is seen; return what is decided now that it does, or why it does not."""
        is_early = notes.unwritten is not None and case.now < notes.unwritten.again_at
        problem: _Problem | None = None
        if case.seen.recorded is not None:
            self._note(notes, None, case.now)
        elif not is_early or grows(case, decision.verb, decision.write.shares if decision.write else None):
            try:
                mark = await self._recorder.catch_up(case.rollout, case.seen, notes, seen_at)
            except (Gone, Refused, Unavailable) as error:
                problem = error
            else:
                case = replace(case, seen=replace(case.seen, recorded=mark))
                decision = decide(case) if mark else decision
            self._note(notes, problem, case.now)
        said = notes.unwritten.said if notes.unwritten else None
        if said != case.seen.unwritten:
            case = replace(case, seen=replace(case.seen, unwritten=said))
            decision = decide(case)
        return case, decision, problem

    async def fill_in(self, case: Case, notes: Notes, seen_at: datetime, stands: Rollout) -> None:
        """Have the record say what was seen before a rollback's pass, and how its attempt has ended by now."""
        problem: _Problem | None = None
        try:
            await self._recorder.catch_up(case.rollout, case.seen, notes, seen_at, ended=stands.status.attempt)
        except (Conflict, Gone, Refused, Unavailable) as error:
            problem = error
        self._note(notes, problem, case.now)

    def _note(self, notes: Notes, problem: _Problem | None, now: datetime) -> None:
        """Remember why the record lacks something, say so once, and count each time."""
        if problem is None:
            if notes.unwritten:
                log.info("record written again")
            notes.unwritten = None
            return
        if notes.unwritten is None:
            log.warning("record not written", error=str(problem))
        self._telemetry.record_failed(_OUTCOMES[type(problem)])
        failures = notes.unwritten.failures + 1 if notes.unwritten else 1
        pause = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** min(failures - 1, 10))
        notes.unwritten = Unwritten(failures, now + pause, _said(problem, failures))

    async def note_hold(self, case: Case, held: HeldStatus | None, notes: Notes, seen_at: datetime) -> None:
        """Have the record say that a person holds the attempt, or no longer does; it has happened in any case."""
        try:
            await self._recorder.note_hold(case.rollout, case.seen, held, notes, seen_at)
        except (Conflict, Gone, Refused, Unavailable) as error:
            log.warning("hold not recorded", error=str(error))


def _held(case: Case, notes: Notes) -> Decision:
    """Return the decision where nothing may grow."""
    return decide(replace(case, seen=replace(case.seen, unrecordable=notes.unrecordable)))


def _said(problem: _Problem, failures: int) -> Blocked | None:
    """Return what people are told, `None` where it is worth a few tries first."""
    tail = "Traffic is not touched by that, and no weight grows without a record; control.rollback works"
    if isinstance(problem, Refused):
        return Blocked(
            "RecordRefused",
            f"the API server refuses what the record of this attempt should say: {problem}. See to that, the operator"
            f" tries again every {LONGEST_PAUSE.seconds} s. {tail}",
        )
    if failures < TRIES_BEFORE_A_HOLD:
        return None
    return Blocked(
        "RecordUnavailable",
        f"the record of this attempt lacks what has been, since it cannot be written: {problem}. It is written down when"
        f" it can be. {tail}",
    )
