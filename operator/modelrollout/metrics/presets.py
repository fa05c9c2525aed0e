"""The series of one version: what its server exports, narrowed down by the label that tells the versions apart."""

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import assert_never

from modelrollout.api.gates import (
    ErrorRate,
    FailsWhen,
    InterTokenLatency,
    Kind,
    Latency,
    QueueTime,
    Saturation,
    TimeToFirstToken,
    Value,
)
from modelrollout.api.kinds import Drift, Ratio, Throughput, Webhook
from modelrollout.api.metrics import SHARED_LABELS, CustomMetrics, DurationSeries, Metrics, Series, VersionLabel
from modelrollout.core.evidence import Track
from modelrollout.metrics.queries import Counter, Matcher, Selector, anchored
from modelrollout.metrics.servers.exports import Buckets, ByRoute, Gauge, HitRate, Hits, Lacks, Named, PrefixCache
from modelrollout.metrics.servers.table import PRESETS

REMEMBERED_VERSIONS = 4096
"""Versions whose series are kept ready: two for each of some 2,000 rollouts, as each look asks for them."""

_UNITS = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1)}
_POD = re.compile("-(?:[0-9]+|[a-z0-9]+-[a-z0-9]{5})")


@dataclass(frozen=True, slots=True)
class Histogram:
    """A classic histogram: the selector of its base name, the unit of its bounds, and what it observes."""

    selector: Selector
    unit: timedelta
    of: str = "requests"

    def bound_of(self, threshold: timedelta) -> Decimal:
        """Return the threshold in the unit of the bounds, exact."""
        return Decimal(threshold // timedelta(microseconds=1)) / Decimal(self.unit // timedelta(microseconds=1))


@dataclass(frozen=True, slots=True)
class Signals:
    """The series of one version; where there are none, why."""

    requests: Counter
    errors: Counter | Lacks
    duration: Histogram | Lacks
    first_token: Histogram | Lacks
    inter_token: Histogram | Lacks
    queue_time: Histogram | Lacks
    saturation: Gauge | Lacks
    tokens: Counter | Lacks
    prefix_cache: PrefixCache | Lacks


@dataclass(frozen=True, slots=True)
class Need:
    """What a gate's numbers are made of, in words, and where it is found, if it is."""

    what: str
    found: Counter | Histogram | Gauge | Lacks


def need_of(kind: Kind, signals: Signals) -> Need | None:
    """Return what a kind of gate needs of the server, `None` for a kind that brings queries of its own, or counts requests alone."""
    match kind:
        case ErrorRate():
            return Need("a counter of errors", signals.errors)
        case TimeToFirstToken():
            return Need("a histogram of the time to the first token", signals.first_token)
        case InterTokenLatency():
            return Need("a histogram of the time between tokens", signals.inter_token)
        case QueueTime():
            return Need("a histogram of the time in the queue", signals.queue_time)
        case Latency():
            return Need("a histogram of request durations", signals.duration)
        case Saturation():
            return Need("a gauge of how full it is", signals.saturation)
        case Value() | Ratio() | Throughput() | Drift() | Webhook() | FailsWhen():
            return None
        case _:
            assert_never(kind)


def times_of(kind: Latency, signals: Signals) -> Histogram:
    """Return the histogram that a gate on times is judged by.

    Raises:
        ValueError: the server has none.
    """
    need = need_of(kind, signals)
    if need is None or not isinstance(need.found, Histogram):
        raise ValueError(need.found.because if need and isinstance(need.found, Lacks) else "there is no histogram")
    return need.found


@lru_cache(maxsize=REMEMBERED_VERSIONS)
def signals_of(metrics: Metrics, track: Track, namespace_label: str | None) -> Signals:
    """Return where the numbers of one version are found.

    `namespace_label` is the source's label for namespaces; it keeps a server's own metrics to the rollout's namespace.

    Raises:
        ValueError: a metric or label has no Prometheus name; no version is told apart on this kind of route.
    """
    if metrics.preset != "custom":
        return _of_preset(metrics, track, namespace_label)
    if metrics.custom is None:
        raise ValueError("preset custom has no spec.metrics.custom: name the metrics there")
    return _custom(metrics.custom, track, namespace_label)


def selector_of(series: Series, label: VersionLabel, track: Track, namespace_label: str | None) -> Selector:
    """Return the series of one version among those that the user has named, in the rollout's namespace.

    Raises:
        ValueError: as `signals_of`.
    """
    own = (*_namespace(namespace_label, track), _chosen(label, track))
    given = tuple(Matcher(matcher.label, matcher.op, matcher.value) for matcher in series.matchers)
    return Selector(series.metric, own + given)


def undivided(metrics: Metrics, namespace_label: str | None) -> str | None:
    """Return why the label that is to tell the versions apart cannot, `None` if nothing is known against it."""
    label = metrics.custom.version_label if metrics.custom else metrics.version_label
    if label is None:
        return None
    shared = {*SHARED_LABELS, namespace_label}
    if metrics.preset != "custom":
        shared |= {*PRESETS[metrics.preset].shared}
    if label.name not in shared:
        return None
    return (
        f"label {label.name} is the same for both versions with preset {metrics.preset}, so nothing would tell them"
        " apart: name another as versionLabel, such as pod, or one that your scrape adds"
    )


def _of_preset(metrics: Metrics, track: Track, namespace_label: str | None) -> Signals:
    preset = PRESETS[metrics.preset]
    own = _matchers(preset.name, preset.labels, metrics.version_label, track, namespace_label)

    def histogram(found: Buckets | Lacks) -> Histogram | Lacks:
        return (
            found if isinstance(found, Lacks) else Histogram(_first(own, found.selector), _UNITS[found.unit], found.of)
        )

    def counter(found: Counter | Lacks) -> Counter | Lacks:
        return found if isinstance(found, Lacks) else _all(own, found)

    return Signals(
        requests=_all(own, preset.requests),
        errors=counter(preset.errors),
        duration=histogram(preset.duration),
        first_token=histogram(preset.first_token),
        inter_token=histogram(preset.inter_token),
        queue_time=histogram(preset.queue_time),
        saturation=_gauge(own, preset.saturation),
        tokens=counter(preset.tokens),
        prefix_cache=_cache(own, preset.prefix_cache),
    )


def _matchers(
    preset: str, labels: Named | ByRoute, chosen: VersionLabel | None, track: Track, namespace_label: str | None
) -> tuple[Matcher, ...]:
    match labels:
        case ByRoute(label, values):
            if chosen is not None:
                return (*_namespace(namespace_label, track), _chosen(chosen, track))
            if track.route_kind not in values:
                raise ValueError(
                    f"preset {preset} counts HTTP statuses of an HTTPRoute or TraefikService, which say nothing of a"
                    f" {track.route_kind}: write preset: custom and name your server's own metrics"
                )
            return (Matcher(label, "=~", values[track.route_kind](track)),)
        case Named(label, value, namespace):
            # A label of the user's choice must not lead out of the namespace; the names that are ours hold it.
            if namespace in {None, "namespace"} and (chosen or namespace):
                namespace = namespace_label or namespace
            return (
                *_namespace(namespace, track),
                _chosen(chosen, track) if chosen else Matcher(label, "=", _filled(value, track)),
            )


def _namespace(label: str | None, track: Track) -> tuple[Matcher, ...]:
    return (Matcher(label, "=", track.namespace),) if label else ()


def _filled(template: str, track: Track) -> str:
    return template.format(namespace=track.namespace, service=track.service, port=track.port, version=track.version)


def _chosen(label: VersionLabel, track: Track) -> Matcher:
    match label.holds:
        case "Service":
            return Matcher(label.name, "=", track.service)
        case "Version":
            return Matcher(label.name, "=", track.version)
        case "Pod":
            return Matcher(label.name, "=~", anchored(track.service, _POD))


def _custom(custom: CustomMetrics, track: Track, namespace_label: str | None) -> Signals:
    def select(series: Series) -> Selector:
        return selector_of(series, custom.version_label, track, namespace_label)

    def counter(series: Series | None, field: str) -> Counter | Lacks:
        return Counter((select(series),)) if series else _unnamed(field)

    def histogram(series: DurationSeries | None, field: str, of: str = "requests") -> Histogram | Lacks:
        return Histogram(select(series), _UNITS[series.unit], of) if series else _unnamed(field)

    return Signals(
        requests=Counter((select(custom.requests),)),
        errors=counter(custom.errors, "errors"),
        duration=histogram(custom.duration, "duration"),
        first_token=histogram(custom.time_to_first_token, "timeToFirstToken"),
        inter_token=histogram(custom.inter_token_latency, "interTokenLatency", of="tokens"),
        queue_time=histogram(custom.queue_time, "queueTime"),
        saturation=Gauge(select(custom.saturation), "avg", "") if custom.saturation else _unnamed("saturation"),
        tokens=_unnamed("tokens"),
        prefix_cache=_unnamed("prefixCache"),
    )


def _unnamed(field: str) -> Lacks:
    return Lacks(f"Name it as spec.metrics.custom.{field}.")


def _first(own: tuple[Matcher, ...], selector: Selector) -> Selector:
    return Selector(selector.metric, own + selector.matchers)


def _all(own: tuple[Matcher, ...], counter: Counter) -> Counter:
    return Counter(tuple(_first(own, part) for part in counter.parts))


def _gauge(own: tuple[Matcher, ...], found: Gauge | Lacks) -> Gauge | Lacks:
    return found if isinstance(found, Lacks) else Gauge(_first(own, found.selector), found.across, found.means)


def _cache(own: tuple[Matcher, ...], found: PrefixCache | Lacks) -> PrefixCache | Lacks:
    match found:
        case Hits(hits, queries):
            return Hits(_all(own, hits), _all(own, queries))
        case HitRate(selector):
            return HitRate(_first(own, selector))
        case Lacks():
            return found
