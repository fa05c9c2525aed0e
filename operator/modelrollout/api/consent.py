"""What has to be there before weights grow, beside gates: people's consent, and the right time."""

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from modelrollout.api.fields import Model, Text, checked_text, parse_duration, render_duration

MAX_GROUPS = 10
MAX_WINDOWS = 10

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
