"""Engines at work on one API server in memory, in virtual time, with a metrics source that says what the test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from modelrollout.api.gates import Gate
from modelrollout.api.metrics import Metrics
from modelrollout.api.status import ModelRolloutStatus
from modelrollout.core.case import Limits
from modelrollout.core.evidence import Answer, Counted, Gap, NoData, Question
from modelrollout.core.notices import Told
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import WAY_BACK_PREFIX, Blocked
from modelrollout.engine.accounts import Accounts
from modelrollout.engine.apply import Applier
from modelrollout.engine.observe import Drivers, Observer
from modelrollout.engine.outbox import Outbox
from modelrollout.engine.ports import Gone
from modelrollout.engine.recollection import Recollection
from modelrollout.engine.recorder import Recorder
from modelrollout.engine.returner import Returner
from modelrollout.engine.store import Store
from modelrollout.engine.worker import Engine, most_of_a_namespace
from modelrollout.engine.workqueue import WorkQueue
from modelrollout.routing.traefikservice import traefikservice_driver

from tests.core.builders import spec
from tests.support.fake_api import ROLLOUTS, WRITES, Call, FakeApi
from tests.support.virtual_time import virtual_now

LIMITS = Limits(min_interval=timedelta(seconds=1), status_refresh=timedelta(hours=1))
ROUTES = "traefikservices"
WATCH_DELAY = 0.005
# So long that nothing has to be tuned, so short that a whole rollout is a hundred passes.
STEP = timedelta(minutes=2)


class ScriptedSource:
    """Counts 50 requests a second for each version, of which `errors` fails by version; or does what `act` does."""

    def __init__(self) -> None:
        self.errors: dict[str, float] = {}
        self.act: Callable[[Question], Awaitable[Answer]] = self.count
        self.seen: Callable[[Gap], float | NoData] = lambda _: 1.0
        self.lost_until: datetime | None = None
        self.asked = 0
        self.gaps: list[Gap] = []

    def check(self, metrics: Metrics, gates: Sequence[Gate]) -> Blocked | None:
        """Find nothing wrong."""
        del metrics, gates
        return None

    async def measure(self, question: Question) -> Answer:
        """Answer as the test says."""
        self.asked += 1
        return await self.act(question)

    async def covered(self, gap: Gap) -> float | NoData:
        """Answer as `seen` says; by default the source was there all the time."""
        self.gaps.append(gap)
        return self.seen(gap)

    async def count(self, question: Question) -> Answer:
        """Return what a healthy Prometheus would count."""
        since = max(question.since, self.lost_until or question.since)
        seconds = max(0.0, (question.until - since).total_seconds())

        def counts(version: str) -> Counts:
            total = round(50 * seconds)
            return Counts(total, round(total * self.errors.get(version, 0.0)))

        baseline = counts(question.baseline.version) if question.baseline else None
        return Counted(counts(question.candidate.version), baseline)


class Noted:
    """Telemetry that keeps the outcomes of passes."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.records_failed: list[str] = []

    def pass_ended(self, outcome: str, seconds: float) -> None:
        """Keep it."""
        del seconds
        self.outcomes.append(outcome)

    def record_failed(self, outcome: str) -> None:
        """Keep it."""
        self.records_failed.append(outcome)

    def decided(self, old: ModelRolloutStatus, new: ModelRolloutStatus) -> None:
        """Not looked at."""


class Stage:
    """The world that engines share. `before` and `after` see each call of an engine and may raise in its place.

    `shares` is every change of the route, as what Services answer and what is copied where, `routes` the same with its
    times and the moments without a route. While it is `deaf`, no
    watch tells anything.
    """

    def __init__(self, **changes: Any) -> None:
        self.api = FakeApi()
        self.api.before = self._before
        self.api.after = self._after
        self.before: Callable[[Call], None] = lambda _: None
        self.after: Callable[[Call], None] = lambda _: None
        self.driver = traefikservice_driver(self.api)
        self.source = ScriptedSource()
        self.telemetry = Noted()
        self.shares: list[str] = []
        self.routes: list[tuple[datetime, str]] = []
        self.writes: list[Call] = []
        self.announced: list[Told] = []
        self.deaf = False
        self._is_delivering = False
        self._engines: list[Engine] = []
        self._names: set[str] = set()
        self._news = asyncio.Event()
        self._version = 0
        for version in ("v1", "v2", "v3"):
            self.api.set_backend("models", f"fraud-{version}")
        self._spec = spec(**{"stages": STAGES, "analysis": ANALYSIS, **changes})

    def apply(self, name: str = "fraud", **changes: Any) -> None:
        """Do as `kubectl apply` does; the same again changes nothing."""
        body = {**self._spec, **changes, "traffic": {"traefikService": {"name": name}}}
        if name in self._names:
            self.api.edit(ROLLOUTS, "models", name, {"spec": body}, manager="kubectl-apply")
        else:
            self.api.add(ROLLOUTS, {"metadata": {"name": name, "namespace": "models"}, "spec": body})
            self._names.add(name)
        self.deliver()

    def control(self, name: str = "fraud", **messages: Any) -> None:
        """Do as a person does with `kubectl patch --subresource=status`."""
        self.api.edit(ROLLOUTS, "models", name, {"status": {"control": messages}}, status=True)
        self.deliver()

    def write_attempt(self, **fields: Any) -> None:
        """Write into status.attempt of the only rollout, as an operator with another clock would have."""
        self.api.edit(ROLLOUTS, "models", "fraud", {"status": {"attempt": fields}}, status=True)
        self.deliver()

    def delete(self, name: str = "fraud") -> None:
        """Delete the rollout, as a person does."""
        obj = self.api.object(ROLLOUTS, "models", name)
        self.api.delete(ROLLOUTS, "models", name)
        self._names.discard(name)
        for engine in self._engines:
            engine.dropped(obj)

    def forget(self, name: str = "fraud") -> None:
        """Let no watch and no list tell of the rollout any more."""
        self._names.discard(name)

    def edit_route(self, spec: dict[str, Any], name: str = "fraud") -> None:
        """Do as a person does who edits the route."""
        self.api.edit(ROUTES, "models", name, {"spec": spec})
        self._note_shares()
        self.deliver()

    def delete_route(self, name: str = "fraud") -> None:
        """Do as a person does who deletes the route."""
        self.api.delete(ROUTES, "models", name)
        self._note_shares()
        self.deliver()

    def set_ready(self, service: str, ready: int) -> None:
        """Let a Service have so many ready endpoints."""
        self.api.set_backend("models", service, ready=ready)
        self.deliver()

    def status(self, name: str = "fraud") -> dict[str, Any]:
        """Return status as it stands in the object."""
        found: dict[str, Any] = self.api.object(ROLLOUTS, "models", name).get("status") or {}
        return found

    def condition(self, kind: str) -> tuple[str, str] | None:
        """Return status and reason of a condition, `None` where there is none."""
        found = next((c for c in self.status().get("conditions", []) if c["type"] == kind), None)
        return (found["status"], found["reason"]) if found else None

    def route(self, name: str = "fraud") -> str:
        """Return who answers and who gets copies, such as `v1 95, v2 5`."""
        try:
            return _shown(self.api.object(ROUTES, "models", name)["spec"])
        except Gone:
            return "none"

    def notes(self, name: str = "fraud") -> dict[str, Any]:
        """Return the way-back notes on the route."""
        try:
            annotations = self.api.object(ROUTES, "models", name)["metadata"].get("annotations", {})
        except Gone:
            return {}
        return {key: json.loads(text) for key, text in annotations.items() if key.startswith(WAY_BACK_PREFIX)}

    def announce(self, told: Told) -> None:
        """Keep what is told outside of the cluster."""
        self.announced.append(told)

    def deliver(self) -> None:
        """Let the watches of all engines say what is new, a little later."""
        self._news.set()
        if not self._is_delivering:
            self._is_delivering = True
            asyncio.get_running_loop().call_later(WATCH_DELAY, self._deliver)

    @asynccontextmanager
    async def engine(self, workers: int = 2) -> AsyncIterator[asyncio.Task[None]]:
        """Run an engine with a memory of its own; yields its task, and leaves none behind."""
        store = Store()
        queue = WorkQueue(group_of=store.namespace_of, most=most_of_a_namespace(workers))
        drivers = Drivers(http_route=self.driver, grpc_route=self.driver, traefik_service=self.driver)
        outbox = Outbox(self.api, lambda: queue.is_behind, self)
        recorder = Recorder(self.api, self)
        engine = Engine(
            store=store,
            queue=queue,
            observer=Observer(drivers=drivers, source=self.source, cluster=self.api),
            applier=Applier(drivers=drivers, cluster=self.api, store=store, outbox=outbox),
            cluster=self.api,
            clock=virtual_now,
            limits=LIMITS,
            telemetry=self.telemetry,
            returner=Returner(drivers=drivers, cluster=self.api, recorder=recorder, clock=virtual_now),
            accounts=Accounts(recorder, store, self.telemetry),
            recollection=Recollection(self.api),
            outbox=outbox,
        )
        self._engines.append(engine)
        complete = asyncio.Event()
        complete.set()
        task = asyncio.ensure_future(engine.run(workers, complete))
        task.add_done_callback(lambda _: self._news.set())
        self.deliver()
        asyncio.get_running_loop().call_later(WATCH_DELAY, engine.give_back)  # The first sweep.
        try:
            yield task
        finally:
            self._engines.remove(engine)
            queue.clear()
            task.cancel()
            await asyncio.wait({task})

    async def until(self, done: Callable[[], bool], *, within: timedelta = timedelta(hours=3)) -> None:
        """Wait until it is so, asking after each change of the world; fail when it takes longer than that."""
        async with asyncio.timeout(within.total_seconds()):
            while not done():
                self._news.clear()
                await self._news.wait()

    async def phase(self, *phases: str, within: timedelta = timedelta(hours=3)) -> None:
        """Wait for one of these phases."""
        await self.until(lambda: self.status().get("phase") in phases, within=within)

    def _before(self, call: Call) -> None:
        self.before(call)

    def _after(self, call: Call) -> None:
        if call.verb in WRITES:
            self.writes.append(call)
            self._note_shares()
            if self._version != self.api._version:  # A write that changes nothing is no news to a watch.
                self._version = self.api._version
                self.deliver()
        self.after(call)

    def _note_shares(self) -> None:
        now = self.route()
        if not self.routes or self.routes[-1][1] != now:
            self.routes.append((virtual_now(), now))
        if now != "none" and (not self.shares or self.shares[-1] != now):
            self.shares.append(now)

    def _deliver(self) -> None:
        self._is_delivering = False
        if self.deaf:
            return
        for engine in self._engines:
            for name in self._names:
                engine.seen(self.api.object(ROLLOUTS, "models", name))
                engine.touched([("models", name)])


ANALYSIS = {"interval": "10s", "warmup": "10s", "ingestDelay": "5s", "minRequests": 100}
STAGES = [
    {"name": "shadow", "shadow": {}, "minDuration": "2m"},
    {"name": "canary", "canary": {"weights": [5, 50]}, "minDuration": "2m"},
    {"name": "full", "full": {}, "minDuration": "2m"},
]


def _shown(spec: dict[str, Any]) -> str:
    if mirroring := spec.get("mirroring"):
        copies = [f"{mirror['percent']}% copied to {mirror['name'][6:]}" for mirror in mirroring.get("mirrors", [])]
        return ", ".join([f"{mirroring['name'][6:]} 100", *copies])
    return ", ".join(f"{ref['name'][6:]} {ref['weight']}" for ref in spec["weighted"]["services"])
