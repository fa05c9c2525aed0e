"""What servers of classic models export."""

from modelrollout.metrics.queries import Counter, Selector
from modelrollout.metrics.servers.exports import (
    Lacks,
    Preset,
    counter,
    counters,
    equal,
    gauge,
    like,
    milliseconds,
    seconds,
    unlike,
)

_NO_TOKENS = Lacks("This server does not count tokens. Take the preset of the language model's engine.")
_NO_QUEUE_TIME = Lacks("It does not export how long requests wait.")
_NO_SATURATION = Lacks("It exports nothing that says how full it is. Use a value gate with a query of your own.")
_NO_CACHE = Lacks("It has no prefix cache.")
_CODES_OF_SERVER_ERRORS = "5..|Unknown|DeadlineExceeded|ResourceExhausted|Unimplemented|Internal|Unavailable|DataLoss"
_PROBES = "/metrics|/health.*|/healthz|/livez|/readyz|/live|/ready|/v1/health.*"
_RAYS_PROBES = f"/-/.*|{_PROBES}"

KSERVE = Preset(
    name="kserve",
    title="KServe's Python server",
    source="github.com/kserve/kserve, python/kserve/kserve/metrics.py",
    shared=("model_name",),
    requests=counter("request_predict_seconds_count"),
    errors=Lacks(
        "KServe's Python server has no counter of errors. Take preset knative, istio or the gateway's, which see the"
        " statuses of its answers."
    ),
    duration=seconds("request_predict_seconds"),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=_NO_QUEUE_TIME,
    saturation=_NO_SATURATION,
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        "Its only label is `model_name`, which is the same for both versions.",
        "Durations are those of the predict step alone, without pre- and post-processing.",
    ),
)

MLSERVER = Preset(
    name="mlserver",
    title="MLServer",
    source="mlserver.readthedocs.io/en/latest/user-guide/metrics.html",
    shared=("model", "model_name", "app_name"),
    requests=counters("model_infer_request_success_total", "model_infer_request_failure_total"),
    errors=counter("model_infer_request_failure_total"),
    duration=seconds("rest_server_request_duration_seconds", like("path", "/v2/models/.+/infer")),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=Lacks("Its histograms batch_request_queue and parallel_request_queue hold lengths, not times."),
    saturation=gauge(
        "rest_server_requests_in_progress", "max", "REST requests under way in one pod", equal("method", "POST")
    ),
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        (
            "`model_infer_request_duration` is a summary without quantiles; durations are those of the REST server, so calls"
            " by gRPC have none."
        ),
        (
            "A failed request is counted as a failure whoever is at fault: input that the model cannot read is one, too, and"
            " so is a call for a model that it does not have. A body that is no inference request (status 422) is neither"
            " counted as a request nor as a failure."
        ),
        "`version` is `None` unless the caller names a version in the path, so it tells nothing apart.",
        "What it counts lies in files in `metrics_dir`, in the folder that it starts in: servers that share it add up.",
    ),
)

SELDON_V2 = Preset(
    name="seldon-v2",
    title="Seldon Core 2",
    source="github.com/SeldonIO/seldon-core, scheduler/pkg/metrics/agent.go",
    shared=("server", "server_replica", "method_type"),
    requests=counter("seldon_model_infer_total"),
    errors=counter("seldon_model_infer_total", like("code", _CODES_OF_SERVER_ERRORS)),
    duration=Lacks(
        "The histogram seldon_model_infer_api_seconds has no label of the model, so it tells no versions apart. Take the"
        " gateway's preset, or mlserver for the server behind it."
    ),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=_NO_QUEUE_TIME,
    saturation=Lacks("seldon_loaded_model_memory_bytes_gauge is no measure of load. Use a value gate."),
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        (
            "The agent runs beside a server, which may hold several models: give each version a Server of its own, or"
            " tell them apart by `model`, if that is the name of the Service or the version."
        ),
    ),
)

TRITON = Preset(
    name="triton",
    title="Triton Inference Server",
    source="docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/metrics.html",
    requests=counters("nv_inference_request_success", "nv_inference_request_failure"),
    errors=Counter((Selector("nv_inference_request_failure", (unlike("reason", "CANCELED"),)),)),
    duration=Lacks(
        "Triton exports sums of durations only, and a mean hides the slow requests. Take the gateway's preset, or"
        " timeToFirstToken for a decoupled model."
    ),
    first_token=milliseconds("nv_inference_first_response_histogram_ms"),
    inter_token=Lacks("Triton has no histogram of the time between two responses."),
    queue_time=Lacks("Triton exports the sum of queueing times only. Use a saturation gate on the pending requests."),
    saturation=gauge("nv_inference_pending_request_count", "max", "requests that wait in one pod"),
    tokens=Lacks("Triton counts inferences, not tokens."),
    prefix_cache=Lacks("Triton does not export its engine's prefix cache."),
    traps=(
        (
            "`nv_inference_first_response_histogram_ms` is off unless `--metrics-config histogram_latencies=true` is given,"
            " and is filled for decoupled models only."
        ),
        "Requests that the client cancelled are no errors; releases before the label `reason` cannot tell.",
        "Summaries (`nv_inference_request_summary_us`) cannot be added up over pods, so none is used.",
    ),
)

TORCHSERVE = Preset(
    name="torchserve",
    title="TorchServe",
    source="github.com/pytorch/serve, ts/configs/metrics.yaml",
    shared=("model_name", "Level", "level"),
    requests=counter("ts_inference_requests_total"),
    errors=counter("Requests5XX"),
    duration=Lacks(
        "TorchServe exports the sum of latencies only, and a mean hides the slow requests. Take the gateway's preset."
    ),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=Lacks("ts_queue_latency_microseconds is a sum only. Use a saturation gate on QueueTime."),
    saturation=gauge("QueueTime", "max", "milliseconds that the last request waited in one pod"),
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        "Metrics are in Prometheus' form with `metrics_mode=prometheus` alone.",
        "`Requests5XX` is counted for each host, not for each model: let no pod serve a second model.",
    ),
)

BENTOML = Preset(
    name="bentoml",
    title="BentoML",
    source="docs.bentoml.com/en/latest/build-with-bentoml/observability/metrics.html",
    shared=("service_name", "endpoint", "runner_name"),
    counts_http=True,
    requests=counter("bentoml_service_request_total", unlike("endpoint", _PROBES)),
    errors=counter("bentoml_service_request_total", unlike("endpoint", _PROBES), like("http_response_code", "5..")),
    duration=seconds("bentoml_service_request_duration_seconds", unlike("endpoint", _PROBES)),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=_NO_QUEUE_TIME,
    saturation=gauge(
        "bentoml_service_request_in_progress",
        "max",
        "requests under way at one endpoint of one pod",
        unlike("endpoint", _PROBES),
    ),
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        "`service_version` is the Bento's tag and tells versions apart as well, if it is `candidate.version`.",
        (
            "Series of status 200 and 500 exist from the first probe on, at 0: a version without requests is not one without"
            " data."
        ),
        (
            "What it counts lies in files under `BENTOML_HOME`, which each start removes: let no two servers share that"
            " folder."
        ),
    ),
)

RAY_SERVE = Preset(
    name="ray-serve",
    title="Ray Serve 2.10 and later",
    source="docs.ray.io/en/latest/serve/monitoring.html",
    shared=("application", "deployment", "route"),
    counts_http=True,
    requests=counter("ray_serve_num_http_requests_total", unlike("route", _RAYS_PROBES)),
    errors=counter("ray_serve_num_http_requests_total", unlike("route", _RAYS_PROBES), like("status_code", "5..")),
    duration=milliseconds("ray_serve_http_request_latency_ms", unlike("route", _RAYS_PROBES)),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=Lacks("It exports how long its queues are, not how long requests wait. Use a saturation gate."),
    saturation=gauge("ray_serve_deployment_queued_queries", "max", "requests that wait for one deployment"),
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        (
            "Requests are those of the HTTP proxies, which count each once; gRPC calls are not among them. Deployments count"
            " each request that passes them: an application of three counts three."
        ),
        (
            "`ray_serve_deployment_error_counter_total` counts exceptions alone: a status 500 that FastAPI answers with is"
            " none. `ray_serve_num_http_error_requests_total` counts bad input, too."
        ),
        "The proxies count probes of their own `/-/healthz`, with status 503 while they start: these are left out.",
        "Releases that expose every counter twice have a gauge without `_total`, which is not used.",
        "A node exports what was counted up to 10 s ago (`metrics_report_interval_ms`).",
        (
            "Nodes export, not the Serve application: unless each node is scraped by a Service of the version's name, name"
            " `ray_io_cluster` or a label of your own as `versionLabel`."
        ),
    ),
)

FASTAPI = Preset(
    name="fastapi",
    title="FastAPI with prometheus-fastapi-instrumentator",
    source="github.com/trallnag/prometheus-fastapi-instrumentator",
    shared=("handler", "method", "status"),
    counts_http=True,
    requests=counter("http_requests_total", unlike("handler", _PROBES)),
    errors=counter("http_requests_total", unlike("handler", _PROBES), like("status", "5..")),
    duration=seconds("http_request_duration_seconds", unlike("handler", _PROBES)),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=_NO_QUEUE_TIME,
    saturation=_NO_SATURATION,
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        (
            "Its default bounds are 0.1, 0.5 and 1 s: give `latency_lowr_buckets` what the gates need."
            " `http_request_duration_highr_seconds` has more, but counts probes and scrapes as requests."
        ),
        "Paths of probes and of `/metrics` do not count as requests.",
    ),
)
