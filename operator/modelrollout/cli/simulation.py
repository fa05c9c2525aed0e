"""A rollout played through in simulated time: the code that decides live, in a world in which all else goes well.

Routes are as they should be at once, all backends are ready, and people approve what they are asked to. What the metrics say is asked of the caller, so that
the past can be replayed (`backtest`) and the future reckoned (`plan`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from modelrollout.api.status import ApproveRequest, Cause, Control, GateStatus, Outcome, TargetStatus
from modelrollout.core.case import Case, Limits, Observed, place_of
from modelrollout.core.decide import decide
from modelrollout.core.evidence import Answer, Question
from modelrollout.core.looking import end_of_minimum, judge_all, judged_step, questions
from modelrollout.core.plan import Step
from modelrollout.core.projection import Decision
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import BASELINE_ONLY, Blocked, Capabilities, Endpoints, Route, Routed, Shares, Unmanaged
from modelrollout.core.verbs import Hold, Stall
from modelrollout.engine.memory import Memory, next_look

Measure = Callable[[Question, Shares], Awaitable[Answer]]
"""Answers a gate's question, given the shares of the step that it is asked in."""

_CAN_ALL = Capabilities(mirror=True, mirror_percent=True, fractional_mirror=True)
_LIMITS = Limits(min_interval=timedelta(0), status_refresh=timedelta(0))
_MOST_PASSES = 20
_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the metrics: the step's verdicts, and how long the step has lasted."""

    at: datetime
    step: Step
    lasted: timedelta
    gates: tuple[GateStatus, ...]


@dataclass
class Simulation:
    """One attempt, from its beginning. `told` is what people would have read: time, reason, sentence.

    `leap`: while a step lasts, the next look comes no sooner than that fraction of its time so far.
    """

    rollout: Rollout
    now: datetime
    measure: Measure
    leap: float = 0.0
    looks: list[Look] = field(default_factory=list)
    told: list[tuple[datetime, str, str]] = field(default_factory=list)
    decision: Decision | None = None
    _route: Route = field(default_factory=Unmanaged)
    _memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        """Begin where the baseline has all the traffic."""
        if self.rollout.given_baseline:
            self._route = Routed(BASELINE_ONLY, "1")
        self._kind, self._name = where_of(self.rollout)

    @property
    def outcome(self) -> Outcome | None:
        """How the attempt has ended, `None` while it has not."""
        attempt = self.rollout.status.attempt
        return attempt.outcome if attempt else None

    @property
    def standstill(self) -> Hold | Stall | None:
        """What it waits for that time alone may not bring."""
        verb = self.decision.verb if self.decision else None
        return verb if isinstance(verb, Hold | Stall) else None

    async def run(self, until: datetime, *, stop: Callable[["Simulation"], bool] | None = None) -> None:
        """Let time pass until the attempt has ended, `stop` says so, or that time has come."""
        while True:
            await self._settle()
            if self.outcome is not None or (stop and stop(self)):
                return
            due = self._due()
            if due is None or due > until:
                return
            self.now = due

    def skip_step(self) -> bool:
        """Go on to the next step as if this one had passed; return whether there is one."""
        attempt = self.rollout.status.attempt
        plan = self.rollout.plan(has_baseline=self.rollout.given_baseline is not None)
        step = plan.step(attempt.stage, attempt.step) if attempt else None
        after = plan.after(step) if step else None
        if attempt is None or after is None:
            return False
        target = TargetStatus(
            candidate=after.shares.candidate, mirror=after.shares.mirror, since=self.now, cause=Cause.GATES_PASSED
        )
        moved = {
            "stage": after.stage,
            "step": after.index,
            "stage_started_at": self.now,
            "step_started_at": self.now,
            "applied_at": None,
            "metrics_lost_since": None,
            "target": target,
            "gates": [],
            "rollback": None,
            "outcome": None,
            "ended_at": None,
        }
        attempt = attempt.model_copy(update=moved)
        self.rollout = replace(self.rollout, status=self.rollout.status.model_copy(update={"attempt": attempt}))
        self._route = Routed(after.shares, "1")
        return True

    async def _settle(self) -> None:
        for _ in range(_MOST_PASSES):
            before, written = self.rollout.status, await self._pass()
            self._approve()
            if self.outcome or (self.rollout.status == before and not written):
                return

    def _approve(self) -> None:
        """Have as many people approve the next step as it asks for: it is not people that are played through."""
        attempt, standstill = self.rollout.status.attempt, self.standstill
        if standstill is None or standstill.reason != "ApprovalNeeded":
            return
        plan = self.rollout.plan(has_baseline=self.rollout.given_baseline is not None)
        here = plan.step(attempt.stage, attempt.step) if attempt and attempt.outcome is None else None
        step = plan.after(here) if here else plan.steps[0]
        asked = step.approval if step else None
        if step is None or asked is None:
            return
        people = [
            ApproveRequest(requested_by=f"person-{n}", groups=asked.groups or [], independent=True, stage=step.stage)
            for n in range(asked.required)
        ]
        status = self.rollout.status.model_copy(update={"control": Control(approve=people)})
        self.rollout = replace(self.rollout, status=status)

    async def _pass(self) -> bool:
        seen = await self._observe()
        decision = decide(Case(self.rollout, seen, self.now, _LIMITS))
        self.decision = decision
        self.told += [(self.now, event.reason, event.note) for event in decision.events]
        self.rollout = replace(self.rollout, status=decision.status)
        if decision.write is None:
            return False
        shares = decision.write.shares or (self._route.shares if isinstance(self._route, Routed) else BASELINE_ONLY)
        self._route = Routed(shares, "1", way_back=decision.write.way_back)
        return True

    async def _observe(self) -> Observed:
        notes = self._memory.of(self.rollout)
        due = next_look(self.rollout, notes, self.now)
        if looked := due is not None and due <= self.now:
            asked = questions(self.rollout, self._kind, self._name, self.now)
            found = judged_step(self.rollout)
            shares = found[1].shares if found else BASELINE_ONLY
            measured = await asyncio.gather(*(self.measure(question, shares) for question in asked.values()))
            answers = dict(zip(asked, measured, strict=True))
            notes.gates = tuple(judge_all(self.rollout, answers, self.now, notes.gates))
            notes.looked_at = self.now
            if found and found[0].applied_at:
                self.looks.append(Look(self.now, found[1], self.now - found[0].applied_at, notes.gates))
        place = place_of(self.rollout)
        return Observed(
            route=self._route,
            route_kind=self._kind,
            route_name=self._name,
            capabilities=_CAN_ALL,
            baseline=Endpoints.READY if place and place.baseline else None,
            candidate=Endpoints.READY,
            gates=notes.gates,
            looked=looked,
        )

    def _due(self) -> datetime | None:
        look = next_look(self.rollout, self._memory.of(self.rollout), self.now)
        again = self.decision.look_again_at if self.decision else None
        standstill = self.standstill
        until = standstill.until if isinstance(standstill, Hold) else None
        # While gates are judged nothing else but time can change anything here, nor before a window opens.
        due = look or until or again
        if due is None:
            return None
        leapt = self._leapt()
        if until and until > self.now:
            leapt = min(leapt, until)
        return max(due, leapt, self.now + _TICK)

    def _leapt(self) -> datetime:
        found = judged_step(self.rollout)
        if found is None or found[0].applied_at is None or not self.leap:
            return self.now
        attempt, step, _, _ = found
        end = end_of_minimum(attempt, step, timedelta(0))
        leapt = self.now + self.leap * (self.now - found[0].applied_at)
        return min(leapt, end) if end and self.now < end else leapt


def refusal_of(rollout: Rollout, metrics: Blocked | None, limits: Limits) -> Stall | None:
    """Return why the operator would not begin, where all else is well; `metrics` is what keeps gates from being asked."""
    place = place_of(rollout)
    kind, name = where_of(rollout)
    seen = Observed(
        route=Routed(BASELINE_ONLY, "1") if rollout.given_baseline else Unmanaged(),
        route_kind=kind,
        route_name=name,
        capabilities=_CAN_ALL,
        baseline=Endpoints.READY if place and place.baseline else None,
        candidate=Endpoints.READY,
        metrics=metrics,
    )
    # Any time will do: nothing has begun.
    verb = decide(Case(rollout, seen, datetime(2026, 1, 1, tzinfo=UTC), limits)).verb
    return verb if isinstance(verb, Stall) else None


def where_of(rollout: Rollout) -> tuple[str, str]:
    """Return kind and name of the routing object, as questions about metrics have them.

    Raises:
        ValueError: spec.traffic cannot be read.
    """
    traffic = rollout.traffic
    if traffic is None:
        raise ValueError(rollout.problem)
    if traffic.traefik_service:
        return "TraefikService", traffic.traefik_service.name
    route = traffic.gateway_route
    kind = "GRPCRoute" if traffic.grpc_route else "HTTPRoute"
    return kind, route.adopt.name if route and route.adopt else rollout.name
