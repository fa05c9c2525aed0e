"""Which series are a version's."""

import re
from datetime import timedelta

import pytest
from modelrollout.api.metrics import Metrics
from modelrollout.metrics.presets import signals_of
from modelrollout.metrics.queries import Selector

from tests.metrics.builders import CUSTOM, TRAEFIK, track

HASH = "09d98dcb84f70708b7c2"


def is_in(selector: Selector, service: str) -> bool:
    """Whether a series with this label is selected, as PromQL does it: both ends anchored."""
    (found,) = [matcher.value for matcher in selector.matchers if matcher.label == "service"]
    return re.fullmatch(found, service) is not None


@pytest.mark.parametrize(
    ("service", "mine"),
    [
        pytest.param(f"httproute-models-fraud-gw-gateway-traefik-ep-web-0-{HASH}-svc-models-fraud-v2-1@kubernetesgateway",
                     True, id="the candidate"),
        pytest.param(f"httproute-models-fraud-gw-gateway-traefik-ep-web-1-{HASH}-svc-models-fraud-v2-0@kubernetesgateway",
                     True, id="another rule and place in the list"),
        pytest.param(f"httproute-models-fraud-gw-gateway-traefik-ep-web-0-{HASH}-svc-models-fraud-v1-0@kubernetesgateway",
                     False, id="the baseline"),
        pytest.param(f"httproute-models-fraud-gw-gateway-traefik-ep-web-0-{HASH}-svc-models-fraud-v2-b-1@kubernetesgateway",
                     False, id="a Service whose name only begins so"),
        pytest.param(f"httproute-models-fraud-b-gw-gateway-traefik-ep-web-0-{HASH}-svc-models-fraud-v2-1@kubernetesgateway",
                     False, id="another route"),
        pytest.param(f"httproute-other-fraud-gw-gateway-traefik-ep-web-0-{HASH}-svc-other-fraud-v2-1@kubernetesgateway",
                     False, id="another namespace"),
        pytest.param("models-fraud-v2-8080@kubernetescrd", False, id="the same Service under a TraefikService"),
    ],
)  # fmt: skip
def test_traefik_tells_the_services_of_an_httproute_apart(service: str, mine: bool) -> None:
    signals = signals_of(TRAEFIK, track(), None)

    assert is_in(signals.requests, service) is mine


@pytest.mark.parametrize(
    ("service", "mine"),
    [
        pytest.param("models-fraud-v2-8080@kubernetescrd", True, id="the candidate"),
        pytest.param("models-fraud-v1-8080@kubernetescrd", False, id="the baseline"),
        pytest.param("models-fraud-v2-80@kubernetescrd", False, id="another port"),
        pytest.param("a-models-fraud-v2-8080@kubernetescrd", False, id="a name that only ends so"),
    ],
)
def test_traefik_tells_the_services_of_a_leaf_apart(service: str, mine: bool) -> None:
    signals = signals_of(TRAEFIK, track(route_kind="TraefikService"), None)

    assert is_in(signals.requests, service) is mine


def test_names_are_written_as_traefik_normalizes_them() -> None:
    route = signals_of(TRAEFIK, track("fraud--v2", route_name="fra.ud--x"), None)
    leaf = signals_of(TRAEFIK, track("fraud--v2", route_kind="TraefikService"), None)

    assert is_in(
        route.requests,
        f"httproute-models-fra-ud-x-gw-gateway-traefik-ep-web-0-{HASH}-svc-models-fraud--v2-1@kubernetesgateway",
    )
    assert is_in(leaf.requests, "models-fraud-v2-8080@kubernetescrd")


def test_traefik_counts_server_errors_and_durations_in_seconds() -> None:
    signals = signals_of(TRAEFIK, track(), None)

    assert signals.errors is not None
    assert 'code=~"5.."' in str(signals.errors)
    assert signals.duration is not None
    assert signals.duration.selector.metric == "traefik_service_request_duration_seconds"
    assert str(signals.duration.bound_of(timedelta(milliseconds=300))) == "0.3"


def test_traefik_does_not_know_other_routes() -> None:
    with pytest.raises(ValueError, match="write preset: custom"):
        signals_of(TRAEFIK, track(route_kind="VirtualService"), None)
    with pytest.raises(ValueError, match="say nothing of a GRPCRoute"):
        signals_of(TRAEFIK, track(route_kind="GRPCRoute"), None)


@pytest.mark.parametrize(("holds", "value"), [("Service", "fraud-v2"), ("Version", "2026.11.2")])
def test_custom_metrics_are_told_apart_by_their_label_within_the_namespace(holds: str, value: str) -> None:
    metrics = Metrics.model_validate({
        "preset": "custom",
        "custom": {
            "requests": {"metric": "r", "matchers": [{"label": "namespace", "op": "=~", "value": ".+"}]},
            "duration": {"metric": "d", "unit": "ms"},
            "versionLabel": {"name": "app", "holds": holds},
        },
    })  # fmt: skip

    signals = signals_of(metrics, track(), "namespace")

    assert str(signals.requests) == f'r{{namespace="models",app="{value}",namespace=~".+"}}'
    assert signals.errors is None
    assert signals.duration is not None
    assert str(signals.duration.bound_of(timedelta(milliseconds=300))) == "300"


def test_a_source_without_namespaces_gets_no_namespace_matcher() -> None:
    assert str(signals_of(CUSTOM, track(), None).requests) == 'model_requests_total{service="fraud-v2"}'
