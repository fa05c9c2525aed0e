"""A rollout's life in a world that means it no good: what is decided is written, comes back, and is decided on again.

A history is a list of events, so that hypothesis can shrink it and a coverage-guided fuzzer can grow it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from modelrollout.api.fields import NONE, Percent
from modelrollout.api.status import Phase
from modelrollout.api.versions import ServiceRef
from modelrollout.core.case import Case, Limits, Observed, is_under_way, is_urgent, place_of
from modelrollout.core.decide import decide
from modelrollout.core.evidence import Answer, Counted, Measured, NoData, Question, Unknown
from modelrollout.core.looking import judge_all, questions
from modelrollout.core.projection import RouteWrite
from modelrollout.core.rollout import parse_rollout
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import (
    Acceptance,
    Blocked,
    Endpoints,
    Foreign,
    Place,
    Route,
    Routed,
    Shares,
    Unmanaged,
    WayBack,
)
from modelrollout.engine.memory import Memory, next_look

from local.hostile import manifests
from local.hostile.texts import Size
from tests.core.builders import CAN_MIRROR, CANNOT_MIRROR, NOW, spec
from tests.fuzz import invariants

LIMITS = Limits(min_interval=timedelta(seconds=1), status_refresh=timedelta(seconds=60))
OPERATOR = "the operator"
Event = tuple[str, Any]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_seeds = st.integers(0, 500)
_percents = st.sampled_from([0, 1, 100, 500, 5000, 9_999, 10_000]).map(Percent)
_totals = st.sampled_from([0, 1, 20, 100, 1000, 10**6, 10**12, 10**15])
_parts = st.sampled_from(
    ["attempt", "serving", "conditions", "commands", "control", "held", "phase", "route", "gates", "observedGeneration"]
)
_v = {
    number: {"version": number, "service": {"name": f"fraud-{number}", "port": 8080}} for number in ("v1", "v2", "v3")
}
_QUICK = {"interval": "1s", "warmup": "0s", "ingestDelay": "0s", "minRequests": 20, "freshness": "10s"}
_tweaks: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "candidate": st.sampled_from(list(_v.values())),
        "baseline": st.sampled_from([_v["v1"], None]),
        "paused": st.booleans(),
        "stages": st.sampled_from(
            [
                [{"name": "full", "full": {}, "minDuration": "0s"}],
                [
                    {"name": "canary", "canary": {"weights": ["0.01", 50, "99.99"]}, "minDuration": "0s"},
                    {"name": "full", "full": {}, "minDuration": "0s"},
                ],
            ]
        ),
        "gates": st.sampled_from(
            [
                [{"name": "errors", "errorRate": {"max": "0.0001%", "maxIncrease": "0%"}}],
                [{"name": "slow", "latency": {"threshold": "1ms", "maxAbove": "99.9999%", "maxIncrease": "9999.9999%"}}],
                [{"name": "errors", "errorRate": {"max": "1%"}, "onFail": "Hold"}, {"name": "value", "value": {"query": "q", "max": "1"}}],
            ]
        ),
        "analysis": st.sampled_from(
            [
                _QUICK,
                {**_QUICK, "onMetricsLost": "Rollback", "metricsLostTimeout": "0s"},
                {**_QUICK, "onDeadline": "Rollback", "deadline": "0s"},
                {**_QUICK, "deadline": "9999d99999h999999m99999s"},
            ]
        ),
        "rollback": st.sampled_from([{"retainBaseline": "0s"}, {"retainBaseline": "9999d", "unreadyGrace": "0s"}]),
    },
)  # fmt: skip
events: st.SearchStrategy[Event] = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([0, 1, 1, 10, 3600, 10**6])),
    st.tuples(st.just("pass"), st.sampled_from([0, 1, 10, 61])),
    st.tuples(st.just("spec"), st.tuples(_seeds, st.sampled_from([Size.ANY, Size.SMALLEST]))),
    st.tuples(st.just("tweak"), _tweaks),
    st.tuples(st.just("bad spec"), json_values),
    st.tuples(st.just("ask"), st.tuples(st.sampled_from(invariants.COMMANDS), st.text(max_size=5) | st.none())),
    st.tuples(st.just("phase"), st.sampled_from(Phase)),
    st.tuples(st.just("garbage"), st.tuples(_parts, json_values)),
    st.tuples(st.just("other status"), st.tuples(_parts, _seeds)),
    st.tuples(st.just("no status"), st.none()),
    st.tuples(st.just("shares"), st.tuples(_percents, st.sampled_from([OPERATOR, "kubectl"]))),
    st.tuples(st.just("route"), st.sampled_from(["gone", "other", "blocked", "rejected", "waiting", "fine"])),
    st.tuples(st.just("endpoints"), st.tuples(st.sampled_from(["v1", "v2", "v3", ""]), st.sampled_from(Endpoints))),
    st.tuples(st.just("counts"), st.tuples(_totals, _totals, _totals, _totals)),
    st.tuples(st.just("value"), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("unknown"), st.sampled_from(Unknown)),
    st.tuples(st.just("router"), st.sampled_from([CAN_MIRROR, CANNOT_MIRROR, Blocked("GatewayUnknown", "wait")])),
    st.tuples(st.just("workload"), st.none() | st.text(max_size=5)),
    st.tuples(st.just("source"), st.none() | st.just(Blocked("UnknownMetricsSource", "name one"))),
)
histories = st.lists(events, max_size=25)


@dataclass
class History:
    """The world as it stands. `happen` takes one event; a pass checks all invariants."""

    now: Any = NOW
    spec: Any = field(default_factory=lambda: spec(analysis=_QUICK))
    status: Any = None
    generation: int = 1
    weights: dict[str, Percent] = field(default_factory=dict)
    mirror: tuple[str, Percent] | None = None
    writer: str = ""
    way_back: WayBack | None = None
    route: str = "gone"
    endpoints: dict[str, Endpoints] = field(default_factory=dict)
    counts: tuple[int, int, int, int] = (1000, 0, 1000, 0)
    value: float = 0.0
    unknown: Unknown | None = None
    router: Any = CAN_MIRROR
    workload: str | None = None
    source: Blocked | None = None
    memory: Memory = field(default_factory=Memory)
    verbs: list[str] = field(default_factory=list)

    def happen(self, event: Event) -> None:
        """Let one event take place."""
        kind, value = event
        if kind in _EVENTS:
            _EVENTS[kind](self, value)
        else:
            setattr(self, kind, value)

    def _let_pass(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self._settle()

    def _ask(self, message: tuple[str, str | None]) -> None:
        command, reason = message
        inbox = _mapping(_mapping(self.status).get("control"))
        self._write_status({"control": {**inbox, command: {"reason": reason} if reason else {}}})

    def _share(self, given: tuple[Percent, str]) -> None:
        share, self.writer = given
        self.weights, self.mirror, self.route = {"fraud-v1": share.rest, "fraud-v2": share}, None, "fine"

    def _count(self, counts: tuple[int, int, int, int]) -> None:
        total, bad, other, other_bad = counts
        self.counts, self.unknown = (total, min(bad, total), other, min(other_bad, other)), None

    def _measure(self, value: float) -> None:
        self.value, self.unknown = value, None

    def _apply(self, wanted: Any) -> None:
        self.spec, self.generation = json.loads(json.dumps(wanted)), self.generation + 1

    def _write_status(self, parts: dict[str, Any]) -> None:
        self.status = json.loads(json.dumps({**_mapping(self.status), **parts}))

    def _settle(self) -> None:
        """Let passes follow one another as the engine has them: a write of the route is read back."""
        for _ in range(4):
            if not self._pass():
                return

    def _pass(self) -> bool:
        meta = {
            "namespace": "models",
            "name": "fraud",
            "uid": "u1",
            "generation": self.generation,
            "resourceVersion": "7",
        }
        rollout = parse_rollout({"metadata": meta, "spec": self.spec, "status": self.status})
        place = place_of(rollout)
        notes = self.memory.of(rollout)
        gates, looked = notes.gates, False
        due = None if is_urgent(rollout) or place is None else next_look(rollout, notes, self.now)
        if due is not None and due <= self.now:
            asked = questions(rollout, "HTTPRoute", "n" * 253, self.now)
            answers = {name: self._answer(question) for name, question in asked.items()}
            notes.gates, notes.looked_at = tuple(judge_all(rollout, answers, self.now)), self.now
            gates, looked = notes.gates, True
        seen = Observed(
            route=self._seen(place) if place else Blocked("InvalidSpec", rollout.problem),
            route_kind="HTTPRoute",
            route_name="n" * 253,  # As long as an adopted route's may be.
            capabilities=None if is_under_way(rollout) else self.router,
            baseline=self._ready(place.baseline) if place and place.baseline else None,
            candidate=self._ready(place.candidate) if place else Endpoints.UNKNOWN,
            workload=self.workload,
            metrics=self.source,
            gates=() if is_urgent(rollout) else gates,
            looked=looked,
        )
        case = Case(rollout, seen, self.now, LIMITS)
        decision = decide(case)
        invariants.check(case, decision)
        self.verbs.append(type(decision.verb).__name__)
        before = self.status
        self.status = json.loads(json.dumps(decision.status.render()))
        assert not parse_rollout({"metadata": meta, "spec": self.spec, "status": self.status}).ignored
        if decision.write:
            self._write(decision.write)
        return decision.write is not None or before != self.status

    def _write(self, write: RouteWrite) -> None:
        place, shares = write.place, write.shares
        if self.route == "blocked":
            return
        self.way_back = write.way_back
        if shares is None:
            return
        self.weights = {place.candidate.name: shares.candidate}
        if place.baseline:
            self.weights[place.baseline.name] = shares.candidate.rest
        self.mirror = (place.candidate.name, shares.mirror) if shares.mirror > NONE else None
        self.writer = OPERATOR
        self.route = "fine" if self.route in {"gone", "other"} else self.route

    def _seen(self, place: Place) -> Route:
        if self.route == "gone":
            self.way_back = None
            return Unmanaged()
        if self.route == "blocked":
            return Blocked("RouteExists", "it is not ours")
        known = {service.name for service in (place.baseline, place.candidate) if service}
        given = {name for name, weight in self.weights.items() if weight > NONE}
        if self.route == "other" or not given <= known or (self.mirror and self.mirror[0] != place.candidate.name):
            return Foreign(None, "kubectl", "9", "it gives weight to others", self.way_back)
        mirror = self.mirror[1] if self.mirror else NONE
        shares = Shares(self.weights.get(place.candidate.name, NONE), mirror)
        if self.writer != OPERATOR:
            return Foreign(shares, self.writer, "9", way_back=self.way_back)
        acceptance = {"rejected": Acceptance.REJECTED, "waiting": Acceptance.WAITING}.get(
            self.route, Acceptance.ACCEPTED
        )
        detail = "Gateway says no" if acceptance is Acceptance.REJECTED else ""
        return Routed(shares, "9", acceptance, detail, self.way_back)

    def _ready(self, service: ServiceRef) -> Endpoints:
        return self.endpoints.get(service.name.removeprefix("fraud-"), self.endpoints.get("", Endpoints.READY))

    def _answer(self, question: Question) -> Answer:
        if self.unknown:
            return NoData(self.unknown, "nobody knows")
        if question.gate.value:
            return Measured(self.value)
        total, bad, other, other_bad = self.counts
        return Counted(Counts(total, bad), Counts(other, other_bad) if question.baseline else None)


def live(happenings: list[Event]) -> History:
    """Return the world after these events, each followed by a pass.

    Raises:
        AssertionError: an invariant did not hold at some moment.
    """
    history = History()
    for event in happenings:
        history.happen(event)
        history.happen(("pass", 1))
    return history


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


_EVENTS: dict[str, Callable[[History, Any], None]] = {
    "pass": History._let_pass,
    "spec": lambda history, value: history._apply(manifests.spec(*value)),
    "tweak": lambda history, value: history._apply({**spec(analysis=_QUICK), **value}),
    "bad spec": History._apply,
    "ask": History._ask,
    "phase": lambda history, value: history._write_status({"phase": value}),
    "garbage": lambda history, value: history._write_status({value[0]: value[1]}),
    "other status": lambda history, value: history._write_status({value[0]: manifests.status(value[1]).get(value[0])}),
    "no status": lambda history, _: setattr(history, "status", None),
    "shares": History._share,
    "endpoints": lambda history, value: history.endpoints.update([value]),
    "counts": History._count,
    "value": History._measure,
}
