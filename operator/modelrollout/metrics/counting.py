"""Events of one version in one window: all of them, and the bad ones."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from modelrollout.api.fields import render_duration
from modelrollout.core.evidence import NoData, Unknown
from modelrollout.core.stats import Counts
from modelrollout.metrics import queries
from modelrollout.metrics.answers import number_of
from modelrollout.metrics.presets import Histogram, Signals
from modelrollout.metrics.prometheus import PrometheusSource
from modelrollout.metrics.queries import PromQL, Selector

_MOST_EVENTS = 1e15
_LONGEST_SELECTOR = 400


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one window of one source."""

    source: PrometheusSource
    until: datetime
    window: timedelta

    async def number(self, query: PromQL, what: str) -> float | NoData:
        """Return the one number that the query has at the window's end; `what` names it in sentences."""
        found = await self.source.ask(query, self.until)
        return found if isinstance(found, NoData) else number_of(found, self.source.name, what=what)

    async def events(self, selector: Selector, what: str) -> int | NoData:
        """Return how many events the counters had in the window."""
        found = await self.number(queries.count(selector, self.window), f"{what} ({_short(selector)})")
        if isinstance(found, NoData):
            return found
        if 0 <= found <= _MOST_EVENTS:
            return round(found)
        return NoData(Unknown.MALFORMED, f"source {self.source.name} gives {found:g} for {what}, which is no count")


async def count_errors(look: Look, version: str, signals: Signals) -> Counts | NoData:
    """Return the requests of a version, and those that ended in an error.

    `version` is candidate or baseline, for sentences. No error series is no error: it is born with the first.

    Raises:
        ValueError: the user has named no error counter.
    """
    if signals.errors is None:
        raise ValueError("spec.metrics.custom.errors is missing")
    total, bad = await asyncio.gather(
        look.events(signals.requests, f"the {version}'s requests"),
        look.events(signals.errors, f"the {version}'s errors"),
    )
    if isinstance(total, NoData):
        return _without_requests(look, total, version, signals.requests)
    if isinstance(bad, NoData):
        return Counts(total, 0) if bad.reason is Unknown.NO_DATA else bad
    return _counts(look, version, total, bad)


async def count_slow(look: Look, version: str, signals: Signals, threshold: timedelta) -> Counts | NoData:
    """Return the requests of a version, and those that took longer than `threshold`, a bound of the histogram.

    Raises:
        ValueError: the user has named no histogram.
    """
    histogram = signals.duration
    if histogram is None:
        raise ValueError("spec.metrics.custom.duration is missing")
    requests = histogram.selector.suffixed("_count")
    total, fast = await asyncio.gather(
        look.events(requests, f"the {version}'s requests"),
        look.events(
            queries.bucket(histogram.selector, histogram.bound_of(threshold)),
            f"the {version}'s requests within {render_duration(threshold)}",
        ),
    )
    if isinstance(total, NoData):
        return _without_requests(look, total, version, requests)
    if isinstance(fast, NoData):
        return await _without_bucket(look, version, histogram, threshold) if fast.reason is Unknown.NO_DATA else fast
    if fast > total + _slack(total):
        return NoData(
            Unknown.MALFORMED,
            f"source {look.source.name} counts {fast} fast requests of the {version} among {total}:"
            f" check that {histogram.selector.metric} is a histogram",
        )
    return Counts(total, max(0, total - fast))


async def staleness(look: Look, series: Selector, limit: timedelta) -> NoData | None:
    """Return a complaint if the newest sample at the window's end is older than `limit`, or its series has ended."""
    age = await look.number(queries.age(series), f"the age of the newest sample of {_short(series)}")
    if isinstance(age, NoData):
        if age.reason is not Unknown.NO_DATA:
            return age
        found = "is gone"
    elif age <= limit / timedelta(seconds=1):
        return None
    else:
        found = f"is {age:.0f} s old, where {render_duration(limit)} is allowed"
    return NoData(
        Unknown.STALE,
        f"the newest sample of {_short(series)} in source {look.source.name} {found}:"
        " check that its target is up and scraped",
    )


def judged_series(signals: Signals, *, slow: bool) -> Selector:
    """Return the counter of all requests that a gate rests on: the histogram's own where it judges durations."""
    return signals.duration.selector.suffixed("_count") if slow and signals.duration else signals.requests


def _without_requests(look: Look, problem: NoData, version: str, series: Selector) -> NoData:
    if problem.reason is not Unknown.NO_DATA:
        return problem
    return NoData(
        Unknown.NO_DATA,
        f"source {look.source.name} has no series for the {version}'s requests: it has had none yet,"
        f" or no series is labelled so; ask it for {_short(series)}",
    )


async def _without_bucket(look: Look, version: str, histogram: Histogram, threshold: timedelta) -> NoData:
    found = await look.source.ask(queries.bounds(histogram.selector, look.window), look.until)
    if isinstance(found, NoData):
        return found
    bounds = sorted({bound for sample in found.samples if (bound := _bound(sample.labels.get("le", ""), histogram))})
    has = f"it has {', '.join(map(render_duration, bounds))}" if bounds else "it has none that is a duration"
    return NoData(
        Unknown.NO_BUCKET,
        f"{histogram.selector.metric} of the {version} has no bucket bound at {render_duration(threshold)}; {has}:"
        " set the gate's latency.threshold to one of its bounds, or add the bound where it is exported",
    )


def _bound(text: str, histogram: Histogram) -> timedelta | None:
    """Return a bound that a threshold could name: finite, in whole milliseconds, above 0."""
    try:
        milliseconds = Decimal(text) * (histogram.unit // timedelta(milliseconds=1))
        whole = milliseconds.is_finite() and 1 <= milliseconds <= 10**11 and milliseconds == int(milliseconds)
    except InvalidOperation:
        return None
    return timedelta(milliseconds=int(milliseconds)) if whole else None


def _counts(look: Look, version: str, total: int, bad: int) -> Counts | NoData:
    if bad > total + _slack(total):
        return NoData(
            Unknown.MALFORMED,
            f"source {look.source.name} counts {bad} errors of the {version} among {total} requests:"
            " check that the error counter counts some of what the request counter counts",
        )
    return Counts(total, min(bad, total))


def _slack(total: int) -> int:
    """How far two counts of the same events may lie apart: `increase` extrapolates each series by itself.

    Without it a version whose every request fails would be unknown rather than bad.
    """
    return 1 + total // 20


def _short(selector: Selector) -> str:
    text = str(selector)
    return text if len(text) <= _LONGEST_SELECTOR else f"{text[: _LONGEST_SELECTOR - 1]}…"
