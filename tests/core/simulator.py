"""A world in which decisions take effect at once, told as a story: what happened when, and what was done about it."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from modelrollout.api.fields import ALL, NONE, Percent, parse_percent
from modelrollout.api.status import Control, Phase
from modelrollout.api.versions import ServiceRef
from modelrollout.core.actors import Hand
from modelrollout.core.case import Case, Observed, place_of, way_back_of
from modelrollout.core.decide import decide
from modelrollout.core.evidence import Answer, Counted, NoData, Question, Unknown
from modelrollout.core.looking import judge_all, questions
from modelrollout.core.projection import Decision, RouteWrite
from modelrollout.core.rollout import Rollout, parse_rollout
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import Endpoints, Foreign, Place, Route, Routed, Shares, Unmanaged, WayBack
from modelrollout.engine.memory import Memory, next_look

from tests.core.builders import CAN_MIRROR, LIMITS, NOW, new

OPERATOR = "the operator"
REQUESTS_PER_SECOND = 50
ANALYSIS = {"interval": "2m"}


@dataclass
class RouteObject:
    """Who answers how much of the requests, who gets copies, and who said so."""

    weights: dict[str, Percent]
    copies: dict[str, Percent]
    writer: str
    version: int = 1
    way_back: WayBack | None = None

    def __str__(self) -> str:
        answering = [f"{name[6:]} {weight}%" for name, weight in self.weights.items() if weight > NONE]
        copied = [f"{share}% copied to {name[6:]}" for name, share in self.copies.items()]
        return ", ".join(answering + copied)


@dataclass
class World:
    """All that decisions depend on and act upon. `tell` collects what a reader should know."""

    now: datetime
    rollout: Rollout = field(default_factory=lambda: new(analysis=ANALYSIS))
    route: RouteObject | None = None
    errors: dict[str, float] = field(default_factory=dict)
    has_metrics: bool = True
    gone: set[str] = field(default_factory=set)
    told: list[tuple[datetime, str]] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    decision: Decision | None = None

    def tell(self, sentence: str) -> None:
        """Add a line to the story."""
        self.told.append((self.now, sentence))

    def apply(self, **changes: Any) -> None:
        """Let spec be changed, as `kubectl apply` does."""
        fresh = new(analysis=ANALYSIS, **changes)
        self.rollout = replace(fresh, status=self.rollout.status, generation=self.rollout.generation + 1)

    def ask(self, command: str, reason: str) -> None:
        """Put a message into the inbox."""
        inbox = (self.rollout.status.control or Control()).render()
        control = Control.model_validate({**inbox, command: {"reason": reason, "requestedBy": "sam"}})
        self._edit_status(command, "kubectl-patch", control=control)

    def write_phase(self, phase: Phase) -> None:
        """Write the phase, as somebody does at three in the morning."""
        self._edit_status("phase", "kubectl-edit", phase=phase)

    def set_weight(self, version: str, weight: str, who: str) -> None:
        """Change the route behind the operator's back."""
        share = parse_percent(weight)
        assert self.route
        others = [name for name in self.route.weights if name != f"fraud-{version}"] or ["fraud-v1"]
        self.route = replace(
            self.route,
            weights={others[0]: share.rest, f"fraud-{version}": share},
            copies={},
            writer=who,
            version=self.route.version + 1,
        )
        self.tell(f"route: {self.route}")

    def settle(self) -> None:
        """Decide until there is nothing to do at this time."""
        for _ in range(20):
            if not self._pass():
                return
        raise AssertionError("the operator never comes to rest")

    def next_pass(self) -> datetime | None:
        """Return when the operator looks again by itself, `None` while only news can wake it."""
        notes = self.memory.of(self.rollout)
        due = [self.decision.look_again_at if self.decision else None, next_look(self.rollout, notes, self.now)]
        return min((moment for moment in due if moment), default=None)

    def _edit_status(self, message: str, manager: str, **changes: Any) -> None:
        hands = {**self.rollout.hands, message: Hand(manager, self.now)}
        self.rollout = replace(self.rollout, status=self.rollout.status.model_copy(update=changes), hands=hands)

    def _pass(self) -> bool:
        """Look, decide and do once; return whether anything has changed, so that another pass is due."""
        seen = self._observed()
        decision = decide(Case(self.rollout, seen, self.now, LIMITS))
        before = self.rollout.status
        # What is written is what the next pass reads: to the millisecond, and as JSON has it.
        raw = {"metadata": _metadata(self.rollout), "status": decision.status.render()}
        self.rollout = replace(self.rollout, status=parse_rollout(raw).status)
        self.decision = decision
        for event in decision.events:
            self.tell(f"{event.reason}: {event.note}")
        if decision.write:
            self._write(decision.write)
        if before.phase != self.rollout.status.phase:
            self.tell(f"phase: {self.rollout.status.phase}")
        return before != self.rollout.status or decision.write is not None

    def _write(self, write: RouteWrite) -> None:
        place, shares = write.place, write.shares
        if shares is None:
            assert self.route
            self.route = replace(self.route, way_back=write.way_back, version=self.route.version + 1)
            return
        weights = {place.candidate.name: shares.candidate}
        if place.baseline:
            weights = {place.baseline.name: shares.candidate.rest, **weights}
        copies = {place.candidate.name: shares.mirror} if shares.mirror > NONE else {}
        assert sum(weight.hundredths for weight in weights.values()) == ALL.hundredths, "not all requests are answered"
        version = self.route.version + 1 if self.route else 1
        self.route = RouteObject(weights, copies, OPERATOR, version, write.way_back)
        self.tell(f"route: {self.route}")

    def _observed(self) -> Observed:
        place = place_of(self.rollout)
        assert place
        notes = self.memory.of(self.rollout)
        due = next_look(self.rollout, notes, self.now)
        if looked := due is not None and due <= self.now:
            asked = questions(self.rollout, "TraefikService", "fraud", self.now)
            answers = {name: self._answer(question) for name, question in asked.items()}
            notes.gates, notes.looked_at = tuple(judge_all(self.rollout, answers, self.now)), self.now
        return Observed(
            route=self._route_at(place),
            route_kind="TraefikService",
            route_name="fraud",
            capabilities=CAN_MIRROR,
            baseline=self._endpoints(place.baseline) if place.baseline else None,
            candidate=self._endpoints(place.candidate),
            gates=notes.gates,
            looked=looked,
            names_bound_since=NOW,  # The story begins later: everything that bears a name does so rightly.
        )

    def _endpoints(self, service: ServiceRef) -> Endpoints:
        return Endpoints.NONE_READY if service.name in self.gone else Endpoints.READY

    def _route_at(self, place: Place) -> Route:
        route = self.route
        if route is None:
            return Unmanaged()
        known = {service.name for service in (place.baseline, place.candidate) if service}
        weighted = {name for name, weight in route.weights.items() if weight > NONE}
        mine = weighted | set(route.copies) <= known
        of_candidate = route.weights.get(place.candidate.name, NONE)
        shares = Shares(of_candidate, route.copies.get(place.candidate.name, NONE)) if mine else None
        if shares is None or route.writer != OPERATOR:
            return Foreign(shares, route.writer, str(route.version), "other versions", route.way_back)
        return Routed(shares, str(route.version), way_back=route.way_back)

    def _answer(self, question: Question) -> Answer:
        if not self.has_metrics:
            return NoData(Unknown.UNREACHABLE, "Prometheus does not answer")
        total = round(REQUESTS_PER_SECOND * (question.until - question.since).total_seconds())

        def counts(version: str) -> Counts:
            return Counts(total, round(total * self.errors.get(version, 0.0)))

        return Counted(
            counts(question.candidate.version), counts(question.baseline.version) if question.baseline else None
        )


def check(world: World) -> None:
    """Check what must hold at any time.

    Raises:
        AssertionError: it does not.
    """
    status = world.rollout.status
    true = {condition.type for condition in status.conditions if condition.status == "True"}
    assert not {"Reconciling", "Stalled"} <= true
    waits = status.attempt and status.attempt.rollback and not status.attempt.outcome
    if world.route and not waits:
        assert world.route.way_back == way_back_of(world.rollout), "the note is not as it should be"
    assert status.control is None or status.control.retry is not None, "a message was left"
    if world.route and world.route.writer == OPERATOR and status.attempt:
        target = Shares(status.attempt.target.candidate, status.attempt.target.mirror)
        candidate = status.attempt.candidate.service.name
        in_force = Shares(world.route.weights.get(candidate, NONE), world.route.copies.get(candidate, NONE))
        assert in_force == target or status.attempt.outcome, "traffic is not where status says"
    if status.attempt and status.attempt.rollback and world.route and not status.attempt.outcome:
        assert world.gone, "a rollback waits though both versions are there"


def _metadata(rollout: Rollout) -> dict[str, Any]:
    return {
        "name": rollout.name,
        "namespace": rollout.namespace,
        "uid": rollout.uid,
        "generation": rollout.generation,
        "resourceVersion": rollout.guard,
    }


def run_until(world: World, end: datetime) -> None:
    """Let time pass, and the operator look whenever it wants to."""
    while (due := world.next_pass()) and due <= end:
        world.now = max(due, world.now + timedelta(milliseconds=1))
        world.settle()
        check(world)
    world.now = end
