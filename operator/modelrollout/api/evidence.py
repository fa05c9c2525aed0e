"""`status.attempt.gates[].evidence`: how far a gate is from its verdict, for people and for what draws it."""

from typing import Annotated

from pydantic import Field

from modelrollout.api.fields import Model, Time

Whole = Annotated[int, Field(ge=0, le=100)]


class GateEvidence(Model):
    """How far a gate is from failing and from passing, and what was asked to know it."""

    towards_fail: Whole | None = Field(
        None, description="Evidence against the candidate, in percent of what fails: 100 fails."
    )
    towards_pass: Whole | None = Field(
        None, description="Evidence for it, and requests, in percent of what passes: 100 passes."
    )
    since: Time | None = Field(None, description="Begin of the window that was counted.")
    until: Time | None = Field(None, description="End of that window.")
    query_digest: Annotated[str, Field(max_length=16)] | None = Field(
        None, description="Digest of the text of all queries that were asked for this window, in their order."
    )
    dispersion: Annotated[str, Field(max_length=16)] | None = Field(
        None,
        description="Variance of the baseline's bad requests in the hour before the stage over what independent ones have, or"
        " not known; evidence is divided by it.",
    )
    detectable: Annotated[str, Field(max_length=16)] | None = Field(
        None,
        description="Smallest multiple of the baseline's rate that would have failed a relative limit by now, nine times in ten;"
        " none while the baseline has had nothing bad.",
    )
    needed: Annotated[int, Field(ge=0)] | None = Field(
        None, description="About how many more requests of the candidate it takes to pass, none where nobody can say."
    )
    eta: Time | None = Field(None, description="When they will be in at the present rate, about; none beyond a year.")
