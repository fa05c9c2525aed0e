"""`python -m local.soak`: let rollouts come and go, and say whether anything grew, stuck or went stale."""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from local.golang import BuildFailed
from local.namespace import NamespaceRefused
from local.process import ProcessFailed
from local.soak.run import Extent, soak
from local.soak.stage import set_up
from local.soak.verdict import RSS_TOLERANCE


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak as the command line asks for; return 0 when all is fine, 1 when not, 2 when it could not be done."""
    given = _parse(arguments)
    extent = Extent(
        60 * given.minutes, given.rollouts, given.standing, given.cut_every, given.rss_tolerance, given.seed
    )
    try:
        with set_up() as stage:
            report = soak(stage, extent)
    except (BuildFailed, NamespaceRefused, ProcessFailed) as failure:
        print(f"soak failed: {failure}", file=sys.stderr)
        return 2
    print(json.dumps(report.as_json(), indent=1) if given.output == "json" else report.as_text())
    return 0 if report.is_fine else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.soak", description=__doc__)
    minutes = float(os.environ.get("SOAK_MINUTES", "60"))
    parser.add_argument("--minutes", type=float, default=minutes, help="how long (SOAK_MINUTES, else 60)")
    parser.add_argument("--rollouts", type=int, default=6, help="that come and go at the same time (6)")
    parser.add_argument("--standing", type=int, default=20, help="that stay in their canary (20)")
    parser.add_argument("--cut-every", type=float, default=90, metavar="SECONDS", help="between cut connections (90)")
    parser.add_argument(
        "--rss-tolerance", type=float, default=RSS_TOLERANCE, metavar="SHARE", help="of the mean (0.05)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the order of stories (1)")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
