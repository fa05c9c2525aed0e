"""What commands print: aligned columns for people, JSON and YAML for programs."""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
import yaml

F = TypeVar("F", bound=Callable[..., Any])
GAP = "   "


def output_option(*formats: str) -> Callable[[F], F]:
    """Return the decorator that adds -o with these formats, of which the first one counts where none is named."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How to print it.",
    )


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Mapping[str, Any] | None = None,
    *,
    is_cut: bool = False,
) -> None:
    """Print rows below a header, columns aligned as kubectl does.

    `styles` colours cells by their text, on a terminal. `is_cut` has the last column end where the terminal does.
    """
    *widths, _ = (max(len(row[column]) for row in (header, *rows)) for column in range(len(header)))
    room = max(20, _columns() - sum(widths) - len(GAP) * len(widths)) if is_cut else None
    for row in (header, *rows):
        cells = [_cell(text, width, styles or {}) for text, width in zip(row, widths, strict=False)]
        click.echo(GAP.join((*cells, _cut(row[-1], room))).rstrip())


def print_json(value: object) -> None:
    """Print JSON as kubectl does."""
    click.echo(json_text(value), nl=False)


def json_text(value: object) -> str:
    """Return JSON as kubectl prints it."""
    return json.dumps(value, indent=4, ensure_ascii=False) + "\n"


def print_yaml(value: object) -> None:
    """Print YAML."""
    click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120), nl=False)


def is_terminal() -> bool:
    """Whether somebody looks at what is printed."""
    return sys.stdout.isatty()


def _columns() -> int:
    """Return the terminal's width, or what lines in a log may take."""
    return shutil.get_terminal_size().columns if is_terminal() else 180


def _cut(text: str, room: int | None) -> str:
    return text if room is None or len(text) <= room else f"{text[: room - 1]}…"


def _cell(text: str, width: int, styles: Mapping[str, Any]) -> str:
    padded = text.ljust(width)
    return click.style(padded, **styles[text]) if text in styles else padded
