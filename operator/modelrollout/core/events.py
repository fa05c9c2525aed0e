"""What people are told with `kubectl describe`: the transitions between two statuses."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from modelrollout.api.options import GateEffect
from modelrollout.api.status import Attempt, Condition, GateStatus, ModelRolloutStatus, Outcome, Verdict
from modelrollout.core.actors import actor_text
from modelrollout.core.case import Case
from modelrollout.core.gates import is_lost
from modelrollout.core.verbs import Go, Verb

LONGEST_NOTE = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a rollout; posted on transitions only.

    `reason` and `action` are CamelCase words, `note` is a sentence of at most 1,000 characters.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    note: str


def events_between(before: Case, after: Case, verb: Verb) -> tuple[Event, ...]:
    """Return what happened from one status to the next, with numbers, and the runbook on what is bad news."""
    old, new = before.status, after.status
    runbook = before.rollout.spec.owner.runbook_url if before.rollout.spec else None
    found = [*_commands(old, new), *_ignored(before), *_attempt(old.attempt, new.attempt, verb), *_conditions(old, new)]
    return tuple(_finished(event, runbook) for event in found)


def _finished(event: Event, runbook: str | None) -> Event:
    tail = f" Runbook: {runbook}" if runbook and event.type == "Warning" and runbook not in event.note else ""
    if len(tail) > LONGEST_NOTE // 2:  # A part of an address is of no use, and what has happened is.
        tail = ""
    return Event(event.type, event.reason, event.action, event.note[: LONGEST_NOTE - len(tail)] + tail)


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
    yield from _gates(known, new)
    if new.rollback and not (known and known.rollback):
        yield Event("Warning", "RollingBack", "RollBack", f"{new.rollback.cause}: {new.rollback.message}")
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
            note = (
                f"version {name} (digest {attempt.candidate.digest}) has no traffic any more, {base} serves{spent}{why}"
            )
            return Event("Warning", "RolledBack", "RollBack", note)


def _conditions(old: ModelRolloutStatus, new: ModelRolloutStatus) -> Iterator[Event]:
    was, now = _stated(old, "RouteInSync"), _stated(new, "RouteInSync")
    if now and now.reason == "ConcurrentWriter" and not (was and was.reason == now.reason):
        yield Event("Warning", "ConcurrentWriter", "Write", now.message)
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
