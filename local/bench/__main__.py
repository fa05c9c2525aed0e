"""`python -m local.bench`: measure, and print a table or JSON."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import timedelta

from local.bench.figures import Report
from local.bench.meters import describe_machine
from local.bench.progress import Ticker
from local.bench.runs import Extent, grow, time_breaches, time_edits, time_edits_in_outage, watch_steady
from local.bench.stage import set_up
from local.bench.watch import NothingSeen
from local.golang import BuildFailed
from local.namespace import NamespaceRefused
from local.process import ProcessFailed


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; return the exit code: 0 whatever the figures are."""
    given = _parse(arguments)
    extent = Extent(given.edits, given.breaches, timedelta(seconds=given.steady))
    try:
        report = measure(given.rollouts, extent)
    except (BuildFailed, NamespaceRefused, ProcessFailed, NothingSeen) as failure:
        print(f"bench failed: {failure}", file=sys.stderr)
        return 1
    print(json.dumps(report.as_json(), indent=1) if given.output == "json" else report.as_text())
    return 0


def measure(sizes: Sequence[int], extent: Extent) -> Report:
    """Return the figures with so many rollouts in progress, one size after the other.

    Raises:
        NothingSeen: the operator did not do in a minute what takes it milliseconds.
    """
    report = Report(describe_machine())
    ticker = Ticker()
    ticker.begin("starting the control plane and the operator")
    with set_up() as (stage, fleet):
        for size in sorted(sizes):
            grow(stage, fleet, size, ticker)
            report.spreads += time_edits(fleet, extent.edits, ticker)
            report.spreads.append(time_breaches(stage, fleet, min(extent.breaches, 5 * size), ticker))
        levels, gaps = watch_steady(stage, fleet, extent.steady, ticker)
        report.spreads.append(gaps)
        report.levels += levels
        report.spreads.append(time_edits_in_outage(stage, fleet, extent.edits, ticker))
        stage.check()
    return report


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.bench", description="Measure how fast edits and bad samples reach the route."
    )
    parser.add_argument("--rollouts", type=_sizes, default=[1, 200], metavar="N,N", help="in progress (default 1,200)")
    parser.add_argument("--edits", type=_number, default=100, help="status edits to time at each size (default 100)")
    parser.add_argument("--breaches", type=_number, default=40, help="bad samples to time, at most 5 a rollout (40)")
    parser.add_argument("--steady", type=_number, default=60, metavar="SECONDS", help="length of the steady state (60)")
    parser.add_argument("--output", choices=["table", "json"], default="table")
    return parser.parse_args(arguments)


def _number(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError("give a number from 1 to 10000")
    return number


def _sizes(text: str) -> list[int]:
    return [_number(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
