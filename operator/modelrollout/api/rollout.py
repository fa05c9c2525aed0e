"""`ModelRollout.spec`: what people and pipelines write. The operator never does."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from modelrollout.api.consent import MAX_READINESS, Approval, ReadinessList, Windows
from modelrollout.api.fields import (
    NAME_REMEDY,
    Drain,
    Duration,
    Every,
    Interval,
    Link,
    Model,
    Name,
    Percent,
    Text,
    Weight,
    distinct,
    rule,
    rules,
)
from modelrollout.api.gates import MAX_STAGES, Gates, OnFail
from modelrollout.api.metrics import HTTP_PRESETS, Metrics
from modelrollout.api.options import PromoteOn
from modelrollout.api.traffic import Traffic
from modelrollout.api.versions import ModelVersion

MAX_WEIGHTS = 20

MAX_GATE_TEXT = 65_536
"""Characters of all queries and runbook addresses together: etcd takes no object above 1.5 MiB, status included, and
the API server would answer 500 to it."""


def _series_text(at: str) -> str:
    """Return how CEL counts the characters of a series at this path."""
    return (
        f"{at}.metric.size() + (has({at}.matchers) ? {at}.matchers.map(m, m.label.size() + m.value.size()).sum() : 0)"
    )


_GATE_TEXT = (
    "(has(g.value) ? g.value.query.size() : 0) + (has(g.runbookURL) ? g.runbookURL.size() : 0)"
    f" + (has(g.ratio) ? {_series_text('g.ratio.bad')} + {_series_text('g.ratio.total')} : 0)"
    f" + (has(g.drift) ? {_series_text('g.drift.histogram')} : 0)"
    " + (has(g.webhook) ? g.webhook.url.size() + (has(g.webhook.parameters) ?"
    " g.webhook.parameters.map(p, p.value.size()).sum() : 0) : 0)"
)


class Risk(StrEnum):
    """How much harm a bad version could do; picks the default plan."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Owner(Model):
    """The one team that answers for this model."""

    team: Text = Field(description="Team that answers for this model, as the on-call person would look it up.")
    contact: Text | None = Field(None, description="Where to reach the team at night: a channel, pager or address.")
    runbook_url: Link | None = Field(
        None,
        alias="runbookURL",
        description="What to do when this rollout is in trouble; copied into its events.",
    )


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
                f" (self.map(w, double(w)).isSorted() && {distinct('self.map(w, double(w))')})",
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
            ),
            rule(
                "!has(self.gates) || self.gates.all(g, !has(g.stages))",
                "a gate of a stage is judged in that stage alone: remove its stages, or move it to spec.gates",
            ),
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
    approval: Approval | None = Field(
        None,
        description="Who has to agree before the stage begins. With risk high one person has to before live traffic, also"
        " when left out.",
    )
    requires: Annotated[list[Name], Field(min_length=1, max_length=MAX_READINESS)] | None = Field(
        None, description="Ids of spec.readiness that have to be attested before the stage begins."
    )


Stages = Annotated[
    list[Stage],
    Field(
        min_length=1,
        max_length=MAX_STAGES,
        json_schema_extra=rules(
            rule(
                distinct("self.map(s, s.name)"),
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
    promote_on: PromoteOn = Field(
        PromoteOn.EVIDENCE,
        description="What passes a gate on counted requests: Evidence that its limit is kept (when left out), or NoBreach:"
        " minRequests are in and the numbers keep the limit, which lets far more bad versions pass.",
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


class RollbackDrill(Model):
    """The way back is rehearsed before the first live weight of each attempt."""

    within: Duration | None = Field(
        None, description="How long the way back may take until it is read from the route; 30s when left out."
    )
    every: Every | None = Field(
        None,
        description="How often it is rehearsed again while the candidate bakes with everything: 1% goes to the baseline and"
        " comes home. Never when left out.",
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
    drain: Drain | None = Field(
        None,
        description="How long a request may take: so long after a rollback the candidate counts as busy; 5m when left out.",
    )
    drill: RollbackDrill | None = Field(
        None,
        description="Rehearse the way back before the first live weight, with copies or with 1% at most; {} for the defaults."
        " Without success the attempt goes no further.",
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
                "!has(self.stages) || !has(self.gates) || [self.gates.map(g, g.name)].all(names,"
                " self.stages.all(s, !has(s.gates) || s.gates.all(g, !(g.name in names))))",
                "a stage's gate has the name of one in spec.gates: give it a name of its own",
            ),
            rule(
                "!has(self.gates) || [has(self.stages) ? self.stages.map(s, s.name) : ['shadow', 'canary', 'full']]"
                ".all(names, self.gates.all(g, !has(g.stages) || g.stages.all(n, n in names)))",
                "a gate's stages name a stage that the plan does not have: write names of spec.stages; of a default plan they"
                " are shadow, canary and full",
            ),
            rule(
                "!has(self.stages) || [has(self.readiness) ? self.readiness.map(r, r.id) : []]"
                ".all(ids, self.stages.all(s, !has(s.requires) || s.requires.all(r, r in ids)))",
                "a stage requires what spec.readiness does not have: add it there by its id, or correct requires",
            ),
            rule(
                "!has(self.gates) || [self.gates.filter(g, !has(g.failsWhen)).map(g, g.name)].all(names, self.gates.all(g,"
                " !has(g.failsWhen) || (has(g.failsWhen.all) ? g.failsWhen.all :"
                " (has(g.failsWhen.any) ? g.failsWhen.any : [])).all(n, n in names)))",
                "failsWhen names a gate that spec.gates does not have, or one with failsWhen itself: write names of gates"
                " that measure something",
            ),
            rule(
                f"!has(self.traffic.grpcRoute) || !(self.metrics.preset in {list(HTTP_PRESETS)})",
                "this preset counts HTTP statuses, and a gRPC call that fails has status 200: with traffic.grpcRoute write"
                " the model server's preset, or preset: custom and name your server's own metrics",
            ),
            rule(
                f"(has(self.gates) ? self.gates.map(g, {_GATE_TEXT}).sum() : 0) + (has(self.stages) ?"
                f" self.stages.map(s, has(s.gates) ? s.gates.map(g, {_GATE_TEXT}).sum() : 0).sum() : 0)"
                f" <= {MAX_GATE_TEXT}",
                f"the queries, matchers, parameters and addresses of all gates have more than {MAX_GATE_TEXT} characters together:"
                " write shorter ones, for example by recording rules in Prometheus",
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
    readiness: ReadinessList | None = Field(
        None, description="What people have to attest; a stage waits for those that it requires."
    )
    windows: Windows | None = Field(
        None, description="Times in which weights may grow; always when left out. Rolling back needs none."
    )
    analysis: Analysis = Field(Analysis(), description="How the gates are judged.")
    rollback: Rollback = Field(Rollback(), description="How the way back is kept open.")


NAME_RULE = rule("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')", f"metadata.name: {NAME_REMEDY}")
