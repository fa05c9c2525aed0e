"""What the records say of an attempt that status has lost: pure, from the newest attempt's records and the route.

Status may be wiped (`kubectl replace --subresource=status`), or an object may come back from a backup without it. Where
the attempt stood, how it ended and who held it stands in its record; evidence does not, and is gathered anew.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from modelrollout.api.fields import NONE
from modelrollout.api.options import GateEffect
from modelrollout.api.record import RecordedVersion, RecordSpec, RecordStatus, Segment, VersionShare, Why
from modelrollout.api.status import (
    Attempt,
    Cause,
    HeldStatus,
    ModelRolloutStatus,
    Outcome,
    RecalledStatus,
    RollbackStatus,
    RouteStatus,
    SafetyStop,
    Serving,
    TargetStatus,
    Verdict,
    VersionStatus,
)
from modelrollout.core.case import target_of
from modelrollout.core.chain import verify
from modelrollout.core.effects import effects_of
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import BASELINE_ONLY, Blocked, Foreign, Route, Routed, Shares, Unmanaged

_NAME = re.compile(r"-g(\d+)-(\d+)(?:\.(\d+))?$")
_BACK = frozenset(
    {
        Why.GATE_FAILED,
        Why.CATASTROPHE,
        Why.CANDIDATE_UNREADY,
        Why.DEADLINE,
        Why.METRICS_LOST,
        Why.MANUAL,
        Why.SUPERSEDED,
    }
)
# What a segment says that was not decided for the attempt, or only ends it.
_UNDECIDED = frozenset({Why.EXTERNAL, Why.MENDED, Why.ENDED, Why.DELETED, Why.PROMOTED})


@dataclass(frozen=True, slots=True)
class Recalled:
    """Status as the records have it.

    `planned` is the attempt after the last growth that was decided, where no segment says that it reached the route:
    either may be so.
    """

    status: ModelRolloutStatus
    planned: Attempt | None = None


@dataclass(frozen=True, slots=True)
class _Account:
    """The records of one attempt: its first one's name and spec, and all segments, each with its record's name."""

    name: str
    spec: RecordSpec
    parts: Sequence[RecordStatus]
    segments: Sequence[tuple[str, Segment]]

    def last(self, is_so: Callable[[Segment], bool]) -> int | None:
        """Return the place of the last segment of which that is so."""
        return next((n for n in reversed(range(len(self.segments))) if is_so(self.segments[n][1])), None)


@dataclass(frozen=True, slots=True)
class _Point:
    """Where an attempt stood: its target, as decided."""

    stage: str
    step: int
    shares: Shares
    since: datetime
    cause: Cause


def attempts_newest_first(names: Iterable[str]) -> list[list[str]]:
    """Return the names of one rollout's records by attempt, the newest attempt first, each with its parts in order."""
    found: dict[tuple[int, int], list[tuple[int, str]]] = {}
    for name in names:
        if match := _NAME.search(name):
            generation, attempt, part = (int(number or 1) for number in match.groups())
            found.setdefault((attempt, generation), []).append((part, name))
    return [[name for _, name in sorted(parts)] for _, parts in sorted(found.items(), reverse=True)]


def recall(rollout: Rollout, records: Sequence[Mapping[str, Any]], now: datetime) -> Recalled | Blocked | None:
    """Return what the records of one attempt, part by part, say of a rollout whose status says nothing of any.

    `None` where they tell of no traffic: that attempt never began. Blocked where they cannot be relied on.
    """
    name = records[0]["metadata"]["name"]
    if broken := next(verify(records), None):
        where = f", segment {broken.seq}" if broken.seq is not None else ""
        return _unreliable(f"{broken.record}{where}: {broken.message}")
    try:
        spec = RecordSpec.model_validate(records[0]["spec"])
        parts = [RecordStatus.model_validate(one.get("status") or {}) for one in records]
    except ValueError as error:
        return _unreliable(f"{name} cannot be read: {error}")
    segments = [
        (record["metadata"]["name"], one) for record, part in zip(records, parts, strict=True) for one in part.segments
    ]
    account = _Account(name, spec, parts, segments)
    decides = account.last(lambda one: one.cause not in _UNDECIDED)
    ends = account.last(lambda one: one.outcome is not None)
    if spec.rollout.uid != rollout.uid or (decides is None and ends is None):
        return None
    return _recalled(rollout, account, decides, ends, now)


def settled(recalled: Recalled, rollout: Rollout, route: Route, where: str) -> ModelRolloutStatus:
    """Return status as it was lost, now that the route is known; where they disagree, the attempt says so.

    `where` is the routing object's kind and name.
    """
    status, planned = recalled.status, recalled.planned
    shares = route.shares if isinstance(route, Routed | Foreign) else None
    target = target_of(replace(rollout, status=status))
    if shares is not None and planned and shares != target and shares == _shares_of(planned):
        return status.model_copy(update={"attempt": planned})
    disagreement = _disagreement(status, target, route, where)
    attempt = status.attempt
    if disagreement is None or attempt is None or attempt.recalled is None:
        return status
    told = attempt.recalled.model_copy(update={"disagrees": disagreement})
    return status.model_copy(update={"attempt": attempt.model_copy(update={"recalled": told})})


def _disagreement(status: ModelRolloutStatus, target: Shares | None, route: Route, where: str) -> str | None:
    attempt = status.attempt
    goes_back = attempt is not None and (attempt.rollback is not None or attempt.outcome is Outcome.SUPERSEDED)
    if attempt is None or target is None or goes_back:
        return None  # Back to the baseline is always right.
    match route:
        case Foreign() | Unmanaged():
            return None  # Who wrote it is asked about as ever, and a route that is gone is made again.
        case Routed(shares) if shares == target:
            return None
        case Routed(shares):
            return f"record {attempt.record} says {target} for the candidate, {where} gives it {shares}"
        case _:
            return f"record {attempt.record} says {target} for the candidate, and {where} could not be read then"


def _unreliable(why: str) -> Blocked:
    return Blocked(
        "RecordBroken",
        "status says nothing of an attempt, and the record of the last one cannot be relied on to go on from it:"
        f" {why}. Find out who changed it (modelrollout verify), then control.resume begins from the plan's first step,"
        " control.rollback gives the baseline everything",
    )


def _recalled(rollout: Rollout, account: _Account, decides: int | None, ends: int | None, now: datetime) -> Recalled:
    """Return it from the segments that decided something, and ended the attempt, last: their places."""
    spec = account.spec
    end = account.segments[ends][1] if ends is not None and (decides is None or decides <= ends) else None
    point = _point(spec, account.segments[decides][1]) if decides is not None else _never_begun(spec, end)
    attempt = _attempt(rollout, account, point, now)
    outcome = end.outcome if end else None
    back = _rollback(account, point, outcome)
    attempt = attempt.model_copy(
        update={"outcome": outcome, "ended_at": end.confirmed_at if end else None, "rollback": back}
    )
    status = rollout.status.model_copy(
        update={
            "attempt": attempt,
            "serving": rollout.status.serving or _serving(spec, attempt),
            "route": _route(account, attempt),
            "held": rollout.status.held or _held(account),
            "safety_stop": rollout.status.safety_stop or _safety_stop(rollout, attempt, account),
        }
    )
    return Recalled(status, None if outcome or back else _planned(rollout, account, attempt, now))


def _route(account: _Account, attempt: Attempt) -> RouteStatus:
    """Return the route as it should be, and where that is written down, if it was so when it was last seen."""
    name, last = account.segments[-1]
    stands = _shares_in(account.spec, last.shares) == _shares_of(attempt) and last.cause is not Why.EXTERNAL
    return RouteStatus(
        kind=last.route.kind,
        name=last.route.name,
        candidate=attempt.target.candidate,
        mirror=attempt.target.mirror,
        since=last.confirmed_at,
        record=name if stands else None,
        segment=last.seq if stands else None,
    )


def _point(spec: RecordSpec, segment: Segment) -> _Point:
    since = segment.intent_at or segment.confirmed_at
    return _Point(segment.stage, segment.step, _shares_in(spec, segment.shares), since, Cause(segment.cause))


def _never_begun(spec: RecordSpec, end: Segment | None) -> _Point:
    """Return where an attempt stood that was refused before it began."""
    stage, step = (end.stage, end.step) if end else ("", 0)
    return _Point(stage, step, BASELINE_ONLY, spec.decided_at, Cause.MANUAL)


def _attempt(rollout: Rollout, account: _Account, point: _Point, now: datetime) -> Attempt:
    spec = account.spec
    recorded = spec.plan.digest if spec.plan else "unreadable"
    plan = rollout.plan(has_baseline=spec.baseline is not None) if rollout.spec else None
    step = plan.step(point.stage, point.step) if plan else None
    # A plan that has such a step goes on there, though it be another by now: evidence begins anew in any case.
    is_same = plan is not None and step is not None and step.shares == point.shares
    return Attempt(
        number=spec.attempt,
        record=account.name,
        candidate=_version(spec.candidate),
        baseline=_version(spec.baseline) if spec.baseline else None,
        plan=plan.digest if plan and is_same else recorded,
        stage=point.stage,
        step=point.step,
        started_at=spec.decided_at,
        stage_started_at=now,
        step_started_at=now,
        target=TargetStatus(
            candidate=point.shares.candidate, mirror=point.shares.mirror, since=point.since, cause=point.cause
        ),
        recalled=RecalledStatus(at=now),
    )


def _rollback(account: _Account, point: _Point, outcome: Outcome | None) -> RollbackStatus | None:
    """Return the rollback that the attempt was on, or ended with; `None` where there was none."""
    spec = account.spec
    is_under_way = outcome is None and point.shares == BASELINE_ONLY and Why(point.cause) in _BACK
    if spec.baseline is None or not (is_under_way or outcome in {Outcome.ROLLED_BACK, Outcome.SUPERSEDED}):
        return None
    place = account.last(lambda one: one.cause in _BACK and _shares_in(spec, one.shares) == BASELINE_ONLY)
    if place is None:
        return RollbackStatus(cause=Cause.MANUAL, message="it was refused before it began", since=spec.decided_at)
    segment = account.segments[place][1]
    since = segment.intent_at or segment.confirmed_at
    return RollbackStatus(cause=Cause(segment.cause), message=segment.message, since=since)


def _planned(rollout: Rollout, account: _Account, attempt: Attempt, now: datetime) -> Attempt | None:
    intent = next((part.intent for part in reversed(account.parts) if part.intent), None)
    if intent is None or intent.since <= attempt.target.since:
        return None
    if account.last(lambda one: (one.intent_at, one.cause) == (intent.since, intent.cause)) is not None:
        return None
    shares = _shares_in(account.spec, intent.shares)
    return _attempt(rollout, account, _Point(intent.stage, intent.step, shares, intent.since, Cause(intent.cause)), now)


def _serving(spec: RecordSpec, attempt: Attempt) -> Serving | None:
    if attempt.outcome is Outcome.PROMOTED and attempt.ended_at:
        return _serves(attempt.candidate, attempt.ended_at)
    return _serves(attempt.baseline, spec.decided_at) if attempt.baseline else None


def _held(account: _Account) -> HeldStatus | None:
    hold = next((part.held for part in reversed(account.parts) if part.held), None)
    if hold is None or hold.until is not None:
        return None
    return HeldStatus(
        since=hold.since,
        reason=hold.reason,
        requested_by=hold.requested_by,
        verified=hold.verified,
        manager=hold.manager,
    )


def _safety_stop(rollout: Rollout, attempt: Attempt, account: _Account) -> SafetyStop | None:
    """Return the stop that a failed safety gate has set, as far as spec still names the gate as one."""
    if attempt.rollback is None or attempt.outcome is None or rollout.spec is None:
        return None
    gates = effects_of(rollout.plan(has_baseline=attempt.baseline is not None).gates)
    failed = [
        (one, gate)
        for _, one in account.segments
        for gate in one.gates
        if gate.verdict is Verdict.FAIL and gates.get(gate.name) is GateEffect.STOPS
    ]
    if not failed:
        return None
    segment, gate = failed[-1]
    since = segment.intent_at or segment.confirmed_at
    return SafetyStop(since=since, version=attempt.candidate.version, gate=gate.name, message=gate.message)


def _shares_in(spec: RecordSpec, shares: Sequence[VersionShare]) -> Shares:
    """Return what a segment says that the candidate has."""
    own = next((one for one in shares if one.digest == spec.candidate.digest), None)
    return Shares(own.weight, own.mirror or NONE) if own else BASELINE_ONLY


def _shares_of(attempt: Attempt) -> Shares:
    return Shares(attempt.target.candidate, attempt.target.mirror)


def _version(version: RecordedVersion) -> VersionStatus:
    return VersionStatus(version=version.version, digest=version.digest, service=version.service)


def _serves(version: VersionStatus, since: datetime) -> Serving:
    return Serving(version=version.version, digest=version.digest, service=version.service, since=since)
