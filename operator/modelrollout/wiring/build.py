"""Makes each object, and hands it on by keyword."""

import asyncio
import os
import socket
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf
from prometheus_client import CollectorRegistry

from modelrollout.cluster.admission import Admission
from modelrollout.cluster.election import Election
from modelrollout.cluster.freeze import Freeze
from modelrollout.cluster.kubernetes import ROLLOUTS, WATCHED, Kubernetes
from modelrollout.cluster.lease import Terms
from modelrollout.cluster.server import ApiServer, connect
from modelrollout.cluster.world import World
from modelrollout.core.case import Limits
from modelrollout.engine.accounts import Accounts
from modelrollout.engine.apply import Applier
from modelrollout.engine.observe import Drivers, Observer
from modelrollout.engine.outbox import Outbox
from modelrollout.engine.ports import Unavailable
from modelrollout.engine.recollection import Recollection
from modelrollout.engine.recorder import Recorder
from modelrollout.engine.returner import Returner
from modelrollout.engine.store import Store
from modelrollout.engine.worker import Engine, most_of_a_namespace
from modelrollout.engine.workqueue import WorkQueue
from modelrollout.metrics.sources import Sources
from modelrollout.notify.announcer import Announcer
from modelrollout.notify.postbox import Postbox
from modelrollout.notify.senders import sender_of
from modelrollout.routing.gateway import Gateways
from modelrollout.routing.httproute import grpcroute_driver, httproute_driver
from modelrollout.routing.traefikservice import traefikservice_driver
from modelrollout.wiring.handlers import register
from modelrollout.wiring.reread import Rereader
from modelrollout.wiring.settings import OWN_NAMESPACE, Settings
from modelrollout.wiring.sweep import Sweeper
from modelrollout.wiring.telemetry import Metrics, Process, Targets
from modelrollout.wiring.telemetry import World as WorldMetrics

CALL_LIMIT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the process runs, and what it asks while it does."""

    registry: CollectorRegistry
    metrics: Metrics
    election: Election | None
    server: ApiServer
    served: list[str]
    """The kinds that the cluster has, of those we watch."""
    engine: Engine
    sweeper: Sweeper
    rereader: Rereader
    announcer: Announcer
    freeze: Freeze
    admission: Admission | None
    watch: kopf.OperatorRegistry


async def build(settings: Settings, stack: AsyncExitStack) -> Parts:
    """Return the parts; what they hold open is closed by `stack`.

    Raises:
        Unavailable: there is no API server, or it lacks the CRD.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    election = await _election(settings, metrics, stack)
    server = await connect(
        settings.kubeconfig,
        call_limit=CALL_LIMIT,
        on_call=metrics.api_called,
        fence=election.time_left if election else None,
    )
    stack.push_async_callback(server.close)
    served = await served_kinds(server)
    world = World()
    freeze = Freeze(server, setting=settings.freeze, config_map=settings.freeze_place, clock=now)
    policy = settings.admission_policy
    admission = Admission(server, policy, settings.namespaces) if policy else None
    kubernetes = Kubernetes(
        server, world, clock=now, identity=identity_of(settings), admission=admission, freeze=freeze
    )
    sources = _sources(settings, metrics)
    stack.push_async_callback(sources.close)
    store = Store()
    queue = WorkQueue(
        group_of=store.namespace_of,
        most=most_of_a_namespace(settings.workers),
        busy_at=max(1, settings.workers // 2),
    )
    announcer = _announcer(settings, queue, metrics, stack)
    engine = _engine(
        settings,
        kubernetes=kubernetes,
        sources=sources,
        store=store,
        queue=queue,
        metrics=metrics,
        announcer=announcer,
    )
    sweeper = Sweeper(
        server=server,
        kubernetes=kubernetes,
        engine=engine,
        store=store,
        resources=served,
        namespaces=settings.namespaces,
        missed=metrics.missed,
    )
    rereader = Rereader(
        server=server, engine=engine, store=store, namespaces=settings.namespaces, missed=metrics.missed
    )
    registry.register(WorldMetrics(store, queue, now))
    registry.register(Targets(announcer.postboxes))
    registry.register(_process_metrics(election, sweeper, rereader, engine))
    watch = kopf.OperatorRegistry()
    register(watch, engine=engine, world=world, resources=served, login=_login(settings))
    return Parts(
        registry=registry,
        metrics=metrics,
        election=election,
        server=server,
        served=served,
        engine=engine,
        sweeper=sweeper,
        rereader=rereader,
        announcer=announcer,
        freeze=freeze,
        admission=admission,
        watch=watch,
    )


async def _election(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Election | None:
    """Return what decides which of several processes works; `None` where there is only one."""
    if not settings.leader_election:
        return None
    terms = Terms(settings.lease_duration.total_seconds())
    # A connection of its own: a renewal must not wait behind anything else.
    server = await connect(
        settings.kubeconfig, call_limit=timedelta(seconds=terms.call_limit), on_call=metrics.api_called
    )
    stack.push_async_callback(server.close)
    return Election(
        server,
        namespace=settings.lease_namespace or OWN_NAMESPACE.read_text("utf-8").strip(),
        name=settings.lease_name,
        # A container that is started again in its pod has the same host name, and is another process.
        me=f"{identity_of(settings)}_{uuid.uuid4()}",
        terms=terms,
        clock=now,
    )


async def served_kinds(server: ApiServer) -> list[str]:
    """Return the kinds that this cluster has, of those we watch.

    Raises:
        Unavailable: the cluster lacks our own CRD, or cannot be reached.
    """
    if ROLLOUTS.plural not in await server.served(ROLLOUTS.group, ROLLOUTS.version):
        raise Unavailable(
            f"the cluster does not serve {ROLLOUTS.plural}.{ROLLOUTS.group}/{ROLLOUTS.version}: apply crds/ of this"
            " version first"
        )
    return [
        plural
        for plural, resource in WATCHED.items()
        if plural in await server.served(resource.group, resource.version)
    ]


def _sources(settings: Settings, metrics: Metrics) -> Sources:
    configs = {
        name: source.model_copy(update={"raw_queries": source.raw_queries or settings.raw_queries})
        for name, source in settings.metrics_sources.items()
    }
    return Sources(configs, clock=now, on_call=metrics.queried, webhooks=settings.webhooks)


def _announcer(settings: Settings, queue: WorkQueue, metrics: Metrics, stack: AsyncExitStack) -> Announcer:
    """Return what tells the administrator's targets."""
    postboxes = []
    for name, config in settings.notifications.items():
        sender = sender_of(config, settings.cluster_name)
        stack.push_async_callback(sender.close)
        metrics.expect_target(name)
        postboxes.append(
            Postbox(
                name,
                config,
                sender,
                clock=now,
                is_busy=lambda: queue.is_behind,
                ended=metrics.notified,
                failed=metrics.notification_failed,
            )
        )
    return Announcer(postboxes)


def _engine(
    settings: Settings,
    *,
    kubernetes: Kubernetes,
    sources: Sources,
    store: Store,
    queue: WorkQueue,
    metrics: Metrics,
    announcer: Announcer,
) -> Engine:
    gateways = Gateways(kubernetes, settings.gateway_mirror)
    drivers = Drivers(
        http_route=httproute_driver(kubernetes, gateways),
        grpc_route=grpcroute_driver(kubernetes, gateways),
        traefik_service=traefikservice_driver(kubernetes),
    )
    outbox = Outbox(kubernetes, lambda: queue.is_behind, announcer)
    recorder = Recorder(kubernetes, announcer)
    return Engine(
        store=store,
        queue=queue,
        observer=Observer(drivers=drivers, source=sources, cluster=kubernetes),
        applier=Applier(drivers=drivers, cluster=kubernetes, store=store, outbox=outbox),
        cluster=kubernetes,
        clock=now,
        limits=Limits(settings.min_interval, settings.status_refresh, settings.require_gate_classes),
        telemetry=metrics,
        returner=Returner(drivers=drivers, cluster=kubernetes, recorder=recorder, clock=now),
        accounts=Accounts(recorder, store, metrics),
        recollection=Recollection(kubernetes),
        outbox=outbox,
    )


def _process_metrics(election: Election | None, sweeper: Sweeper, rereader: Rereader, engine: Engine) -> Process:
    return Process(
        leading=lambda: election is None or election.is_leading,
        renewed_ago=lambda: election.renewed_ago if election else None,
        swept_ago=lambda: sweeper.age,
        reread_ago=lambda: rereader.age,
        longest_pass=lambda: engine.longest_pass,
        tasks=lambda: len(asyncio.all_tasks()),
    )


def _login(settings: Settings) -> Callable[..., Any]:
    """Return how kopf gets its credentials: from where our own client has them."""
    if settings.kubeconfig is None:
        return kopf.login_with_service_account
    os.environ["KUBECONFIG"] = str(settings.kubeconfig)
    return kopf.login_with_kubeconfig


def identity_of(settings: Settings) -> str:
    """Return the name that tells this process from others, in the Lease and in events."""
    return settings.identity or socket.gethostname()


def now() -> datetime:
    """Return the present time: aware, UTC."""
    return datetime.now(UTC)
