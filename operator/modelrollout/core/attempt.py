"""What a verb makes of the attempt, and of the version that serves."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar, assert_never

from modelrollout.api.evidence import GateEvidence
from modelrollout.api.status import (
    Attempt,
    Cause,
    DrillStatus,
    GateStatus,
    Outcome,
    RollbackStatus,
    Serving,
    TargetStatus,
    Verdict,
    VersionStatus,
)
from modelrollout.core.approvals import taken_along
from modelrollout.core.case import Case
from modelrollout.core.drain import drain_of
from modelrollout.core.drill import drill_after, is_baking, is_on_drill, needs_drill, way_out
from modelrollout.core.gates import fresh_tally, is_lost
from modelrollout.core.plan import Step, record_name
from modelrollout.core.traffic import BASELINE_ONLY, Acceptance, Endpoints, Foreign, Routed, Shares
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

T = TypeVar("T")
MOVED_ON = frozenset({Cause.GATES_PASSED, Cause.GATES_OVERRIDDEN})


def attempt_after(case: Case, verb: Verb) -> Attempt | None:
    """Return the attempt as it is after `verb`; one that an earlier release began gets its record now."""
    after = _agreed(case, _attempt_after(case, verb))
    if after is None or after.outcome or after.record:
        return after
    return after.model_copy(update={"record": _record_name(case, after.number)})


def _agreed(case: Case, after: Attempt | None) -> Attempt | None:
    """Return the attempt without what kept a route from its record, once they agree."""
    told = after.recalled if after else None
    if after is None or told is None or told.disagrees is None or case.shares_seen != case.target:
        return after
    return after.model_copy(update={"recalled": told.model_copy(update={"disagrees": None})})


def _record_name(case: Case, number: int) -> str:
    return record_name(case.rollout.name, case.rollout.uid, case.rollout.generation, number)


def _attempt_after(case: Case, verb: Verb) -> Attempt | None:
    last = case.status.attempt
    match verb:
        case Begin():
            return _new_attempt(case, last)
        case Go(step, cause, _):
            return _moved(case, step, cause) if case.attempt else last
        case Drill():
            return _drilling(case, verb)
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
    is_drill = needs_drill(case, first)
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
        target=_target(way_out(first), case.now, Cause.DRILL)
        if is_drill
        else _target(first.shares, case.now, Cause.STARTED),
        drill=DrillStatus(since=case.now) if is_drill else None,
        approvals=taken_along(case),
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
            "advanced": None,
            "target": _target(step.shares, case.now, cause),
            "gates": _carried(case.seen.gates, cause) if same_stage else [],
        }
    )


def _drilling(case: Case, verb: Drill) -> Attempt:
    """Return the attempt on a drill: it stays in its step, whose clock does not run, but while it bakes."""
    attempt = _known(case.attempt)
    if is_baking(case):
        target = _target(verb.shares, case.now, Cause.DRILL)
        is_out = verb.shares != verb.step.shares
        return attempt.model_copy(
            update={"target": target, "drill": DrillStatus(since=case.now) if is_out else attempt.drill}
        )
    return attempt.model_copy(
        update={
            "plan": case.plan.digest,
            "stage": verb.step.stage,
            "step": verb.step.index,
            "applied_at": None,
            "resumed_at": None,
            "metrics_lost_since": None,
            "target": _target(verb.shares, case.now, Cause.DRILL),
            "drill": DrillStatus(since=case.now),
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
                "unknown_since": None,
                "evidence": _of_the_stage(gate),
                "tally": None,
                "cuts": [],
                "earlier": list(fresh_tally(gate) if cause in MOVED_ON else gate.earlier),
            }
        )
        for gate in gates
    ]


def _of_the_stage(gate: GateStatus) -> GateEvidence | None:
    """Return what of a gate's evidence holds for the whole stage: what was known before it began."""
    known = gate.evidence.dispersion if gate.evidence else None
    return GateEvidence(dispersion=known) if known else None


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
            "drill": attempt.drill if attempt.drill and attempt.drill.at else None,
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
        "drill": drill_after(case, attempt, is_applied=_is_applied(case)),
    }
    if case.has_traffic and case.seen.candidate not in {Endpoints.READY, Endpoints.UNKNOWN}:
        update["unready_since"] = min(attempt.unready_since or case.now, case.now)
    if any(is_lost(gate) for gate in case.acting):
        update["metrics_lost_since"] = min(attempt.metrics_lost_since or case.now, case.now)
    may_run = attempt.rollback is None and not is_on_drill(attempt) and not case.is_clock_wrong
    if attempt.applied_at is None and may_run and _is_applied(case):
        update["applied_at"] = case.now
    return attempt.model_copy(update=update)


def _is_applied(case: Case) -> bool:
    route = case.seen.route
    if isinstance(route, Routed):
        return route.shares == case.target and route.acceptance is Acceptance.ACCEPTED
    return isinstance(route, Foreign) and route.shares == case.target


def serving_after(case: Case, verb: Verb, attempt: Attempt | None) -> Serving | None:
    """Return the version that serves after `verb`."""
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
