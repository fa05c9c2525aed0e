"""Gates: the conditions on metrics that a candidate has to meet."""

from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from modelrollout.api.fields import (
    Duration,
    Increase,
    Link,
    Model,
    Multiple,
    Name,
    Number,
    Share,
    distinct,
    rule,
    rules,
)
from modelrollout.api.kinds import DETECT, WHAT_DETECT_IS, Drift, Ratio, Throughput, Webhook
from modelrollout.api.options import GateClass, Severity

MAX_GATES = 20

MAX_QUERY = 2048

MAX_STAGES = 20

MAX_PARTS = 10


class OnFail(StrEnum):
    """What a failed gate asks for."""

    ROLLBACK = "Rollback"
    HOLD = "Hold"


class ErrorRate(Model):
    """The share of requests that end in a server error."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.max) || has(self.maxIncrease)",
                "give errorRate.max, maxIncrease or both: a gate needs a limit",
            ),
            *DETECT,
        )
    )

    max: Share | None = Field(
        None, description='Largest share allowed, such as "1%"; passes on evidence that it is lower.'
    )
    max_increase: Increase | None = Field(
        None, description='Largest increase relative to the baseline in the same window, such as "25%".'
    )
    detect: Multiple | None = Field(None, description=WHAT_DETECT_IS)


class Latency(Model):
    """The share of requests that take longer than a threshold."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.maxAbove) || has(self.maxIncrease)",
                "give maxAbove, maxIncrease or both: a gate needs a limit",
            ),
            rule(
                "self.threshold.matches('[1-9]')", "write a threshold above 0, such as 300ms: no request takes no time"
            ),
            *DETECT,
        )
    )

    threshold: Duration = Field(
        description="Duration above which it is slow; the next lower bucket bound of the histogram stands in for one between two."
    )
    max_above: Share | None = Field(None, description='Largest share of slow requests allowed, such as "5%".')
    max_increase: Increase | None = Field(None, description="Largest increase of that share relative to the baseline.")
    detect: Multiple | None = Field(None, description=WHAT_DETECT_IS)


class TimeToFirstToken(Latency):
    """The share of requests whose first token takes longer than a threshold."""


class InterTokenLatency(Latency):
    """The share of tokens that come later than a threshold after the one before; each request weighs as one."""


class QueueTime(Latency):
    """The share of requests that wait longer than a threshold before anybody works on them."""


class Saturation(Model):
    """How full the version's pods are, by the number that the preset has for it, over the last five minutes."""

    max: Number = Field(description='Largest value allowed, such as "0.9"; docs/presets.md says what it measures.')

    @property
    def min(self) -> None:
        """Nothing is too empty."""
        return

    @property
    def max_increase(self) -> None:
        """It is not compared with the baseline's: a share of traffic fills the pods that it has."""
        return

    @property
    def max_decrease(self) -> None:
        """See `max_increase`."""
        return


class Value(Model):
    """Any PromQL expression that gives one number."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.min) || has(self.max) || has(self.maxIncrease) || has(self.maxDecrease)",
                'give value.min, max, maxIncrease or maxDecrease, in quotes, such as max: "0.2": a gate needs a limit',
            ),
            rule(
                "!(has(self.maxIncrease) || has(self.maxDecrease)) ||"
                " self.query.contains('$service') || self.query.contains('$version')",
                "a limit relative to the baseline needs a query that can be asked of either version: write $service or"
                ' $version as the value of the label that tells them apart, such as {service="$service"}',
            ),
            rule(
                "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)",
                "no value is at least min and at most max: write a min that is at most max",
            ),
        )
    )

    query: str = Field(
        min_length=1,
        max_length=MAX_QUERY,
        description="PromQL that gives a scalar or one series; $service, $version and $namespace within its quotes stand for"
        " a version's own, and with one of the first two the baseline's value is asked for as well.",
    )
    min: Number | None = Field(None, description="Smallest value allowed.")
    max: Number | None = Field(None, description="Largest value allowed.")
    max_increase: Increase | None = Field(
        None, description='How far it may lie above the baseline\'s value, in percent of that, such as "10%".'
    )
    max_decrease: Increase | None = Field(
        None, description='How far it may lie below the baseline\'s value, in percent of that, such as "5%".'
    )

    @property
    def is_relative(self) -> bool:
        """Whether it is compared with the baseline's value."""
        return self.max_increase is not None or self.max_decrease is not None


Parts = Annotated[list[Name], Field(min_length=2, max_length=MAX_PARTS)]


class FailsWhen(Model):
    """Other gates, whose failures together are one: they no longer act by themselves."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.all) != has(self.any)",
                "give exactly one of failsWhen.all and any: it fails when all of those gates fail, or when any does",
            )
        )
    )

    all_of: Parts | None = Field(None, alias="all", description="Names of gates: it fails when all of them fail.")
    any_of: Parts | None = Field(None, alias="any", description="Names of gates: it fails when any of them fails.")

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the gates that it is made of."""
        return tuple(self.all_of or self.any_of or ())


Kind = (
    ErrorRate
    | Latency
    | Value
    | Ratio
    | TimeToFirstToken
    | InterTokenLatency
    | QueueTime
    | Saturation
    | Throughput
    | Drift
    | Webhook
    | FailsWhen
)

KINDS = (
    "errorRate",
    "latency",
    "value",
    "ratio",
    "timeToFirstToken",
    "interTokenLatency",
    "queueTime",
    "saturation",
    "throughput",
    "drift",
    "webhook",
    "failsWhen",
)
"""The fields of a gate of which exactly one is given; a test holds them against `Kind` and the fields of `Gate`."""


def _exactly_one_kind() -> dict[str, str]:
    *first, last = KINDS
    given = ", ".join(f"has(self.{kind})" for kind in KINDS)
    return rule(
        f"[{given}].filter(given, given).size() == 1",
        f"give exactly one of {', '.join(first)} and {last}: a second condition is a second gate",
    )


class Gate(Model):
    """A condition on a metric that the candidate has to meet."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            _exactly_one_kind(),
            rule(
                "!has(self.severity) || self.severity != 'safety' || !has(self.onFail) || self.onFail != 'Hold'",
                "a gate of severity safety rolls back: remove onFail: Hold, or write severity: critical",
            ),
        )
    )

    name: Name = Field(description="Name of the gate, unique in the rollout.")
    error_rate: ErrorRate | None = Field(None, description="Gate on the share of server errors.")
    latency: Latency | None = Field(None, description="Gate on the share of slow requests.")
    value: Value | None = Field(None, description="Gate on the value of a PromQL expression.")
    ratio: Ratio | None = Field(None, description="Gate on the share of bad events among all, by two counters.")
    time_to_first_token: TimeToFirstToken | None = Field(
        None, description="Gate on the share of requests whose first token is late."
    )
    inter_token_latency: InterTokenLatency | None = Field(
        None, description="Gate on the share of tokens that are late."
    )
    queue_time: QueueTime | None = Field(None, description="Gate on the share of requests that wait too long.")
    saturation: Saturation | None = Field(None, description="Gate on how full the version's pods are.")
    throughput: Throughput | None = Field(
        None, description="Gate on requests a second and ready replica, beside the baseline's."
    )
    drift: Drift | None = Field(None, description="Gate on the distance of a histogram from the baseline's.")
    webhook: Webhook | None = Field(None, description="Gate that asks a judge over HTTP.")
    fails_when: FailsWhen | None = Field(None, description="Gate on the verdicts of other gates together.")
    on_fail: OnFail = Field(OnFail.ROLLBACK, description="What a failure does: Rollback (when left out) or Hold.")
    runbook_url: Link | None = Field(None, alias="runbookURL", description="What to do when this gate fails.")
    # None is what is left out: a default would change the digest of every plan.
    severity: Severity | None = Field(
        None,
        description="How bad a failure is: warning is told and does nothing else; critical (when left out) does what onFail"
        " says; safety rolls back, and no later candidate begins before control.retry.",
    )
    gate_class: GateClass | None = Field(
        None,
        alias="class",
        description="What it looks after: infrastructure (when left out), model or business. Risk high demands one of each.",
    )
    on_unknown: OnFail | None = Field(
        None,
        description="What it does when it has had no usable metrics for unknownTimeout: Hold or Rollback; until then it"
        " holds. When left out, as analysis.onMetricsLost says.",
    )
    unknown_timeout: Duration | None = Field(
        None,
        description="Time without usable metrics after which onUnknown acts; analysis.metricsLostTimeout when left out.",
    )
    label_delay: Duration | None = Field(
        None,
        description="How long after a request its label comes: so much later the gate begins to count, and no step ends"
        " earlier; 0s when left out.",
    )
    dry_run: bool | None = Field(
        None, description="Judges and writes down, and does nothing else: neither stops a rollout nor is waited for."
    )
    stages: list[Name] | None = Field(
        None,
        min_length=1,
        max_length=MAX_STAGES,
        description="Names of the stages that this gate of spec.gates is judged in; all when left out.",
    )

    @cached_property
    def kind(self) -> Kind:
        """What the gate asks for: the one of `KINDS` that is given."""
        return next(kind for kind in self._kinds if kind is not None)

    @property
    def counts_bad(self) -> bool:
        """Whether it counts bad requests among all."""
        return not isinstance(self.kind, Value | Throughput | Drift | Webhook)

    @property
    def _kinds(self) -> tuple[Kind | None, ...]:
        return (
            self.error_rate,
            self.latency,
            self.value,
            self.ratio,
            self.time_to_first_token,
            self.inter_token_latency,
            self.queue_time,
            self.saturation,
            self.throughput,
            self.drift,
            self.webhook,
            self.fails_when,
        )

    @model_validator(mode="after")
    def _has_a_kind(self) -> Self:
        # The API server lets none in, but prunes nothing that a newer CRD knows and this operator does not.
        if sum(kind is not None for kind in self._kinds) != 1:
            raise ValueError(f"give exactly one of {', '.join(KINDS)}; this operator knows no other kind of gate")
        return self


Gates = Annotated[
    list[Gate],
    Field(
        min_length=1,
        max_length=MAX_GATES,
        json_schema_extra=rules(
            rule(
                distinct("self.map(g, g.name)"),
                "two gates have one name: give each a name of its own",
            )
        ),
    ),
]
