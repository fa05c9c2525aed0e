"""A report as one page of HTML that needs nothing else: no script, no font, no address."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2

from modelrollout.cli.records import time_text
from modelrollout.cli.reporting import texts
from modelrollout.cli.reporting.picture import HEIGHT, WIDTH, Picture, colours_of, of_model, of_tale
from modelrollout.core.summary import Model, Report, Totals, hands_of, totals_of
from modelrollout.core.tale import Tale

FEW = 12
"""Up to so many rollouts all are shown unfolded; of more, those that somebody should look at."""


@dataclass(frozen=True)
class Chapter:
    """A model as the page shows it."""

    model: Model
    totals: Totals
    picture: Picture
    sections: tuple["Section", ...]


@dataclass(frozen=True)
class Section:
    """A rollout as the page shows it."""

    tale: Tale
    picture: Picture
    evidence: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    is_open: bool


def page(report: Report, made: str) -> str:
    """Return the page; `made` says when and how it was made."""
    environment = jinja2.Environment(
        # Whatever people wrote is text, in every place of the page.
        autoescape=True,
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    totals = totals_of(report.tales, report.period)
    return environment.get_template("page.html").render(
        report=report,
        made=made,
        texts=texts,
        totals=totals,
        hands=hands_of(report.tales, report.period),
        chapters=list(_chapters(report)),
        looks=list(texts.to_look_at(report)),
        width=WIDTH,
        height=HEIGHT,
    )


def _chapters(report: Report) -> Iterator[Chapter]:
    are_few = len(report.tales) <= FEW
    for model in report.models:
        colours = colours_of(model.spans)
        sections = tuple(
            _section(tale, of_tale(tale, model, report.period, colours), are_few=are_few) for tale in model.tales
        )
        yield Chapter(model, totals_of(model.tales, report.period), of_model(model, report.period, colours), sections)


def _section(tale: Tale, picture: Picture, *, are_few: bool) -> Section:
    evidence = tuple(
        (f"{time_text(one.confirmed_at)}, {one.cause.value}", tuple(texts.numbers(gate) for gate in one.gates))
        for one in tale.segments
        if one.gates
    )
    return Section(tale, picture, evidence, are_few or bool(tale.flaws))
