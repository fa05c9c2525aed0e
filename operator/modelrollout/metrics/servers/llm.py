"""What engines of language models export."""

from modelrollout.metrics.queries import Selector
from modelrollout.metrics.servers.exports import (
    HitRate,
    Hits,
    Lacks,
    Preset,
    counter,
    counters,
    equal,
    gauge,
    like,
    per_token,
    seconds,
    unlike,
)

_CACHE_IN_USE = "share of the KV cache in use, 0 to 1"
_NO_CACHE = Lacks("It does not export how often its prefix cache hits.")

VLLM = Preset(
    name="vllm",
    title="vLLM 0.11 and later",
    source="docs.vllm.ai/en/latest/usage/metrics.html",
    shared=("model_name", "engine"),
    requests=counter("vllm:request_success_total"),
    errors=counter("vllm:request_success_total", like("finished_reason", "error|abort")),
    duration=seconds("vllm:e2e_request_latency_seconds"),
    first_token=seconds("vllm:time_to_first_token_seconds"),
    inter_token=per_token("vllm:inter_token_latency_seconds"),
    queue_time=seconds("vllm:request_queue_time_seconds"),
    saturation=gauge("vllm:kv_cache_usage_perc", "avg", _CACHE_IN_USE),
    tokens=counter("vllm:generation_tokens_total"),
    prefix_cache=Hits(counter("vllm:prefix_cache_hits_total"), counter("vllm:prefix_cache_queries_total")),
    traps=(
        "`model_name` and `engine` are the same for both versions.",
        (
            "Errors are requests that ended by `error` or `abort`, which a client that hangs up causes, too. Requests that"
            " the API server refuses before the engine has them are not counted: watch the gateway for those."
        ),
        (
            "Before 0.11 the time between tokens was `vllm:time_per_output_token_seconds` and the cache's use"
            " `vllm:gpu_cache_usage_perc`; under Ray every name begins with `ray_vllm_`: use preset `custom` there."
        ),
    ),
)

SGLANG = Preset(
    name="sglang",
    title="SGLang",
    source="docs.sglang.io/references/production_metrics.html",
    shared=("model_name", "engine_type"),
    requests=counter("sglang:num_requests_total"),
    errors=counter("sglang:num_aborted_requests_total"),
    duration=seconds("sglang:e2e_request_latency_seconds"),
    first_token=seconds("sglang:time_to_first_token_seconds"),
    inter_token=per_token("sglang:inter_token_latency_seconds"),
    queue_time=seconds("sglang:queue_time_seconds"),
    saturation=gauge("sglang:token_usage", "avg", _CACHE_IN_USE),
    tokens=counter("sglang:generation_tokens_total"),
    prefix_cache=HitRate(Selector("sglang:cache_hit_rate")),
    traps=(
        "Off unless it is started with `--enable-metrics`.",
        "Errors are aborted requests, which a client that hangs up causes, too.",
    ),
)

TGI = Preset(
    name="tgi",
    title="Text Generation Inference",
    source="huggingface.co/docs/text-generation-inference/reference/metrics",
    requests=counter("tgi_request_count"),
    errors=counter("tgi_request_failure", unlike("err", "validation|dropped")),
    duration=seconds("tgi_request_duration"),
    first_token=Lacks(
        "Text Generation Inference does not export the time to the first token. Take queueTime and interTokenLatency."
    ),
    inter_token=seconds("tgi_request_mean_time_per_token_duration"),
    queue_time=seconds("tgi_request_queue_duration"),
    saturation=gauge("tgi_queue_size", "max", "requests that wait in one pod"),
    tokens=Lacks("It exports tokens as histograms for each request, not as a counter. Use a value gate."),
    prefix_cache=_NO_CACHE,
    traps=(
        "The time between tokens is each request's mean: one long pause in a long answer does not show.",
        "Requests that fail validation, or whose client has gone, are no errors.",
    ),
)

NIM = Preset(
    name="nim",
    title="NVIDIA NIM for LLMs",
    source="docs.nvidia.com/nim/large-language-models/latest/observability.html",
    shared=("model_name",),
    requests=counters("request_success_total", "request_failure_total"),
    errors=counter("request_failure_total"),
    duration=seconds("e2e_request_latency_seconds"),
    first_token=seconds("time_to_first_token_seconds"),
    inter_token=per_token("time_per_output_token_seconds"),
    queue_time=Lacks("NIM exports how many requests wait, not for how long. Use a value gate on num_requests_waiting."),
    saturation=gauge("gpu_cache_usage_perc", "avg", _CACHE_IN_USE),
    tokens=counter("generation_tokens_total"),
    prefix_cache=_NO_CACHE,
    traps=(
        "Metrics are at `/v1/metrics`.",
        (
            "The names have no prefix: without the labels of a scrape they are anybody's. Counters vary with the release;"
            " look at what yours exports."
        ),
    ),
)

DYNAMO = Preset(
    name="dynamo",
    title="NVIDIA Dynamo's frontend",
    source="docs.nvidia.com/dynamo/latest/observability/metrics.html",
    shared=("model", "dynamo_namespace", "endpoint"),
    requests=counter("dynamo_frontend_requests_total"),
    errors=counter(
        "dynamo_frontend_requests_total",
        equal("status", "error"),
        unlike("error_type", "cancelled|not_found|validation"),
    ),
    duration=seconds("dynamo_frontend_request_duration_seconds"),
    first_token=seconds("dynamo_frontend_time_to_first_token_seconds"),
    inter_token=per_token("dynamo_frontend_inter_token_latency_seconds"),
    queue_time=Lacks("The frontend exports how many requests wait, not for how long. Use a saturation gate."),
    saturation=gauge("dynamo_frontend_queued_requests", "max", "requests that wait in one frontend"),
    tokens=counter("dynamo_frontend_output_tokens_total"),
    prefix_cache=Lacks("The frontend does not export how often its workers' prefix caches hit."),
    traps=("Each version needs a frontend of its own: `model` is the same for both.",),
)
