"""Which series are a version's."""

import re
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from modelrollout.api.gates import Gate
from modelrollout.api.metrics import HTTP_PRESETS, Metrics, PresetName, VersionLabel
from modelrollout.metrics import queries
from modelrollout.metrics.presets import Histogram, need_of, signals_of, undivided
from modelrollout.metrics.queries import Counter
from modelrollout.metrics.servers.exports import Lacks
from modelrollout.metrics.servers.page import PAGE, render_page
from modelrollout.metrics.servers.table import PRESETS

from tests.metrics.builders import CUSTOM, TRAEFIK, track, value

HASH = "09d98dcb84f70708b7c2"


def is_in(counter: Counter, service: str) -> bool:
    """Whether a series with this label is selected, as PromQL does it: both ends anchored."""
    (selector,) = counter.parts
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

    assert 'code=~"5.."' in str(signals.errors)
    assert isinstance(signals.duration, Histogram)
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
    assert isinstance(signals.errors, Lacks)
    assert isinstance(signals.duration, Histogram)
    assert str(signals.duration.bound_of(timedelta(milliseconds=300))) == "300"


def test_a_source_without_namespaces_gets_no_namespace_matcher() -> None:
    assert str(signals_of(CUSTOM, track(), None).requests) == 'model_requests_total{service="fraud-v2"}'


def preset(name: str, **more: object) -> Metrics:
    return Metrics.model_validate({"preset": name, **more})


def test_the_api_names_what_there_is_a_table_for() -> None:
    assert get_args(PresetName) == (*PRESETS, "custom")
    assert {name for name, table in PRESETS.items() if table.counts_http} == set(HTTP_PRESETS)


def test_the_page_of_the_presets_is_what_the_tables_say() -> None:
    top = Path(__file__).parents[2]

    assert (top / PAGE).read_text("utf-8") == render_page(), "run `python -m modelrollout.metrics.servers.page --write`"


@pytest.mark.parametrize("name", PRESETS)
def test_every_signal_of_a_preset_is_narrowed_down_to_one_version(name: str) -> None:
    one, other = (signals_of(preset(name), track(f"{v}-of-mine", version=v), None) for v in ("new", "old"))

    for field in fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        assert isinstance(mine, Lacks) or (mine != theirs and "new" in str(mine))


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_does_not_have_is_said_in_whole_sentences(name: str) -> None:
    signals = signals_of(preset(name), track(), None)

    for field in fields(signals):
        lack = getattr(signals, field.name)
        assert not isinstance(lack, Lacks) or re.fullmatch(r".*[.]", lack.because)


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_tells_versions_apart_by_the_models_name(name: str) -> None:
    metrics = Metrics.model_construct(
        source="default", preset=name, custom=None,  # type: ignore[arg-type] # one of them
        version_label=VersionLabel.model_construct(name="model_name", holds="Service"),
    )  # fmt: skip

    assert "model_name" not in {
        m.label for part in signals_of(preset(name), track(), None).requests.parts for m in part.matchers
    }
    assert "is the same for both versions" in str(undivided(metrics, "namespace"))


@pytest.mark.parametrize(
    ("name", "label", "problem"),
    [
        pytest.param("vllm", "engine", "label engine is the same for both versions with preset vllm", id="the preset knows"),
        pytest.param("vllm", "ns", "label ns is the same", id="the source's namespace label"),
        pytest.param("vllm", "pod", "None", id="a pod's name"),
        pytest.param("triton", "version", "None", id="a model's own version"),
    ],
)  # fmt: skip
def test_a_label_that_tells_nothing_apart_is_named(name: str, label: str, problem: str) -> None:
    assert problem in str(undivided(preset(name, versionLabel={"name": label}), "ns"))


def test_a_label_of_the_users_replaces_the_presets_own() -> None:
    by_pod = signals_of(preset("vllm", versionLabel={"name": "pod", "holds": "Pod"}), track(), None).requests
    by_version = signals_of(preset("istio", versionLabel={"name": "v", "holds": "Version"}), track(), None).requests

    (pod,) = [matcher for matcher in by_pod.parts[0].matchers if matcher.label == "pod"]
    assert {name for name in ("fraud-v2-0", "fraud-v2-7d4b9c6f5-x2x9q", "fraud-v2-b-0", "fraud-v2-b-7d4b9c6f5-x2x9q")
            if re.fullmatch(pod.value, name)} == {"fraud-v2-0", "fraud-v2-7d4b9c6f5-x2x9q"}  # fmt: skip
    assert str(by_version) == (
        'istio_requests_total{destination_service_namespace="models",v="2026.11.2",reporter="destination"}'
    )


def test_a_sources_namespace_label_stands_in_for_the_scrapes_own() -> None:
    assert 'kube_ns="models"' in str(signals_of(preset("vllm"), track(), "kube_ns").requests)
    assert 'namespace="models"' in str(signals_of(preset("vllm"), track(), None).requests)
    assert "kube_ns" not in str(signals_of(preset("traefik"), track(), "kube_ns").requests)


@pytest.mark.parametrize("name", ["traefik", "envoy", "vllm", "istio"])
def test_a_label_of_the_users_does_not_lead_out_of_the_namespace(name: str) -> None:
    chosen = signals_of(preset(name, versionLabel={"name": "x"}), track(), "ns").requests

    assert '="models"' in str(chosen)


def test_good_and_bad_requests_that_are_counted_apart_add_up() -> None:
    text = queries.count(signals_of(preset("triton"), track(), None).requests, timedelta(minutes=5))

    assert text.startswith("sum(label_replace(sum(")
    assert "nv_inference_request_success{" in text
    assert "nv_inference_request_failure{" in text


def test_what_was_worked_out_once_is_kept() -> None:
    assert signals_of(preset("vllm"), track(), None) is signals_of(preset("vllm"), track(), None)
    assert signals_of(CUSTOM, track(), None) is signals_of(CUSTOM.model_copy(deep=True), track(), None)


def test_a_query_of_the_users_own_needs_nothing_of_the_server() -> None:
    gate = Gate.model_validate(value("up"))

    assert need_of(gate.kind, signals_of(preset("kserve"), track(), None)) is None


REAL = Path(__file__).parent / "expositions" / "real"


@pytest.mark.parametrize("text", sorted(REAL.glob("*.txt")), ids=lambda text: text.stem)
def test_what_a_real_server_exposed_has_the_series_of_its_table(text: Path) -> None:
    """Kept by `make test-presets`, which asked the gates of the same server."""
    exposed = text.read_text("utf-8")
    table = PRESETS[text.stem.rpartition("-")[0]]
    wanted = [part.metric for part in table.requests.parts]
    wanted += [] if isinstance(table.errors, Lacks) else [part.metric for part in table.errors.parts]
    wanted += [] if isinstance(table.duration, Lacks) else [f"{table.duration.selector.metric}_bucket"]

    assert len(wanted) >= 2
    assert [name for name in wanted if not re.search(rf"^{name}[{{ ]", exposed, re.MULTILINE)] == []
