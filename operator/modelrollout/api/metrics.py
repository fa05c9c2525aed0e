"""`spec.metrics`: where the gates' numbers come from, and which series are whose."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from modelrollout.api.fields import Model, Name, rule, rules

PresetName = Literal[
    "traefik",
    "envoy",
    "istio",
    "knative",
    "kserve",
    "mlserver",
    "seldon-v2",
    "triton",
    "torchserve",
    "bentoml",
    "ray-serve",
    "fastapi",
    "vllm",
    "sglang",
    "tgi",
    "nim",
    "dynamo",
    "custom",
]
"""What `metrics/servers` has a table for, and custom."""

SHARED_LABELS = ["model_name", "namespace", "le"]
"""Labels that hold the same for both versions, whatever exports them."""

HTTP_PRESETS = ("traefik", "envoy", "istio", "knative", "bentoml", "ray-serve", "fastapi")
"""Those whose errors are HTTP statuses; a gRPC call that fails has status 200."""

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
    matchers: tuple[Matcher, ...] = Field((), max_length=10, description="Further conditions on its labels.")


class DurationSeries(Series):
    """A classic histogram of request durations."""

    metric: MetricName = Field(description="Base name of the histogram, without _bucket and _count.")
    unit: Literal["s", "ms"] = Field("s", description="Unit of its bucket bounds; s when left out.")


class VersionLabel(Model):
    """The label that tells the two versions apart."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"!(self.name in {SHARED_LABELS})",
                "this label is the same for both versions: name one that differs, such as service or pod, or one that"
                " your scrape adds",
            )
        )
    )

    name: LabelName = Field(description="Name of the label.")
    holds: Literal["Service", "Version", "Pod"] = Field(
        "Service",
        description="What the label's value is: the Service's name, the version, or the name of a pod of the Deployment"
        " or StatefulSet that is called as the Service; Service when left out.",
    )


class CustomMetrics(Model):
    """Counters and histogram of your own server, for preset custom."""

    requests: Series = Field(description="Counter of all requests.")
    errors: Series | None = Field(None, description="Counter of bad requests; errorRate gates need it.")
    duration: DurationSeries | None = Field(None, description="Histogram of durations; latency gates need it.")
    time_to_first_token: DurationSeries | None = Field(
        None, description="Histogram of times to the first token; timeToFirstToken gates need it."
    )
    inter_token_latency: DurationSeries | None = Field(
        None, description="Histogram of times between two tokens; interTokenLatency gates need it."
    )
    queue_time: DurationSeries | None = Field(
        None, description="Histogram of times in a queue; queueTime gates need it."
    )
    saturation: Series | None = Field(None, description="Gauge of how full a pod is; saturation gates need it.")
    version_label: VersionLabel = Field(description="The label that tells the two versions apart.")


class Metrics(Model):
    """Where the gates' numbers come from."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "(self.preset == 'custom') == has(self.custom)",
                "preset custom and the field custom belong together: give both, or another preset and no custom",
            ),
            rule(
                "!has(self.custom) || !has(self.versionLabel)",
                "preset custom has its label in custom: name it there, as custom.versionLabel",
            ),
        )
    )

    source: Name = Field(
        "default",
        description="Name of a metrics source that the administrator configured; default when left out.",
    )
    preset: PresetName = Field(
        description="Ready-made queries for what serves the requests (docs/presets.md), or custom."
    )
    version_label: VersionLabel | None = Field(
        None, description="A label that tells the two versions apart, in place of the preset's own."
    )
    custom: CustomMetrics | None = Field(None, description="Metrics of your own, for preset custom.")
