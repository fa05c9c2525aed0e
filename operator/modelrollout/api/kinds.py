"""Kinds of gates on series of the user's own: business numbers, agreement, quality."""

from pydantic import ConfigDict, Field

from modelrollout.api.fields import Increase, Model, Share, rule, rules
from modelrollout.api.metrics import Series, VersionLabel


class Ratio(Model):
    """The share of bad events among all, from two counters of your own."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.max) || has(self.maxIncrease)",
                "give ratio.max, maxIncrease or both: a gate needs a limit",
            )
        )
    )

    bad: Series = Field(description="Counter of the bad events; they are among those of total.")
    total: Series = Field(description="Counter of all events.")
    version_label: VersionLabel | None = Field(
        None,
        description="The label that tells the two versions apart in both; spec.metrics.custom.versionLabel when left out.",
    )
    max: Share | None = Field(
        None, description='Largest share allowed, such as "2%"; passes on evidence that it is lower.'
    )
    max_increase: Increase | None = Field(
        None, description='Largest increase relative to the baseline in the same window, such as "25%".'
    )


class Throughput(Model):
    """Requests a second and ready replica, relative to the baseline's."""

    max_decrease: Share = Field(
        description='How far it may lie below the baseline\'s in the same window, such as "20%"; passes without evidence'
        " that it lies further below."
    )
    autoscaled: bool = Field(
        default=False,
        description="Whether an autoscaler keeps the replicas of both versions equally busy. Where it does not, replicas that"
        " the route gives less to do are not compared.",
    )
