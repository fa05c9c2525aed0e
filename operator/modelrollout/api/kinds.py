"""Kinds of gates on series of the user's own: business numbers, agreement, quality."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from modelrollout.api.fields import Increase, Model, Multiple, Name, Number, Share, rule, rules
from modelrollout.api.metrics import Series, VersionLabel

DETECT = (
    rule(
        "!has(self.detect) || has(self.maxIncrease)",
        "detect says how good the comparison must be: give maxIncrease, too",
    ),
    rule(
        # What is no share is the business of its own rule, and would only be an error here.
        "!has(self.detect) || !has(self.maxIncrease) || !self.maxIncrease.matches('^[0-9]{1,4}([.][0-9]{1,4})?%$') ||"
        " !self.detect.matches('^[0-9]{1,3}([.][0-9]{1,2})?x$') ||"
        " double(self.detect.replace('x', '')) > 1.0 + double(self.maxIncrease.replace('%', '')) / 100.0",
        "detect is within what maxIncrease allows, and would never be seen: write a larger multiple, such as 2x beside 25%",
    ),
)
"""What limits have to meet that say how good their comparison must be."""

WHAT_DETECT_IS = (
    "Smallest multiple of the baseline's share that must have been seen by now, nine times in ten, before this passes."
)


class Ratio(Model):
    """The share of bad events among all, from two counters of your own."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.max) || has(self.maxIncrease)",
                "give ratio.max, maxIncrease or both: a gate needs a limit",
            ),
            *DETECT,
        )
    )

    bad: Series = Field(description="Counter of the bad events; they are among those of total.")
    total: Series = Field(description="Counter of all events.")
    version_label: VersionLabel | None = Field(
        None,
        description="The label that tells the two versions apart in both; that of spec.metrics when left out.",
    )
    max: Share | None = Field(
        None, description='Largest share allowed, such as "2%"; passes on evidence that it is lower.'
    )
    max_increase: Increase | None = Field(
        None, description='Largest increase relative to the baseline in the same window, such as "25%".'
    )
    detect: Multiple | None = Field(None, description=WHAT_DETECT_IS)


class Drift(Model):
    """How far the distribution of inputs, scores or outputs lies from the baseline's."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # What is no number is the business of its own rule, and would only be an error here.
                "!has(self.max) || !self.max.matches('^[0-9]{1,15}([.][0-9]{1,9})?$') || double(self.max) > 0.0",
                'write a distance above 0, such as "0.25": two samples always lie a little apart',
            ),
            rule(
                "!has(self.max) || !self.max.startsWith('-')",
                'write a distance above 0, such as "0.25": two samples always lie a little apart',
            ),
        )
    )

    histogram: Series = Field(
        description="Classic histogram of what is watched: the metric's base name, without _bucket and _count."
    )
    version_label: VersionLabel | None = Field(
        None, description="The label that tells the two versions apart; spec.metrics.custom.versionLabel when left out."
    )
    method: Literal["PSI", "JensenShannon"] = Field(
        "PSI",
        description="Distance: the population stability index (when left out), or the Jensen-Shannon distance, from 0 to 1.",
    )
    max: Number | None = Field(
        None,
        description="Largest distance allowed, as far as chance does not explain it; when left out 0.25 for PSI, 0.1 for"
        " JensenShannon.",
    )
    min_samples: int | None = Field(
        None,
        ge=100,
        le=10_000_000,
        description="Observations of each version below which nothing is said; 1000 when left out.",
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


class Parameter(Model):
    """A word that the judge is told."""

    name: Name = Field(description="Name of the parameter.")
    value: str = Field(max_length=256, description="What it says, such as the name of a monitor.")


class Webhook(Model):
    """A judge of your own or of a monitoring service, asked over HTTP."""

    url: Annotated[
        str,
        WithJsonSchema(
            {
                "type": "string",
                "maxLength": 512,
                **rules(
                    rule(
                        "self.matches('^https?://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?/[-a-zA-Z0-9._~/]*$')",
                        "write an address such as https://judge.example.com/v1/judge: host in lower case, a path, and no"
                        " credentials, query or fragment",
                    )
                ),
            }
        ),
    ] = Field(description="Address that is asked by POST; the administrator has to allow its host.")
    parameters: list[Parameter] = Field([], max_length=10, description="What the judge is told besides.")
