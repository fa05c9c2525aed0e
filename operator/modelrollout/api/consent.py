"""What has to be there before weights grow, beside gates: people's consent, and the right time."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from modelrollout.api.fields import (
    Duration,
    Link,
    Model,
    Name,
    Text,
    checked_text,
    distinct,
    parse_duration,
    render_duration,
    rule,
    rules,
)

MAX_GROUPS = 10
MAX_WINDOWS = 10
MAX_READINESS = 10

Cron = Annotated[
    str,
    checked_text(
        "self.matches('^[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}$')",
        "write five cron fields with one space between them, minute hour day-of-month month day-of-week, such as"
        " 0 9 * * MON-FRI",
        100,
    ),
]
WindowLength = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(render_duration),
    checked_text(
        "self.matches('^([0-9]{1,3}h)?([0-9]{1,4}m)?$') && self.matches('[1-9]')",
        "write how long the window is open in hours and minutes, above 0, such as 8h or 1h30m",
        9,
    ),
]
TimeZone = Annotated[
    str,
    checked_text(
        "self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}$')",
        "write an IANA time zone, such as Europe/Berlin or UTC",
        64,
    ),
]


class Approval(Model):
    """How many people have to agree before a stage begins, and who may."""

    required: int = Field(ge=1, le=5, description="How many different people.")
    groups: Annotated[list[Text], Field(min_length=1, max_length=MAX_GROUPS)] | None = Field(
        None, description="Groups of which an approver must be in one; anybody who may write control when left out."
    )
    separation_of_duties: bool = Field(
        default=False, description="Whoever edited spec last does not count: annotation modelrollout.dev/edited-by."
    )


class Window(Model):
    """A time in which weights may grow."""

    start: Cron = Field(
        description="When it opens, as cron has it: minute, hour, day of month, month, day of week; 0 9 * * MON-FRI."
    )
    duration: WindowLength = Field(description="How long it stays open, such as 8h.")
    time_zone: TimeZone = Field("UTC", description="Time zone of start, such as Europe/Berlin; UTC when left out.")


Windows = Annotated[list[Window], Field(min_length=1, max_length=MAX_WINDOWS)]


class Scope(StrEnum):
    """What an attestation speaks of."""

    CANDIDATE = "Candidate"
    MODEL = "Model"


class Readiness(Model):
    """Something that people have to attest before a stage begins."""

    id: Name = Field(description="Name that stages[].requires and control.attest use.")
    description: Text = Field(description="What is attested, as a sentence for who has to do it.")
    evidence_url: Link | None = Field(None, alias="evidenceURL", description="Where its evidence is expected.")
    expires: Duration | None = Field(None, description="How long an attestation counts; without end when left out.")
    scope: Scope = Field(
        Scope.CANDIDATE,
        description="Candidate (when left out): each candidate is attested anew. Model: later candidates have it too, until it"
        " expires.",
    )


ReadinessList = Annotated[
    list[Readiness],
    Field(
        min_length=1,
        max_length=MAX_READINESS,
        json_schema_extra=rules(
            rule(
                distinct("self.map(r, r.id)"),
                "two of spec.readiness have one id: give each an id of its own",
            )
        ),
    ),
]
