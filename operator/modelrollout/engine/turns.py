"""Few passes of one namespace write at once: what one of them has to say does not make the API server late for all."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE = 2
"""Each write is one request after another: more at once make an API server late, and are no faster."""


class Interrupted(Exception):
    """A rollback was asked for while a pass waited: start over, without what it waited for."""


class Turns:
    """Turns to write, by namespace. Rollbacks take none."""

    def __init__(self) -> None:
        self._free = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(AT_ONCE))

    @asynccontextmanager
    async def taken(self, namespace: str, interrupt: asyncio.Event) -> AsyncIterator[None]:
        """Hold a turn for the length of the block.

        Raises:
            Interrupted: `interrupt` was set before there was one.
        """
        free = self._free[namespace]
        if free.locked():
            await _wait(free, interrupt)
        else:
            await free.acquire()
        try:
            yield
        finally:
            free.release()


async def _wait(free: asyncio.Semaphore, interrupt: asyncio.Event) -> None:
    turn, stop = asyncio.ensure_future(free.acquire()), asyncio.ensure_future(interrupt.wait())
    is_ours = False
    try:
        await asyncio.wait({turn, stop}, return_when=asyncio.FIRST_COMPLETED)
        if interrupt.is_set():
            raise Interrupted
        is_ours = True
    finally:
        stop.cancel()
        if not is_ours and not turn.cancel() and not turn.cancelled():
            free.release()
