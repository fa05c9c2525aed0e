"""Events of one version in one window: all of them, and the bad ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from modelrollout.api.fields import render_duration
from modelrollout.api.gates import Gate, Latency
from modelrollout.core.evidence import NoData, Unknown
from modelrollout.core.stats import Counts
from modelrollout.metrics import queries
from modelrollout.metrics.answers import Found, number_of
from modelrollout.metrics.batches import Batches
from modelrollout.metrics.presets import Histogram, Signals, times_of
from modelrollout.metrics.queries import Counter, Events, PromQL, Selector
from modelrollout.metrics.servers.exports import Lacks
from modelrollout.metrics.tenancy import Tenancy

_MOST_EVENTS = 1e15
_LONGEST_SELECTOR = 400


class Ask(NamedTuple):
    """A query for one number; `what` names it in sentences."""

    query: PromQL
    what: str


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one window of one source, by one asker. `asked` collects the queries as they leave, in their order.

    No query of a gate's reaches a source but through here, where each is kept to the asker's namespace if it has to be.

    Raises (each method): ValueError: a query cannot be kept to the namespace.
    """

    name: str
    source: Batches
    asker: str
    namespace: str
    tenancy: Tenancy
    until: datetime
    window: timedelta
    asked: list[PromQL] = field(default_factory=list)

    async def numbers(self, asks: Sequence[Ask]) -> list[float | NoData]:
        """Return the numbers at the window's end, all asked for at once."""
        found = await self.many([ask.query for ask in asks])
        return [
            answer if isinstance(answer, NoData) else number_of(answer, self.name, what=ask.what)
            for ask, answer in zip(asks, found, strict=True)
        ]

    async def many(self, asked: Sequence[PromQL]) -> list[Found | NoData]:
        """Return all series of each query at the window's end, all asked for at once."""
        confined = [self.tenancy.confine(query, self.namespace) for query in asked]
        self.asked.extend(confined)
        return await self.source.ask(self.asker, confined, self.until)

    async def alone(self, asked: PromQL, *, noted: bool = True) -> Found | NoData:
        """Return all series of a query that shares its request with none; `noted` if it stands for what was asked."""
        confined = self.tenancy.confine(asked, self.namespace)
        if noted:
            self.asked.append(confined)
        return await self.source.ask_alone(confined, self.until)

    def events(self, selector: Events, what: str) -> Ask:
        """Return how to ask for the events that the counters had in the window."""
        return Ask(queries.count(selector, self.window), f"{what} ({_short(selector)})")


class Counting(Protocol):
    """Numbers to ask for, and the counts that they come to."""

    @property
    def series(self) -> Events:
        """The counter of all requests that they rest on."""
        ...

    def asks(self, look: Look) -> tuple[Ask, ...]:
        """Return what to ask for."""
        ...

    def read(self, look: Look, *found: float | NoData) -> Counts | NoData:
        """Return the counts, given the answers in the order of `asks`."""
        ...

    def each_minute(self) -> tuple[PromQL, PromQL]:
        """Return how to ask for all and for bad ones in the minute before the time of evaluation."""
        ...


@dataclass(frozen=True, slots=True)
class Errors:
    """The requests of a version, and those that ended in an error.

    `version` is candidate or baseline, and `word` what the bad ones are called, for sentences. No error series is no
    error: it is born with the first.
    """

    version: str
    requests: Events
    errors: Events
    word: str = "errors"

    @property
    def series(self) -> Events:
        """The counter of all requests."""
        return self.requests

    def asks(self, look: Look) -> tuple[Ask, Ask]:
        """Return what to ask for: all requests, and the bad ones."""
        return (
            look.events(self.requests, f"the {self.version}'s requests"),
            look.events(self.errors, f"the {self.version}'s {self.word}"),
        )

    def read(self, look: Look, *found: float | NoData) -> Counts | NoData:
        """Return the counts."""
        total, other = found
        requests = _whole(look, total, f"the {self.version}'s requests")
        if isinstance(requests, NoData):
            return _without_requests(look, requests, self.version, self.requests)
        bad = _whole(look, other, f"the {self.version}'s {self.word}")
        if isinstance(bad, NoData):
            return Counts(requests, 0) if bad.reason is Unknown.NO_DATA else bad
        if bad > requests + slack(requests):
            return NoData(
                Unknown.MALFORMED,
                f"source {look.name} counts {bad} {self.word} of the {self.version} among {requests} requests: check"
                f" that {_names(self.errors)} counts some of what {_names(self.requests)} counts",
            )
        return Counts(requests, min(bad, requests))

    def each_minute(self) -> tuple[PromQL, PromQL]:
        """Return how to ask for all and for bad ones in one minute."""
        total = queries.each_minute(self.requests)
        return total, queries.or_none(queries.each_minute(self.errors), total)


@dataclass(frozen=True, slots=True)
class Slow:
    """What a histogram of a version has observed, and what of it took longer than `threshold`, a bound of it."""

    version: str
    histogram: Histogram
    threshold: timedelta

    @property
    def series(self) -> Selector:
        """The histogram's own count."""
        return self.histogram.selector.suffixed("_count")

    def asks(self, look: Look) -> tuple[Ask, ...]:
        """Return what to ask for: all requests, and the fast ones."""
        return look.events(self.series, self._all), look.events(self._bucket, self._within)

    def read(self, look: Look, *found: float | NoData) -> Counts | NoData:
        """Return the counts; `NO_BUCKET` where the threshold is no bound."""
        total, other = found
        observed = _whole(look, total, self._all)
        if isinstance(observed, NoData):
            return _without_requests(look, observed, self.version, self.series)
        fast = _whole(look, other, self._within)
        if isinstance(fast, NoData):
            if fast.reason is not Unknown.NO_DATA:
                return fast
            at = render_duration(self.threshold)
            return NoData(Unknown.NO_BUCKET, f"{self.histogram.selector.metric} has no bucket bound at {at}")
        if fast > observed + slack(observed):
            return NoData(
                Unknown.MALFORMED,
                f"source {look.name} counts {fast} fast {self.histogram.of} of the {self.version} among {observed}:"
                f" check that {self.histogram.selector.metric} is a histogram",
            )
        return Counts(observed, max(0, observed - fast))

    def each_minute(self) -> tuple[PromQL, PromQL]:
        """Return how to ask for all and for slow ones in one minute."""
        total = queries.each_minute(self.series)
        return total, queries.rest(total, queries.each_minute(self._bucket))

    @property
    def _bucket(self) -> Selector:
        return queries.bucket(self.histogram.selector, self.histogram.bound_of(self.threshold))

    @property
    def _all(self) -> str:
        return f"the {self.version}'s {self.histogram.of}"

    @property
    def _within(self) -> str:
        return f"{self._all} within {render_duration(self.threshold)}"


@dataclass(frozen=True, slots=True)
class SlowTokens:
    """The requests of a version, as many of them slow as the share of its tokens that are.

    Tokens of one request are slow together, so a thousand of them are no thousand independent observations: a request
    weighs as one, whatever its length. The tests hold for fractions of a request as well: a ratio of likelihoods is
    concave in them, so its mean is at most that of whole ones.
    """

    tokens: Slow
    requests: Counter

    @property
    def series(self) -> Selector:
        """The histogram's own count."""
        return self.tokens.series

    def asks(self, look: Look) -> tuple[Ask, ...]:
        """Return what to ask for: all tokens, the fast ones, and all requests."""
        return *self.tokens.asks(look), look.events(self.requests, self._all)

    def read(self, look: Look, *found: float | NoData) -> Counts | NoData:
        """Return the counts; `NO_BUCKET` where the threshold is no bound."""
        *of_tokens, total = found
        tokens = self.tokens.read(look, *of_tokens)
        if isinstance(tokens, NoData):
            return tokens
        requests = _whole(look, total, self._all)
        if isinstance(requests, NoData):
            return _without_requests(look, requests, self.tokens.version, self.requests)
        return Counts(requests, round(requests * tokens.bad / tokens.total) if tokens.total else 0)

    def each_minute(self) -> tuple[PromQL, PromQL]:
        """Return how to ask for all requests and for as many of them as tokens are slow, in one minute."""
        tokens, slow = self.tokens.each_minute()
        requests = queries.each_minute(self.requests)
        return requests, queries.or_none(queries.scaled(requests, slow, tokens), requests)

    @property
    def _all(self) -> str:
        return f"the {self.tokens.version}'s requests"


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of a version, none of them bad. What is asked for twice travels once."""

    version: str
    series: Events

    def asks(self, look: Look) -> tuple[Ask, ...]:
        """Return what to ask for."""
        ask = look.events(self.series, f"the {self.version}'s requests")
        return ask, ask

    def read(self, look: Look, *found: float | NoData) -> Counts | NoData:
        """Return the counts."""
        total, _ = found
        requests = _whole(look, total, f"the {self.version}'s requests")
        if isinstance(requests, NoData):
            return _without_requests(look, requests, self.version, self.series)
        return Counts(requests, 0)

    def each_minute(self) -> tuple[PromQL, PromQL]:
        """Return how to ask for all, and again for all: nobody asks how evenly none are bad."""
        total = queries.each_minute(self.series)
        return total, total


def counting_of(gate: Gate, version: str, signals: Signals, at: timedelta | None = None) -> Counting:
    """Return how a gate's requests are counted, those above `at` as slow where that stands in for its threshold.

    Raises:
        ValueError: the server does not export what the gate needs.
    """
    if gate.throughput is not None:
        return Requests(version, signals.requests)
    if isinstance(gate.kind, Latency):
        histogram = times_of(gate.kind, signals)
        slow = Slow(version, histogram, at or gate.kind.threshold)
        return slow if histogram.of == "requests" else SlowTokens(slow, signals.requests)
    if isinstance(signals.errors, Lacks):
        raise ValueError(signals.errors.because)  # noqa: TRY004 it is the server that lacks it
    return Errors(version, signals.requests, signals.errors)


def ask_age(series: Events) -> Ask:
    """Return how to ask for the seconds since the newest sample."""
    return Ask(queries.age(series), f"the age of the newest sample of {_short(series)}")


def staleness(look: Look, series: Events, age: float | NoData, limit: timedelta) -> NoData | None:
    """Return a complaint if the newest sample at the window's end is older than `limit`, or its series has ended."""
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
        f"the newest sample of {_short(series)} in source {look.name} {found}: check that its target is up and scraped",
    )


def _whole(look: Look, found: float | NoData, what: str) -> int | NoData:
    """Return a count as the whole number that it is: `increase` extrapolates."""
    if isinstance(found, NoData):
        return found
    if 0 <= found <= _MOST_EVENTS:
        return round(found)
    return NoData(Unknown.MALFORMED, f"source {look.name} gives {found:g} for {what}, which is no count")


def _without_requests(look: Look, problem: NoData, version: str, series: Events) -> NoData:
    if problem.reason is not Unknown.NO_DATA:
        return problem
    return NoData(
        Unknown.NO_DATA,
        f"source {look.name} has no series for the {version}'s requests: it has had none yet,"
        f" or no series is labelled so; ask it for {_short(series)}",
    )


def slack(total: int) -> int:
    """How far two counts of the same events may lie apart: `increase` extrapolates each series by itself.

    Without it a version whose every request fails would be unknown rather than bad.
    """
    return 1 + total // 20


def _names(series: Events) -> str:
    return " and ".join(part.metric for part in (series.parts if isinstance(series, Counter) else (series,)))


def _short(selector: Events) -> str:
    text = str(selector)
    return text if len(text) <= _LONGEST_SELECTOR else f"{text[: _LONGEST_SELECTOR - 1]}…"
