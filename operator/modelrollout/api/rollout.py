"""`ModelRollout.spec`: what people and pipelines write. The operator never does."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from modelrollout.api.fields import (
    NAME_REMEDY,
    Duration,
    Increase,
    Interval,
    Model,
    Name,
    Number,
    ObjectName,
    Percent,
    Share,
    Version,
    Weight,
    rule,
    rules,
)

MAX_GATES = 20
MAX_STAGES = 20
MAX_WEIGHTS = 20
MAX_QUERY = 2048

Text = Annotated[str, Field(min_length=1, max_length=256)]
Link = Annotated[str, Field(min_length=1, max_length=1024)]


class Risk(StrEnum):
    """How much harm a bad version could do; picks the default plan."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class OnFail(StrEnum):
    """What a failed gate asks for."""

    ROLLBACK = "Rollback"
    HOLD = "Hold"


class Owner(Model):
    """The one team that answers for this model."""

    team: Text = Field(description="Team that answers for this model, as the on-call person would look it up.")
    contact: Text | None = Field(None, description="Where to reach the team at night: a channel, pager or address.")
    runbook_url: Link | None = Field(
        None,
        alias="runbookURL",
        description="What to do when this rollout is in trouble; copied into its events.",
    )


class ServiceRef(Model):
    """A Service in the rollout's own namespace, and its port."""

    name: Name = Field(
        description="Service in the same namespace that has this version's pods, and no other's, behind it."
    )
    port: int = Field(ge=1, le=65535, description="Port of the Service (not of the pod).")


class Workload(Model):
    """The Deployment or StatefulSet that runs a version; read, never written."""

    api_version: Literal["apps/v1"] = Field("apps/v1", description="API of the workload.")
    kind: Literal["Deployment", "StatefulSet"] = Field(description="Kind of the workload.")
    name: ObjectName = Field(description="Name of the workload, in the same namespace.")


class Artifact(Model):
    """Where a version comes from: its lineage. Part of the version's identity."""

    uri: Link | None = Field(None, description="Where the model's files are.")
    digest: Text | None = Field(None, description="Digest of the model's files, such as sha256:…")
    training_data: Link | None = Field(None, description="The data that the model was trained on.")
    evaluation: Link | None = Field(None, description="The offline evaluation that spoke for this version.")


class ModelVersion(Model):
    """One version of the model, running behind a Service of its own."""

    version: Version = Field(description="Name of the version, as people speak of it.")
    service: ServiceRef = Field(description="The Service that serves this version.")
    workload: Workload | None = Field(
        None,
        description="The workload that runs it: no weight is given before all its replicas are up to date and available.",
    )
    artifact: Artifact | None = Field(None, description="Lineage of the version.")


class ParentRef(Model):
    """A Gateway, or one of its listeners, that serves the route."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: Name | None = Field(None, description="Namespace of the Gateway; the rollout's own when left out.")
    section_name: ObjectName | None = Field(
        None, description="Listener of the Gateway; all that allow it when left out."
    )


class Adopt(Model):
    """One named rule of a route that somebody else owns."""

    name: ObjectName = Field(description="The HTTPRoute, in the same namespace.")
    rule: Name = Field(description="Name of the rule (spec.rules[].name) whose backendRefs the operator may set.")


Hostname = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 253,
            **rules(
                rule(
                    "self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
                    "write a host name such as models.example.com, or *.example.com; no scheme, port or path",
                )
            ),
        }
    ),
]


class HTTPRouteTraffic(Model):
    """An HTTPRoute of the rollout's name that the operator owns, or one rule of yours."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.adopt) != has(self.parentRefs)",
                "give either parentRefs (the operator owns an HTTPRoute of the rollout's name) or adopt (it edits one named"
                " rule of your route), not both and not neither",
            ),
            rule(
                "!has(self.adopt) || (!has(self.hostnames) && !has(self.path))",
                "hostnames and path belong to a route that the operator owns: remove them, your adopted rule has its own",
            ),
        )
    )

    parent_refs: list[ParentRef] | None = Field(
        None, min_length=1, max_length=8, description="Gateways that serve the route the operator owns."
    )
    hostnames: list[Hostname] | None = Field(
        None, min_length=1, max_length=16, description="Hosts the route answers for."
    )
    path: (
        Annotated[
            str,
            WithJsonSchema(
                {
                    "type": "string",
                    "maxLength": 1024,
                    **rules(
                        rule(
                            # What a Gateway takes as a PathPrefix, percent-encoding and parentheses aside.
                            "self.matches('^/[-A-Za-z0-9/._~!$&*+,;=:@]*$') && !self.matches('/[.]{0,2}/|/[.]{1,2}$')",
                            "write a path prefix that starts with '/', such as /v1/score: no '//', '/./' or '/../', no"
                            " query, spaces or percent signs",
                        )
                    ),
                }
            ),
        ]
        | None
    ) = Field(None, description="Path prefix of the requests to move; all of them when left out.")
    adopt: Adopt | None = Field(None, description="Your HTTPRoute and the one rule of it that the operator may edit.")


class TraefikServiceTraffic(Model):
    """The TraefikService that your HTTPRoute or IngressRoute points to; the operator owns it."""

    name: Name = Field(description="Name of the TraefikService; the operator makes it where it is missing.")


class Traffic(Model):
    """Where the traffic is moved: exactly one kind of router object."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.httpRoute) != has(self.traefikService)",
                "give exactly one of httpRoute and traefikService: a rollout moves traffic on one router object",
            ),
            rule(
                "has(self.httpRoute) == has(oldSelf.httpRoute)",
                "the kind of router object cannot change: delete this ModelRollout (traffic stays as it is) and create one"
                " with the new kind",
            ),
            rule(
                "!has(self.traefikService) || !has(oldSelf.traefikService) || self.traefikService == oldSelf.traefikService",
                "traefikService.name cannot change: the old leaf would keep its weights; create a new ModelRollout",
            ),
            rule(
                "!has(self.httpRoute) || !has(oldSelf.httpRoute) || (has(self.httpRoute.adopt) == has(oldSelf.httpRoute.adopt)"
                " && (!has(self.httpRoute.adopt) || self.httpRoute.adopt == oldSelf.httpRoute.adopt))",
                "httpRoute.adopt cannot change: the old rule would keep its weights; create a new ModelRollout",
            ),
        )
    )

    http_route: HTTPRouteTraffic | None = Field(
        None, alias="httpRoute", description="Gateway API: weights on an HTTPRoute."
    )
    traefik_service: TraefikServiceTraffic | None = Field(
        None, description="Traefik: weights and mirroring in a TraefikService that your route points to."
    )


LabelName = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 128,
            **rules(
                rule(
                    "self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')",
                    "write a Prometheus label name: letters, digits and '_'",
                )
            ),
        }
    ),
]
MetricName = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 256,
            **rules(
                rule(
                    "self.matches('^[a-zA-Z_:][a-zA-Z0-9_:]*$')",
                    "write a Prometheus metric name: letters, digits, '_' and ':'",
                )
            ),
        }
    ),
]


class Matcher(Model):
    """A condition on one label of a series."""

    label: LabelName = Field(description="Label to look at.")
    op: Literal["=", "!=", "=~", "!~"] = Field("=", description="Comparison, as in PromQL; = when left out.")
    value: str = Field(max_length=256, description="Value, or an RE2 expression for =~ and !~.")


class Series(Model):
    """A metric and what else its series must match."""

    metric: MetricName = Field(description="Name of the metric.")
    matchers: list[Matcher] = Field([], max_length=10, description="Further conditions on its labels.")


class DurationSeries(Series):
    """A classic histogram of request durations."""

    metric: MetricName = Field(description="Base name of the histogram, without _bucket and _count.")
    unit: Literal["s", "ms"] = Field("s", description="Unit of its bucket bounds; s when left out.")


class VersionLabel(Model):
    """The label that tells the two versions apart."""

    name: LabelName = Field(description="Name of the label.")
    holds: Literal["Service", "Version"] = Field(
        "Service",
        description="What the label's value is: the Service's name or the version; Service when left out.",
    )


class CustomMetrics(Model):
    """Counters and histogram of your own server, for preset custom."""

    requests: Series = Field(description="Counter of all requests.")
    errors: Series | None = Field(None, description="Counter of bad requests; errorRate gates need it.")
    duration: DurationSeries | None = Field(None, description="Histogram of durations; latency gates need it.")
    version_label: VersionLabel = Field(description="The label that tells the two versions apart.")


class Metrics(Model):
    """Where the gates' numbers come from."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "(self.preset == 'custom') == has(self.custom)",
                "preset custom and the field custom belong together: give both, or another preset and no custom",
            )
        )
    )

    source: Name = Field(
        "default",
        description="Name of a metrics source that the administrator configured; default when left out.",
    )
    preset: Literal["traefik", "custom"] = Field(
        description="Ready-made queries for what serves the requests, or custom."
    )
    custom: CustomMetrics | None = Field(None, description="Metrics of your own, for preset custom.")


class ErrorRate(Model):
    """The share of requests that end in a server error."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.max) || has(self.maxIncrease)",
                "give errorRate.max, maxIncrease or both: a gate needs a limit",
            )
        )
    )

    max: Share | None = Field(
        None, description='Largest share allowed, such as "1%"; passes on evidence that it is lower.'
    )
    max_increase: Increase | None = Field(
        None, description='Largest increase relative to the baseline in the same window, such as "25%".'
    )


class Latency(Model):
    """The share of requests that take longer than a threshold."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.maxAbove) || has(self.maxIncrease)",
                "give latency.maxAbove, maxIncrease or both: a gate needs a limit",
            ),
            rule(
                "self.threshold.matches('[1-9]')", "write a threshold above 0, such as 300ms: no request takes no time"
            ),
        )
    )

    threshold: Duration = Field(description="Duration above which a request is slow; a bucket bound of the histogram.")
    max_above: Share | None = Field(None, description='Largest share of slow requests allowed, such as "5%".')
    max_increase: Increase | None = Field(None, description="Largest increase of that share relative to the baseline.")


class Value(Model):
    """Any PromQL expression that gives one number."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("has(self.min) || has(self.max)", 'give value.min, max or both, in quotes, such as max: "0.2"'),
            rule(
                "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)",
                "no value is at least min and at most max: write a min that is at most max",
            ),
        )
    )

    query: str = Field(min_length=1, max_length=MAX_QUERY, description="PromQL that gives a scalar or one series.")
    min: Number | None = Field(None, description="Smallest value allowed.")
    max: Number | None = Field(None, description="Largest value allowed.")


class Gate(Model):
    """A condition on a metric that the candidate has to meet."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.errorRate), has(self.latency), has(self.value)].filter(given, given).size() == 1",
                "give exactly one of errorRate, latency and value: a second condition is a second gate",
            )
        )
    )

    name: Name = Field(description="Name of the gate, unique in the rollout.")
    error_rate: ErrorRate | None = Field(None, description="Gate on the share of server errors.")
    latency: Latency | None = Field(None, description="Gate on the share of slow requests.")
    value: Value | None = Field(None, description="Gate on the value of a PromQL expression.")
    on_fail: OnFail = Field(OnFail.ROLLBACK, description="What a failure does: Rollback (when left out) or Hold.")
    runbook_url: Link | None = Field(None, alias="runbookURL", description="What to do when this gate fails.")


Gates = Annotated[
    list[Gate],
    Field(
        min_length=1,
        max_length=MAX_GATES,
        json_schema_extra=rules(
            rule(
                "self.all(g, self.exists_one(h, h.name == g.name))",
                "two gates have one name: give each a name of its own",
            )
        ),
    ),
]


class Shadow(Model):
    """Copies of live requests go to the candidate; its answers are thrown away."""

    percent: Weight = Field(
        Percent(10_000), description="Percentage of live requests that is copied; 100 when left out."
    )


class Canary(Model):
    """The candidate answers a growing percentage of live requests."""

    weights: list[Weight] = Field(
        min_length=1,
        max_length=MAX_WEIGHTS,
        description="Percentages of live requests, one a step, ascending.",
        json_schema_extra=rules(
            rule(
                # A weight that is no number is the business of its own rule, and would only be an error here.
                "!self.all(w, type(w) == int || w.matches('^[0-9]{1,3}([.][0-9]{1,2})?$')) ||"
                " (self.map(w, double(w)).isSorted() && self.all(w, self.exists_one(v, double(v) == double(w))))",
                "weights must ascend, each larger than the one before: write for example [1, 5, 25, 50]",
            )
        ),
    )


class Full(Model):
    """The candidate answers all requests while the baseline is kept warm."""


class Stage(Model):
    """One part of the plan: shadow, canary or full."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.shadow), has(self.canary), has(self.full)].filter(given, given).size() == 1",
                "give exactly one of shadow, canary and full: a stage is one of them",
            )
        )
    )

    name: Name = Field(description="Name of the stage, unique in the plan.")
    shadow: Shadow | None = Field(None, description="Copy requests to the candidate, throw its answers away.")
    canary: Canary | None = Field(None, description="Give the candidate growing weights.")
    full: Full | None = Field(None, description="Give the candidate everything and let it bake.")
    min_duration: Duration | None = Field(
        None, description="Shortest time in this stage, for a canary at each weight; 5m when left out."
    )
    gates: Gates | None = Field(None, description="Gates of this stage alone, on top of spec.gates.")


Stages = Annotated[
    list[Stage],
    Field(
        min_length=1,
        max_length=MAX_STAGES,
        json_schema_extra=rules(
            rule(
                "self.all(s, self.exists_one(t, t.name == s.name))",
                "two stages have one name: give each a name of its own",
            ),
            rule(
                "has(self[self.size() - 1].full) && self.filter(s, has(s.full)).size() == 1",
                "the plan must end with a full stage, and have only that one: add {name: full, full: {}} at the end",
            ),
            rule(
                "self.map(s, has(s.shadow) ? 0 : (has(s.canary) ? 1 : 2)).isSorted()",
                "a shadow stage cannot come after a canary stage: move the shadow to the front",
            ),
        ),
    ),
]


class Analysis(Model):
    """How the gates are judged."""

    interval: Interval | None = Field(None, description="Time between two looks at the metrics; 30s when left out.")
    warmup: Duration | None = Field(
        None,
        description="Time after each change of shares that does not count, for caches to warm; 2m when left out.",
    )
    min_requests: int | None = Field(
        None,
        ge=20,
        le=10_000_000,
        description="Requests of each version below which no gate passes; 300 when left out.",
    )
    ingest_delay: Duration | None = Field(
        None,
        description="How far back the newest judged sample lies, so that late scrapes are in; 30s when left out.",
    )
    freshness: Duration | None = Field(
        None, description="Age at which a newest sample is too old to judge by; 1m when left out."
    )
    deadline: Duration | None = Field(
        None, description="Time after a step's minimum in which it must have passed; 1h when left out."
    )
    on_deadline: OnFail = Field(
        OnFail.HOLD, description="What a missed deadline does: Hold (when left out) or Rollback."
    )
    metrics_lost_timeout: Duration | None = Field(
        None, description="Time without usable metrics after which onMetricsLost acts; 15m when left out."
    )
    on_metrics_lost: OnFail = Field(
        OnFail.HOLD,
        description="What lost metrics do after metricsLostTimeout: Hold (when left out) or Rollback.",
    )


class Rollback(Model):
    """How the way back is kept open."""

    retain_baseline: Duration | None = Field(
        None, description="How long after promotion control.rollback still works; 24h when left out."
    )
    unready_grace: Duration | None = Field(
        None,
        description="How long the candidate may have no ready endpoint while it has traffic; 30s when left out.",
    )


class ModelRolloutSpec(Model):
    """What should serve, who answers for it, and how to get there."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.baseline) || self.baseline.version != self.candidate.version",
                "candidate.version equals baseline.version: name the version that serves today as baseline, the next one as"
                " candidate",
            ),
            rule(
                "!has(self.baseline) || self.baseline.service.name != self.candidate.service.name",
                "candidate.service equals baseline.service: each version needs a Service of its own, or traffic cannot be split",
            ),
            rule(
                "!has(self.stages) || !has(self.gates) || self.stages.all(s, !has(s.gates) ||"
                " s.gates.all(g, !self.gates.exists(h, h.name == g.name)))",
                "a stage's gate has the name of one in spec.gates: give it a name of its own",
            ),
        )
    )

    owner: Owner = Field(description="The one team that answers for this model.")
    risk: Risk = Field(
        Risk.MEDIUM,
        description="How much harm a bad version could do; picks the default plan: medium when left out.",
    )
    paused: bool = Field(
        default=False, description="Holds where it is: no attempt starts and no weight grows. Rollback still works."
    )
    baseline: ModelVersion | None = Field(
        None,
        description="What serves before the first promotion; later the last promoted version does. None: first deployment.",
    )
    candidate: ModelVersion = Field(description="The version that should serve.")
    traffic: Traffic = Field(description="The router object on which traffic is moved.")
    metrics: Metrics = Field(description="Where the gates' numbers come from.")
    stages: Stages | None = Field(None, description="The plan; the default plan of the risk when left out.")
    gates: Gates | None = Field(
        None, description="Gates of every stage; one named errors (max 2%, maxIncrease 25%) when left out."
    )
    analysis: Analysis = Field(Analysis(), description="How the gates are judged.")
    rollback: Rollback = Field(Rollback(), description="How the way back is kept open.")


NAME_RULE = rule("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')", f"metadata.name: {NAME_REMEDY}")
