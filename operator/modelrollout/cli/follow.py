"""Rollouts as they change: one list, then one watch, for as long as somebody listens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import assert_never

from modelrollout.cli.rollouts import Object, Rollouts
from modelrollout.cluster.kubernetes import ROLLOUTS
from modelrollout.engine.ports import Gone, Unavailable

WATCH_SECONDS = 300
"""How long one watch lasts; proxies end those that are silent for longer."""

SHORTEST_PAUSE = 0.2
LONGEST_PAUSE = 10.0


@dataclass(frozen=True, slots=True)
class Listed:
    """All rollouts there are now: whoever is missing is gone."""

    objects: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """A rollout is new, or was changed."""

    rollout: Object


@dataclass(frozen=True, slots=True)
class Removed:
    """A rollout was deleted; this is how it was at last."""

    rollout: Object


@dataclass(frozen=True, slots=True)
class Lost:
    """The API server cannot be had for now; it is tried again by itself."""

    sentence: str


News = Listed | Changed | Removed | Lost


async def follow(rollouts: Rollouts, name: str | None = None) -> AsyncGenerator[News, None]:
    """Yield what is there, and then every change of it, of all rollouts or of that one; without end.

    A history that has expired is listed anew. An API server that is away is tried again, if it was there at first.

    Raises:
        Refused: the user may not list or watch.
        Gone: the cluster has no rollouts.
        Unavailable: the API server cannot be reached to begin with.
    """
    version, pause, has_begun = "", 0.0, False
    while True:
        try:
            if not version:
                found, version = await rollouts.list(name)
                has_begun = True
                yield Listed(tuple(found))
            async with aclosing(_changes(rollouts, name, version)) as changes:
                async for kind, item in changes:
                    version, pause = item["metadata"]["resourceVersion"], 0.0
                    if kind != "BOOKMARK":
                        yield Removed(item) if kind == "DELETED" else Changed(item)
        except Gone:
            if not version:
                raise
            version = ""
        except Unavailable as error:
            if not has_begun:
                raise
            yield Lost(str(error))
            pause = min(LONGEST_PAUSE, 2 * pause)
            await _log_in_again(rollouts, error)
        # Also where the watch ended as it should: a proxy may end each of them at once.
        pause = max(pause, SHORTEST_PAUSE)
        await asyncio.sleep(pause)


def present(news: Listed | Changed | Removed) -> Object | None:
    """Return the one rollout that is followed as it is now, `None` where it is gone."""
    match news:
        case Listed(objects):
            return objects[0] if objects else None
        case Changed(rollout):
            return rollout
        case Removed():
            return None
        case _:
            assert_never(news)


async def _log_in_again(rollouts: Rollouts, error: Unavailable) -> None:
    if str(error).startswith("401"):
        with suppress(Unavailable):
            await rollouts.log_in_again()


async def _changes(rollouts: Rollouts, name: str | None, version: str) -> AsyncGenerator[tuple[str, Object], None]:
    namespace = rollouts.home if name else rollouts.namespace
    events = rollouts.server.changes(ROLLOUTS, namespace, version, seconds=WATCH_SECONDS, name=name)
    async with aclosing(events) as told:
        async for event in told:
            yield event["type"], event["object"]
