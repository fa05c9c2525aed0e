"""Bad manifests: one change to a good one each, and a fragment of the sentence that refuses it and says the remedy."""

from typing import Any, NamedTuple

from tests.api.manifests import REMOVED, Changes

_FULL = {"name": "full", "full": {}}
_SERVICE = {"name": "fraud-v2", "port": 8080}


class Refusal(NamedTuple):
    """One row of the table."""

    case: str
    changes: Changes
    sentence: str


_RATIO = {"bad": {"metric": "bad_total"}, "total": {"metric": "all_total"}}


def _gate(**kinds: Any) -> dict[str, Any]:
    return {"name": "extra", **kinds}


def _canary(*weights: object) -> Changes:
    return {"spec.stages.1.canary.weights": list(weights)}


def _window(**changes: str) -> Changes:
    return {"spec.windows": [{"start": "0 9 * * *", "duration": "8h", **changes}]}


ON_CREATE = (
    # Weights
    Refusal("weights that do not ascend", _canary(5, 1), "write for example [1, 5, 25, 50]"),
    Refusal("a weight twice", _canary(5, 5), "each larger than the one before"),
    Refusal("a weight twice, as number and as text", _canary(5, "5.0"), "each larger than the one before"),
    Refusal("weights that ascend as texts only", _canary("10", "9"), "weights must ascend"),
    Refusal("weight 0", _canary(0, 5), "write a weight above 0 and up to 100"),
    Refusal("weight 0 as text", _canary("0.00"), "write a weight above 0 and up to 100"),
    Refusal("a negative weight", _canary(-1), "write a weight above 0 and up to 100"),
    Refusal("a negative weight as text", _canary("-1"), "write a weight above 0 and up to 100"),
    Refusal("a weight above 100", _canary(101), "write a weight above 0 and up to 100"),
    Refusal("a weight a hair above 100", _canary("100.01"), "write a weight above 0 and up to 100"),
    Refusal("a weight with three decimals", _canary("0.125"), "(two decimals)"),
    Refusal("a weight with a percent sign", _canary("5%"), 'a string such as "0.5"'),
    Refusal("a weight with an exponent", _canary("1e1"), 'a string such as "0.5"'),
    Refusal("an overflowing weight", _canary("1e400"), 'a string such as "0.5"'),
    Refusal("a weight that is no number", _canary("NaN"), 'a string such as "0.5"'),
    Refusal("a weight with a fraction that is no text", _canary(0.5), "must be of type integer,string"),
    Refusal("no weights", _canary(), "should have at least 1 items"),
    Refusal("21 weights", _canary(*range(1, 22)), "must have at most 20 items"),
    Refusal("a mirror of 0", {"spec.stages.0.shadow.percent": 0}, "write a weight above 0 and up to 100"),
    # The plan
    Refusal(
        "two stages of one name",
        {"spec.stages.1.name": "shadow"},
        "two stages have one name: give each a name of its own",
    ),
    Refusal("no full stage at the end", {"spec.stages.2": REMOVED}, "add {name: full, full: {}} at the end"),
    Refusal("a full stage in the middle", {"spec.stages.0": {"name": "a", "full": {}}}, "have only that one"),
    Refusal(
        "a shadow after a canary",
        {"spec.stages": [{"name": "c", "canary": {"weights": [5]}}, {"name": "s", "shadow": {}}, _FULL]},
        "move the shadow to the front",
    ),
    Refusal(
        "a stage of two kinds",
        {"spec.stages.0.canary": {"weights": [1]}},
        "give exactly one of shadow, canary and full",
    ),
    Refusal("a stage of no kind", {"spec.stages.0.shadow": REMOVED}, "give exactly one of shadow, canary and full"),
    Refusal("no stages", {"spec.stages": []}, "should have at least 1 items"),
    Refusal(
        "21 stages",
        {"spec.stages": [*({"name": f"s{n}", "shadow": {}} for n in range(20)), _FULL]},
        "must have at most 20 items",
    ),
    Refusal("a stage name that is no DNS label", {"spec.stages.0.name": "My Shadow"}, "write a DNS label"),
    # Options of gates
    Refusal(
        "another severity", {"spec.gates.0.severity": "fatal"}, 'supported values: "warning", "critical", "safety"'
    ),
    Refusal(
        "a safety gate that only holds",
        {"spec.gates.2.severity": "safety"},
        "a gate of severity safety rolls back: remove onFail: Hold",
    ),
    Refusal("another class", {"spec.gates.0.class": "ml"}, 'supported values: "infrastructure", "model", "business"'),
    Refusal(
        "a gate of a gate that is not",
        {"spec.gates.2": {"name": "both", "failsWhen": {"all": ["errors", "speed"]}}},
        "failsWhen names a gate that spec.gates does not have",
    ),
    Refusal(
        "a gate of itself",
        {"spec.gates.2": {"name": "both", "failsWhen": {"all": ["errors", "both"]}}},
        "or one with failsWhen itself",
    ),
    Refusal(
        "a gate of one other",
        {"spec.gates.2": {"name": "both", "failsWhen": {"any": ["errors"]}}},
        "should have at least 2 items",
    ),
    Refusal(
        "a gate of all and of any",
        {"spec.gates.2": {"name": "both", "failsWhen": {"any": ["errors", "latency"], "all": ["errors", "latency"]}}},
        "give exactly one of failsWhen.all and any",
    ),
    Refusal("a gate for no stages", {"spec.gates.0.stages": []}, "should have at least 1 items"),
    Refusal("a gate for a stage that is not", {"spec.gates.0.stages": ["bake"]}, "write names of spec.stages"),
    Refusal(
        "a gate for a stage that the default plan does not have",
        {"spec.stages": REMOVED, "spec.gates.0.stages": ["bake"]},
        "of a default plan they are shadow, canary and full",
    ),
    Refusal(
        "a stage's gate for other stages",
        {"spec.stages.0.gates": [{"name": "own", "errorRate": {"max": "1%"}, "stages": ["shadow"]}]},
        "remove its stages, or move it to spec.gates",
    ),
    # Versions
    Refusal(
        "a candidate of the baseline's version", {"spec.candidate.version": "2026.10.4"}, "the next one as candidate"
    ),
    Refusal(
        "a candidate behind the baseline's Service", {"spec.candidate.service.name": "fraud-v1"}, "a Service of its own"
    ),
    Refusal("a version with a space", {"spec.candidate.version": "v 2"}, "write a version of letters, digits"),
    Refusal("an empty version", {"spec.candidate.version": ""}, "write a version of letters, digits"),
    Refusal("a version with a quote", {"spec.candidate.version": 'a"}[5m]) # '}, "write a version of letters, digits"),
    Refusal("an upper-case Service", {"spec.candidate.service.name": "Fraud"}, "write a DNS label"),
    Refusal("a Service of 64 characters", {"spec.candidate.service.name": "a" * 64}, "may not be more than 63"),
    Refusal("a Service with its namespace", {"spec.candidate.service.name": "other/fraud"}, "write a DNS label"),
    Refusal("port 0", {"spec.candidate.service.port": 0}, "should be greater than or equal to 1"),
    Refusal("port 65536", {"spec.candidate.service.port": 65536}, "should be less than or equal to 65535"),
    Refusal("no port", {"spec.candidate.service.port": REMOVED}, "spec.candidate.service.port: Required value"),
    Refusal("no candidate", {"spec.candidate": REMOVED}, "spec.candidate: Required value"),
    Refusal(
        "a workload of another kind",
        {"spec.candidate.workload": {"kind": "DaemonSet", "name": "x"}},
        'supported values: "Deployment", "StatefulSet"',
    ),
    # Owner and names
    Refusal("no owner", {"spec.owner": REMOVED}, "spec.owner: Required value"),
    Refusal("an owner without team", {"spec.owner": {}}, "spec.owner.team: Required value"),
    Refusal("an empty team", {"spec.owner.team": ""}, "should be at least 1 chars long"),
    Refusal("another risk", {"spec.risk": "none"}, 'supported values: "low", "medium", "high"'),
    Refusal("a name with a dot", {"metadata.name": "fraud.scorer"}, "metadata.name: write a DNS label"),
    Refusal("a name of 64 characters", {"metadata.name": "a" * 64}, "metadata.name: write a DNS label"),
    # Traffic
    Refusal(
        "two kinds of traffic",
        {"spec.traffic.traefikService": {"name": "fraud"}},
        "give exactly one of httpRoute, grpc",
    ),
    Refusal("no kind of traffic", {"spec.traffic": {}}, "give exactly one of httpRoute, grpcRoute and"),
    Refusal(
        "two kinds of the same API",
        {"spec.traffic.grpcRoute": {"parentRefs": [{"name": "edge"}]}},
        "give exactly one of httpRoute, grpcRoute and",
    ),
    Refusal("a GRPCRoute without parentRefs", {"spec.traffic": {"grpcRoute": {}}}, "give either parentRefs"),
    Refusal(
        "an adopted GRPCRoute with a method",
        {"spec.traffic": {"grpcRoute": {"adopt": {"name": "fraud", "rule": "score"}, "method": "Score"}}},
        "hostnames, service and method belong to a route that the operator owns",
    ),
    Refusal(
        "a gRPC service with its method",
        {"spec.traffic": {"grpcRoute": {"parentRefs": [{"name": "edge"}], "service": "fraud.v1.Scorer/Score"}}},
        "write the gRPC service with its package",
    ),
    Refusal(
        "a gRPC method with its service",
        {"spec.traffic": {"grpcRoute": {"parentRefs": [{"name": "edge"}], "method": "Scorer.Score"}}},
        "write the name of one gRPC method",
    ),
    Refusal(
        "adopt without a rule", {"spec.traffic.httpRoute": {"adopt": {"name": "fraud"}}}, "adopt.rule: Required value"
    ),
    Refusal(
        "adopt with an empty rule",
        {"spec.traffic.httpRoute": {"adopt": {"name": "fraud", "rule": ""}}},
        "write a DNS label",
    ),
    Refusal(
        "adopt beside parentRefs",
        {"spec.traffic.httpRoute.adopt": {"name": "f", "rule": "r"}},
        "give either parentRefs",
    ),
    Refusal("neither adopt nor parentRefs", {"spec.traffic.httpRoute": {}}, "give either parentRefs"),
    Refusal(
        "adopt with a path",
        {"spec.traffic.httpRoute": {"adopt": {"name": "fraud", "rule": "score"}, "path": "/v1"}},
        "remove them, your adopted rule has its own",
    ),
    Refusal(
        "a path without its slash", {"spec.traffic.httpRoute.path": "v1"}, "write a path prefix that starts with '/'"
    ),
    Refusal(
        "a path with a query", {"spec.traffic.httpRoute.path": "/v1?x"}, "write a path prefix that starts with '/'"
    ),
    Refusal("a path with a space", {"spec.traffic.httpRoute.path": "/v1/a b"}, "no query, spaces or percent signs"),
    Refusal("a path upwards", {"spec.traffic.httpRoute.path": "/v1/../admin"}, "no '//', '/./' or '/../'"),
    Refusal("a path with two slashes", {"spec.traffic.httpRoute.path": "/v1//a"}, "no '//', '/./' or '/../'"),
    Refusal("a host with a scheme", {"spec.traffic.httpRoute.hostnames": ["https://x.y"]}, "no scheme, port or path"),
    Refusal("no parentRefs in the list", {"spec.traffic.httpRoute.parentRefs": []}, "should have at least 1 items"),
    # Durations
    Refusal("a duration without unit", {"spec.stages.0.minDuration": "30"}, "write a duration such as 30s"),
    Refusal("an unknown unit", {"spec.stages.0.minDuration": "3w"}, "write a duration such as 30s"),
    Refusal("units in the wrong order", {"spec.stages.0.minDuration": "30m1h"}, "largest first"),
    Refusal("a negative duration", {"spec.stages.0.minDuration": "-5m"}, "write a duration such as 30s"),
    Refusal("a duration with a fraction", {"spec.stages.0.minDuration": "1.5h"}, "whole numbers"),
    Refusal("a duration with an exponent", {"spec.stages.0.minDuration": "1e3s"}, "whole numbers"),
    Refusal("an empty duration", {"spec.stages.0.minDuration": ""}, "write a duration such as 30s"),
    Refusal(
        "a duration in digits of another script", {"spec.stages.0.minDuration": "٣m"}, "write a duration such as 30s"
    ),
    Refusal("a number as duration", {"spec.stages.0.minDuration": 30}, 'must be of type string: "integer"'),
    Refusal("an interval of 0", {"spec.analysis.interval": "0s"}, "write an interval between 1s and 1h"),
    Refusal("an interval of a day", {"spec.analysis.interval": "24h"}, "write an interval between 1s and 1h"),
    Refusal(
        "too few requests for a verdict", {"spec.analysis.minRequests": 1}, "should be greater than or equal to 20"
    ),
    # Gates
    Refusal(
        "two gates of one name", {"spec.gates.1.name": "errors"}, "two gates have one name: give each a name of its own"
    ),
    Refusal(
        "a stage's gate of the name of another",
        {"spec.stages.1.gates": [{"name": "errors", "errorRate": {"max": "1%"}}]},
        "a stage's gate has the name of one in spec.gates: give it a name of its own",
    ),
    Refusal(
        "a gate of two kinds",
        {"spec.gates.0.value": {"query": "up", "max": "1"}},
        "a second condition is a second gate",
    ),
    Refusal("a gate of no kind", {"spec.gates.0.errorRate": REMOVED}, "give exactly one of errorRate"),
    Refusal("an empty list of gates", {"spec.gates": []}, "should have at least 1 items"),
    Refusal(
        "21 gates",
        {"spec.gates": [{"name": f"g{n}", "errorRate": {"max": "1%"}} for n in range(21)]},
        "must have at most 20 items",
    ),
    Refusal("an errorRate without limit", {"spec.gates.0.errorRate": {}}, "give errorRate.max, maxIncrease or both"),
    Refusal(
        "a latency without limit",
        {"spec.gates.1.latency": {"threshold": "1s"}},
        "give maxAbove, maxIncrease or both",
    ),
    Refusal(
        "a detect beside no comparison",
        {"spec.gates.0.errorRate": {"max": "1%", "detect": "2x"}},
        "give maxIncrease, too",
    ),
    Refusal(
        "a detect that is allowed to happen",
        {"spec.gates.0.errorRate": {"maxIncrease": "100%", "detect": "2x"}},
        "write a larger multiple, such as 2x beside 25%",
    ),
    Refusal(
        "a detect that is no multiple",
        {"spec.gates.0.errorRate": {"maxIncrease": "25%", "detect": "2"}},
        'such as "2x" or "1.5x"',
    ),
    Refusal(
        "a detect of nothing",
        {"spec.gates.0.errorRate": {"maxIncrease": "0%", "detect": "1x"}},
        "write a multiple above 1 with an x",
    ),
    Refusal("a latency without threshold", {"spec.gates.1.latency.threshold": REMOVED}, "threshold: Required value"),
    Refusal("a threshold of 0", {"spec.gates.1.latency.threshold": "0ms"}, "write a threshold above 0"),
    Refusal("a value without limit", {"spec.gates.2.value": {"query": "up"}}, "give value.min, max, maxIncrease or"),
    Refusal(
        "a comparison of a query with itself",
        {"spec.gates.2.value": {"query": "up", "maxDecrease": "5%"}},
        "write $service or $version as the value of the label",
    ),
    Refusal(
        "a value whose limits exclude each other",
        {"spec.gates.2.value": {"query": "up", "min": "2", "max": "1"}},
        "write a min that is at most max",
    ),
    Refusal("a ratio without limit", {"spec.gates.0": _gate(ratio=_RATIO)}, "give ratio.max, maxIncrease or both"),
    Refusal(
        "a ratio of one counter",
        {"spec.gates.0": _gate(ratio={"bad": _RATIO["bad"], "max": "1%"})},
        "ratio.total: Required value",
    ),
    Refusal(
        "a ratio of a query",
        {"spec.gates.0": _gate(ratio={**_RATIO, "total": {"metric": "sum(all_total)"}, "max": "1%"})},
        "write a Prometheus metric name",
    ),
    Refusal(
        "a ratio whose version label is none",
        {"spec.gates.0": _gate(ratio={**_RATIO, "max": "1%", "versionLabel": {"name": "my-label"}})},
        "write a Prometheus label name",
    ),
    Refusal(
        "a throughput without limit",
        {"spec.gates.0": _gate(throughput={})},
        "throughput.maxDecrease: Required value",
    ),
    Refusal(
        "a throughput that may vanish",
        {"spec.gates.0": _gate(throughput={"maxDecrease": "100%"})},
        "above 0% and below 100%",
    ),
    Refusal(
        "a drift of 0",
        {"spec.gates.0": _gate(drift={"histogram": {"metric": "score"}, "max": "0.0"})},
        "write a distance above 0",
    ),
    Refusal(
        "a negative drift",
        {"spec.gates.0": _gate(drift={"histogram": {"metric": "score"}, "max": "-1"})},
        "write a distance above 0",
    ),
    Refusal(
        "a drift that is no number",
        {"spec.gates.0": _gate(drift={"histogram": {"metric": "score"}, "max": "NaN"})},
        "write a plain number in quotes",
    ),
    Refusal("a drift of nothing", {"spec.gates.0": _gate(drift={"max": "0.2"})}, "drift.histogram: Required value"),
    Refusal(
        "a drift of few samples",
        {"spec.gates.0": _gate(drift={"histogram": {"metric": "score"}, "minSamples": 10})},
        "should be greater than or equal to 100",
    ),
    Refusal(
        "a drift by another distance",
        {"spec.gates.0": _gate(drift={"histogram": {"metric": "score"}, "method": "Wasserstein"})},
        'supported values: "PSI", "JensenShannon"',
    ),
    *(
        Refusal(
            f"a webhook at {url}", {"spec.gates.0": _gate(webhook={"url": url})}, "write an address such as https://"
        )
        for url in (
            "ftp://judge.example.com/",
            "https://user:secret@judge.example.com/",
            "https://judge.example.com",
            "https://judge.example.com/?q=1",
            "https://Judge.example.com/",
            "https://[::1]/",
            "judge.example.com/",
        )
    ),
    Refusal(
        "a webhook of 11 parameters",
        {"spec.gates.0": _gate(webhook={"url": "https://j/", "parameters": [{"name": "a", "value": "b"}] * 11})},
        "must have at most 10 items",
    ),
    Refusal("a share without sign", {"spec.gates.0.errorRate.max": "1"}, "write a share with its sign"),
    Refusal("a share that is a number", {"spec.gates.0.errorRate.max": 1}, 'must be of type string: "integer"'),
    Refusal("a share of 0%", {"spec.gates.0.errorRate.max": "0%"}, "above 0% and below 100%"),
    Refusal("a share of 100%", {"spec.gates.0.errorRate.max": "100%"}, "above 0% and below 100%"),
    Refusal("a negative share", {"spec.gates.0.errorRate.max": "-1%"}, "write a share with its sign"),
    Refusal("a share with an exponent", {"spec.gates.0.errorRate.max": "1e1%"}, "no exponent"),
    Refusal("an overflowing share", {"spec.gates.0.errorRate.max": "1e400%"}, "no exponent"),
    Refusal("a share that is no number", {"spec.gates.0.errorRate.max": "NaN%"}, "write a share with its sign"),
    Refusal("an increase with a sign", {"spec.gates.0.errorRate.maxIncrease": "+25%"}, "write a share with its sign"),
    Refusal("a limit with an exponent", {"spec.gates.2.value.max": "1e400"}, "write a plain number in quotes"),
    Refusal("a limit that is no number", {"spec.gates.2.value.max": "NaN"}, "write a plain number in quotes"),
    Refusal("an infinite limit", {"spec.gates.2.value.max": "+Inf"}, "write a plain number in quotes"),
    Refusal("a limit without quotes", {"spec.gates.2.value.max": 0.2}, 'must be of type string: "number"'),
    Refusal("a query beyond its length", {"spec.gates.2.value.query": "x" * 2049}, "may not be more than 2048"),
    Refusal("an empty query", {"spec.gates.2.value.query": ""}, "should be at least 1 chars long"),
    Refusal("another onFail", {"spec.gates.0.onFail": "Ignore"}, 'supported values: "Rollback", "Hold"'),
    # Metrics
    Refusal(
        "preset custom without metrics",
        {"spec.metrics": {"preset": "custom"}},
        "preset custom and the field custom belong",
    ),
    Refusal(
        "metrics of one's own for another preset",
        {"spec.metrics.custom": {"requests": {"metric": "r"}, "versionLabel": {"name": "service"}}},
        "or another preset and no custom",
    ),
    Refusal(
        "a preset that cannot judge gRPC",
        {"spec.traffic": {"grpcRoute": {"parentRefs": [{"name": "edge"}]}}},
        "a gRPC call that fails has status 200: with traffic.grpcRoute write the model server's preset",
    ),
    Refusal(
        "versions told apart by the model's name",
        {"spec.metrics": {"preset": "vllm", "versionLabel": {"name": "model_name"}}},
        "this label is the same for both versions",
    ),
    Refusal(
        "two labels for one's own metrics",
        {
            "spec.metrics": {
                "preset": "custom",
                "custom": {"requests": {"metric": "r"}, "versionLabel": {"name": "a"}},
                "versionLabel": {"name": "b"},
            }
        },
        "preset custom has its label in custom: name it there",
    ),
    Refusal("another preset", {"spec.metrics.preset": "nginx"}, 'supported values: "traefik", "envoy", "istio"'),
    Refusal("an address as source", {"spec.metrics.source": "http://x"}, "write a DNS label"),
    Refusal(
        "a metric name that is a query",
        {
            "spec.metrics": {
                "preset": "custom",
                "custom": {"requests": {"metric": 'r{a="b"}'}, "versionLabel": {"name": "service"}},
            }
        },
        "write a Prometheus metric name",
    ),
    # People and the calendar
    Refusal("an approval by nobody", {"spec.stages.1.approval": {"required": 0}}, "greater than or equal to 1"),
    Refusal("an approval by a crowd", {"spec.stages.1.approval": {"required": 6}}, "less than or equal to 5"),
    Refusal("an approval by no group", {"spec.stages.1.approval": {"required": 1, "groups": []}}, "at least 1 items"),
    Refusal(
        "a stage that requires what is not there",
        {"spec.stages.1.requires": ["bias-review"]},
        "add it there by its id, or correct requires",
    ),
    Refusal(
        "readiness of one id twice",
        {"spec.readiness": [{"id": "a", "description": "x"}, {"id": "a", "description": "y"}]},
        "two of spec.readiness have one id",
    ),
    Refusal("a window of six fields", _window(start="0 0 9 * * *"), "write five cron fields with one space between"),
    Refusal("a window by a word", _window(start="@daily"), "such as 0 9 * * MON-FRI"),
    Refusal("a window that opens never", _window(start=""), "write five cron fields"),
    Refusal("a window of no length", _window(duration="0h0m"), "such as 8h or 1h30m"),
    Refusal("a window of seconds", _window(duration="30s"), "in hours and minutes"),
    Refusal("a window without a length", {"spec.windows": [{"start": "0 9 * * *"}]}, "duration: Required value"),
    Refusal("a time zone by its offset", _window(timeZone="+01:00"), "write an IANA time zone, such as Europe/Berlin"),
    Refusal("a time zone that is a path", _window(timeZone="../etc/passwd"), "write an IANA time zone"),
    Refusal("no windows", {"spec.windows": []}, "at least 1 items"),
    # Fields nobody knows, under strict validation
    Refusal("an unknown field", {"spec.replicas": 3}, 'unknown field "spec.replicas"'),
    Refusal("a misspelt field deep inside", {"spec.gates.0.errorRate.maximum": "1%"}, "errorRate.maximum"),
    Refusal("no spec", {"spec": REMOVED}, "spec: Required value"),
)

_LEAF = {"spec.traffic": {"traefikService": {"name": "fraud"}}}
_CUSTOM = {"preset": "custom", "custom": {"requests": {"metric": "r"}, "versionLabel": {"name": "service"}}}
_GRPC = {"spec.traffic": {"grpcRoute": {"parentRefs": [{"name": "edge"}]}}, "spec.metrics": _CUSTOM}
_GRPC_ADOPTED = {
    "spec.traffic": {"grpcRoute": {"adopt": {"name": "fraud", "rule": "score"}}},
    "spec.metrics": _CUSTOM,
}
_ADOPTED = {"spec.traffic": {"httpRoute": {"adopt": {"name": "fraud", "rule": "score"}}}}


class ChangeRefusal(NamedTuple):
    """One row of the table of changes: what stands, and what may not come after it."""

    case: str
    before: Changes
    after: Changes
    sentence: str


ON_CHANGE = (
    ChangeRefusal("an HTTPRoute becomes a TraefikService", {}, _LEAF, "the kind of router object cannot change"),
    ChangeRefusal("a TraefikService becomes an HTTPRoute", _LEAF, {}, "create one with the new kind"),
    ChangeRefusal(
        "another TraefikService",
        _LEAF,
        {"spec.traffic": {"traefikService": {"name": "other"}}},
        "create a new ModelRollout",
    ),
    ChangeRefusal("an HTTPRoute becomes a GRPCRoute", {}, _GRPC, "the kind of router object cannot change"),
    ChangeRefusal("an own GRPCRoute becomes an adopted one", _GRPC, _GRPC_ADOPTED, "grpcRoute.adopt cannot change"),
    ChangeRefusal("an own route becomes an adopted one", {}, _ADOPTED, "httpRoute.adopt cannot change"),
    ChangeRefusal("an adopted route becomes an own one", _ADOPTED, {}, "create a new ModelRollout"),
    ChangeRefusal(
        "another rule of the adopted route",
        _ADOPTED,
        {"spec.traffic": {"httpRoute": {"adopt": {"name": "fraud", "rule": "other"}}}},
        "the old rule would keep its weights",
    ),
)
