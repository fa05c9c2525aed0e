"""A verb to its consequences: the new status, the route to write, what people are told, when to look again."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from modelrollout.api.fields import NONE
from modelrollout.api.status import Attempt, ModelRolloutStatus, Outcome, Phase, RouteStatus, Verdict
from modelrollout.core.attempt import attempt_after, serving_after
from modelrollout.core.case import Case, place_of
from modelrollout.core.conditions import conditions_of
from modelrollout.core.effects import acts
from modelrollout.core.events import Event, events_between
from modelrollout.core.news import is_old_news
from modelrollout.core.plan import StageKind, Step
from modelrollout.core.safety import safety_stop_after
from modelrollout.core.traffic import Foreign, Place, Routed, Shares, Unmanaged, WayBack
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
    """Everything a pass does, decided `at` a moment. `look_again_at` is `None` where only events can change anything."""

    at: datetime
    verb: Verb
    status: ModelRolloutStatus
    write: RouteWrite | None
    events: tuple[Event, ...]
    look_again_at: datetime | None


def project(before: Case, case: Case, verb: Verb) -> Decision:
    """Return what `verb` comes to. `before` is the case with its inbox as it was read, `case` with it emptied."""
    old = before.status
    attempt = attempt_after(case, verb)
    serving = serving_after(case, verb, attempt)
    status = case.status.model_copy(
        update={
            "observed_generation": case.rollout.generation,
            "attempt": attempt,
            "serving": serving,
            "route": _route_status(case, attempt),
            "next_window": _next_window(case, verb),
            **({"approvals": []} if attempt and attempt.number != (old.attempt.number if old.attempt else 0) else {}),
            "safety_stop": safety_stop_after(case, verb),
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
    # Where nothing changes, what the rules have derived already holds.
    after = case if status is case.status else replace(after, rollout=replace(after.rollout, status=status))
    return Decision(
        at=case.now,
        verb=verb,
        status=status,
        write=_route_write(after, verb),
        events=events_between(before, after, verb),
        look_again_at=_look_again_at(after, verb),
    )


def _route_status(case: Case, attempt: Attempt | None) -> RouteStatus | None:
    shares, known, last = case.shares_seen, case.status.route, case.status.attempt
    if shares is None:
        is_gone = known and isinstance(case.seen.route, Unmanaged | Foreign)
        return known.model_copy(update={"record": None, "segment": None}) if known and is_gone else known
    # How an attempt ends is written down too: until it is, what the record says is not all there is.
    is_said = (last.outcome if last else None) is (attempt.outcome if attempt else None)
    mark = case.seen.recorded if is_said else None
    kind, name = case.seen.route_kind, case.seen.route_name
    stood = known and (known.kind, known.name, known.candidate, known.mirror) == (
        kind,
        name,
        shares.candidate,
        shares.mirror,
    )
    return RouteStatus(
        kind=kind,
        name=name,
        candidate=shares.candidate,
        mirror=shares.mirror,
        since=known.since if known and stood else case.now,
        record=mark.record if mark else None,
        segment=mark.segment if mark else None,
    )


def _next_window(case: Case, verb: Verb) -> datetime | None:
    calendar = case.rollout.calendar
    if calendar is None or isinstance(verb, Rest | Promote | Recognize | Finish | RollBack | Restore):
        return None
    return calendar.opens_at(case.now)


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
        case Begin() | Go() | Drill() | Wait():
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
    acting = [gate for gate in attempt.gates if acts(gate)] if attempt else []
    return f"{sum(gate.verdict is Verdict.PASS for gate in acting)}/{len(acting)}" if acting else None


def _route_write(case: Case, verb: Verb) -> RouteWrite | None:
    match verb:
        case (
            Rest(writes=True)
            | Wait(writes=True)
            | Hold(writes=True)
            | RollBack(writes=True)
            | Begin()
            | Go()
            | Drill()
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
        case Finish() | Begin() | Go() | Drill() | Promote() | Recognize():
            return case.now
        case Rest():
            drain = case.status.attempt.drain if case.status.attempt else None
            ends = case.retained_until or (drain.until if drain else None)
            return ends if ends and ends > case.now else None
        case _:
            assert_never(verb)
