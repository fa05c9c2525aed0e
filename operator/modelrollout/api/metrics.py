"""`spec.metrics`: where the gates' numbers come from, and which series are whose."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from modelrollout.api.fields import Model, Name, rule, rules

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
