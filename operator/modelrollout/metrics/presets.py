"""What servers export: which series hold a version's requests, errors and durations."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import assert_never

from modelrollout.api.metrics import CustomMetrics, Metrics, Series, VersionLabel
from modelrollout.core.evidence import Track
from modelrollout.metrics.queries import Matcher, Selector, anchored


@dataclass(frozen=True, slots=True)
class Histogram:
    """A classic histogram: the selector of its base name, and the unit of its bounds."""

    selector: Selector
    unit: timedelta

    def bound_of(self, threshold: timedelta) -> Decimal:
        """Return the threshold in the unit of the bounds, exact."""
        return Decimal(threshold // timedelta(microseconds=1)) / Decimal(self.unit // timedelta(microseconds=1))


@dataclass(frozen=True, slots=True)
class Signals:
    """The series of one version; `None` where the user has named none."""

    requests: Selector
    errors: Selector | None
    duration: Histogram | None


def signals_of(metrics: Metrics, track: Track, namespace_label: str | None) -> Signals:
    """Return where the numbers of one version are found.

    `namespace_label` is the source's label for namespaces; it keeps custom metrics to the rollout's own.

    Raises:
        ValueError: a metric or label has no Prometheus name; no version is told apart on this kind of route.
    """
    match metrics.preset:
        case "traefik":
            return _traefik(track)
        case "custom":
            if metrics.custom is None:
                raise ValueError("preset custom has no spec.metrics.custom: name the metrics there")
            return _custom(metrics.custom, track, namespace_label)
        case _:
            assert_never(metrics.preset)


def selector_of(series: Series, label: VersionLabel, track: Track, namespace_label: str | None) -> Selector:
    """Return the series of one version among those that the user has named, in the rollout's namespace.

    Raises:
        ValueError: as `signals_of`.
    """
    holds = {"Service": track.service, "Version": track.version}[label.holds]
    own: tuple[Matcher, ...] = (Matcher(label.name, "=", holds),)
    if namespace_label is not None:
        own = (Matcher(namespace_label, "=", track.namespace), *own)
    given = tuple(Matcher(matcher.label, matcher.op, matcher.value) for matcher in series.matchers)
    return Selector(series.metric, own + given)


def _traefik(track: Track) -> Signals:
    if track.route_kind not in _TRAEFIK_SERVICES:
        raise ValueError(
            f"preset traefik counts HTTP statuses of an HTTPRoute or TraefikService, which say nothing of a"
            f" {track.route_kind}: write preset: custom and name your server's own metrics"
        )
    service = Matcher("service", "=~", _TRAEFIK_SERVICES[track.route_kind](track))
    requests = Selector("traefik_service_requests_total", (service,))
    return Signals(
        requests=requests,
        errors=requests.where(Matcher("code", "=~", "5..")),
        duration=Histogram(Selector("traefik_service_request_duration_seconds", (service,)), timedelta(seconds=1)),
    )


def _gateway_service(track: Track) -> str:
    # Seen on Traefik 3.7.15: httproute-NS-ROUTE-gw-GWNS-GATEWAY-ep-ENTRYPOINT-RULE-HASH-svc-NS-SERVICE-INDEX.
    # The part before -svc- is normalized, the part after it is not.
    return anchored(
        f"httproute-{_normalized(f'{track.namespace}-{track.route_name}')}-gw-",
        re.compile(".+-ep-.+-[0-9]+-[0-9a-f]+"),
        f"-svc-{track.namespace}-{track.service}-",
        re.compile("[0-9]+"),
        "@kubernetesgateway",
    )


def _leaf_service(track: Track) -> str:
    # One series for all routes of the namespace to this Service and port; mirrored copies count in it, too.
    return anchored(f"{_normalized(f'{track.namespace}-{track.service}-{track.port}')}@kubernetescrd")


_TRAEFIK_SERVICES: dict[str, Callable[[Track], str]] = {
    "HTTPRoute": _gateway_service,
    "TraefikService": _leaf_service,
}


def _normalized(name: str) -> str:
    """Return the name as Traefik writes it: each run of other characters is one dash, so a--b is a-b."""
    return "-".join(re.findall("[a-zA-Z0-9]+", name))


def _custom(custom: CustomMetrics, track: Track, namespace_label: str | None) -> Signals:
    def select(series: Series) -> Selector:
        return selector_of(series, custom.version_label, track, namespace_label)

    unit = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1)}
    return Signals(
        requests=select(custom.requests),
        errors=select(custom.errors) if custom.errors else None,
        duration=Histogram(select(custom.duration), unit[custom.duration.unit]) if custom.duration else None,
    )
