"""The first part of a pass: look at the route, the backends, and, when it is time, at the metrics."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modelrollout.api.status import GateStatus
from modelrollout.api.traffic import Traffic
from modelrollout.api.versions import ServiceRef
from modelrollout.core.case import Observed, is_going_back, is_under_way, is_urgent, place_of, target_of
from modelrollout.core.evidence import Answer, Gap, NoData, Question, Replicas
from modelrollout.core.looking import blind_time, judge_all, last_look, questions, unseen_gap
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import Blocked, Capabilities, Endpoints, Foreign, Place, Route, Routed
from modelrollout.engine.memory import Notes, next_look
from modelrollout.engine.ports import Cluster, Driver, Refused, Source, Unavailable
from modelrollout.engine.turns import Interrupted

MOMENT, STARTED_AT_ONCE = 0.001, 4
"""Seconds of judging, and questions that are made into queries, after which others have their turn. A rollback is some
ten turns of the event loop, so how long one of them takes is how long a rollback waits, whoever's gates these are."""

QUESTIONS_AT_ONCE = 8
"""Of one pass: a rollout of 40 gates has its questions answered in turn, not at the others' expense."""


OWN_QUERIES_AT_ONCE = 4
"""Of one namespace: how long a query of a user's own takes is the user's doing, and a source has 16 threads."""


@dataclass(frozen=True, slots=True)
class Drivers:
    """One driver for each kind of traffic."""

    http_route: Driver
    grpc_route: Driver
    traefik_service: Driver

    @property
    def all(self) -> tuple[Driver, ...]:
        """Return the drivers, one for each kind of routing object."""
        return self.http_route, self.grpc_route, self.traefik_service

    def of(self, traffic: Traffic) -> Driver:
        """Return the driver for this kind of routing object."""
        if traffic.traefik_service:
            return self.traefik_service
        return self.grpc_route if traffic.grpc_route else self.http_route


class Observer:
    """Looks at the world for one rollout at a time; writes nothing."""

    def __init__(self, *, drivers: Drivers, source: Source, cluster: Cluster) -> None:
        self._drivers = drivers
        self._source = source
        self._cluster = cluster
        self._turn_to_judge = asyncio.Lock()
        self._turn_to_ask = asyncio.Lock()
        self._own_queries = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(OWN_QUERIES_AT_ONCE))

    async def observe(self, rollout: Rollout, notes: Notes, now: datetime) -> Observed:
        """Return what there is to see; metrics only when the next look is due, and never for a rollback.

        Raises:
            Unavailable: the route cannot be read.
            Interrupted: a rollback was asked for meanwhile.
        """
        place = place_of(rollout)
        if place is None:
            unreadable = Blocked("InvalidSpec", rollout.problem)
            return Observed(unreadable, "route", "?", None, None, Endpoints.UNKNOWN)
        driver = self._drivers.of(place.traffic)
        urgent = is_urgent(rollout)
        route = await self._read(driver, place, rollout, notes)
        gates, looked = ((), False) if urgent else await self._gates(rollout, notes, driver, place, now)
        return Observed(
            route=route,
            route_kind=driver.kind,
            route_name=driver.name_of(place),
            capabilities=None if is_under_way(rollout) else await self._capabilities(driver, place),
            baseline=self._endpoints(place.namespace, place.baseline) if place.baseline else None,
            candidate=self._endpoints(place.namespace, place.candidate),
            workload=None if urgent else await self._workload(rollout),
            metrics=self._metrics_problem(rollout),
            gates=gates,
            looked=looked,
            skew=self._cluster.clock_skew(),
            names_bound_since=self._cluster.names_bound_since(),
            unseen=_unseen(rollout, notes),
            contested=notes.is_contested(now),
        )

    async def _read(self, driver: Driver, place: Place, rollout: Rollout, notes: Notes) -> Route:
        """Return the route: the watch's copy, but what would restart a step or end a rollback is read anew.

        After a restart the copy may be older than what was written before it: a list can be, and a watch may lag.
        """
        try:
            route = await driver.read(place)
        except Refused as error:
            return Blocked("RouteRefused", str(error))
        target = target_of(rollout)
        if target is None or not isinstance(route, Routed | Foreign):
            return route
        if route.shares == target and (not is_going_back(rollout) or route.guard == notes.given_back):
            return route
        return await driver.read(place, live=True)

    async def _capabilities(self, driver: Driver, place: Place) -> Capabilities | Blocked:
        try:
            return await driver.capabilities(place)
        except (Unavailable, Refused) as error:
            return Blocked("GatewayUnknown", f"the gateway cannot be looked at now: {error}")

    def _endpoints(self, namespace: str, service: ServiceRef) -> Endpoints:
        try:
            return self._cluster.endpoints(namespace, service)
        except Unavailable:
            return Endpoints.UNKNOWN

    async def _workload(self, rollout: Rollout) -> str | None:
        spec = rollout.spec
        if spec is None or spec.candidate.workload is None:
            return None
        workload = spec.candidate.workload
        try:
            return await self._cluster.workload_problem(rollout.namespace, workload)
        except (Unavailable, Refused) as error:  # No weight grows, but gates go on guarding.
            return f"{workload.kind} {workload.name} cannot be looked at: {error}"

    def _metrics_problem(self, rollout: Rollout) -> Blocked | None:
        spec = rollout.spec
        if spec is None:
            return None
        return self._source.check(spec.metrics, rollout.plan(has_baseline=True).gates)

    async def _gates(
        self, rollout: Rollout, notes: Notes, driver: Driver, place: Place, now: datetime
    ) -> tuple[tuple[GateStatus, ...], bool]:
        """Return the verdicts, and whether they were measured just now rather than remembered."""
        due = next_look(rollout, notes, now)
        if due is None or now < due:
            return notes.gates, False
        asked = questions(rollout, driver.kind, driver.name_of(place), now)
        # The first look after a start or a take-over: what of the time since the last one is in the metrics?
        gap = None if notes.looked_at else unseen_gap(rollout, driver.kind, driver.name_of(place), now)
        answers, covered = await self._ask(asked, gap, notes)
        if gap:
            notes.unseen = gap.since, blind_time(gap, covered)
        notes.gates = await self._judge(rollout, answers, notes, self._replicas(place), now)
        # Counted from when it was due, so that what is a little late does not make the interval longer.
        notes.looked_at = due if now - due < rollout.policy.interval / 2 else now
        return notes.gates, True

    def _replicas(self, place: Place) -> Replicas:
        ready, baseline = self._cluster.ready_replicas, place.baseline
        return Replicas(ready(place.namespace, place.candidate), ready(place.namespace, baseline) if baseline else None)

    async def _judge(
        self, rollout: Rollout, answers: Mapping[str, Answer], notes: Notes, replicas: Replicas, now: datetime
    ) -> tuple[GateStatus, ...]:
        """Judge for a moment at a time, in turn with the other passes that judge; the loop goes round in between.

        So a rollback waits for a moment or one gate, however many rollouts of however many gates are being judged.
        """
        verdicts: list[GateStatus] = []
        judging = judge_all(rollout, answers, now, notes.gates, replicas)
        while True:
            async with self._turn_to_judge:
                if verdicts:
                    await asyncio.sleep(0)
                if notes.interrupt.is_set():
                    raise Interrupted
                until = time.perf_counter() + MOMENT
                for verdict in judging:
                    verdicts.append(verdict)
                    if time.perf_counter() > until:
                        break
                else:
                    return tuple(verdicts)

    async def _ask(self, asked: dict[str, Question], gap: Gap | None, notes: Notes) -> tuple[dict[str, Answer], float]:
        """Ask some at once; give up as soon as a rollback is asked for. What nobody can say was not covered."""
        few = asyncio.Semaphore(QUESTIONS_AT_ONCE)

        async def measure(question: Question) -> Answer:
            gate = question.gate
            turn = self._own_queries[question.candidate.namespace] if gate.value or gate.webhook else nullcontext()
            async with few, turn:
                return await self._source.measure(question)

        if not asked and gap is None:
            return {}, 0.0
        answers: dict[str, asyncio.Future[Answer]] = {}
        covered: asyncio.Future[float] = asyncio.ensure_future(self._covered(gap))
        stop: asyncio.Future[Any] = asyncio.ensure_future(notes.interrupt.wait())
        try:
            names = list(asked)
            for start in range(0, len(names), STARTED_AT_ONCE):
                async with self._turn_to_ask:
                    for name in names[start : start + STARTED_AT_ONCE]:
                        answers[name] = asyncio.ensure_future(measure(asked[name]))
                    await asyncio.sleep(0)  # Up to their first wait they make queries, which takes a while.
            everything: asyncio.Future[Any] = asyncio.gather(covered, *answers.values())
            await asyncio.wait({stop, everything}, return_when=asyncio.FIRST_COMPLETED)
            if not everything.done():
                raise Interrupted
            everything.result()
            return {name: answer.result() for name, answer in answers.items()}, covered.result()
        finally:
            stop.cancel()
            covered.cancel()
            for answer in answers.values():
                answer.cancel()

    async def _covered(self, gap: Gap | None) -> float:
        seen = await self._source.covered(gap) if gap and gap.needs_source else 0.0
        return 0.0 if isinstance(seen, NoData) else seen


def _unseen(rollout: Rollout, notes: Notes) -> timedelta:
    """Return how long nobody looked at the step, as long as status does not say so: a failed write loses nothing."""
    attempt = rollout.status.attempt
    if attempt and notes.unseen and notes.unseen[0] == last_look(attempt):
        return notes.unseen[1]
    return timedelta(0)
