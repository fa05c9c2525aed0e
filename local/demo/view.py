"""The live view: one panel that fits a terminal of 80 columns and 24 lines."""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from local.demo.picture import RECENT_SECONDS, Picture, clock, gate_numbers, headline
from local.demo.sight import Gate, Sight

_BAR = 20
_PHASES = {
    "Promoted": "bold green",
    "RolledBack": "bold red",
    "RollingBack": "bold red",
    "Held": "bold yellow",
    "Invalid": "bold red",
}
_VERDICTS = {"Pass": ("✓", "green"), "Fail": ("✗", "red"), "Unknown": ("…", "yellow")}


def dashboard(picture: Picture) -> RenderableType:
    """Return the panel for one moment."""
    sight = picture.sight
    parts: list[RenderableType] = [
        Text.assemble((f" {sight.phase} ", f"reverse {_PHASES.get(sight.phase, 'bold blue')}"), "  ", headline(sight)),
        _track(picture),
        Text(),
        _shares(picture),
    ]
    if sight.gates and not sight.outcome:
        parts += [Text(), *(_gate(gate) for gate in sight.gates)]
    if sight.held:
        parts.append(_one_line(f"held: {sight.held}", "yellow"))
    parts.append(Text())
    parts.append(_users(picture))
    if picture.told:
        parts.append(Text())
        parts += [
            _one_line(f"{told.reason}: {told.note}", "red" if told.is_warning else "bright_black")
            for told in picture.told
        ]
    return Panel(
        Group(*parts), title=picture.title, title_align="left", subtitle=clock(picture.elapsed), subtitle_align="right"
    )


def _track(picture: Picture) -> Text:
    """Return the plan's steps: done, present, to come."""
    sight = picture.sight
    here = next((i for i, mark in enumerate(picture.track) if (mark.stage, mark.step) == (sight.stage, sight.step)), -1)
    text = Text(no_wrap=True, overflow="ellipsis")
    for number, mark in enumerate(picture.track):
        sign, style = _sign(number, here, sight)
        text.append(" ─ " if number else "", "bright_black")
        text.append(f"{sign} {mark.label}", style)
    return text


def _sign(number: int, here: int, sight: Sight) -> tuple[str, str]:
    if sight.outcome == "Promoted" or number < here:
        return "✓", "green"
    if number > here:
        return "○", "bright_black"
    return ("✗", "bold red") if sight.cause else ("●", "bold blue")


def _shares(picture: Picture) -> Table:
    sight, total = picture.sight, picture.total
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bright_black")
    table.add_column("version")
    table.add_column("wanted", justify="right")
    table.add_column(f"seen by users, last {RECENT_SECONDS:.0f} s", width=_BAR + 8, no_wrap=True)
    table.add_column("answers", justify="right")
    table.add_column("errors", justify="right")
    candidate = sight.target.candidate if sight.target else 0.0
    for version in sorted({sight.candidate, sight.baseline, *total.versions} - {""}):
        wanted = {sight.candidate: candidate, sight.baseline: 100 - candidate}.get(version, 0.0)
        bad = sum(count for (status, name), count in total.answers.items() if name == version and status >= 400)
        table.add_row(
            version, f"{wanted:g}%", _bar(picture.recent.share_of(version)), f"{total.versions[version]:,}",
            Text(f"{bad:,}", "red" if bad else "bright_black"),
        )  # fmt: skip
    if picture.copies is not None and sight.target:
        note = f"{picture.copies:,} copies, no answers used"
        table.add_row(sight.candidate, f"{sight.target.mirror:g}%", Text(note, "magenta"))
    return table


def _bar(share: float) -> Text:
    full = round(share * _BAR)
    return Text.assemble(("█" * full, "blue"), ("░" * (_BAR - full), "bright_black"), f" {100 * share:5.1f}%")


def _gate(gate: Gate) -> Text:
    sign, style = _VERDICTS.get(gate.verdict, ("?", "yellow"))
    text = Text.assemble(
        (f"{sign} {gate.name:<10}", style), f"{gate_numbers(gate):<16}", (gate.message, "bright_black")
    )
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _users(picture: Picture) -> Text:
    total = picture.total
    return Text.assemble(
        f"users sent {total.sent:,} requests and saw ",
        (f"{total.errors:,} errors", "bold red" if total.errors else "bold green"),
        f"; {picture.remark}" if picture.remark else "",
    )


def _one_line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
