"""Whether a source's clock and the operator's agree: windows that do not meet count the wrong requests."""

import asyncio
from datetime import timedelta

from modelrollout.core.case import LARGEST_SKEW
from modelrollout.core.evidence import NoData, Unknown
from modelrollout.engine.ports import Clock
from modelrollout.metrics import queries
from modelrollout.metrics.answers import number_of
from modelrollout.metrics.prometheus import PrometheusSource

GOOD_FOR = 5.0
"""Seconds for which clocks that agreed are taken to agree. What went wrong is asked again by the next who wants to know."""


class SourceClock:
    """The clock of one source, looked at by one request for all who want to know at the same time."""

    def __init__(self, source: PrometheusSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._asking: asyncio.Task[NoData | None] | None = None
        self._good_until = 0.0

    async def problem(self) -> NoData | None:
        """Return how the clocks differ, or why the source's cannot be had; `None` if they agree."""
        if asyncio.get_running_loop().time() < self._good_until:
            return None
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        # Who gives up does not take the answer away from the others.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> NoData | None:
        before = self._clock()
        found = await self._source.ask(queries.CLOCK)
        theirs = found if isinstance(found, NoData) else number_of(found, self._source.name, what="its own time")
        if isinstance(theirs, NoData):
            return theirs
        seconds = theirs - (before + (self._clock() - before) / 2).timestamp()
        if abs(seconds) <= LARGEST_SKEW / timedelta(seconds=1):
            self._good_until = asyncio.get_running_loop().time() + GOOD_FOR
            return None
        side = "ahead of" if seconds > 0 else "behind"
        return NoData(
            Unknown.CLOCK_SKEW,
            f"the clock of source {self._source.name} is {abs(seconds):.0f} s {side} the operator's, so windows do not"
            " meet: set both from one time server",
        )
