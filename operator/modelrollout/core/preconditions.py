"""What has to be there before traffic moves, or may move on: Services, endpoints, routes, metrics, people's consent."""

from datetime import timedelta

from modelrollout.api.fields import NONE, render_duration
from modelrollout.api.rollout import Risk
from modelrollout.api.status import Command
from modelrollout.core.actors import actor_text
from modelrollout.core.case import Case
from modelrollout.core.plan import unmet_need
from modelrollout.core.traffic import CANDIDATE_ONLY, Blocked, Capabilities, Endpoints, Foreign, Shares
from modelrollout.core.verbs import Hold, Stall


def persons_hold(case: Case) -> Hold | None:
    """Return the hold that a person asked for, in the inbox or by spec.paused."""
    if held := case.status.held:
        why = f": {held.reason}" if held.reason else ""
        since = f"since {held.since:%Y-%m-%d %H:%M} UTC"
        return Hold("HeldByPerson", f"held by {actor_text(held)} {since}{why}. control.resume goes on")
    if case.spec.paused:
        return Hold("Paused", "spec.paused is true: set it to false to go on")
    return None


def safety_hold(case: Case) -> Hold | None:
    """Return the hold after a gate of severity safety has failed, until somebody asks for a retry."""
    stop = case.status.safety_stop
    if stop is None or Command.RETRY in case.taken:
        return None
    return Hold(
        "SafetyStop",
        f"version {stop.version} failed safety gate {stop.gate} at {stop.since:%Y-%m-%d %H:%M} UTC: {stop.message}. No"
        " candidate begins before somebody has looked and asks for control.retry",
    )


def lost_status(case: Case) -> Hold | None:
    """Return the hold while it is not known whether status has lost an attempt; where a record is broken, a word ends it."""
    lost = case.seen.lost
    if lost is None or (lost.reason == "RecordBroken" and Command.RESUME in case.taken):
        return None
    return Hold(lost.reason, lost.message)


def skewed_clock(case: Case) -> Hold | None:
    """Return the hold while our clock is not the cluster's: no time that was written down means anything then."""
    skew = case.seen.skew
    if skew is None or not case.is_clock_wrong:
        return None
    side = "ahead of" if skew > timedelta(0) else "behind"
    return Hold(
        "ClockSkew",
        f"the operator's clock is {abs(skew).total_seconds():.0f} s {side} the API server's, so no step ends: set both"
        " from one time server, it goes on by itself. control.rollback works",
    )


def refusal_to_start(case: Case) -> Stall | Hold | None:
    """What keeps an attempt from starting, before any traffic moves."""
    plan = case.plan
    missing = missing_outside(case)
    match case.seen.capabilities:
        case Blocked() as blocked:
            missing = missing or blocked
        case Capabilities() as capabilities:
            missing = missing or unmet_need(plan, capabilities) or _versions_counted_as_one(case, capabilities)
        case None:
            pass
    if missing:
        return Stall(missing.reason, missing.message)
    foreign = case.seen.route
    if isinstance(foreign, Foreign) and (foreign.shares is None or foreign.shares.candidate > NONE):
        if Command.RESUME in case.taken or case.shares_seen == case.target:
            return skewed_clock(case) or hold_for_backends(case)
        return Hold(
            "RouteChanged",
            f"{foreign.manager} set {foreign.shares or 'other backends'} on {case.seen.route_kind} {case.seen.route_name}:"
            " give the baseline everything there, or control.resume to let the operator do it",
        )
    return skewed_clock(case) or hold_for_backends(case)


def _versions_counted_as_one(case: Case, capabilities: Capabilities) -> Blocked | None:
    metrics = case.spec.metrics
    if metrics.preset != "envoy" or metrics.version_label or not capabilities.one_cluster:
        return None
    return Blocked(
        "VersionsNotToldApart",
        "spec.metrics.preset is envoy, and this gateway counts all backends of a rule as one cluster, so nothing tells"
        " the versions apart: use the preset of the model server, or name a label that differs as"
        " spec.metrics.versionLabel",
    )


def hold_for_backends(case: Case) -> Hold | None:
    """No weight for a version that is not there to take it, and none that nobody could account for later."""
    if blocked := case.seen.unrecordable:
        return Hold(blocked.reason, blocked.message)
    for endpoints, what in ((case.seen.baseline, "baseline"), (case.seen.candidate, "candidate")):
        if endpoints is not None and endpoints is not Endpoints.READY:
            reason = f"{what.capitalize()}NotReady"
            return Hold(reason, f"the Service of the {what} {lack_of(endpoints)}: start its pods, it goes on by itself")
    if case.seen.workload:
        return Hold("WorkloadNotReady", f"{case.seen.workload}: it goes on by itself when all replicas are available")
    return None


def is_more(shares: Shares, than: Shares) -> bool:
    """Whether these shares give the candidate more requests, or more copies, than those."""
    return shares.candidate > than.candidate or shares.mirror > than.mirror


def missing_outside(case: Case) -> Blocked | None:
    """What only the operator can know: metrics source, route and Services."""
    place = case.place
    if place is None:
        return Blocked("InvalidSpec", case.rollout.problem or "spec.traffic cannot be read")
    if case.policy.interval < case.limits.min_interval:
        least = render_duration(case.limits.min_interval)
        return Blocked(
            "IntervalTooShort",
            f"spec.analysis.interval is {render_duration(case.policy.interval)}, this operator looks every {least} at most:"
            f" write {least} or more, or ask the administrator for a smaller --min-interval",
        )
    if flaw := case.rollout.flaw or _absent_class(case):
        return flaw
    if case.seen.metrics:
        return case.seen.metrics
    if isinstance(case.seen.route, Blocked):
        return case.seen.route
    if place.baseline and place.baseline.name == place.candidate.name:
        return Blocked(
            "SameService",
            f"the candidate is behind Service {place.candidate.name}, and so is the version that serves: no router can"
            " tell them apart. Give the candidate a Service of its own",
        )
    for endpoints, service, what in (
        (case.seen.baseline, place.baseline, "baseline"),
        (case.seen.candidate, place.candidate, "candidate"),
    ):
        if service and endpoints is Endpoints.NO_SERVICE:
            return Blocked(
                "ServiceMissing",
                f"Service {service.name} of the {what} does not exist in namespace {place.namespace}: create it, or"
                f" correct spec.{what}.service.name",
            )
        if service and endpoints is Endpoints.NO_PORT:
            return Blocked(
                "ServicePortMissing",
                f"Service {service.name} of the {what} has no port {service.port}: correct spec.{what}.service.port",
            )
    return None


def _absent_class(case: Case) -> Blocked | None:
    if not case.limits.gate_classes or case.spec.risk is not Risk.HIGH or not case.rollout.absent_classes:
        return None
    absent = " and ".join(case.rollout.absent_classes)
    return Blocked(
        "GateClassMissing",
        "risk high demands at least one gate of each class (infrastructure, model, business), and none that acts is of"
        f" class {absent}: add one, or say of one there is what it looks after; the administrator can turn the rule off",
    )


def baseline_can_serve(case: Case) -> bool:
    """False only where going back would turn a working candidate into an outage."""
    dead = case.seen.baseline in {Endpoints.NONE_READY, Endpoints.NO_SERVICE, Endpoints.NO_PORT}
    live = case.shares_seen is not None and case.shares_seen.candidate > NONE
    return not (dead and live and case.seen.candidate is Endpoints.READY)


def backends_ready_for(case: Case, shares: Shares) -> bool:
    """Return whether every backend that these shares give traffic has a ready endpoint."""
    candidate_fine = shares.candidate == NONE or case.seen.candidate is Endpoints.READY
    baseline_fine = shares == CANDIDATE_ONLY or case.seen.baseline is Endpoints.READY
    return candidate_fine and baseline_fine


def lack_of(endpoints: Endpoints) -> str:
    """Return what is wrong with the Service, as the end of a sentence."""
    match endpoints:
        case Endpoints.NONE_READY:
            return "has no ready endpoint"
        case Endpoints.NO_SERVICE:
            return "does not exist"
        case Endpoints.NO_PORT:
            return "does not have that port"
        case Endpoints.UNKNOWN:
            return "is not known to have a ready endpoint"
        case Endpoints.READY:
            return "is ready"
