"""How a server's metrics are written down: names, labels and units, and why it has no others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from modelrollout.core.evidence import Track
from modelrollout.metrics.queries import Counter, Matcher, Selector

Unit = Literal["s", "ms"]


@dataclass(frozen=True, slots=True)
class Lacks:
    """A number that a server does not export: `because` says why and what to do instead, as whole sentences."""

    because: str


@dataclass(frozen=True, slots=True)
class Buckets:
    """A classic histogram: its base name, and the unit of its bounds.

    `of` says what it observes, where that is not requests.
    """

    selector: Selector
    unit: Unit
    of: str = "requests"


@dataclass(frozen=True, slots=True)
class Gauge:
    """A gauge that says how full a server is: what its number means, and how several pods' become one."""

    selector: Selector
    across: Literal["avg", "max"]
    means: str


@dataclass(frozen=True, slots=True)
class Hits:
    """How often the prefix cache was asked, and how often it had the answer."""

    hits: Counter
    queries: Counter


@dataclass(frozen=True, slots=True)
class HitRate:
    """The prefix cache's hit rate as a gauge between 0 and 1."""

    selector: Selector


PrefixCache = Hits | HitRate


@dataclass(frozen=True, slots=True)
class Named:
    """Versions told apart by a label. `value` is a template of `namespace`, `service`, `port` and `version`.

    `namespace` is the label that holds the namespace, `None` where no label does.
    """

    label: str
    value: str
    namespace: str | None


SCRAPED = Named("service", "{service}", "namespace")
"""What a ServiceMonitor, or a plain scrape by Service, puts on each series of a pod."""


@dataclass(frozen=True, slots=True)
class ByRoute:
    """Versions told apart by a label whose value, an RE2 expression, depends on the kind of routing object."""

    label: str
    values: Mapping[str, Callable[[Track], str]]


Labels = Named | ByRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What one kind of server exports.

    `shared` are labels that hold the same for both versions, so that none of them can tell the two apart.
    `counts_http` says that its errors are HTTP statuses, which say nothing of a gRPC call. `source` is where the names
    were found, `traps` are sentences for the page: what a person has to know before trusting these numbers.
    """

    name: str
    title: str
    source: str
    labels: Labels = SCRAPED
    shared: tuple[str, ...] = ()
    counts_http: bool = False
    requests: Counter
    errors: Counter | Lacks
    duration: Buckets | Lacks
    first_token: Buckets | Lacks
    inter_token: Buckets | Lacks
    queue_time: Buckets | Lacks
    saturation: Gauge | Lacks
    tokens: Counter | Lacks
    prefix_cache: PrefixCache | Lacks
    traps: tuple[str, ...] = ()


def counter(name: str, *matchers: Matcher) -> Counter:
    """Return one counter, of the series that meet all matchers."""
    return Counter((Selector(name, matchers),))


def counters(*names: str) -> Counter:
    """Return counters whose events add up."""
    return Counter(tuple(Selector(name) for name in names))


def seconds(name: str, *matchers: Matcher) -> Buckets:
    """Return a histogram of durations in seconds."""
    return Buckets(Selector(name, matchers), "s")


def milliseconds(name: str, *matchers: Matcher) -> Buckets:
    """Return a histogram of durations in milliseconds."""
    return Buckets(Selector(name, matchers), "ms")


def per_token(name: str) -> Buckets:
    """Return a histogram of seconds with an observation for each token rather than for each request."""
    return Buckets(Selector(name), "s", of="tokens")


def gauge(name: str, across: Literal["avg", "max"], means: str, *matchers: Matcher) -> Gauge:
    """Return a gauge of how full a server is, of the series that meet all matchers."""
    return Gauge(Selector(name, matchers), across, means)


def equal(label: str, value: str) -> Matcher:
    """Return the condition that a label has this value."""
    return Matcher(label, "=", value)


def like(label: str, expression: str) -> Matcher:
    """Return the condition that a whole label matches an RE2 expression."""
    return Matcher(label, "=~", expression)


def unlike(label: str, expression: str) -> Matcher:
    """Return the condition that a whole label does not match an RE2 expression."""
    return Matcher(label, "!~", expression)
