"""A verb to its consequences: the new status, the route to write, what people are told, when to look again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar, assert_never

from modelrollout.api.fields import NONE
from modelrollout.api.status import (
    Attempt,
    Cause,
    GateStatus,
    ModelRolloutStatus,
    Outcome,
    Phase,
    RollbackStatus,
    RouteStatus,
    Serving,
    TargetStatus,
    Verdict,
    VersionStatus,
)
from modelrollout.core.case import Case, place_of
from modelrollout.core.conditions import conditions_of
from modelrollout.core.drain import drain_of
from modelrollout.core.events import Event, events_between
from modelrollout.core.gates import fresh_tally, is_lost
from modelrollout.core.news import is_old_news
from modelrollout.core.plan import StageKind, Step
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    Acceptance,
    Endpoints,
    Foreign,
    Place,
    Routed,
    Shares,
    WayBack,
)
from modelrollout.core.verbs import (
    Begin,
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

T = TypeVar("T")

# What the watches miss (a workload, a setting) is looked at again after so long.
LOOK_AGAIN = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class RouteWrite:
    """A write of the route; one that `outranks` goes on over conflicts and refused status writes.

    `shares` is `None` where they stay as they are. Afterwards the route carries the note `way_back`, or none.
    """

    place: Place
    shares: Shares | None
    guard: str | None
    outranks: bool
    way_back: WayBack | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything a pass does. `look_again_at` is `None` where only events can change anything."""

    verb: Verb
    status: ModelRolloutStatus
    write: RouteWrite | None
    events: tuple[Event, ...]
    look_again_at: datetime | None


def project(before: Case, case: Case, verb: Verb) -> Decision:
    """Return what `verb` comes to. `before` is the case with its inbox as it was read, `case` with it emptied."""
    old = before.status
    attempt = _attempt_after(case, verb)
    serving = _serving_after(case, verb, attempt)
    status = case.status.model_copy(
        update={
            "observed_generation": case.rollout.generation,
            "attempt": attempt,
            "serving": serving,
            "route": _route_status(case),
        }
    )
    after = replace(case, rollout=replace(case.rollout, status=status))
    status = status.model_copy(
        update={
            "conditions": conditions_of(after, verb),
            "phase": _phase_of(after, verb),
            "weight": _weight_of(after),
            "gates": _gates_summary(attempt),
        }
    )
    if not before.rollout.ignored and is_old_news(before, status):
        status = old
    after = replace(after, rollout=replace(after.rollout, status=status))
    return Decision(
        verb=verb,
        status=status,
        write=_route_write(after, verb),
        events=events_between(before, after, verb),
        look_again_at=_look_again_at(after, verb),
    )


def _attempt_after(case: Case, verb: Verb) -> Attempt | None:
    last = case.status.attempt
    match verb:
        case Begin():
            return _new_attempt(case, last)
        case Go(step, cause, _):
            return _moved(case, step, cause) if case.attempt else last
        case RollBack(cause, message, _):
            return _rolling_back(case, cause, message)
        case Finish():
            return _with_drain(case, _ended(case, _outcome_of(case.attempt)))
        case Promote():
            return _ended(case, Outcome.PROMOTED)
        case Rest() | Stall() | Hold() | Wait() | Restore() | Recognize():
            return _noted(case) if case.attempt else _with_drain(case, last)
        case _:
            assert_never(verb)


def _with_drain(case: Case, last: Attempt | None) -> Attempt | None:
    drain = drain_of(case, last)
    return last.model_copy(update={"drain": drain}) if last and last.drain != drain else last


def _new_attempt(case: Case, last: Attempt | None) -> Attempt:
    first = case.plan.steps[0]
    return Attempt(
        number=(last.number if last else 0) + 1,
        candidate=_known(case.wanted),
        baseline=_identity(case.serving) if case.serving else None,
        plan=case.plan.digest,
        stage=first.stage,
        step=first.index,
        started_at=case.now,
        stage_started_at=case.now,
        step_started_at=case.now,
        target=_target(first.shares, case.now, Cause.STARTED),
    )


def _moved(case: Case, step: Step, cause: Cause) -> Attempt:
    attempt = _known(case.attempt)
    same_stage = step.stage == attempt.stage
    return attempt.model_copy(
        update={
            "plan": case.plan.digest,
            "stage": step.stage,
            "step": step.index,
            "stage_started_at": attempt.stage_started_at if same_stage else case.now,
            "step_started_at": case.now,
            "applied_at": None,
            "resumed_at": None,
            "metrics_lost_since": None,
            "blind_for": None,
            "target": _target(step.shares, case.now, cause),
            "gates": _carried(case.seen.gates, cause) if same_stage else [],
        }
    )


def _carried(gates: Sequence[GateStatus], cause: Cause) -> list[GateStatus]:
    """Return the gates for the stage's next step: evidence against the candidate is never forgotten."""
    if cause is Cause.PLAN_CHANGED:
        return []
    return [
        gate.model_copy(
            update={
                "verdict": Verdict.UNKNOWN,
                "reason": "WarmingUp",
                "message": "a new step has started",
                "value": None,
                "samples": None,
                "tally": None,
                "earlier": list(fresh_tally(gate) if cause is Cause.GATES_PASSED else gate.earlier),
            }
        )
        for gate in gates
    ]


def _rolling_back(case: Case, cause: Cause, message: str) -> Attempt:
    """Return the attempt on its way back: the one under way, the promoted one reopened, or one refused unstarted."""
    last = case.status.attempt
    if case.attempt:
        attempt = case.attempt
    elif last and case.wanted and last.outcome is Outcome.PROMOTED and last.candidate.digest == case.wanted.digest:
        attempt = last
    else:
        attempt = _new_attempt(case, last)
    return attempt.model_copy(
        update={
            "gates": list(case.seen.gates) or attempt.gates,
            "target": _target(BASELINE_ONLY, case.now, cause),
            "rollback": RollbackStatus(cause=cause, message=message[:1024], since=case.now),
            "outcome": None,
            "ended_at": None,
        }
    )


def _ended(case: Case, outcome: Outcome) -> Attempt:
    attempt = _known(case.attempt)
    gates = list(case.seen.gates) or attempt.gates
    cleared = {"unready_since": None, "metrics_lost_since": None}
    return attempt.model_copy(update={"outcome": outcome, "ended_at": case.now, "gates": gates, **cleared})


def _outcome_of(attempt: Attempt | None) -> Outcome:
    superseded = attempt and attempt.rollback and attempt.rollback.cause is Cause.SUPERSEDED
    return Outcome.SUPERSEDED if superseded else Outcome.ROLLED_BACK


def _noted(case: Case) -> Attempt:
    """Return the attempt with what this pass has seen: since when the shares are applied, what is missing."""
    attempt = _known(case.attempt)
    gates = list(case.seen.gates)
    update: dict[str, object] = {
        "gates": gates or attempt.gates,
        "unready_since": None,
        "metrics_lost_since": None if gates else attempt.metrics_lost_since,
        "blind_for": case.blind or None,
    }
    if case.has_traffic and case.seen.candidate not in {Endpoints.READY, Endpoints.UNKNOWN}:
        update["unready_since"] = min(attempt.unready_since or case.now, case.now)
    if any(is_lost(gate) for gate in gates):
        update["metrics_lost_since"] = min(attempt.metrics_lost_since or case.now, case.now)
    if attempt.applied_at is None and attempt.rollback is None and _is_applied(case) and not case.is_clock_wrong:
        update["applied_at"] = case.now
    return attempt.model_copy(update=update)


def _is_applied(case: Case) -> bool:
    route = case.seen.route
    if isinstance(route, Routed):
        return route.shares == case.target and route.acceptance is Acceptance.ACCEPTED
    return isinstance(route, Foreign) and route.shares == case.target


def _serving_after(case: Case, verb: Verb, attempt: Attempt | None) -> Serving | None:
    now = case.status.serving
    spec = case.rollout.spec
    if now is None and spec and spec.baseline and case.serving:
        now = _serves(case.serving, case.now)
    match verb:
        case Promote() | Recognize():
            return _serves(_known(case.attempt.candidate if case.attempt else case.wanted), case.now)
        case Finish() if attempt and attempt.baseline and now and now.digest == attempt.candidate.digest:
            return _serves(attempt.baseline, case.now)
        case _:
            return now


def _route_status(case: Case) -> RouteStatus | None:
    shares, known = case.shares_seen, case.status.route
    if shares is None:
        return known
    seen = RouteStatus(
        kind=case.seen.route_kind,
        name=case.seen.route_name,
        candidate=shares.candidate,
        mirror=shares.mirror,
        since=case.now,
    )
    unchanged = known and seen.model_copy(update={"since": known.since}) == known
    return known if unchanged else seen


def _phase_of(case: Case, verb: Verb) -> Phase:
    attempt = case.attempt
    match verb:
        case Rest(reason):
            return Phase.PROMOTED if reason == "Promoted" else Phase.ROLLED_BACK
        case Promote() | Recognize():
            return Phase.PROMOTED
        case Finish():
            last = case.status.attempt
            return Phase.PENDING if last and last.outcome is Outcome.SUPERSEDED else Phase.ROLLED_BACK
        case Stall():
            return Phase.HELD if attempt else Phase.INVALID
        case Hold():
            return Phase.HELD if attempt else Phase.PENDING
        case RollBack() | Restore():
            return Phase.ROLLING_BACK
        case Begin() | Go() | Wait():
            return _phase_of_step(case.step)
        case _:
            assert_never(verb)


def _phase_of_step(step: Step | None) -> Phase:
    match step.kind if step else None:
        case StageKind.SHADOW:
            return Phase.SHADOW
        case StageKind.CANARY:
            return Phase.CANARY
        case StageKind.FULL:
            return Phase.FULL
        case None:
            return Phase.PENDING


def _weight_of(case: Case) -> str | None:
    shares = case.shares_seen
    if shares is None:
        return None
    return f"{shares.candidate}% (+{shares.mirror}% copied)" if shares.mirror > NONE else f"{shares.candidate}%"


def _gates_summary(attempt: Attempt | None) -> str | None:
    if attempt is None or not attempt.gates:
        return None
    return f"{sum(g.verdict is Verdict.PASS for g in attempt.gates)}/{len(attempt.gates)}"


def _route_write(case: Case, verb: Verb) -> RouteWrite | None:
    match verb:
        case (
            Rest(writes=True)
            | Wait(writes=True)
            | Hold(writes=True)
            | RollBack(writes=True)
            | Begin()
            | Go()
            | Restore()
        ):
            pass
        case _:
            return _note_write(case)
    place, route = place_of(case.rollout), case.seen.route
    stands = isinstance(route, Routed) and route.shares == case.target and route.way_back == case.way_back
    if place is None or stands:
        return None
    guard = route.guard if isinstance(route, Routed | Foreign) else None
    outranks = isinstance(verb, RollBack | Restore)
    return RouteWrite(place, case.target, guard, outranks, case.way_back)


def _note_write(case: Case) -> RouteWrite | None:
    """Return what mends the note alone: a promotion moves nothing, and a crash may have come before its end.

    On a route that somebody else wrote a note would be of no use, so one that is missing there is not fought for.
    A rollback that waits keeps its note until the traffic is back. What an earlier rollout of this name has left is
    not ours to take away.
    """
    place, route, wanted, stands = place_of(case.rollout), case.seen.route, case.way_back, case.way_back_seen
    if place is None or stands == wanted or not isinstance(route, Routed | Foreign):
        return None
    is_over = case.attempt is None and stands is not None and stands.uid == case.rollout.uid
    if is_over or (wanted and isinstance(route, Routed)):
        return RouteWrite(place, None, route.guard, outranks=False, way_back=wanted)
    return None


def _look_again_at(case: Case, verb: Verb) -> datetime | None:
    match verb:
        case Hold(until=until):
            return min(until or case.now + LOOK_AGAIN, case.now + LOOK_AGAIN)
        case Stall() | Restore() | RollBack() | Wait(writes=True):
            return case.now + LOOK_AGAIN
        case Wait(until=until):
            return until
        case Finish() | Begin() | Go() | Promote() | Recognize():
            return case.now
        case Rest():
            drain = case.status.attempt.drain if case.status.attempt else None
            ends = case.retained_until or (drain.until if drain else None)
            return ends if ends and ends > case.now else None
        case _:
            assert_never(verb)


def _target(shares: Shares, now: datetime, cause: Cause) -> TargetStatus:
    return TargetStatus(candidate=shares.candidate, mirror=shares.mirror, since=now, cause=cause)


def _identity(version: VersionStatus) -> VersionStatus:
    return VersionStatus(version=version.version, digest=version.digest, service=version.service)


def _serves(version: VersionStatus, since: datetime) -> Serving:
    return Serving(version=version.version, digest=version.digest, service=version.service, since=since)


def _known(value: T | None) -> T:
    """Return what a rule has made sure of before it chose its verb."""
    if value is None:
        raise ValueError("a verb was chosen that its case does not carry")
    return value
