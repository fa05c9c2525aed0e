"""A threshold between two bucket bounds: the next lower one stands in for it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from modelrollout.api.fields import render_duration
from modelrollout.core.evidence import Bound, NoData, Unknown
from modelrollout.metrics import queries
from modelrollout.metrics.counting import Look
from modelrollout.metrics.presets import Histogram

REMEMBERED = timedelta(minutes=10)
"""How long a bound is relied on: bounds change with a release of the server at most."""
MOST_REMEMBERED = 4096


class Bounds:
    """What stood in for a threshold that is no bound, remembered, so that not each look has to ask for all bounds."""

    def __init__(self) -> None:
        self._known: dict[tuple[Histogram, timedelta], tuple[Bound, float]] = {}

    def known(self, histogram: Histogram, threshold: timedelta) -> Bound | None:
        """Return what stands in for the threshold of the candidate's histogram, `None` where nobody asked lately."""
        bound, until = self._known.get((histogram, threshold), (None, 0.0))
        return bound if _now() < until else None

    async def find(
        self, look: Look, candidate: Histogram, baseline: Histogram | None, threshold: timedelta
    ) -> Bound | NoData:
        """Return the largest bound below the threshold that both versions have, or why there is none."""
        found = await asyncio.gather(*(_bounds(look, one) for one in (candidate, baseline) if one is not None))
        odd = next((one for one in found if isinstance(one, NoData)), None)
        if odd is not None:
            return odd
        # A version without any series has no say: it may have had no requests yet.
        sets = [one for one in found if not isinstance(one, NoData) and one]
        common = sorted(set.intersection(*sets)) if sets else []
        below = [bound for bound in common if bound <= threshold]
        if not below:
            return _without_bound(candidate, common, threshold)
        bound = Bound(below[-1], is_last=below[-1] == common[-1])
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[(candidate, threshold)] = bound, _now() + REMEMBERED / timedelta(seconds=1)
        return bound


async def _bounds(look: Look, histogram: Histogram) -> set[timedelta] | NoData:
    found = await look.alone(queries.bounds(histogram.selector, look.window), noted=False)
    if isinstance(found, NoData):
        return found
    return {bound for sample in found.samples if (bound := _bound(sample.labels.get("le", ""), histogram))}


def _without_bound(histogram: Histogram, bounds: Sequence[timedelta], threshold: timedelta) -> NoData:
    has = f"it has {', '.join(map(render_duration, bounds))}" if bounds else "it has none that is a duration"
    return NoData(
        Unknown.NO_BUCKET,
        f"{histogram.selector.metric} has no bucket bound at {render_duration(threshold)} or below; {has}:"
        " set the gate's threshold to one of its bounds, or add the bound where it is exported",
    )


def _bound(text: str, histogram: Histogram) -> timedelta | None:
    """Return a bound that a threshold could name: finite, in whole milliseconds, above 0."""
    try:
        milliseconds = Decimal(text) * (histogram.unit // timedelta(milliseconds=1))
        whole = milliseconds.is_finite() and 1 <= milliseconds <= 10**11 and milliseconds == int(milliseconds)
    except InvalidOperation:
        return None
    return timedelta(milliseconds=int(milliseconds)) if whole else None


def _now() -> float:
    return asyncio.get_running_loop().time()
