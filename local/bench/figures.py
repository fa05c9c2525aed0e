"""Figures, and the table they are printed in."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Spread:
    """How long something took, in seconds, over so many times."""

    what: str
    in_progress: int
    count: int
    p50: float
    p99: float
    longest: float
    target: str = ""
    gates: int = 1
    load: float = 0.0


@dataclass(frozen=True)
class Level:
    """What something costs while nothing happens; `unit` is of `value`."""

    what: str
    in_progress: int
    value: float
    unit: str
    target: str = ""
    gates: int = 1
    load: float = 0.0


@dataclass
class Report:
    """Everything one run found, and which parts of it are done: name, rollouts in progress, gates.

    `interval` is the seconds between two looks at each of the rollouts in progress: one for a whole report.
    """

    machine: Mapping[str, str]
    interval: float
    spreads: list[Spread] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    done: list[tuple[str, int, int]] = field(default_factory=list)

    def add(self, part: str, size: int, gates: int, found: Iterable[Spread | Level], load: float) -> None:
        """Keep what a part found."""
        for figure in found:
            if isinstance(figure, Spread):
                self.spreads.append(replace(figure, gates=gates, load=load))
            else:
                self.levels.append(replace(figure, gates=gates, load=load))
        self.done.append((part, size, gates))

    @classmethod
    def read(cls, file: Path) -> "Report":
        """Return the report of an earlier run as it was kept."""
        kept = json.loads(file.read_text())
        spreads = [Spread(**spread) for spread in kept["spreads"]]
        levels = [Level(**level) for level in kept["levels"]]
        # Before there was a choice it was 10 s.
        return cls(kept["machine"], kept.get("interval", 10.0), spreads, levels, [*map(tuple, kept["done"])])

    def keep(self, file: Path) -> None:
        """Write the report to a file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self.as_json(), indent=1))

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the report as tables for people."""
        spreads = [
            (
                s.what,
                str(s.in_progress),
                str(s.gates),
                str(s.count),
                *(_milliseconds(t) for t in (s.p50, s.p99, s.longest)),
                f"{s.load:.1f}",
                s.target,
            )
            for s in self.spreads
        ]
        levels = [
            (
                level.what,
                str(level.in_progress),
                str(level.gates),
                f"{level.value:.4g} {level.unit}",
                f"{level.load:.1f}",
                level.target,
            )
            for level in self.levels
        ]
        depends_on = {**self.machine, "interval": f"{self.interval:g} s"}
        machine = ", ".join(f"{name} {value}" for name, value in depends_on.items())
        head = ("time from … to …", "in progress", "gates", "times", "p50", "p99", "longest", "load", "target")
        costs = ("what it costs", "in progress", "gates", "", "load", "target")
        return "\n\n".join(part for part in (machine, _table(head, spreads), _table(costs, levels)) if part)


def spread(what: str, in_progress: int, seconds: Sequence[float], target: str = "") -> Spread:
    """Return the spread of measured times, of which there is at least one."""
    return Spread(
        what, in_progress, len(seconds), quantile(seconds, 0.5), quantile(seconds, 0.99), max(seconds), target
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 2 else f"{seconds:.2f} s"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, tuple("-" * width for width in widths), *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
