"""Every signal of every preset, asked of a real Prometheus that has scraped what the server exposes.

Each text gives one version 100 requests: 5 errors, 90 within the bound below, 5 above the last finite one. The baseline's
are twice as many.
"""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from modelrollout.api.metrics import Metrics
from modelrollout.core.evidence import Answer, Bound, Counted, Measured, NoData, Track, Unknown
from modelrollout.core.stats import Counts
from modelrollout.metrics import queries
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.presets import Histogram, Signals, signals_of
from modelrollout.metrics.queries import Counter
from modelrollout.metrics.servers.exports import ByRoute, Gauge, HitRate, Hits, Lacks
from modelrollout.metrics.servers.table import PRESETS
from modelrollout.metrics.sources import Sources

from local.cluster import LocalCluster
from local.process import wait_until
from tests.metrics.builders import question, track
from tests.metrics.conftest import Calls, now
from tests.metrics.exporter import query
from tests.support.listening import listening

pytestmark = pytest.mark.cluster

HERE = Path(__file__).parent / "expositions"
SCRAPED_BY_SERVICE = sorted(name for name, preset in PRESETS.items() if preset.labels.label == "service"
                            and not isinstance(preset.labels, ByRoute))  # fmt: skip
FAST = {
    "traefik": "300ms", "envoy": "250ms", "istio": "250ms", "knative": "250ms", "kserve": "250ms", "mlserver": "250ms",
    "bentoml": "250ms", "ray-serve": "200ms", "fastapi": "500ms", "vllm": "2s500ms", "sglang": "2s500ms",
    "tgi": "2s500ms", "nim": "2s500ms", "dynamo": "2s500ms",
}  # fmt: skip
"""The bound that 90 of 100 requests keep to, where there is a histogram."""


class Servers(ThreadingHTTPServer):
    """Serves the text of each preset, for the candidate as it is and for the baseline with all values doubled."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Servers

    def do_GET(self) -> None:
        _, preset, version = self.path.split("/")
        text = (HERE / f"{preset}.txt").read_text("utf-8")
        body = (text if version == "v2" else doubled(text)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def doubled(text: str) -> str:
    return re.sub(r"(?m)^([^#].*) (\S+)$", lambda found: f"{found[1]} {2 * float(found[2])}", text)


@pytest.fixture(scope="module")
def since(cluster: LocalCluster) -> Iterator[datetime]:
    """When the servers began, all of them scraped since."""
    began = datetime.now(UTC) - timedelta(seconds=1)
    with listening(Servers()) as servers:
        jobs = []
        for preset in PRESETS:
            # A gateway's own text has both versions, and what scrapes the gateway says nothing of them.
            for version in ("v1", "v2") if preset in SCRAPED_BY_SERVICE else ("v2",):
                labels = {"__metrics_path__": f"/{preset}/{version}"}
                if preset in SCRAPED_BY_SERVICE:
                    labels |= {"namespace": "models", "service": f"{preset}-{version}", "pod": f"{preset}-{version}-0"}
                jobs.append(f"{preset}-{version}")
                cluster.prometheus.add_target(jobs[-1], servers.address, labels)
        jobs_up = f'count(up{{job=~"{"|".join(jobs)}"}} == 1)'
        wait_until(lambda: [one["value"][1] for one in query(cluster, jobs_up)] == [str(len(jobs))], "all are scraped")
        yield began
        for job in jobs:
            cluster.prometheus.remove_target(job, servers.address)


@pytest.fixture
async def source(cluster: LocalCluster, calls: Calls) -> AsyncIterator[Sources]:
    made = Sources({"default": SourceConfig(url=cluster.prometheus.url, raw_queries=True)}, now, calls)
    yield made
    await made.close()


def version(preset: str, name: str = "v2") -> Track:
    return track(f"{preset}-{name}", version=name)


def series(preset: str, **more: Any) -> Signals:
    return signals_of(Metrics.model_validate({"preset": preset, **more}), version(preset), None)


def events(cluster: LocalCluster, counter: Counter | queries.Selector, since: datetime) -> float | None:
    window = datetime.now(UTC) - since
    found = query(cluster, queries.count(counter, window))
    return float(found[0]["value"][1]) if found else None


async def ask(source: Sources, preset: str, since: datetime, gate: dict[str, Any], **more: Any) -> Answer:
    return await source.measure(
        question(
            {"name": "it", **gate},
            metrics=Metrics.model_validate({"preset": preset, **more}),
            candidate=version(preset),
            baseline=version(preset, "v1"),
            since=since,
            until=datetime.now(UTC),
        )
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_every_signal_is_found_in_what_the_server_exposes(cluster: LocalCluster, since: datetime, preset: str) -> None:
    signals = series(preset)

    found = {
        "requests": events(cluster, signals.requests, since),
        "errors": None if isinstance(signals.errors, Lacks) else events(cluster, signals.errors, since),
        "tokens": None if isinstance(signals.tokens, Lacks) else events(cluster, signals.tokens, since),
    }
    observed = {
        name: events(cluster, histogram.selector.suffixed("_count"), since)
        for name in ("duration", "first_token", "inter_token", "queue_time")
        if isinstance(histogram := getattr(signals, name), Histogram)
    }

    assert found == {
        "requests": {"triton": 110, "torchserve": 100}.get(preset, 100),
        "errors": None if isinstance(signals.errors, Lacks) else 5,
        "tokens": None if isinstance(signals.tokens, Lacks) else 10_100,
    }
    assert observed == {name: 10_000 if name == "inter_token" and preset != "tgi" else 100 for name in observed}
    match signals.saturation:
        case Gauge(selector):
            (one,) = query(cluster, str(selector))
            assert float(one["value"][1]) in {7, 0.5}
        case Lacks(because):
            assert because
    match signals.prefix_cache:
        case Hits(hits, asked):
            assert (events(cluster, hits, since), events(cluster, asked, since)) == (12_000, 20_000)
        case HitRate(selector):
            (one,) = query(cluster, str(selector))
            assert float(one["value"][1]) == 0.6
        case Lacks(because):
            assert because


@pytest.mark.parametrize("preset", [name for name, preset in PRESETS.items() if not isinstance(preset.errors, Lacks)])
async def test_errors_are_counted_for_each_version_alone(source: Sources, since: datetime, preset: str) -> None:
    answer = await ask(source, preset, since, {"errorRate": {"max": "1%", "maxIncrease": "25%"}})

    requests = 110 if preset == "triton" else 100
    assert answer == Counted(Counts(requests, 5), Counts(2 * requests, 10))


@pytest.mark.parametrize("preset", sorted({*FAST} - {"sglang"}))
async def test_slow_requests_are_counted_for_each_version_alone(source: Sources, since: datetime, preset: str) -> None:
    answer = await ask(source, preset, since, {"latency": {"threshold": FAST[preset], "maxAbove": "5%"}})

    assert answer == Counted(Counts(100, 10), Counts(200, 20))


TIMES = {"timeToFirstToken": "500ms", "interTokenLatency": "50ms", "queueTime": "500ms"}
HAS = {"timeToFirstToken": "first_token", "interTokenLatency": "inter_token", "queueTime": "queue_time"}


@pytest.mark.parametrize(
    ("preset", "kind"),
    [(name, kind) for name, preset in PRESETS.items() for kind in TIMES
     if name != "sglang" and not isinstance(getattr(preset, HAS[kind]), Lacks)],
)  # fmt: skip
async def test_a_language_models_times_are_counted_for_each_version_alone(
    source: Sources, since: datetime, preset: str, kind: str
) -> None:
    answer = await ask(source, preset, since, {kind: {"threshold": TIMES[kind], "maxAbove": "5%"}})

    assert answer == Counted(Counts(100, 10), Counts(200, 20))


@pytest.mark.parametrize("preset", [name for name, one in PRESETS.items() if not isinstance(one.saturation, Lacks)])
async def test_saturation_is_measured_for_each_version_alone(source: Sources, since: datetime, preset: str) -> None:
    answer = await ask(source, preset, since, {"saturation": {"max": "100"}})

    assert isinstance(answer, Measured)
    assert answer.baseline == 2 * answer.value
    assert answer.value in {7, 0.5}


async def test_a_cold_prefix_cache_keeps_times_from_being_compared(source: Sources, since: datetime) -> None:
    """SGLang's hit rate is doubled for the baseline as all numbers are, vLLM's counters come to the same rate."""
    gate = {"latency": {"threshold": "2s500ms", "maxAbove": "5%"}}

    cold, warm = await ask(source, "sglang", since, gate), await ask(source, "vllm", since, gate)

    assert isinstance(cold, NoData)
    assert cold.reason is Unknown.COLD_CACHE
    assert isinstance(warm, Counted)


@pytest.mark.parametrize(
    ("threshold", "bound", "slow"),
    [
        pytest.param("400ms", Bound(timedelta(milliseconds=300), is_last=False), 10, id="between two bounds"),
        pytest.param("6s", Bound(timedelta(seconds=5), is_last=True), 5, id="above Traefik's last bound"),
    ],
)
async def test_a_threshold_that_is_no_bound_is_judged_by_the_one_below(
    source: Sources, since: datetime, threshold: str, bound: Bound, slow: int
) -> None:
    answer = await ask(source, "traefik", since, {"latency": {"threshold": threshold, "maxAbove": "5%"}})

    assert answer == Counted(Counts(100, slow), Counts(200, 2 * slow), bound=bound)


def test_a_quantile_of_the_same_series_is_a_number_that_nobody_measured(cluster: LocalCluster, since: datetime) -> None:
    """Half of what is above the last bound, and a quantile that says exactly that bound."""
    quantile = 'histogram_quantile(0.99, sum by (le) (traefik_service_request_duration_seconds_bucket{service=~".*-svc-models-traefik-v2-.*"}))'

    (found,) = query(cluster, quantile)

    assert since < datetime.now(UTC)
    assert float(found["value"][1]) == 5


@pytest.mark.parametrize(
    ("label", "holds"), [("pod", "Pod"), ("service", "Service")], ids=["by the pod's name", "by the Service's name"]
)
async def test_a_label_of_the_users_tells_them_apart_as_well(
    source: Sources, since: datetime, label: str, holds: str
) -> None:
    gate = {"errorRate": {"max": "1%", "maxIncrease": "25%"}}

    answer = await ask(source, "vllm", since, gate, versionLabel={"name": label, "holds": holds})

    assert answer == Counted(Counts(100, 5), Counts(200, 10))


@pytest.mark.parametrize(
    ("expression", "wrong", "right"),
    [
        pytest.param('sum(vllm:request_success_total{model_name="fraud"})', 300, 100,
                     id="model_name adds both versions up"),
        pytest.param('sum(istio_requests_total{destination_workload="istio-v1"})', 800, 200,
                     id="each side of an Istio call reports it"),
        pytest.param('sum(istio_requests_total{destination_workload="istio-v2",reporter="source"})', None, 100,
                     id="a mirrored call is reported by its receiver alone"),
        pytest.param('sum(vllm:request_success_total{service="vllm-v2"}) - sum(http_requests_total{service="vllm-v2",'
                     'status="2xx"}) + sum(http_requests_total{service="vllm-v2",status=~"5.."} or vector(0))', 0, 5,
                     id="a stream that breaks has status 200"),
        pytest.param('sum(nv_inference_request_failure{service="triton-v2"})', 15, 5,
                     id="Triton's cancelled requests are no errors"),
        pytest.param('sum({__name__=~"ray_serve_num_http_requests(_total)?",service="ray-serve-v2",application="fraud"})',
                     200, 100, id="Ray exposes each counter twice"),
        pytest.param('sum(ray_serve_num_http_requests_total{service="ray-serve-v2"})', 4103, 100,
                     id="Ray counts its own probes"),
        pytest.param('sum(ray_serve_num_http_requests_total{service="ray-serve-v2",status_code=~"5.."})', 8, 5,
                     id="Ray's own probes fail while it starts"),
        pytest.param('sum(ray_serve_num_http_error_requests_total{service="ray-serve-v2"})', 7, 5,
                     id="bad input is an error of Ray's"),
        pytest.param('sum(ray_serve_deployment_error_counter_total{service="ray-serve-v2"})', 1, 5,
                     id="an answer of status 500 is no exception of Ray's"),
        pytest.param('max(rest_server_requests_in_progress{service="mlserver-v2"})', 30, 7,
                     id="MLServer's probes are under way, too"),
        pytest.param('sum(bentoml_service_request_total{service="bentoml-v2"})', 4100, 100,
                     id="BentoML counts probes"),
        pytest.param('sum(http_requests_total{service="fastapi-v2"})', 8100, 100, id="the instrumentator counts scrapes"),
        pytest.param('sum(rest_server_request_duration_seconds_count{service="mlserver-v2"})', 4100, 100,
                     id="MLServer times probes"),
        pytest.param('sum(tgi_request_failure{service="tgi-v2"})', 12, 5, id="bad input is no error of TGI's"),
        pytest.param('sum(seldon_model_infer_total{service="seldon-v2-v2",code=~"5.."})', 2, 5,
                     id="a gRPC call's code is a word"),
        pytest.param('sum(request_success_total)', 285, 95, id="NIM's names are anybody's"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("since")
def test_the_trap_is_there(cluster: LocalCluster, expression: str, wrong: float | None, right: float) -> None:
    """What a plain query says, and what the tests above count: if both were the same, those would prove nothing."""
    found = query(cluster, expression)

    assert (float(found[0]["value"][1]) if found else None) == wrong != right


@pytest.mark.parametrize("preset", ["kserve", "seldon-v2", "bentoml"])
def test_what_has_no_requests_yet_is_told_from_what_is_not_scraped(
    cluster: LocalCluster, since: datetime, preset: str
) -> None:
    nobody = signals_of(Metrics.model_validate({"preset": preset}), track("nobody"), None)

    assert events(cluster, nobody.requests, since) is None
