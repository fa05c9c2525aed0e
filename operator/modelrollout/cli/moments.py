"""Moments on the command line: a time, or how long ago."""

from datetime import UTC, datetime

import click

from modelrollout.api.fields import parse_duration, parse_time


class Moment(click.ParamType[datetime]):
    """2026-11-17T15:47+01:00, or 6h for six hours ago."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment: aware, UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.now(UTC) - parse_duration(value)
        except ValueError:
            pass
        try:
            return parse_time(str(value).upper().replace("Z", "+00:00"))
        except ValueError:
            self.fail(f"{value!r}: write a time such as 2026-11-17T15:47+01:00, or 6h for six hours ago", param, ctx)


MOMENT = Moment()
