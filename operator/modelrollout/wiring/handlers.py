"""kopf's handlers: they take note and return. The decisions are made elsewhere."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from modelrollout.cluster.kubernetes import ROLLOUTS, WATCHED
from modelrollout.cluster.world import World
from modelrollout.engine.worker import Engine


def kopf_settings() -> kopf.OperatorSettings:
    """Return settings under which a broken connection is noticed, and nothing but our handlers acts.

    The numbers: bookmarks come about once a minute, so 70 s of silence mean a dead watch.
    """
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70
    settings.queueing.exit_timeout = 0.2  # Handlers only take note: at the end nothing is waited for.
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = _Patience()
    settings.persistence.diffbase_storage = _NoDiffs()
    return settings


class _Patience:
    """Seconds between tries, without an end: kopf's own end after a minute, and the whole operator with them.

    One kind that may not be listed, or an API server that answers 500 for longer, is no reason to watch nothing.
    """

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1, 1, 2, 3, 5, 8), itertools.repeat(10))


class _NoDiffs(kopf.DiffBaseStorage):
    """Keeps kopf from copying each object to compare it with an earlier one, which no handler here asks for.

    The copies are a tenth of what an event costs.
    """

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        """Return nothing to compare."""
        del body, extra_fields
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> None:
        """Return that nothing was seen before."""
        del body

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing."""
        del body, patch, essence


class NoMemories(ResourceMemories):
    """Keeps kopf from remembering something of each object it has ever heard of, which no handler here asks for.

    They are five kilobytes a rollout, with its route, Services and EndpointSlices.
    """

    async def recall(self, raw_body: kopf.RawBody, **how: Any) -> ResourceMemory:
        """Return a new one."""
        return await super().recall(raw_body, **how | {"ephemeral": True})


def register(
    registry: kopf.OperatorRegistry, *, engine: Engine, world: World, resources: list[str], login: Callable[..., Any]
) -> None:
    """Have kopf tell the engine of rollouts, and the world of what they are routed by."""
    kopf.on.login(registry=registry)(login)

    @kopf.on.event(*ROLLOUTS, registry=registry)
    async def rollout_seen(*, event: kopf.RawEvent, **_: Any) -> None:
        obj = dict[str, Any](event["object"])
        if event["type"] == "DELETED":
            engine.dropped(obj)
        else:
            engine.seen(obj)

    for plural in resources:
        kopf.on.event(*WATCHED[plural], id=plural, registry=registry)(_watcher(plural, engine, world))


def _watcher(plural: str, engine: Engine, world: World) -> Callable[..., Any]:
    async def seen(*, event: kopf.RawEvent, **_: Any) -> None:
        note = world.drop if event["type"] == "DELETED" else world.put
        engine.touched(note(plural, dict[str, Any](event["object"])))

    return seen
