"""The first part of a pass: look at the route, the backends, and, when it is time, at the metrics."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelrollout.api.status import GateStatus
from modelrollout.api.traffic import Traffic
from modelrollout.api.versions import ServiceRef
from modelrollout.core.case import Observed, is_under_way, is_urgent, place_of
from modelrollout.core.evidence import Answer, Question
from modelrollout.core.looking import judge_all, questions
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import Blocked, Capabilities, Endpoints, Place
from modelrollout.engine.memory import Notes, next_look
from modelrollout.engine.ports import Cluster, Driver, Refused, Source, Unavailable


class Interrupted(Exception):
    """A rollback was asked for while the metrics were being looked at: start over, without them."""


@dataclass(frozen=True, slots=True)
class Drivers:
    """One driver for each kind of traffic."""

    http_route: Driver
    traefik_service: Driver

    @property
    def all(self) -> tuple[Driver, ...]:
        """Return the drivers, one for each kind of routing object."""
        return self.http_route, self.traefik_service

    def of(self, traffic: Traffic) -> Driver:
        """Return the driver for this kind of routing object."""
        return self.traefik_service if traffic.traefik_service else self.http_route


class Observer:
    """Looks at the world for one rollout at a time; writes nothing."""

    def __init__(self, *, drivers: Drivers, source: Source, cluster: Cluster) -> None:
        self._drivers = drivers
        self._source = source
        self._cluster = cluster

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
        route = await driver.read(place)
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
        )

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
        gates = {gate.name: gate for step in rollout.plan(has_baseline=True).steps for gate in step.gates}
        return self._source.check(spec.metrics, tuple(gates.values()))

    async def _gates(
        self, rollout: Rollout, notes: Notes, driver: Driver, place: Place, now: datetime
    ) -> tuple[tuple[GateStatus, ...], bool]:
        """Return the verdicts, and whether they were measured just now rather than remembered."""
        due = next_look(rollout, notes, now)
        if due is None or now < due:
            return notes.gates, False
        asked = questions(rollout, driver.kind, driver.name_of(place), now)
        answers = await self._ask(asked, notes)
        notes.gates, notes.looked_at = judge_all(rollout, answers, now), now
        return notes.gates, True

    async def _ask(self, asked: dict[str, Question], notes: Notes) -> dict[str, Answer]:
        """Ask all at once; give up as soon as a rollback is asked for."""
        answers = {name: asyncio.ensure_future(self._source.measure(question)) for name, question in asked.items()}
        stop = asyncio.ensure_future(notes.interrupt.wait())
        open_ones: set[asyncio.Future[Any]] = set(answers.values())
        try:
            while open_ones and not stop.done():
                _, still = await asyncio.wait({stop, *open_ones}, return_when=asyncio.FIRST_COMPLETED)
                open_ones = still - {stop}
            if open_ones:
                raise Interrupted
            return {name: answer.result() for name, answer in answers.items()}
        finally:
            for waiting in (stop, *answers.values()):
                waiting.cancel()
