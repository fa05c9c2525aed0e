"""What a manifest meets in a cluster: the router, the Services, read as the user may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from modelrollout.cli.exits import Problem
from modelrollout.cli.rollouts import rollouts_of
from modelrollout.cli.session import Session
from modelrollout.cluster.kubernetes import WATCHED, Kubernetes
from modelrollout.cluster.server import ApiServer
from modelrollout.cluster.world import World
from modelrollout.core.case import place_of
from modelrollout.core.plan import unmet_need
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import Blocked, Capabilities, Place
from modelrollout.engine.observe import Drivers
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable
from modelrollout.routing.gateway import Gateways
from modelrollout.routing.httproute import grpcroute_driver, httproute_driver
from modelrollout.routing.traefikservice import traefikservice_driver


class Found(StrEnum):
    """What a look at something came to."""

    FINE = "ok"
    NO = "no"
    NOTHING = "?"


class Remark(NamedTuple):
    """Something that was looked at."""

    about: str
    found: Found
    message: str


async def look_around(session: Session, rollout: Rollout) -> list[Remark]:
    """Return what the router can do for the plan, and whether the Services are there.

    A cluster that cannot be had, or a right that is missing, is a remark of its own.
    """
    place = place_of(rollout)
    if place is None:
        return [Remark("router", Found.NO, rollout.problem)]
    try:
        async with _server(session) as server:
            return [await _router(server, rollout, place), *[one async for one in _services(server, place)]]
    except Problem as problem:
        return [Remark("cluster", Found.NOTHING, problem.message)]


@asynccontextmanager
async def _server(session: Session) -> AsyncIterator[ApiServer]:
    async with rollouts_of(session) as rollouts:
        yield rollouts.server


async def _router(server: ApiServer, rollout: Rollout, place: Place) -> Remark:
    kubernetes = Kubernetes(server, World(), clock=lambda: datetime.now(UTC), identity="plan")
    gateways = Gateways(kubernetes, {})
    drivers = Drivers(
        http_route=httproute_driver(kubernetes, gateways),
        grpc_route=grpcroute_driver(kubernetes, gateways),
        traefik_service=traefikservice_driver(kubernetes),
    )
    driver = drivers.of(place.traffic)
    name = f"{driver.kind} {driver.name_of(place)}"
    try:
        found = await driver.capabilities(place)
        route = await driver.read(place, live=True)
    except (Refused, Unavailable, Gone, Conflict) as error:
        return Remark("router", Found.NOTHING, f"{name} cannot be looked at: {error}")
    for one in (found, route):
        if isinstance(one, Blocked):
            return Remark("router", Found.NO, one.message)
    if not isinstance(found, Capabilities):
        return Remark("router", Found.NOTHING, f"nothing is known of {name}")
    unmet = unmet_need(rollout.plan(has_baseline=place.baseline is not None), found)
    if unmet:
        return Remark("router", Found.NO, unmet.message)
    copies = "copies requests" if found.mirror else "cannot copy requests"
    return Remark("router", Found.FINE, f"{name}: what is behind it sets weights and {copies}")


async def _services(server: ApiServer, place: Place) -> AsyncIterator[Remark]:
    for service, whose in ((place.baseline, "baseline"), (place.candidate, "candidate")):
        if service is None:
            continue
        try:
            found = await server.get(WATCHED["services"], place.namespace, service.name)
        except Gone:
            yield Remark(
                "services",
                Found.NOTHING,
                f"Service {service.name} of the {whose} is not in namespace {place.namespace} yet",
            )
        except (Refused, Unavailable) as error:
            yield Remark(
                "services", Found.NOTHING, f"Service {service.name} of the {whose} cannot be looked at: {error}"
            )
        else:
            ports = [one.get("port") for one in (found.get("spec") or {}).get("ports") or []]
            has = service.port in ports
            said = "is there" if has else f"has no port {service.port}: it has {', '.join(map(str, ports)) or 'none'}"
            yield Remark("services", Found.FINE if has else Found.NO, f"Service {service.name} of the {whose} {said}")
