"""`python -m local.bench`: measure, and print a table or JSON."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from local.bench import gates, neighbours, runs
from local.bench.figures import Report
from local.bench.fleet import INTERVAL
from local.bench.meters import describe_machine, load_now
from local.bench.progress import Ticker
from local.bench.runs import Bench, Found, grow
from local.bench.stage import set_up
from local.bench.watch import NothingSeen
from local.golang import BuildFailed
from local.namespace import NamespaceRefused
from local.process import ProcessFailed

PARTS: dict[str, tuple[Callable[[Bench], Found], range]] = {
    "edits": (runs.time_edits, range(1, 1001)),
    "breach": (runs.time_breaches, range(1, 1001)),
    "breaches": (runs.time_many_breaches, range(100, 1001)),
    "steady": (runs.watch_steady, range(100, 10_001)),
    "restart": (runs.time_restarts, range(100, 1001)),
    "outage": (runs.watch_outages, range(500, 1001)),
    "hostile": (neighbours.time_beside_hostile, range(10, 11)),
}
"""Each part with the numbers of rollouts in progress at which it is measured when nobody says which."""
ALONE: dict[str, Callable[[int], Found]] = {"gates": gates.time_gates}
"""The parts that need neither control plane nor operator, nor any rollout in progress; each takes a number of gates."""
_ONE = 1
"""What such a part counts as in progress: the rollout at hand."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; return the exit code: 0 whatever the figures are."""
    given = _parse(arguments)
    kept: Path | None = given.keep
    report = Report.read(kept) if kept and kept.exists() else Report(describe_machine(), given.interval)
    if report.interval != given.interval:
        print(
            f"bench failed: the figures in {kept} are of an interval of {report.interval:g} s, not {given.interval} s:"
            " give another file to --keep",
            file=sys.stderr,
        )
        return 1
    try:
        for count, sizes in ((1, given.rollouts), (4, given.four_gates)):
            if sizes:
                _measure_alone(given, count, report)
            _measure(given, count, sizes, report)
    except (BuildFailed, NamespaceRefused, ProcessFailed, NothingSeen) as failure:
        print(f"bench failed: {failure}", file=sys.stderr)
        return 1
    finally:
        print(json.dumps(report.as_json(), indent=1) if given.output == "json" else report.as_text())
    return 0


def _measure_alone(given: argparse.Namespace, count: int, report: Report) -> None:
    """Add figures of the parts that need nothing to be in progress, with so many gates."""
    for name, measure in ALONE.items():
        if (given.only and name not in given.only) or (name, _ONE, count) in report.done:
            continue
        report.add(name, _ONE, count, list(measure(count)), load_now())
        if given.keep:
            report.keep(given.keep)


def _measure(given: argparse.Namespace, count: int, sizes: Sequence[int], report: Report) -> None:
    """Add figures with so many rollouts in progress, one size after the other.

    Raises:
        NothingSeen: the operator did not do in a minute what takes it milliseconds.
    """
    todo = [
        (size, name)
        for size in sorted(sizes)
        for name, (_, usual) in PARTS.items()
        if (name in given.only if given.only else size in usual) and (name, size, count) not in report.done
    ]
    if not todo:
        return
    ticker = Ticker()
    ticker.begin(f"starting the control plane and the operator, rollouts with {count} gates")
    with set_up(count, timedelta(seconds=given.interval)) as (stage, fleet):
        spans = (timedelta(seconds=given.steady), timedelta(seconds=given.outage))
        bench = Bench(stage, fleet, ticker, given.edits, given.breaches, given.neighbours, *spans)
        for size, name in todo:
            grow(bench, size)
            measure, _ = PARTS[name]
            found = list(measure(bench))
            report.add(name, size, count, found, load_now())
            stage.check()
            if given.keep:
                report.keep(given.keep)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.bench",
        description="Measure how fast edits and bad samples reach the route, and what it costs.",
    )
    add = parser.add_argument
    sizes = [1, 10, 200, 1000, 5000]
    add("--rollouts", type=_sizes, default=sizes, metavar="N,N", help="in progress (default 1,10,200,1000,5000)")
    add("--four-gates", type=_sizes, default=[200, 1000], metavar="N,N", help="with four gates (default 200,1000)")
    add(
        "--only",
        type=_parts,
        default=[],
        metavar="PART,PART",
        help=f"of {', '.join([*ALONE, *PARTS])}; at every size then",
    )
    seconds = INTERVAL.total_seconds()
    add("--interval", type=_interval, default=round(seconds), metavar="SECONDS", help=f"between looks ({seconds:g})")
    add("--edits", type=_number, default=100, help="status edits to time at each size (default 100)")
    add("--breaches", type=_number, default=40, help="bad samples to time, at most 5 a rollout (40)")
    add("--neighbours", type=_number, default=1000, help="hostile rollouts in another namespace (1000)")
    add("--steady", type=_number, default=60, metavar="SECONDS", help="length of the steady state (60)")
    add("--outage", type=_number, default=300, metavar="SECONDS", help="length of each outage of the metrics (300)")
    add("--keep", type=Path, metavar="FILE", help="keep figures there after each part, and leave out parts kept there")
    add("--output", choices=["table", "json"], default="table")
    return parser.parse_args(arguments)


def _number(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError("give a number from 1 to 10000")
    return number


def _interval(text: str) -> int:
    seconds = int(text)
    if not 10 <= seconds <= 60:
        raise argparse.ArgumentTypeError("give seconds from 10, the operator's least, to 60")
    return seconds


def _sizes(text: str) -> list[int]:
    return [_number(part) for part in text.split(",")] if text != "none" else []


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := sorted(set(names) - {*ALONE, *PARTS}):
        raise argparse.ArgumentTypeError(f"no part {unknown[0]}; there are {', '.join([*ALONE, *PARTS])}")
    return names


if __name__ == "__main__":
    sys.exit(main())
