"""Makes each object, hands it on by keyword, and runs the lot."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf
import structlog
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from modelrollout import __version__
from modelrollout.cluster.election import Election
from modelrollout.cluster.kubernetes import ROLLOUTS, WATCHED, Kubernetes
from modelrollout.cluster.lease import Terms
from modelrollout.cluster.server import ApiServer, connect
from modelrollout.cluster.world import World
from modelrollout.core.case import Limits
from modelrollout.engine.apply import Applier
from modelrollout.engine.observe import Drivers, Observer
from modelrollout.engine.ports import Gone, Refused, Unavailable
from modelrollout.engine.returner import Returner
from modelrollout.engine.store import Store
from modelrollout.engine.worker import Engine, most_of_a_namespace
from modelrollout.engine.workqueue import WorkQueue
from modelrollout.metrics.sources import Sources
from modelrollout.routing.gateway import Gateways
from modelrollout.routing.httproute import grpcroute_driver, httproute_driver
from modelrollout.routing.traefikservice import traefikservice_driver
from modelrollout.wiring.handlers import kopf_settings, register
from modelrollout.wiring.health import serve
from modelrollout.wiring.kinds import until_more_are_served
from modelrollout.wiring.reread import Rereader
from modelrollout.wiring.settings import OWN_NAMESPACE, Settings
from modelrollout.wiring.sweep import Sweeper
from modelrollout.wiring.telemetry import Metrics, Process, set_up_logging
from modelrollout.wiring.telemetry import World as WorldMetrics
from modelrollout.wiring.watchdog import Watchdog, measure_lag

log = structlog.get_logger(__name__)

CALL_LIMIT = timedelta(seconds=10)


def main(arguments: list[str] | None = None) -> int:
    """Run the operator until SIGTERM or SIGINT; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if "--version" in given:
        print(f"modelrollout {__version__}")
        return 0
    try:
        settings = CliApp.run(Settings, cli_args=given)
    except (ValidationError, SettingsError) as error:
        return _refuse(_explain(error))
    set_up_logging(settings.log_format, settings.log_level)
    # Imports leave most of all objects behind, for good. Looking through them again and again stopped the loop for
    # up to 80 ms at a time (docs/benchmarks.md), now and then in the middle of a rollback.
    gc.collect()
    gc.freeze()
    try:
        asyncio.run(run(settings))
    except (Unavailable, Refused, Gone) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"--listen {settings.listen}: {error}")
    return 0


async def run(settings: Settings) -> None:
    """Run the operator until it is told to stop.

    Raises:
        Unavailable: there is no API server, or it lacks the CRD.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    async with AsyncExitStack() as stack:
        election = await _election(settings, metrics, stack)
        server = await connect(
            settings.kubeconfig,
            call_limit=CALL_LIMIT,
            on_call=metrics.api_called,
            fence=election.time_left if election else None,
        )
        stack.push_async_callback(server.close)
        served = await _served(server)
        world = World()
        kubernetes = Kubernetes(server, world, clock=now, identity=_identity(settings))
        sources = _sources(settings, metrics)
        stack.push_async_callback(sources.close)
        store = Store()
        queue = WorkQueue(group_of=store.namespace_of, most=most_of_a_namespace(settings.workers))
        gateways = Gateways(kubernetes, settings.gateway_mirror)
        drivers = Drivers(
            http_route=httproute_driver(kubernetes, gateways),
            grpc_route=grpcroute_driver(kubernetes, gateways),
            traefik_service=traefikservice_driver(kubernetes),
        )
        engine = Engine(
            store=store,
            queue=queue,
            observer=Observer(drivers=drivers, source=sources, cluster=kubernetes),
            applier=Applier(drivers=drivers, cluster=kubernetes, store=store),
            cluster=kubernetes,
            clock=now,
            limits=Limits(settings.min_interval, settings.status_refresh),
            telemetry=metrics,
            returner=Returner(drivers=drivers, cluster=kubernetes),
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
        registry.register(
            Process(
                leading=lambda: election is None or election.is_leading,
                renewed_ago=lambda: election.renewed_ago if election else None,
                swept_ago=lambda: sweeper.age,
                reread_ago=lambda: rereader.age,
                longest_pass=lambda: engine.longest_pass,
                tasks=lambda: len(asyncio.all_tasks()),
            )
        )
        watch = kopf.OperatorRegistry()
        register(watch, engine=engine, world=world, resources=served, login=_login(settings))

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(engine.run(settings.workers, sweeper.complete))
                group.create_task(rereader.run())

        ready = asyncio.Event()

        def not_ready() -> str | None:
            if not ready.is_set():
                return "the watches have not started yet"
            if not sweeper.complete.is_set():
                return "the cluster has not been listed completely yet"
            return election.problem if election else None

        watchdog = Watchdog(lambda: engine.longest_pass)
        http = await serve(settings.listen, registry=registry, not_ready=not_ready, unhealthy=watchdog.problem)
        stack.push_async_callback(http.cleanup)
        await _run_all(
            settings,
            watch,
            [
                sweeper.run(),
                measure_lag(metrics.lagged),
                election.run(work) if election else work(),
            ],
            until_more_are_served(served, lambda: _served(server)),
            ready,
        )


async def _run_all(
    settings: Settings,
    watch: kopf.OperatorRegistry,
    tasks: Sequence[Coroutine[Any, Any, None]],
    more_kinds: Coroutine[Any, Any, list[str]],
    ready: asyncio.Event,
) -> None:
    """Run the watches and the tasks side by side: when one of them ends, all do."""
    stop = asyncio.Event()

    async def start_anew_for_more_kinds() -> None:
        log.warning("the operator stops, to be started anew: the cluster has got more kinds", kinds=await more_kinds)
        stop.set()

    async def end_at_once(running: Sequence[asyncio.Task[None]]) -> None:
        # kopf takes seconds to end its watches. Its own handlers are there once it is ready; with ours, work ends and
        # the Lease is given back meanwhile.
        await ready.wait()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
        log.info("operator stops")
        for task in running:
            task.cancel()

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(task) for task in tasks]
        looking = group.create_task(start_anew_for_more_kinds())
        group.create_task(end_at_once(running))
        log.info("operator started", version=__version__, namespaces=settings.namespaces or "all")
        await kopf.operator(
            registry=watch,
            settings=kopf_settings(),
            standalone=True,
            # Without one kopf asks who the user is, and fails where the image's user has no name.
            identity=_identity(settings),  # type: ignore[arg-type]  # a str of a private type
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            ready_flag=ready,
            stop_flag=stop,
        )
        # Whatever ended kopf. Nothing is cancelled twice: that would cut the Lease's return short.
        ready.set()
        stop.set()
        looking.cancel()


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
        me=f"{_identity(settings)}_{uuid.uuid4()}",
        terms=terms,
        clock=now,
    )


def _identity(settings: Settings) -> str:
    return settings.identity or socket.gethostname()


async def _served(server: ApiServer) -> list[str]:
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
    return Sources(configs, clock=now, on_call=metrics.queried)


def _login(settings: Settings) -> Callable[..., Any]:
    """Return how kopf gets its credentials: from where our own client has them."""
    if settings.kubeconfig is None:
        return kopf.login_with_service_account
    os.environ["KUBECONFIG"] = str(settings.kubeconfig)
    return kopf.login_with_kubeconfig


def now() -> datetime:
    """Return the present time: aware, UTC."""
    return datetime.now(UTC)


def _explain(error: ValidationError | SettingsError) -> str:
    """Return which flag is wrong and what to write instead."""
    if not isinstance(error, ValidationError):
        return str(error)
    said = []
    for item in error.errors():
        flag = ".".join(str(part) for part in item["loc"]).replace("_", "-")
        sentence = item["msg"].removeprefix("Value error, ")
        said.append(f"--{flag}: {sentence}" if flag else sentence)
    return "; ".join(said)


def _refuse(sentence: str) -> int:
    """Say why the operator cannot start, in the log where it is set up already, and return the exit code."""
    if logging.getLogger().handlers:
        log.error("cannot start", error=sentence)
    else:
        print(f"modelrollout-operator: cannot start: {sentence}", file=sys.stderr)
    return 1
