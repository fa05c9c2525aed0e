"""`make statistics`: simulate, and write docs/statistics.md and its picture."""

import argparse
import time
from pathlib import Path

import numpy as np

from local.statistics.experiments import Table, all_tables
from local.statistics.page import render_page
from local.statistics.plot import draw

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Run all experiments, tell of each as it ends, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m local.statistics", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the runs, for a quick look (1)")
    parser.add_argument("--to", type=Path, default=DOCS, help="where the page goes (docs)")
    given = parser.parse_args()
    began = time.process_time()
    tables: list[Table] = []
    for table in all_tables(given.scale):
        tables.append(table)
        print(f"{time.process_time() - began:6.1f} s  {table.title}", flush=True)
    spent = time.process_time() - began
    draw({table.name: table for table in tables}, given.to / "statistics.svg")
    (given.to / "statistics.md").write_text(render_page(tables, spent, np.__version__))
    print(f"{given.to / 'statistics.md'} written")


if __name__ == "__main__":
    main()
