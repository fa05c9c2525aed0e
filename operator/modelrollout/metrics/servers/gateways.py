"""What gateways and meshes export of the requests that pass through them."""

import re

from modelrollout.core.evidence import Track
from modelrollout.metrics.queries import anchored
from modelrollout.metrics.servers.exports import (
    ByRoute,
    Lacks,
    Named,
    Preset,
    counter,
    equal,
    gauge,
    like,
    milliseconds,
    seconds,
)

_NO_TOKENS = Lacks("A gateway does not see tokens. Take the preset of the model server behind it.")
_NO_QUEUE = Lacks("A gateway does not see the server's queue. Take the preset of the model server behind it.")
_NO_CACHE = Lacks("A gateway does not see the server's cache.")


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


def _normalized(name: str) -> str:
    """Return the name as Traefik writes it: each run of other characters is one dash, so a--b is a-b."""
    return "-".join(re.findall("[a-zA-Z0-9]+", name))


TRAEFIK = Preset(
    name="traefik",
    title="Traefik 3",
    source="doc.traefik.io/traefik/observability/metrics/overview",
    labels=ByRoute("service", {"HTTPRoute": _gateway_service, "TraefikService": _leaf_service}),
    counts_http=True,
    requests=counter("traefik_service_requests_total"),
    errors=counter("traefik_service_requests_total", like("code", "5..")),
    duration=seconds("traefik_service_request_duration_seconds"),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=_NO_QUEUE,
    saturation=_NO_QUEUE,
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        "Default bounds are 0.1, 0.3, 1.2 and 5 s: set `metrics.prometheus.buckets` to what the gates need.",
        "A stream that breaks after its status 200 is no error here: take the model server's preset for streams.",
        "Its own label `service` must win over the scrape's: set `honorLabels: true` in a ServiceMonitor.",
    ),
)

ENVOY = Preset(
    name="envoy",
    title="Envoy behind Contour, or behind Envoy Gateway with a label of your own",
    source="envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats",
    labels=Named("envoy_cluster_name", "{namespace}_{service}_{port}", None),
    counts_http=True,
    requests=counter("envoy_cluster_upstream_rq_xx"),
    errors=counter("envoy_cluster_upstream_rq_xx", equal("envoy_response_code_class", "5")),
    duration=milliseconds("envoy_cluster_upstream_rq_time"),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=_NO_QUEUE,
    saturation=gauge("envoy_cluster_upstream_rq_active", "max", "requests under way in one Envoy"),
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        (
            "Contour names a cluster NAMESPACE_SERVICE_PORT. Envoy Gateway has one cluster for all backends of a rule, so"
            " nothing tells the versions apart: refused there unless `versionLabel` names a label that does."
        ),
        "A stream that breaks after its status 200 is no error here: take the model server's preset for streams.",
    ),
)

ISTIO = Preset(
    name="istio",
    title="Istio",
    source="istio.io/latest/docs/reference/config/metrics",
    labels=Named("destination_service_name", "{service}", "destination_service_namespace"),
    shared=("destination_service_namespace", "destination_workload_namespace", "reporter"),
    counts_http=True,
    requests=counter("istio_requests_total", equal("reporter", "destination")),
    errors=counter("istio_requests_total", equal("reporter", "destination"), like("response_code", "5..")),
    duration=milliseconds("istio_request_duration_milliseconds", equal("reporter", "destination")),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=_NO_QUEUE,
    saturation=_NO_QUEUE,
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        (
            'Only `reporter="destination"` sees mirrored copies, so the versions\' pods need sidecars. Copies are not marked'
            " as such: they count as requests."
        ),
        (
            "Where a Service of both versions' pods exists as well, tell the versions apart by `destination_workload` or"
            " `destination_version`: the receiving side may report that Service."
        ),
    ),
)

KNATIVE = Preset(
    name="knative",
    title="Knative Serving's queue-proxy, up to 1.19",
    source="knative.dev/docs/serving/services/service-metrics",
    labels=Named("revision_name", "{service}", "namespace_name"),
    shared=("namespace_name", "service_name", "configuration_name"),
    counts_http=True,
    requests=counter("revision_request_count"),
    errors=counter("revision_request_count", equal("response_code_class", "5xx")),
    duration=milliseconds("revision_request_latencies"),
    first_token=_NO_TOKENS,
    inter_token=_NO_TOKENS,
    queue_time=Lacks("queue-proxy exports how long its queue is, not how long requests wait. Use a saturation gate."),
    saturation=gauge("revision_queue_depth", "max", "requests that wait in one pod's queue-proxy"),
    tokens=_NO_TOKENS,
    prefix_cache=_NO_CACHE,
    traps=(
        "A revision has a Service of its own name: that is the Service to give as baseline or candidate.",
        "Knative 1.20 and later export other names (`kn.serving.invocation.duration`): use preset `custom` there.",
    ),
)
