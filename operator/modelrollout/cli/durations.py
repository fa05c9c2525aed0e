"""Spans of time on the command line, written as in manifests."""

from datetime import timedelta

import click

from modelrollout.api.fields import parse_duration


class Duration(click.ParamType[timedelta]):
    """30s, 10m, 1h30m, 14d."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the span."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = Duration()
