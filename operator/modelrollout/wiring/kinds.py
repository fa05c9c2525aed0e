"""Kinds that the cluster gets after the operator's start: kopf cannot watch them any more, so it starts anew."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import structlog

from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable

log = structlog.get_logger(__name__)

EVERY = 180.0


async def until_more_are_served(served: Sequence[str], look: Callable[[], Awaitable[Sequence[str]]]) -> list[str]:
    """Return the kinds that `look` finds beyond `served`, once there are any.

    Two processes look at different times, so that they do not start anew together.
    """
    while True:
        await asyncio.sleep(EVERY * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
        try:
            found = await look()
        except (Conflict, Gone, Refused, Unavailable) as error:
            log.warning("could not ask which kinds there are", error=str(error))
            continue
        if more := [plural for plural in found if plural not in served]:
            return more
