"""Gates on numbers and judges of the user's own, on the real parts."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.cluster import LocalCluster
from tests.metrics.judge import Judge, judging
from tests.metrics.scripted import Say
from tests.support.scene import Scene

pytestmark = pytest.mark.cluster

HALF = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, {"name": "full", "full": {}}]


@pytest.fixture
def judge() -> Iterator[Judge]:
    with judging() as server:
        yield server


@pytest.fixture
def scene(cluster: LocalCluster, namespace: str, judge: Judge) -> Iterator[Scene]:
    """Return a scene whose operator may ask the judge."""
    found = Scene(cluster, namespace)
    found.serve("v1", "v2")
    found.start_operator(f"--webhooks={json.dumps({judge.host: {'plain': True}})}")
    try:
        yield found
    finally:
        found.end()


def verdicts(status: dict[str, Any]) -> dict[str, str]:
    return {gate["name"]: gate["verdict"] for gate in status.get("attempt", {}).get("gates", [])}


def test_a_judge_stops_a_candidate_that_serves_as_much_as_the_baseline(scene: Scene, judge: Judge):
    gates = [
        {"name": "capacity", "throughput": {"maxDecrease": "50%"}},
        {"name": "monitor", "webhook": {"url": f"http://{judge.host}/judge"}},
    ]
    scene.apply(scene.rollout(traffic=scene.route_owned(), stages=HALF, gates=gates))
    scene.load()
    scene.until("both gates pass", lambda status: verdicts(status) == {"capacity": "Pass", "monitor": "Pass"})

    judge.say = Say({"verdict": "fail", "message": "PSI of amount is 0.4"})
    status = scene.until_phase("RolledBack")

    assert status["attempt"]["rollback"]["cause"] == "GateFailed"
    assert f"judge {judge.host} says fail: PSI of amount is 0.4" in status["attempt"]["rollback"]["message"]
    told = judge.asked[-1].body
    assert (told["name"], told["stage"], told["shares"]) == ("fraud", "canary", {"candidate": "50", "mirror": "0"})
