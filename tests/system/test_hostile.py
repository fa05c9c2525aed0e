"""What the schema lets through at its edges, in a real operator: no fault, no hot loop, and the neighbour is served."""

import contextlib
import json
import time
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from local.api import ApiRefused
from local.hostile import manifests
from local.hostile.texts import Size
from tests.support.scene import Scene, condition

pytestmark = pytest.mark.cluster

WANTED = [(Size.LARGEST, 0), (Size.LARGEST, 1), (Size.SMALLEST, 0), *((Size.ANY, seed) for seed in range(20))]
QUIET_SECONDS = 10


def create_all(scene: Scene) -> list[str]:
    """Create hostile rollouts, some of them twice: as they are, and with a status that nobody has written like this."""
    names: list[str] = []
    for size, seed in WANTED:
        made = manifests.manifest(seed, size, namespace=scene.namespace, name=f"h{len(names)}")
        # A Service that exists lets it come further than the first refusal.
        made["spec"]["candidate"]["service"] = {"name": "fraud-v2", "port": 8080}
        made["spec"]["paused"] = False
        made["spec"].pop("windows", None)  # Each that opens or closes is news, and a write.
        collection = scene.path.rpartition("/")[0]
        scene.cluster.api.call("POST", collection, made)
        names.append(made["metadata"]["name"])
        with contextlib.suppress(
            ApiRefused
        ):  # The operator may have written in between: then it is merged all the same.
            scene.forge_status(manifests.status(seed, size), names[-1])
    return names


def counts(scene: Scene) -> dict[str, int]:
    """Return how many passes have ended by outcome, and how many writes were taken.

    A record that the API server refuses for what somebody wrote into status is tried again at each look.
    """
    found: dict[str, int] = {"writes": 0}
    for family in text_string_to_metric_families(scene.metric()):
        for sample in family.samples:
            if sample.name == "modelrollout_pass_seconds_count":
                found[sample.labels["outcome"]] = int(sample.value)
            is_write = sample.labels.get("verb") in {"patch", "create"} and sample.labels.get("outcome") == "ok"
            if sample.name == "modelrollout_api_call_seconds_count" and is_write:
                found["writes"] += int(sample.value)
    return found


def settled(scene: Scene, names: list[str]) -> list[dict[str, Any]]:
    """Return all hostile rollouts, once each was looked at and nothing more was written for a while.

    A gateway that says nothing of a route is a hold of its own after 30 s: so long there may be something to write.
    """
    until = time.monotonic() + 120
    collection = scene.path.rpartition("/")[0]
    while True:
        items = [i for i in scene.cluster.api.call("GET", collection)["items"] if i["metadata"]["name"] in names]
        before = counts(scene)["writes"]
        time.sleep(QUIET_SECONDS)
        seen = all(i.get("status", {}).get("observedGeneration") == i["metadata"]["generation"] for i in items)
        if seen and counts(scene)["writes"] == before:
            return items
        if time.monotonic() > until:
            late = [i for i in items if i.get("status", {}).get("observedGeneration") != i["metadata"]["generation"]]
            unseen = {i["metadata"]["name"]: i.get("status", {}).get("observedGeneration") for i in late}
            pytest.fail(f"{counts(scene)['writes'] - before} writes of late, not seen: {unseen}")


def test_hostile_rollouts_cause_no_fault_and_no_write_once_they_are_answered(scene: Scene):
    scene.route_by_leaf()
    names = create_all(scene)

    items = settled(scene, names)
    first = counts(scene)
    time.sleep(QUIET_SECONDS)
    last = counts(scene)

    assert all(condition(i["status"], "Ready")[0] == "False" or i["status"].get("phase") for i in items)
    assert first["writes"] == last["writes"]
    assert sum(last.values()) - sum(first.values()) < len(names) * QUIET_SECONDS  # Each is looked at every 15 s.
    assert "bug" not in last
    assert "Traceback" not in scene.operator.log.read_text()
    assert psutil.Process(scene.operator.pid).memory_info().rss < 400 * 2**20
    assert max(len(json.dumps(i, ensure_ascii=False).encode()) for i in items) < 1_500_000
    assert all(len(note.encode()) <= 1024 for _, note in scene.events())


def test_a_rollout_beside_hostile_ones_is_promoted(scene: Scene):
    create_all(scene)
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    scene.load()

    scene.until_phase("Promoted")

    assert "bug" not in counts(scene)
