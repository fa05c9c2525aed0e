"""The process: what the command line says, what runs side by side, and how it ends."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import kopf
import structlog
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from modelrollout import __version__
from modelrollout.engine.ports import Gone, Refused, Unavailable
from modelrollout.wiring.build import Parts, build, identity_of, served_kinds
from modelrollout.wiring.collector import ShortCollections
from modelrollout.wiring.handlers import NoMemories, kopf_settings
from modelrollout.wiring.health import serve
from modelrollout.wiring.kinds import until_more_are_served
from modelrollout.wiring.settings import Settings, explain
from modelrollout.wiring.telemetry import set_up_logging
from modelrollout.wiring.watchdog import Watchdog, measure_lag

log = structlog.get_logger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run the operator until SIGTERM or SIGINT; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if "--version" in given:
        print(f"modelrollout {__version__}")
        return 0
    try:
        settings = CliApp.run(Settings, cli_args=given)
    except (ValidationError, SettingsError) as error:
        return _refuse(explain(error))
    set_up_logging(settings.log_format, settings.log_level)
    ShortCollections().begin()
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
    async with AsyncExitStack() as stack:
        parts = await build(settings, stack)
        ready = asyncio.Event()
        watchdog = Watchdog(lambda: parts.engine.longest_pass)
        http = await serve(
            settings.listen,
            registry=parts.registry,
            not_ready=lambda: _not_ready(parts, ready),
            unhealthy=watchdog.problem,
        )
        stack.push_async_callback(http.cleanup)
        await _side_by_side(
            settings,
            parts.watch,
            [
                parts.sweeper.run(),
                parts.announcer.run(),
                measure_lag(parts.metrics.lagged),
                *([parts.admission.run()] if parts.admission else []),
                parts.election.run(lambda: _work(settings, parts)) if parts.election else _work(settings, parts),
            ],
            until_more_are_served(parts.served, lambda: served_kinds(parts.server)),
            ready,
        )


async def _work(settings: Settings, parts: Parts) -> None:
    """Do what only one of several processes may do."""
    async with asyncio.TaskGroup() as group:
        group.create_task(parts.engine.run(settings.workers, parts.sweeper.complete))
        group.create_task(parts.rereader.run())
        group.create_task(parts.freeze.run())


def _not_ready(parts: Parts, ready: asyncio.Event) -> str | None:
    """Return why the process is not ready yet; `None` where it is."""
    if not ready.is_set():
        return "the watches have not started yet"
    if not parts.sweeper.complete.is_set():
        return "the cluster has not been listed completely yet"
    return parts.election.problem if parts.election else None


async def _side_by_side(
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
            identity=identity_of(settings),  # type: ignore[arg-type]  # a str of a private type
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            memories=NoMemories(),
            ready_flag=ready,
            stop_flag=stop,
        )
        # Whatever ended kopf. Nothing is cancelled twice: that would cut the Lease's return short.
        ready.set()
        stop.set()
        looking.cancel()


def _refuse(sentence: str) -> int:
    """Say why the operator cannot start, in the log where it is set up already, and return the exit code."""
    if logging.getLogger().handlers:
        log.error("cannot start", error=sentence)
    else:
        print(f"modelrollout-operator: cannot start: {sentence}", file=sys.stderr)
    return 1
