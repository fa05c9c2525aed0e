"""The contract for machines: what kstatus, Argo CD and Flux read of a rollout."""

from dataclasses import dataclass
from typing import Literal

from modelrollout.api.fields import render_duration
from modelrollout.api.status import Condition, Outcome
from modelrollout.core.case import Case
from modelrollout.core.drain import drain_text
from modelrollout.core.effects import acts
from modelrollout.core.gates import is_lost
from modelrollout.core.traffic import Blocked, Endpoints, Foreign, Routed, Unmanaged
from modelrollout.core.verbs import (
    Begin,
    Drill,
    Finish,
    Go,
    Hold,
    Promote,
    Recognize,
    Rest,
    Restore,
    RollBack,
    Stall,
    Verb,
    Wait,
)
from modelrollout.core.wording import version_text


@dataclass(frozen=True, slots=True)
class _Statement:
    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def conditions_of(case: Case, verb: Verb) -> list[Condition]:
    """Return all conditions, each with the time of its last change.

    Never both Reconciling and Stalled: kstatus takes the first one that it finds.
    """
    known = {condition.type: condition for condition in case.status.conditions}
    statements = [*_progress(case, verb), _rollback_ready(case), _metrics_available(case), _route_in_sync(case)]
    statements += _recorded(case, known.get("Recorded"))
    return [_condition(case, statement, known.get(statement.type)) for statement in statements]


def _condition(case: Case, now: _Statement, before: Condition | None) -> Condition:
    message, generation = now.message[:4096], case.rollout.generation
    if before and (before.status, before.reason, before.message, before.observed_generation) == (
        now.status,
        now.reason,
        message,
        generation,
    ):
        return before
    since = before.last_transition_time if before and before.status == now.status else case.now
    return Condition(
        type=now.type,
        status=now.status,
        observed_generation=generation,
        last_transition_time=since.replace(microsecond=0),
        reason=now.reason,
        message=message,
    )


def _progress(case: Case, verb: Verb) -> list[_Statement]:
    held = _Statement("Held", "False", "NotHeld", "")
    match verb:
        case Rest(reason="Promoted", message=message) | Promote(message=message):
            return [_Statement("Ready", "True", "Promoted", message), held]
        case Recognize():
            return [_Statement("Ready", "True", "Promoted", "the candidate has all the traffic already"), held]
        case Rest(reason, message, _) | Stall(reason, message):
            return [_Statement("Ready", "False", reason, message), _Statement("Stalled", "True", reason, message), held]
        case Finish():
            return _finished(case, held)
        case Hold(reason, message):
            going = _Statement("Reconciling", "True", reason, message)
            return [_Statement("Ready", "False", reason, message), going, _Statement("Held", "True", reason, message)]
        case RollBack(message=message) | Restore(message):
            return _going("RollingBack", message, held)
        case Wait(reason, message, _, _):
            return _going(reason, message, held)
        case Go(message=message) | Drill(message=message):
            return _going("Progressing", message, held)
        case Begin():
            # Of a spec that was just taken up nothing is known yet, not even that the candidate is not ready.
            return _going("Progressing", "an attempt has started", held, ready="Unknown")


def _finished(case: Case, held: _Statement) -> list[_Statement]:
    last = case.status.attempt
    why = f"{last.rollback.cause}: {last.rollback.message}" if last and last.rollback else ""
    if last and last.outcome is Outcome.SUPERSEDED:
        return _going("Progressing", why, held)
    drains = drain_text(last.drain if last else None)
    message = f"{version_text(last) if last else 'the version'} was rolled back: {why}. {drains}"
    return [
        _Statement("Ready", "False", "RolledBack", message),
        _Statement("Stalled", "True", "RolledBack", message),
        held,
    ]


def _going(
    reason: str, message: str, held: _Statement, ready: Literal["False", "Unknown"] = "False"
) -> list[_Statement]:
    return [_Statement("Ready", ready, reason, message), _Statement("Reconciling", "True", reason, message), held]


def _rollback_ready(case: Case) -> _Statement:
    last, attempt, until = case.status.attempt, case.attempt, case.retained_until
    subject = attempt or last
    if subject is None or subject.baseline is None:
        return _Statement("RollbackReady", "False", "NoBaseline", "there is no version to go back to")
    name = subject.baseline.version
    if attempt is None and until is None:
        return _Statement("RollbackReady", "False", "NothingToRollBack", f"version {name} has all the traffic")
    if attempt is None and until and case.now >= until:
        return _Statement("RollbackReady", "False", "RetentionOver", f"version {name} was kept until {until:%F %R} UTC")
    if case.seen.baseline is not Endpoints.READY:
        return _Statement("RollbackReady", "False", "BaselineNotReady", f"version {name} has no ready endpoint")
    kept = f" until {until:%F %R} UTC" if until else ""
    drill = subject.drill
    if drill and drill.at and drill.took is not None:
        kept += f"; rehearsed {drill.at:%F %R} UTC, it took {render_duration(drill.took)}"
    return _Statement("RollbackReady", "True", "BaselineReady", f"control.rollback goes back to version {name}{kept}")


def _metrics_available(case: Case) -> _Statement:
    if case.seen.metrics:
        return _Statement("MetricsAvailable", "False", case.seen.metrics.reason, case.seen.metrics.message)
    attempt = case.attempt
    if attempt is None or not attempt.gates:
        return _Statement("MetricsAvailable", "Unknown", "NotJudging", "no gate is being judged")
    if lost := next((gate for gate in attempt.gates if acts(gate) and is_lost(gate)), None):
        return _Statement("MetricsAvailable", "False", lost.reason, f"gate {lost.name}: {lost.message}")
    return _Statement("MetricsAvailable", "True", "Available", "every gate gets usable samples")


def _recorded(case: Case, before: Condition | None) -> list[_Statement]:
    """Return whether the record says all there is to say; nothing as long as that was never in question."""
    lacks = case.seen.unwritten
    if lacks:
        # In other words each time it would be news each time.
        is_known = before is not None and before.status == "False" and before.reason == lacks.reason
        return [_Statement("Recorded", "False", lacks.reason, before.message if before and is_known else lacks.message)]
    return [_Statement("Recorded", "True", "Recorded", "the record says what has been")] if before else []


def _route_in_sync(case: Case) -> _Statement:
    where = f"{case.seen.route_kind} {case.seen.route_name}"
    match case.seen.route:
        case Blocked(reason, message):
            return _Statement("RouteInSync", "False", reason, message)
        case Unmanaged():
            return _Statement("RouteInSync", "False", "NotCreated", f"{where} is not there yet")
        case Routed(shares) | Foreign(shares=shares) if shares == case.target:
            return _Statement("RouteInSync", "True", "InSync", f"{where} gives the candidate {shares}")
        case Foreign(shares=shares, manager=manager):
            found = shares or "other backends"
            message = f"{where} gives the candidate {found}, set by {manager}; it should have {case.target}"
            return _Statement("RouteInSync", "False", "ChangedByOther", message)
        case Routed(shares) if case.seen.contested:
            message = (
                f"{where} gives the candidate {shares}, it should have {case.target}, and what is written is undone under"
                " the operator's own name: another operator is at work on this cluster, stop one of the two"
            )
            return _Statement("RouteInSync", "False", "ConcurrentWriter", message)
        case Routed(shares):
            message = f"{where} gives the candidate {shares}, it should have {case.target}"
            return _Statement("RouteInSync", "False", "Applying", message)
