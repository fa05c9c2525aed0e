"""What people are told with `kubectl describe`: the transitions between two statuses."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from modelrollout.api.options import GateEffect
from modelrollout.api.rollout import Owner
from modelrollout.api.status import Attempt, Condition, GateStatus, ModelRolloutStatus, Outcome, Verdict
from modelrollout.core.actors import actor_text
from modelrollout.core.case import Case
from modelrollout.core.gates import is_lost
from modelrollout.core.notices import Notice, notice_of
from modelrollout.core.rollout import Rollout
from modelrollout.core.verbs import Go, Verb
from modelrollout.core.wording import version_text

LONGEST_NOTE = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a rollout; posted on transitions only.

    `reason` and `action` are CamelCase words, `note` is a sentence of at most 1,000 characters. `owner` answers for the
    rollout, `None` where that is not known. `notice` is what is told of it outside of the cluster, if anything is.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    note: str
    owner: Owner | None = None
    notice: Notice | None = None


def events_between(before: Case, after: Case, verb: Verb) -> tuple[Event, ...]:
    """Return what happened from one status to the next, with numbers; bad news with whom to call, and the runbook."""
    old, new = before.status, after.status
    found = [
        *_commands(old, new),
        *_ignored(before),
        *_attempt(old.attempt, new.attempt, verb),
        *_safety(old, new),
        *_conditions(old, new),
    ]
    return tuple(completed(event, after.rollout, after.now) for event in found)


def completed(event: Event, rollout: Rollout, at: datetime, *, repeats: bool = False) -> Event:
    """Return the event with what is told of it elsewhere, and with who answers for the rollout.

    Bad news also says so in its note, and what to do. `rollout` is as it is afterwards; what `repeats` happens again at
    each try.
    """
    notice = notice_of(event.reason, event.note, rollout, at, repeats=repeats)
    owner = rollout.spec.owner if rollout.spec else None
    tail = ""
    if owner and event.type == "Warning":
        contact = f" ({owner.contact})" if owner.contact else ""
        parts = [f" Owner: {owner.team}{contact}."]
        if owner.runbook_url and owner.runbook_url not in event.note:
            parts.append(f" Runbook: {owner.runbook_url}")
        for part in parts:  # A part of an address is of no use, and what has happened is.
            tail += part if len(tail + part) <= LONGEST_NOTE // 2 else ""
    return replace(event, note=event.note[: LONGEST_NOTE - len(tail)] + tail, owner=owner, notice=notice)


def _commands(old: ModelRolloutStatus, new: ModelRolloutStatus) -> Iterator[Event]:
    for handled in new.commands:
        if handled not in old.commands:
            why = f" ({handled.reason})" if handled.reason else ""
            note = f"control.{handled.command} by {actor_text(handled)}{why}: {handled.result}"
            yield Event("Normal", "CommandHandled", handled.command.capitalize(), note)


def _ignored(before: Case) -> Iterator[Event]:
    for part in before.rollout.ignored:
        note = (
            f"status.{part} could not be read and was dropped; the operator writes status, people only status.control"
        )
        yield Event("Warning", "StatusIgnored", "Read", note)


def _attempt(old: Attempt | None, new: Attempt | None, verb: Verb) -> Iterator[Event]:
    if new is None:
        return
    known = old if old and old.number == new.number else None
    name = new.candidate.version
    if known is None:
        base = new.baseline.version if new.baseline else "nothing"
        yield Event(
            "Normal", "AttemptStarted", "Start", f"attempt {new.number}: {name} on top of {base}, stage {new.stage}"
        )
    elif (known.stage, known.step, known.step_started_at) != (new.stage, new.step, new.step_started_at):
        note = verb.message if isinstance(verb, Go) else f"stage {new.stage}, step {new.step}"
        yield Event("Normal", "StepStarted", "Promote", note)
    if new.drill and new.drill.took is not None and not (known and known.drill == new.drill):
        took = f"the way back took {new.drill.took.total_seconds():.2f}s to reach the route"
        yield (
            Event("Normal", "RollbackRehearsed", "Drill", took)
            if new.drill.ok
            else Event("Warning", "DrillFailed", "Drill", f"{took}, which is too slow")
        )
    yield from _gates(known, new)
    for one in new.overrides:
        if not (known and one in known.overrides):
            who, why = f" by {one.requested_by}" if one.requested_by else "", f": {one.reason}" if one.reason else ""
            note = f"gates of stage {one.stage} overridden{who}{why}. They said: {one.gates}"
            yield Event("Warning", "GatesOverridden", "Promote", note)
    if new.rollback and not (known and known.rollback):
        note = f"{version_text(new)}: {new.rollback.cause}: {new.rollback.message}"
        yield Event("Warning", "RollingBack", "RollBack", note)
    if new.outcome and not (known and known.outcome):
        yield _outcome(new, new.outcome)
    if new.drain and new.drain.idle_since and not (known and known.drain and known.drain.idle_since):
        since = f"{new.drain.idle_since:%Y-%m-%d %H:%M:%S} UTC"
        yield Event("Normal", "CandidateIdle", "Drain", f"version {name} has been idle since {since}: its pods may go")


def _gates(known: Attempt | None, new: Attempt) -> Iterator[Event]:
    before = {gate.name: gate for gate in known.gates} if known else {}
    for gate in new.gates:
        was = before.get(gate.name)
        if was and (was.verdict, is_lost(was)) == (gate.verdict, is_lost(gate)):
            continue
        note = f"gate {gate.name} in stage {new.stage}: {gate.message}"
        if gate.effect is GateEffect.RECORDS:
            yield from _dry_run(gate, note)
        elif gate.verdict is Verdict.FAIL:
            yield Event("Warning", "GateWarns" if gate.effect is GateEffect.WARNS else "GateFailed", "Judge", note)
        elif is_lost(gate):
            yield Event("Warning", "GateUnknown", "Judge", f"{note} ({gate.reason})")
        elif gate.verdict is Verdict.PASS:
            yield Event("Normal", "GatePassed", "Judge", note)


def _dry_run(gate: GateStatus, note: str) -> Iterator[Event]:
    if gate.verdict is Verdict.FAIL:
        yield Event("Normal", "GateWouldFail", "Judge", f"{note} (a dry run)")


def _outcome(attempt: Attempt, outcome: Outcome) -> Event:
    name = attempt.candidate.version
    match outcome:
        case Outcome.PROMOTED:
            return Event("Normal", "Promoted", "Promote", f"version {name} now serves")
        case Outcome.SUPERSEDED:
            return Event("Normal", "Superseded", "RollBack", f"version {name} gave way to a newer candidate")
        case Outcome.ROLLED_BACK:
            took = attempt.ended_at - attempt.rollback.since if attempt.ended_at and attempt.rollback else None
            spent = f" in {took.total_seconds():.2f}s" if took else ""
            base = attempt.baseline.version if attempt.baseline else "the baseline"
            why = f"; {attempt.rollback.cause}: {attempt.rollback.message}" if attempt.rollback else ""
            note = f"{version_text(attempt)} has no traffic any more, {base} serves{spent}{why}"
            return Event("Warning", "RolledBack", "RollBack", note)


def _safety(old: ModelRolloutStatus, new: ModelRolloutStatus) -> Iterator[Event]:
    stop = new.safety_stop
    if stop and stop != old.safety_stop:
        note = f"version {stop.version} failed safety gate {stop.gate}: {stop.message}; no candidate begins before"
        yield Event("Warning", "SafetyStop", "RollBack", f"{note} control.retry")


def _conditions(old: ModelRolloutStatus, new: ModelRolloutStatus) -> Iterator[Event]:
    was, now = _stated(old, "RouteInSync"), _stated(new, "RouteInSync")
    if now and now.reason == "ConcurrentWriter" and not (was and was.reason == now.reason):
        yield Event("Warning", "ConcurrentWriter", "Write", now.message)
    was, now = _stated(old, "Recorded"), _stated(new, "Recorded")
    if now and now.status == "False" and not (was and (was.status, was.reason) == ("False", now.reason)):
        yield Event("Warning", "RecordNotWritten", "Record", f"{now.reason}: {now.message}")
    elif was and now and was.status == "False" and now.status == "True":
        yield Event("Normal", "RecordWritten", "Record", "the record says again what has been")
    ends = new.attempt is not None and new.attempt.rollback is not None
    for kind, reason, over in (("Held", "Held", "HoldOver"), ("Stalled", "Stalled", "StallOver")):
        was, now = _true(old, kind), _true(new, kind)
        if now and (was is None or was.reason != now.reason) and now.reason != "RolledBack":
            yield Event("Warning", reason, "Hold", f"{now.reason}: {now.message}")
        elif was and now is None and was.reason != "RolledBack" and not ends:
            yield Event("Normal", over, "Hold", f"no longer {reason.lower()} for {was.reason}")


def _stated(status: ModelRolloutStatus, kind: str) -> Condition | None:
    return next((c for c in status.conditions if c.type == kind), None)


def _true(status: ModelRolloutStatus, kind: str) -> Condition | None:
    found = _stated(status, kind)
    return found if found and found.status == "True" else None
