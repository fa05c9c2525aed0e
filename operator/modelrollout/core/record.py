"""What has to be written into a record: pure, from a rollout, its route and the segment that was written last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.record import (
    MAX_GATES_TOLD,
    Evidence,
    Intent,
    RecordedCommand,
    RecordedHold,
    RecordedRoute,
    RecordSpec,
    Segment,
    VersionShare,
    Why,
)
from modelrollout.api.status import Attempt, Cause, GateStatus, HeldStatus, Outcome, VersionStatus
from modelrollout.core.asked import asked_by, editor_of, name_of, not_told, stored
from modelrollout.core.case import Case, Mark, Observed, attempt_in_force, serving_of, target_of
from modelrollout.core.chain import hash_of
from modelrollout.core.preconditions import is_more
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import BASELINE_ONLY, Blocked, Foreign, Routed, Shares, Unmanaged
from modelrollout.core.verbs import Begin, Drill, Finish, Go, Restore, RollBack, Verb, Wait

OPERATOR = "modelrollout-operator"
NAME_LABEL = "modelrollout.dev/rollout"
UID_LABEL = "modelrollout.dev/rollout-uid"
MAX_BYTES = 256 * 1024
"""Of a record's segments: etcd takes no object above 1.5 MiB, and each new one sends all of them back to us."""

Spans = tuple[VersionShare, ...]
Decided = tuple[datetime, Why]
"""When a target was decided, and why: two may be decided within a millisecond."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a record stands: what its next segment depends on.

    `shares` are those of its last segment, without one what spec says was found. `outcome` is the latest in it,
    `known` the target that was written down last, by its time and cause, `route` the route as it was seen for it.
    `since` is when it was last added to, and `commands` what that told of what people had asked for.
    """

    name: str
    guard: str
    part: int
    count: int
    size: int
    end: str
    shares: Spans
    since: datetime
    commands: tuple[RecordedCommand, ...] = ()
    outcome: Outcome | None = None
    known: Decided | None = None
    intent: Intent | None = None
    route: RecordedRoute | None = None


def continuation_name(first: str, part: int) -> str:
    """Return the name of a later part of the record of this name."""
    return f"{first}.{part}" if part > 1 else first


def is_recorded(rollout: Rollout, seen: Observed) -> Mark | None:
    """Return where status says that what is seen is written down, `None` where it may not be."""
    mark = rollout.status.route
    if mark is None or mark.record is None or not isinstance(seen.route, Routed | Foreign):
        return None
    shares = Shares(mark.candidate, mark.mirror)
    return Mark(mark.record, mark.segment) if seen.route.shares == shares else None


def shares_by_version(rollout: Rollout, shares: Shares | None) -> Spans:
    """Return what each version has of a route that gives these shares; nothing where they are not between ours."""
    candidate, baseline = _versions_of(rollout)
    if shares is None or candidate is None:
        return ()
    spans = []
    if baseline and shares.candidate.rest > NONE:
        spans.append(_share(baseline, shares.candidate.rest))
    if shares.candidate > NONE or shares.mirror > NONE:
        spans.append(_share(candidate, shares.candidate, shares.mirror))
    return tuple(spans)


def _share(version: VersionStatus, weight: Percent, mirror: Percent = NONE) -> VersionShare:
    copies = mirror if mirror > NONE else None
    return VersionShare(version=version.version, digest=version.digest, weight=weight, mirror=copies)


def _versions_of(rollout: Rollout) -> tuple[VersionStatus | None, VersionStatus | None]:
    """Return candidate and baseline as the route has them: those of the attempt in force, else of spec."""
    if last := attempt_in_force(rollout):
        return last.candidate, last.baseline
    serving, wanted = serving_of(rollout), rollout.wanted
    serves = serving is not None and wanted is not None and serving.digest == wanted.digest
    return wanted, None if serves else serving


def found_shares(rollout: Rollout, seen: Observed) -> Spans:
    """Return what the route gives now."""
    route = seen.route
    return shares_by_version(rollout, route.shares if isinstance(route, Routed | Foreign) else None)


def goes_back(verb: Verb) -> bool:
    """Whether this is a rollback, which waits for no record."""
    return isinstance(verb, RollBack | Restore | Finish)


def grows(case: Case, verb: Verb, shares: Shares | None) -> bool:
    """Whether carrying out this verb gives the candidate more than it has, which must not be without a record."""
    if isinstance(verb, Begin):
        return True
    if shares is None or not isinstance(verb, Go | Drill | Wait):
        return False
    return is_more(shares, case.shares_seen or BASELINE_ONLY)


def intent_of(case: Case, after: Rollout, verb: Verb) -> Intent | None:
    """Return what is to be written down before the route is, `None` where spec of the record says it already."""
    attempt = after.status.attempt
    if attempt is None or attempt.target.cause is Cause.STARTED:
        return None
    target = Shares(attempt.target.candidate, attempt.target.mirror)
    return Intent(
        shares=list(shares_by_version(after, target)),
        stage=attempt.stage,
        step=attempt.step,
        since=stored(attempt.target.since),
        cause=Why(attempt.target.cause),
        message=(verb.message if isinstance(verb, Go | Drill) else "")[:1024],
        gates=evidence_of(case.seen.gates if isinstance(verb, Go) else ()),
    )


def hold_of(held: HeldStatus, *, until: datetime | None = None) -> RecordedHold:
    """Return a person's hold as a record tells it."""
    return RecordedHold(
        since=held.since,
        until=until,
        reason=held.reason,
        requested_by=held.requested_by,
        verified=held.verified,
        manager=held.manager,
    )


def evidence_of(gates: Sequence[GateStatus]) -> list[Evidence]:
    """Return the gates as a record tells them."""
    return [
        Evidence(
            name=gate.name,
            verdict=gate.verdict,
            reason=gate.reason,
            value=gate.value,
            limit=gate.limit,
            samples=gate.samples,
            bad=gate.tally.bad if gate.tally else None,
            baseline_samples=gate.tally.baseline_total if gate.tally else None,
            baseline_bad=gate.tally.baseline_bad if gate.tally else None,
            message=gate.message[:256],
        )
        for gate in gates[:MAX_GATES_TOLD]
    ]


def segment_due(
    rollout: Rollout, seen: Observed, standing: Standing, now: datetime, *, outcome: Outcome | None
) -> Segment | None:
    """Return the segment that a record lacks, `None` where it says all there is to say.

    `rollout` is as it was when the route was seen; `outcome` is how its attempt has ended by now.
    """
    attempt = rollout.status.attempt
    if attempt is None or isinstance(seen.route, Blocked):
        return None
    shares = found_shares(rollout, seen)
    has_ended = outcome is not None and outcome is not standing.outcome
    if (shares == standing.shares and not has_ended) or _is_old(seen, standing.route):
        return None
    why = _why(rollout, attempt, seen, standing, has_moved=shares != standing.shares)
    return Segment(
        seq=standing.count,
        shares=list(shares),
        intent_at=why.since,
        confirmed_at=now,
        route=_route_of(seen),
        stage=attempt.stage,
        step=attempt.step,
        cause=why.cause,
        actor=why.actor[:256],
        verified=why.verified,
        message=why.message[:1024],
        gates=why.gates,
        commands=not_told(
            rollout.status.commands,
            standing.since,
            standing.commands,
            early=() if standing.count or standing.part > 1 else attempt.approvals,
        ),
        outcome=outcome if has_ended else None,
        previous=standing.end,
    )


def _is_old(seen: Observed, recorded: RecordedRoute | None) -> bool:
    """Whether what was seen is a copy of the route from before what is recorded: after a restart a list may be so old."""
    route = seen.route
    if recorded is None or recorded.resource_version is None or not isinstance(route, Routed | Foreign):
        return False
    return route.uid == recorded.uid and int(route.guard) < int(recorded.resource_version)


@dataclass(frozen=True, slots=True)
class _Reason:
    cause: Why
    actor: str = OPERATOR
    message: str = ""
    gates: Sequence[Evidence] = ()
    since: datetime | None = None
    verified: bool = False


def _why(rollout: Rollout, attempt: Attempt, seen: Observed, standing: Standing, *, has_moved: bool) -> _Reason:
    """Return why the route is as it is: decided here, mended, or somebody else's doing."""
    if not has_moved:
        is_good = attempt.rollback is None
        return _Reason(Why.PROMOTED if is_good else Why.ENDED, gates=evidence_of(attempt.gates))
    match seen.route:
        case Foreign(shares, manager, detail=detail):
            if shares is not None and shares == target_of(rollout) and _decided_in(attempt) != standing.known:
                pass  # Somebody wrote what was wanted: then it is as decided.
            else:
                return _Reason(Why.EXTERNAL, manager, detail or "somebody else wrote these shares")
        case Unmanaged():
            return _Reason(Why.EXTERNAL, "somebody", "the routing object is gone")
        case Routed(shares) if shares != target_of(rollout):
            return _Reason(Why.EXTERNAL, OPERATOR, "written under the operator's own name, and not by this operator")
        case _:
            pass
    if _decided_in(attempt) == standing.known:
        return _Reason(Why.MENDED, message="the shares that were decided stand again")
    return _decided(rollout, attempt, standing, seen.names_bound_since)


_BY_PEOPLE = {"Manual": ("rollback", "resume"), "GatesOverridden": ("advance",)}


_BY_EDIT = frozenset({Cause.SUPERSEDED, Cause.PLAN_CHANGED})


def _decided(rollout: Rollout, attempt: Attempt, standing: Standing, bound_since: datetime | None) -> _Reason:
    target, since = attempt.target, stored(attempt.target.since)
    cause, actor, verified = Why(target.cause), OPERATOR, False
    if commands := _BY_PEOPLE.get(target.cause):
        asked = asked_by(rollout.status.commands, commands)
        actor = name_of(asked) if asked else OPERATOR
        verified = asked is not None and asked.verified
    if target.cause in _BY_EDIT:
        editor = editor_of(rollout, bound_since)
        actor, verified = editor.name or editor.manager or OPERATOR, editor.verified
    if attempt.rollback:
        return _Reason(cause, actor, attempt.rollback.message, evidence_of(attempt.gates), since, verified)
    intent = standing.intent
    if intent and (intent.since, intent.cause) == _decided_in(attempt):
        return _Reason(cause, actor, intent.message, intent.gates, since, verified)
    return _Reason(
        cause, actor, f"attempt {attempt.number} has started" if cause is Why.STARTED else "", (), since, verified
    )


def _decided_in(attempt: Attempt) -> Decided:
    return stored(attempt.target.since), Why(attempt.target.cause)


def _route_of(seen: Observed) -> RecordedRoute:
    known = seen.route if isinstance(seen.route, Routed | Foreign) else None
    return RecordedRoute(
        kind=seen.route_kind,
        name=seen.route_name,
        uid=known.uid or None if known else None,
        resource_version=known.guard if known else None,
    )


def segment_of_return(
    record: Mapping[str, Any], standing: Standing, kind: str, route: Routed, now: datetime
) -> Segment | None:
    """Return the last segment of a rollout that was deleted in mid-attempt: its traffic went back to the baseline.

    `standing` is where the last part of its record stands, `route` as it was read back; `None` where nothing is missing.
    """
    spec = RecordSpec.model_validate(record["spec"])
    segments = record["status"]["segments"]
    if spec.baseline is None or not segments or standing.outcome is not None:
        return None
    last = Segment.model_validate(segments[-1])
    if last.cause is Why.DELETED:
        return None
    return Segment(
        seq=standing.count,
        shares=[VersionShare(version=spec.baseline.version, digest=spec.baseline.digest, weight=ALL)],
        confirmed_at=now,
        route=RecordedRoute(kind=kind, name=last.route.name, uid=route.uid or None, resource_version=route.guard),
        stage=last.stage,
        step=last.step,
        cause=Why.DELETED,
        actor=OPERATOR,
        message=f"the rollout was deleted in mid-attempt: {spec.baseline.version} has all the traffic again",
        previous=standing.end,
    )


def standing_of(record: dict[str, Any], size: int) -> Standing:
    """Return where a stored record stands; `size` is how many bytes its segments take.

    Raises:
        ValueError: it is not as this operator writes records.
    """
    spec = RecordSpec.model_validate(record["spec"])
    status = record.get("status") or {}
    segments = [Segment.model_validate(one) for one in status.get("segments") or []]
    stored = status.get("segments") or []
    intent = status.get("intent")
    return Standing(
        name=record["metadata"]["name"],
        guard=record["metadata"]["resourceVersion"],
        part=spec.part,
        count=len(segments),
        size=size,
        end=hash_of(stored[-1] if stored else record["spec"]),
        shares=tuple(segments[-1].shares if segments else spec.found),
        since=segments[-1].confirmed_at if segments else spec.decided_at,
        commands=tuple(segments[-1].commands) if segments else (),
        outcome=next((one.outcome for one in reversed(segments) if one.outcome), None),
        known=next(((one.intent_at, one.cause) for one in reversed(segments) if one.intent_at), None),
        intent=Intent.model_validate(intent) if intent else None,
        route=segments[-1].route if segments else None,
    )
