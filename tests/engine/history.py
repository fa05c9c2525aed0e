"""Random histories of one rollout: what people, pods, metrics, the API server and engines may do, and how it has to end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Never

from hypothesis import strategies as st
from modelrollout.core.evidence import Answer, NoData, Question, Unknown
from modelrollout.engine.ports import Conflict, Refused, Unavailable

from tests.engine.stage import Stage
from tests.support.fake_api import ROLLOUTS, WRITES, Call

STAGES = {
    "long": [
        {"name": "shadow", "shadow": {}, "minDuration": "1m"},
        {"name": "canary", "canary": {"weights": [5, 50]}, "minDuration": "1m"},
        {"name": "full", "full": {}, "minDuration": "1m"},
    ],
    "short": [
        {"name": "canary", "canary": {"weights": [20]}, "minDuration": "30s"},
        {"name": "full", "full": {}, "minDuration": "30s"},
    ],
}
ANALYSIS = {
    "interval": "15s",
    "warmup": "5s",
    "ingestDelay": "5s",
    "freshness": "10s",
    "minRequests": 100,
    "deadline": "5m",
}
ROLLBACK = {"retainBaseline": "10m", "unreadyGrace": "30s"}
BAD = 0.3
SETTLING = timedelta(minutes=40)
QUIET = timedelta(minutes=60)


class Killed(BaseException):
    """A SIGKILL in the middle of a pass."""


@dataclass(frozen=True)
class Step:
    """One thing that happens; printed as what to call to play it again."""

    what: str
    value: Any = None

    def __repr__(self) -> str:
        return f"Step({self.what!r}, {self.value!r})"


VERSIONS = st.sampled_from(["v1", "v2", "v3"])
FAULTS = st.sampled_from(["conflict", "unavailable", "refused", "reply lost", "killed", "killed after"])
STEPS = st.one_of(
    st.builds(Step, st.just("wait"), st.sampled_from([1, 10, 40, 70, 200, 900])),
    st.builds(Step, st.just("candidate"), st.sampled_from(["v2", "v3", "v1", "v2b"])),
    st.builds(Step, st.just("stages"), st.sampled_from(sorted(STAGES))),
    st.builds(Step, st.just("gate"), st.sampled_from(["1%", "5%"])),
    st.builds(Step, st.just("paused"), st.booleans()),
    st.builds(Step, st.just("command"), st.sampled_from(["rollback", "hold", "resume", "retry"])),
    st.just(Step("phase edit")),
    st.builds(Step, st.just("route edit"), st.sampled_from([{"v1": 1}, {"v1": 70, "v2": 30}, {"v2": 1}, {"other": 1}])),
    st.just(Step("route deleted")),
    st.builds(Step, st.just("endpoints"), st.tuples(VERSIONS, st.sampled_from([0, 1]))),
    st.builds(Step, st.just("errors"), st.tuples(VERSIONS, st.sampled_from([0.0, BAD]))),
    st.builds(Step, st.just("metrics"), st.booleans()),
    st.builds(Step, st.just("fault"), st.tuples(FAULTS, st.integers(1, 4))),
    st.builds(Step, st.just("watch"), st.booleans()),
    st.builds(Step, st.just("crash"), st.sampled_from([0, 120, 2000])),
    st.builds(Step, st.just("second engine"), st.booleans()),
    st.just(Step("deleted and made again")),
)
# Two of three steps give the rollout time to go on, else hardly one gets beyond its first stage.
HISTORIES = st.lists(
    st.one_of(st.builds(Step, st.just("wait"), st.sampled_from([20, 70, 150])), STEPS), min_size=5, max_size=14
)


@dataclass
class History:
    """A stage on which steps are played; afterwards it tells what has ever been."""

    stage: Stage = field(default_factory=lambda: Stage(stages=STAGES["long"], analysis=ANALYSIS, rollback=ROLLBACK))
    spec: dict[str, Any] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=lambda: {"v1": 1, "v2": 1, "v3": 1})
    has_metrics: bool = True
    ever: set[str] = field(default_factory=set)
    engines: list[tuple[AbstractAsyncContextManager[asyncio.Task[None]], asyncio.Task[None]]] = field(
        default_factory=list
    )
    faults: list[str] = field(default_factory=list)

    async def play(self, steps: list[Step]) -> None:
        """Let it all happen, then let all faults end, and give it time."""
        self.stage.before, self.stage.after = self._before, self._after
        self.stage.source.act = self._measure
        self.stage.apply()
        await self._start()
        for step in steps:
            self.ever.add(step.what if step.what != "command" else str(step.value))
            await self._steps[step.what](step.value)
            await self._replace_the_dead()
        self.faults.clear()
        self.has_metrics = True
        self.stage.deaf = False
        await self._set_engines(1)
        await self._replace_the_dead()
        self.stage.deliver()
        await asyncio.sleep(SETTLING.total_seconds())

    async def end(self) -> None:
        """Stop the engines."""
        await self._set_engines(0)

    @property
    def candidate(self) -> str:
        """The version that spec asks for in the end."""
        found: str = self.stage.api.object(ROLLOUTS, "models", "fraud")["spec"]["candidate"]["version"]
        return found

    @property
    def _steps(self) -> dict[str, Callable[[Any], Awaitable[None]]]:
        return {
            "wait": asyncio.sleep,
            # The API server refuses a candidate that is the baseline.
            "candidate": lambda v: self._apply(candidate=_version(v), baseline=_version("v3" if v == "v1" else "v1")),
            "stages": lambda name: self._apply(stages=STAGES[name]),
            "gate": lambda most: self._apply(gates=[{"name": "errors", "errorRate": {"max": most}}]),
            "paused": lambda value: self._apply(paused=value),
            "command": self._command,
            "phase edit": self._phase_edit,
            "route edit": self._route_edit,
            "route deleted": self._route_deleted,
            "endpoints": self._endpoints,
            "errors": self._errors,
            "metrics": self._metrics,
            "fault": self._fault,
            "watch": self._watch,
            "crash": self._crash,
            "second engine": lambda there: self._set_engines(2 if there else 1),
            "deleted and made again": self._make_again,
        }

    async def _apply(self, **changes: Any) -> None:
        self.spec |= changes
        self.stage.apply(**self.spec)

    async def _command(self, name: str) -> None:
        message: dict[str, Any] = {name: {"reason": "it happens"}}
        self.stage.control("fraud", **message)

    async def _phase_edit(self, _: None) -> None:
        self.ever.add("rollback")
        self.stage.api.edit(ROLLOUTS, "models", "fraud", {"status": {"phase": "RollingBack"}}, status=True)
        self.stage.deliver()

    async def _route_edit(self, weights: dict[str, int]) -> None:
        services = [
            {"kind": "Service", "name": f"fraud-{name}", "port": 8080, "weight": weight}
            for name, weight in weights.items()
        ]
        if self.stage.route() != "none":
            self.stage.edit_route({"mirroring": None, "weighted": {"services": services}})

    async def _route_deleted(self, _: None) -> None:
        if self.stage.route() != "none":
            self.stage.delete_route()

    async def _endpoints(self, value: tuple[str, int]) -> None:
        version, ready = value
        self.ready[version] = ready
        self.stage.set_ready(f"fraud-{version}", ready)

    async def _errors(self, value: tuple[str, float]) -> None:
        version, share = value
        self.stage.source.errors[version] = share
        if share:
            self.ever.add(f"bad {version}")

    async def _metrics(self, value: bool) -> None:
        self.has_metrics = value

    async def _fault(self, value: tuple[str, int]) -> None:
        kind, times = value
        self.faults += [kind] * (1 if "killed" in kind else times)

    async def _watch(self, works: bool) -> None:
        self.stage.deaf = not works
        self.stage.deliver()

    async def _crash(self, seconds: int) -> None:
        await self._set_engines(0)
        await asyncio.sleep(seconds)
        await self._set_engines(1)

    async def _make_again(self, _: None) -> None:
        self.stage.delete()
        self.stage.apply(**self.spec)

    async def _start(self) -> None:
        context = self.stage.engine()
        self.engines.append((context, await context.__aenter__()))

    async def _set_engines(self, number: int) -> None:
        while len(self.engines) > number:
            context, _ = self.engines.pop()
            await context.__aexit__(None, None, None)
        while len(self.engines) < number:
            await self._start()

    async def _replace_the_dead(self) -> None:
        for engine in [found for found in self.engines if found[1].done()]:
            self.engines.remove(engine)
            await engine[0].__aexit__(None, None, None)
            await self._start()

    async def _measure(self, question: Question) -> Answer:
        if not self.has_metrics:
            return NoData(Unknown.UNREACHABLE, "Prometheus does not answer")
        return await self.stage.source.count(question)

    def _before(self, call: Call) -> None:
        if call.verb in WRITES and self.faults and self.faults[0] not in {"reply lost", "killed after"}:
            _fail(self.faults.pop(0))

    def _after(self, call: Call) -> None:
        if call.verb in WRITES and self.faults and self.faults[0] in {"reply lost", "killed after"}:
            _fail(self.faults.pop(0))


def _fail(kind: str) -> Never:
    match kind:
        case "conflict":
            raise Conflict("somebody was faster")
        case "unavailable" | "reply lost":
            raise Unavailable("503: try again")
        case "refused":
            raise Refused("no")
        case _:
            raise Killed


def _version(name: str) -> dict[str, Any]:
    return {"version": name, "service": {"name": f"fraud-{name[:2]}", "port": 8080}}


def end_of(history: History) -> str | None:
    """Return what is wrong with how a history has ended, by its last inputs alone; `None` if nothing is."""
    stage = history.stage
    status, wanted = stage.status(), history.candidate
    spec = stage.api.object(ROLLOUTS, "models", "fraud")["spec"]
    attempt = status.get("attempt") or {}
    phase, reason = status["phase"], _reason(status)
    foreign = bool(history.ever & {"route edit"})
    if status.get("control", {}).keys() - {"retry"}:
        return f"a message lies unread: {status['control']}"
    match phase:
        case "Promoted":
            return _explain(
                status["serving"]["version"] == wanted and (foreign or stage.route() == f"{wanted[:2]} 100"),
                f"promoted, but {stage.route()}",
            )
        case "RolledBack":
            return _explain(
                attempt["candidate"]["version"] == wanted
                and (foreign or stage.route() == f"{attempt['baseline']['version'][:2]} 100")
                and _is_explained(attempt, history),
                f"rolled back for {attempt.get('rollback')}, with {stage.route()}",
            )
        case "Held" | "Pending" | "RollingBack":
            return _explain(_may_hold(reason, status, spec, history), f"{phase} for {reason}")
        case _:
            return f"{phase} for {reason}, though nothing is awaited"


def _is_explained(attempt: dict[str, Any], history: History) -> bool:
    match attempt["rollback"]["cause"]:
        case "Manual":
            return "rollback" in history.ever
        case "GateFailed" | "Catastrophe":
            return f"bad {attempt['candidate']['version']}" in history.ever
        case "CandidateUnready":
            return "endpoints" in history.ever
        case _:
            return False


def _may_hold(reason: str, status: dict[str, Any], spec: dict[str, Any], history: History) -> bool:
    attempt = status.get("attempt") or {}
    under_way = bool(attempt) and "outcome" not in attempt
    candidate = attempt["candidate"]["version"] if under_way else history.candidate
    baseline = (attempt["baseline"] if under_way else status.get("serving") or spec["baseline"])["version"]
    match reason:
        case "HeldByPerson":
            return "held" in status
        case "Paused":
            return bool(spec.get("paused"))
        case "CandidateNotReady":
            return not history.ready[candidate[:2]]
        case "BaselineNotReady":
            return not history.ready[baseline[:2]]
        case "RouteChanged" | "ServiceMissing":
            return "route edit" in history.ever
        case "SameService":
            return bool(candidate[:2] == baseline[:2])
        case "BaselineAlsoFailing":
            return {f"bad {candidate}", f"bad {baseline}"} <= history.ever
        case "DeadlineExceeded":
            return f"bad {candidate}" in history.ever
        case _:
            return False


def _explain(right: bool, otherwise: str) -> str | None:
    return None if right else otherwise


def _reason(status: dict[str, Any]) -> str:
    stated = {condition["type"]: condition["reason"] for condition in status["conditions"]}
    found: str = stated.get("Stalled") or stated["Ready"]
    return found


def without_numbers(status: dict[str, Any]) -> dict[str, Any]:
    """Return status without what is renewed while nothing happens: the gates' counts and the sentences that show them."""
    attempt = {name: value for name, value in (status.get("attempt") or {}).items() if name != "gates"}
    gates = [(gate["name"], gate["verdict"], gate["reason"]) for gate in (status.get("attempt") or {}).get("gates", [])]
    conditions = [(c["type"], c["status"], c["reason"]) for c in status["conditions"]]
    return {**status, "attempt": attempt, "gates": gates, "conditions": conditions}
