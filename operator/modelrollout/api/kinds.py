"""Kinds of gates on series of the user's own: business numbers, agreement, quality."""

from pydantic import ConfigDict, Field

from modelrollout.api.fields import Increase, Model, Multiple, Share, rule, rules
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
