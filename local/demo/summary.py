"""The end of the show: what was measured, what each act should have shown, and whether it did."""

from collections.abc import Sequence
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from local.demo.measure import StepMeasured
from local.demo.outcome import Check, Outcome

_LATE = "  Counted is what was answered while a step lasted; v3 is slow, so fewer of its answers are in."


def summary(outcomes: Sequence[Outcome], took: timedelta) -> RenderableType:
    """Return all of it, for a terminal or a log."""
    parts: list[RenderableType] = [
        _shares(outcomes),
        Text(_LATE, style="bright_black"),
        Text(),
        _users(outcomes),
        Text(),
        _figures(outcomes),
    ]
    for outcome in outcomes:
        parts += [Text(), Text(outcome.title, style="bold"), _checks(outcome)]
    return Group(*parts, Text(), Text(verdict(outcomes, took), style="bold green" if is_good(outcomes) else "bold red"))


def is_good(outcomes: Sequence[Outcome]) -> bool:
    """Whether each act ended as it should."""
    return bool(outcomes) and all(outcome.is_good for outcome in outcomes)


def verdict(outcomes: Sequence[Outcome], took: timedelta) -> str:
    """Return the last sentence."""
    if is_good(outcomes):
        return f"All {len(outcomes)} acts ended as they should, in {took.total_seconds():.0f} s."
    failed = [outcome.title for outcome in outcomes if not outcome.is_good]
    return f"Not as it should be: {'; '.join(failed)} (after {took.total_seconds():.0f} s)."


def _shares(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="Shares, as users got them", title_justify="left", title_style="bold", box=None, padding=(0, 2))
    for name in ("version", "step", "wanted", "measured", "answers", "copies answered", "for"):
        table.add_column(name, justify="left" if name in {"version", "step"} else "right", header_style="bright_black")
    for outcome in outcomes:
        for step in outcome.steps:
            table.add_row(*_row(step))
    return table


def _row(step: StepMeasured) -> tuple[str, ...]:
    copied = f"{step.copied:.0f}% of {step.sent}" if step.copies is not None else ""
    wanted, measured = f"{step.wanted.candidate:g}%", f"{step.share:.1f}%"
    return step.candidate, step.stage, wanted, measured, f"{step.answers:,}", copied, f"{step.seconds:.0f} s"


def _users(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="What users saw", title_justify="left", title_style="bold", box=None, padding=(0, 2))
    for name in ("act", "answers", "by version", "errors"):
        table.add_column(
            name, justify="left" if name in {"act", "by version"} else "right", header_style="bright_black"
        )
    for outcome in outcomes:
        if users := outcome.users:
            by_version = ", ".join(f"{name} {count:,}" for name, count in sorted(users.versions.items()))
            table.add_row(outcome.title, f"{users.answers.total():,}", by_version, f"{users.errors:,}")
    return table


def _figures(outcomes: Sequence[Outcome]) -> Table:
    table = Table(
        title="How fast", title_justify="left", title_style="bold", box=None, padding=(0, 2), show_header=False
    )
    table.add_column()
    table.add_column(justify="right", style="bold")
    for outcome in outcomes:
        for figure in outcome.figures:
            table.add_row(figure.what, figure.value)
    return table


def _checks(outcome: Outcome) -> Table:
    table = Table.grid(padding=(0, 1))
    unfinished = [] if outcome.users else [Check("it was played to its end", is_met=False)]
    for check in [*outcome.checks, *unfinished]:
        sign, style = ("✓", "green") if check.is_met else ("✗", "bold red")
        found = f" ({check.found})" if check.found else ""
        table.add_row("", Text(sign, style), Text.assemble(check.expectation, (found, "bright_black")))
    return table
