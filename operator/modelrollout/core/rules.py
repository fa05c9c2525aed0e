"""The rules, each one idea; `decide` has their order. `None` means: no opinion."""

from dataclasses import replace
from datetime import timedelta

from modelrollout.api.fields import NONE, render_duration
from modelrollout.api.status import Cause, Command
from modelrollout.core.actors import actor_text
from modelrollout.core.case import LARGEST_SKEW, Case, target_of
from modelrollout.core.consents import lacks_consent, wrong_time
from modelrollout.core.drain import drain_of, drain_text
from modelrollout.core.drill import drill_before, is_on_drill
from modelrollout.core.gitops import lacking
from modelrollout.core.inbox import can_retry, rollback_answer
from modelrollout.core.preconditions import (
    backends_ready_for,
    baseline_can_serve,
    hold_for_backends,
    is_more,
    lack_of,
    lost_status,
    missing_outside,
    persons_hold,
    refusal_to_start,
    safety_hold,
    skewed_clock,
)
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    CANDIDATE_ONLY,
    EARLIER_ATTEMPT,
    Acceptance,
    Blocked,
    Endpoints,
    Foreign,
    Routed,
    Shares,
    Unmanaged,
)
from modelrollout.core.verbs import Begin, Finish, Go, Hold, Recognize, Rest, Restore, Stall, Verb, Wait
from modelrollout.core.wording import back_to_baseline, span_text, step_text, version_text

# A gateway that has not said a word about a route for so long will not: somebody has to look.
ACCEPTANCE_BOUND = timedelta(seconds=30)
# What is left is given back within a second or so; its events wake the rollout, this is for those that got lost.
GIVING_BACK_BOUND = timedelta(seconds=15)


def obey_people(case: Case) -> Verb | None:
    """A person's rollback outranks everything."""
    if Command.ROLLBACK not in case.taken or not rollback_answer(case).possible:
        return None
    asked = next(one for one in reversed(case.status.commands) if one.command is Command.ROLLBACK)
    why = f": {asked.reason}" if asked.reason else ""
    return back_to_baseline(case, Cause.MANUAL, f"{actor_text(asked)} asked for it{why}")


def finish_rollback(case: Case) -> Verb | None:
    """A rollback that was decided goes on, whatever else has changed, until the route is back."""
    if not (case.attempt and case.attempt.rollback):
        return None
    if case.shares_seen == BASELINE_ONLY:
        return Finish()
    match case.seen.route:
        case Blocked(reason, message):
            return Stall(reason, message)
        case _ if not baseline_can_serve(case):
            name = case.attempt.baseline.service.name if case.attempt.baseline else "?"
            return Hold(
                "BaselineNotReady",
                f"Service {name} has no ready endpoint, so the candidate keeps its share: start the baseline's pods, the"
                " rollback goes on by itself",
            )
        case _:
            return Restore(case.attempt.rollback.message)


def refuse_bad_spec(case: Case) -> Verb | None:
    """A spec that cannot be read moves nothing."""
    if case.rollout.spec is None:
        return Stall("InvalidSpec", f"{case.rollout.problem}; correct it and apply again")
    return None


def return_superseded(case: Case) -> Verb | None:
    """A new candidate in mid-attempt: first back to the baseline, then a new attempt."""
    attempt = case.attempt
    if not (attempt and case.wanted) or case.wanted.digest == attempt.candidate.digest:
        return None
    if attempt.baseline is None:
        # A first deployment has nothing to go back to: the next candidate takes over when it is ready.
        return refusal_to_start(case) or lacks_consent(case, case.plan.steps[0]) or Begin()
    return back_to_baseline(case, Cause.SUPERSEDED, f"spec now asks for {case.wanted.version}")


def return_predecessor(case: Case) -> Verb | None:
    """A deleted rollout of this name has left traffic with its candidate: that goes back before anything begins.

    The engine gives it back; what somebody else wrote since waits for a person here.
    """
    left = case.way_back_seen
    if case.attempt or left is None or left.uid == case.rollout.uid or Command.RESUME in case.taken:
        return None
    where = f"{case.seen.route_kind} {case.seen.route_name}"
    if isinstance(case.seen.route, Foreign) and case.seen.route.manager != EARLIER_ATTEMPT:
        return Hold(
            "RouteChanged",
            f"an earlier rollout of this name was deleted in mid-attempt, and {case.seen.route.manager} has set the"
            f" shares on {where} since: give {left.baseline.name} everything there, or control.resume to let the operator"
            " start from what stands",
        )
    return Wait(
        "GivingBack",
        f"an earlier rollout of this name was deleted in mid-attempt: {left.baseline.name} gets back what {where} gives"
        f" {left.candidate.name}, then this one begins by itself; if it does not, events of that object say why",
        until=case.now + GIVING_BACK_BOUND,
    )


def hold_lost_end(case: Case) -> Verb | None:
    """Status had lost how the attempt ended, and the route is not as its record says: a person decides."""
    return None if case.attempt else _hold_recalled(case)


def rest(case: Case) -> Verb | None:
    """Nothing to do: the candidate serves already, or it was rolled back and nobody asked to retry."""
    if case.attempt or case.wanted is None:
        return None
    mend = _route_needs_mending(case)
    if case.serving and case.serving.digest == case.wanted.digest and case.status.serving:
        return Rest("Promoted", f"version {case.wanted.version} serves", writes=mend)
    if can_retry(case) and Command.RETRY not in case.taken:
        last = case.status.attempt
        why = f"{last.rollback.cause}: {last.rollback.message}" if last and last.rollback else "it was rolled back"
        drains = drain_text(drain_of(case, last))
        remedy = "Make another version the candidate, or ask for control.retry"
        if case.status.safety_stop:
            remedy = "It failed a safety gate: no other candidate begins either, before control.retry"
        return Rest(
            "RolledBack",
            f"{version_text(last) if last else 'the version'} was rolled back: {why}. {drains}{'. ' if drains else ''}{remedy}",
            writes=mend,
        )
    return None


def begin(case: Case) -> Verb | None:
    """A candidate that does not serve yet: start, once nothing outside is missing."""
    if case.attempt:
        return None
    lost = lost_status(case)
    if lost is None and case.status.serving is None and case.serving and case.shares_seen == CANDIDATE_ONLY:
        return Recognize()
    refusal = (
        lost
        or persons_hold(case)
        or safety_hold(case)
        or refusal_to_start(case)
        or lacks_consent(case, case.plan.steps[0])
    )
    if isinstance(refusal, Hold) and isinstance(case.seen.route, Unmanaged) and case.seen.baseline is Endpoints.READY:
        return replace(refusal, writes=True)
    return refusal or Begin()


def stop_unready(case: Case) -> Verb | None:
    """A candidate without a ready endpoint is a failure by itself, once the grace is over."""
    attempt = case.attempt
    if attempt is None or not case.has_traffic or case.seen.candidate in {Endpoints.READY, Endpoints.UNKNOWN}:
        return None
    since = min(attempt.unready_since or case.now, case.now)
    until = since + case.policy.unready_grace
    what = f"Service {attempt.candidate.service.name} of the candidate {lack_of(case.seen.candidate)}"
    if case.now >= until and attempt.baseline:
        return back_to_baseline(
            case, Cause.CANDIDATE_UNREADY, f"{what} for longer than {render_duration(case.policy.unready_grace)}"
        )
    return Hold(
        "CandidateNotReady",
        f"{what}: rolled back at {until:%H:%M:%S} UTC if it stays so"
        if attempt.baseline
        else f"{what}: start its pods",
        until if case.now < until else None,
    )


def hold_lost_step(case: Case) -> Verb | None:
    """Status had lost the attempt, and the route is not as its record says: a person decides."""
    return _hold_recalled(case) if case.attempt else None


def follow_plan(case: Case) -> Verb | None:
    """Changed stages or gates: the stage of the same name goes on, its clock and evidence restart."""
    attempt = case.attempt
    if attempt is None or (attempt.plan == case.plan.digest and case.step):
        return None
    step = case.plan.resume_at(attempt.stage, case.target)
    if blocked := hold_on_foreign_route(case):
        return blocked
    # A plan that starts higher than the present share grows like any other step.
    if is_more(step.shares, case.target) and (
        blocked := persons_hold(case) or skewed_clock(case) or lacks_consent(case, step)
    ):
        return blocked
    if blocked := _hold_for_growth(case, step.shares):
        return blocked
    if drill := drill_before(case, step, Cause.PLAN_CHANGED):
        return drill
    return Go(step, Cause.PLAN_CHANGED, f"stages or gates have changed: goes on with {step_text(step)} from the start")


def stall_on_missing(case: Case) -> Verb | None:
    """What was there at the start has gone: no growth until it is mended."""
    if not case.attempt:
        return None
    missing = missing_outside(case)
    if missing:
        return Stall(missing.reason, missing.message)
    if case.attempt.baseline and case.seen.baseline is Endpoints.NONE_READY:
        name = case.attempt.baseline.service.name
        return Hold("BaselineNotReady", f"Service {name} of the baseline has no ready endpoint: start its pods")
    return None


def hold_on_foreign_route(case: Case) -> Verb | None:
    """Somebody else changed the shares: hold and say who; a person decides."""
    route = case.seen.route
    if not (case.attempt and isinstance(route, Foreign)) or route.shares == case.target or Command.RESUME in case.taken:
        return None
    first = case.attempt.applied_at is None and case.step == case.plan.steps[0] and not _was_ours(case)
    if first and route.shares is not None and route.shares.candidate == NONE:
        return None  # An adopted rule is the user's until our first write.
    found = f"{route.shares} for the candidate" if route.shares else route.detail
    lacks = lacking(route.manager, case.rollout.traffic) if case.rollout.traffic else ""
    remedy = f"{lacks[0].upper()}{lacks[1:]}: mend that" if lacks else "Remove that writer"
    return Hold(
        "RouteChanged",
        f"{route.manager} set {found} on {case.seen.route_kind} {case.seen.route_name}, the plan says {case.target}."
        f" {remedy}, then control.resume to go on or control.rollback to go back",
    )


def apply_target(case: Case) -> Verb | None:
    """The route is not as the target says, or the gateway has not taken it yet."""
    if not case.attempt:
        return None
    route = case.seen.route
    if case.shares_seen != case.target or isinstance(route, Unmanaged):
        if blocked := _hold_for_growth(case, case.target):
            return blocked
        if case.attempt.applied_at and case.step and not is_on_drill(case.attempt):
            # Evidence speaks of one span of unchanged shares.
            return Go(
                case.step,
                Cause.MANUAL,
                f"the route was changed: {step_text(case.step)} starts again, with clock and evidence",
            )
        return Wait("Applying", f"giving the candidate {case.target}", writes=True)
    if not isinstance(route, Routed) or route.acceptance is Acceptance.ACCEPTED:
        return None
    where = f"{case.seen.route_kind} {case.seen.route_name}"
    if route.acceptance is Acceptance.REJECTED:
        return Hold("RouteRejected", f"the gateway does not take {where}: {route.detail}")
    bound = case.attempt.target.since + ACCEPTANCE_BOUND
    if case.now < bound:
        return Wait("Applying", f"waiting for the gateway to take {where}", until=bound)
    return Hold("RouteNotAccepted", f"no gateway has taken {where}: look at its parentRefs and at the gateway's log")


def hold_for_people(case: Case) -> Verb | None:
    """A person's hold, or spec.paused; gates go on guarding."""
    return persons_hold(case) if case.attempt else None


def hold_on_clock_skew(case: Case) -> Verb | None:
    """With a wrong clock no step ends: neither its minimum nor its window means anything. Rollbacks go their way."""
    return skewed_clock(case) if case.attempt else None


def start_clock_again(case: Case) -> Verb | None:
    """The step began in the future: the clock was ahead then, and has been set right."""
    applied = case.attempt.applied_at if case.attempt else None
    if applied is None or case.step is None or applied - case.now <= LARGEST_SKEW:
        return None
    return Go(
        case.step,
        Cause.CLOCK_SKEW,
        f"the operator's clock was {span_text(applied - case.now)} ahead: this step's clock and evidence start again",
    )


def _hold_recalled(case: Case) -> Hold | None:
    last = case.status.attempt
    why = last.recalled.disagrees if last and last.recalled else None
    if why is None or target_of(case.rollout) is None or case.shares_seen == case.target:
        return None
    return Hold(
        "RecordDisagrees",
        f"status was lost, and what it said is taken from the record again; but {why}. control.resume goes on as the"
        " record says, control.rollback gives the baseline everything",
    )


def _hold_for_growth(case: Case, shares: Shares) -> Verb | None:
    """Return what keeps the route from these shares, where they are more than it gives now."""
    if not is_more(shares, case.shares_seen or BASELINE_ONLY):
        return None
    # What users had already is given back to them at any time: a route that is gone answers nobody.
    is_mending = isinstance(case.seen.route, Unmanaged) and case.attempt is not None and case.attempt.applied_at
    return hold_for_backends(case) or (None if is_mending else wrong_time(case))


def _was_ours(case: Case) -> bool:
    """Whether the route was seen as the attempt wants it, or as somebody else changed it after that."""
    seen = case.status.route
    if seen and Shares(seen.candidate, seen.mirror) == case.target:
        return True
    return any(one.type == "Held" and one.reason == "RouteChanged" for one in case.status.conditions)


def _route_needs_mending(case: Case) -> bool:
    """Whether an object of ours is gone or was left half-way; what somebody else wrote is reported, not fought."""
    match case.seen.route:
        case Unmanaged():
            return baseline_can_serve(case)
        case Routed(shares):
            return shares != case.target and backends_ready_for(case, case.target)
        case _:
            return False
