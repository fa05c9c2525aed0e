"""`python -m local.hostile`: how much a namespace full of hostile rollouts slows the rollbacks of another."""

import argparse
import json
import sys
from datetime import timedelta
from typing import Any

from local.api import Api
from local.bench.figures import Spread
from local.bench.fleet import BACKEND, manifest
from local.bench.meters import describe_machine
from local.bench.progress import Ticker
from local.bench.runs import Bench, grow, time_edits
from local.bench.stage import set_up
from local.golang import BuildFailed
from local.hostile import manifests
from local.namespace import NamespaceRefused
from local.process import ProcessFailed
from local.serving import service_objects

NAMESPACE = "hostile"
GATES = 20
_NONE = timedelta(0)
_ROLLOUTS = f"/apis/modelrollout.dev/v1alpha1/namespaces/{NAMESPACE}/modelrollouts"


def main() -> int:
    """Measure, and print both figures and their ratio as JSON; return 1 where p99 has more than doubled."""
    parser = argparse.ArgumentParser(prog="python -m local.hostile", description=__doc__)
    parser.add_argument("--neighbours", type=int, default=1000, help="hostile rollouts (1000)")
    parser.add_argument("--rollouts", type=int, default=10, help="in progress in the other namespace (10)")
    parser.add_argument("--edits", type=int, default=100, help="status edits to time, without and with them (100)")
    given = parser.parse_args()
    try:
        with set_up(gates=1) as (stage, fleet):
            bench = Bench(stage, fleet, Ticker(), given.edits, breaches=0, steady=_NONE, outage=_NONE)
            found = _measure(bench, given)
    except (BuildFailed, NamespaceRefused, ProcessFailed) as failure:
        print(f"not measured: {failure}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1))
    return 0 if found["ratio of p99"] <= 2 else 1


def _measure(bench: Bench, given: argparse.Namespace) -> dict[str, Any]:
    grow(bench, given.rollouts)
    alone = _edits(bench)
    _move_in(bench.stage.cluster.api, given.neighbours, bench.ticker)
    beside = _edits(bench)
    reading = bench.stage.read_operator()
    return {
        "machine": describe_machine(),
        "neighbours": given.neighbours,
        "edits": given.edits,
        "alone": {"p50": alone.p50, "p99": alone.p99, "longest": alone.longest},
        "beside": {"p50": beside.p50, "p99": beside.p99, "longest": beside.longest},
        "ratio of p99": beside.p99 / alone.p99,
        "RSS in MiB": reading.rss_bytes / 2**20,
        "lateness in seconds": reading.lateness,
    }


def _edits(bench: Bench) -> Spread:
    return next(found for found in list(time_edits(bench)) if isinstance(found, Spread))


def _move_in(api: Api, count: int, ticker: Ticker) -> None:
    """Create the neighbours: half of them odd in every field, half in mid-canary with many gates at a short interval."""
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for service in ("hostilev1", "hostilev2"):
        api.apply(service_objects(NAMESPACE, service, BACKEND))
    for number in range(count):
        name = f"h{number:04}"
        odd = manifests.manifest(number % 100, namespace=NAMESPACE, name=name)
        api.call("POST", _ROLLOUTS, odd if number % 2 else _greedy(name))
        ticker.tick(f"{number + 1} of {count} neighbours")


def _greedy(name: str) -> dict[str, Any]:
    made = manifest(name, gates=1)
    made["metadata"]["namespace"] = NAMESPACE
    for role, service in (("baseline", "hostilev1"), ("candidate", "hostilev2")):
        made["spec"][role]["service"]["name"] = service
    limits = made["spec"]["gates"][0]["errorRate"]
    made["spec"]["gates"] = [{"name": f"g{number}", "errorRate": limits} for number in range(GATES)]
    return made


if __name__ == "__main__":
    sys.exit(main())
