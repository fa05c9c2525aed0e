"""How much a namespace full of hostile rollouts slows the rollbacks of another, under one operator."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from local.api import Api
from local.bench.figures import Level, Spread
from local.bench.fleet import BACKEND, PATIENCE, manifest
from local.bench.runs import Bench, Found, time_edits
from local.bench.watch import NothingSeen
from local.hostile import manifests
from local.serving import service_objects

NAMESPACE = "hostile"
GATES = 20
_KINDS = 100
_SECONDS_BETWEEN_LOOKS = 1.0
_ROLLOUTS = f"/apis/{manifests.GROUP}/namespaces/{NAMESPACE}/modelrollouts"


def time_beside_hostile(bench: Bench) -> Found:
    """Time rollbacks alone, then beside hostile neighbours; yield both, the ratio of their p99, and what it costs.

    The neighbours are gone again afterwards: what is measured next has nothing of them.
    """
    alone = _time_edits(bench, "no neighbours")
    yield alone
    _move_in(bench)
    beside = _time_edits(bench, f"beside {bench.neighbours} hostile")
    yield beside
    reading = bench.stage.read_operator()
    yield Level("p99 beside hostile ones, as a multiple", bench.size, beside.p99 / alone.p99, "times", "<= 2")
    yield Level("RSS beside hostile ones", bench.size, reading.rss_bytes / 2**20, "MiB")
    _move_out(bench)
    # What a process has once held of memory it keeps: the next part is not about neighbours.
    bench.stage.operator.kill()
    bench.stage.operator.start()
    bench.stage.wait_ready()


def _time_edits(bench: Bench, beside: str) -> Spread:
    found = next(time_edits(bench))
    assert isinstance(found, Spread)
    return replace(found, what=f"{found.what}, {beside}", target="")


def _move_in(bench: Bench) -> None:
    """Create the neighbours: half of them odd in every field, half in mid-canary with as many gates as there can be."""
    api = bench.stage.cluster.api
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for service in ("hostilev1", "hostilev2"):
        api.apply(service_objects(NAMESPACE, service, BACKEND))
    bench.ticker.begin(f"creating {bench.neighbours} hostile rollouts")
    for number, made in enumerate(_neighbours(bench.neighbours)):
        api.call("POST", _ROLLOUTS, made)
        bench.ticker.tick(f"{number + 1} of {bench.neighbours} hostile rollouts")


def _neighbours(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        name = f"h{number:04}"
        odd = number % 2
        yield manifests.manifest(number % _KINDS, namespace=NAMESPACE, name=name) if odd else _greedy(name)


def _greedy(name: str) -> dict[str, Any]:
    made = manifest(name, gates=1)
    made["metadata"]["namespace"] = NAMESPACE
    for role, service in (("baseline", "hostilev1"), ("candidate", "hostilev2")):
        made["spec"][role]["service"]["name"] = service
    limits = made["spec"]["gates"][0]["errorRate"]
    made["spec"]["gates"] = [{"name": f"g{number}", "errorRate": limits} for number in range(GATES)]
    return made


def _move_out(bench: Bench) -> None:
    """Delete the neighbours, and wait until there is none.

    Raises:
        NothingSeen: some are still there after a while.
    """
    api = bench.stage.cluster.api
    bench.ticker.begin("deleting the hostile rollouts")
    until = time.monotonic() + PATIENCE.total_seconds()
    while left := _count(api):
        if time.monotonic() > until:
            raise NothingSeen(f"{left} hostile rollouts are still there")
        bench.ticker.tick(f"{left} hostile rollouts are left")
        with suppress(TimeoutError):  # It deletes them one by one, and may be asked again for those that are left.
            api.call("DELETE", _ROLLOUTS)
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _count(api: Api) -> int:
    return len(api.call("GET", _ROLLOUTS)["items"])
