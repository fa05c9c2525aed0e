"""A rollout is deleted: clients get the baseline's answers again, or what was promoted goes on."""

from collections import Counter
from typing import Any

import pytest

from local.process import wait_until
from tests.support.scene import STAGES, Scene

pytestmark = pytest.mark.cluster

STAY = "1h"
REQUESTS = 100
# Each stage in turn to stay in, so that nobody has to be quick.
PLANS: dict[str, list[dict[str, Any]]] = {
    "shadow": [{"name": "shadow", "shadow": {}, "minDuration": STAY}, STAGES[-1]],
    "canary": [{"name": "canary", "canary": {"weights": [50]}, "minDuration": STAY}, STAGES[-1]],
    "full": [{"name": "full", "full": {}, "minDuration": STAY}],
}
NOTE = "way-back.modelrollout.dev/fraud"


def begin(scene: Scene, stage: str) -> None:
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=PLANS[stage]))
    scene.until_step(stage)
    wait_until(scene.is_served, "the gateway to answer")


def answers(scene: Scene) -> Counter[str]:
    """Return who answers clients now."""
    return Counter(scene.cluster.send(scene.host, count=REQUESTS))


def gets_nothing(scene: Scene, version: str) -> bool:
    """Return whether no request and no copy reaches the model while clients send some."""
    before = scene.models[version].requests
    answers(scene)
    return scene.models[version].requests == before


def has_only(scene: Scene, version: str) -> bool:
    return set(answers(scene)) == {version}


def given_back(scene: Scene) -> bool:
    leaf = scene.leaf()
    return NOTE not in leaf["metadata"].get("annotations", {}) and [
        ref["name"] for ref in leaf["spec"].get("weighted", {}).get("services", [])
    ] == ["fraud-v1"]


@pytest.mark.parametrize("stage", PLANS)
@pytest.mark.parametrize("is_up", [True, False], ids=["operator up", "operator down"])
def test_row_27_deleted_in_mid_attempt_clients_get_the_baseline_again(scene: Scene, stage: str, is_up: bool):
    begin(scene, stage)
    if not is_up:
        scene.operator.kill()

    scene.delete()
    if not is_up:
        assert NOTE in scene.leaf()["metadata"]["annotations"]
        scene.operator.start()

    wait_until(lambda: given_back(scene), "the route to be given back")
    wait_until(lambda: has_only(scene, "v1"), "v1 alone to answer")
    wait_until(lambda: gets_nothing(scene, "v2"), "v2 to get nothing more")
    assert (
        "TrafficReturned",
        "ModelRollout fraud was deleted in mid-attempt: Service fraud-v1 has all the traffic again",
    ) in (scene.events())


def test_deleted_after_promotion_nothing_moves(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    scene.load()
    scene.until_phase("Promoted")
    wait_until(lambda: NOTE not in scene.leaf()["metadata"].get("annotations", {}), "the note to go")
    before = scene.leaf()["metadata"]["resourceVersion"]

    scene.delete()
    scene.operator.kill()
    scene.operator.start()
    wait_until(scene.is_listed, "the operator to have listed everything")

    assert has_only(scene, "v2")
    assert scene.leaf()["metadata"]["resourceVersion"] == before


def test_a_rollout_made_again_under_the_name_begins_only_when_the_old_one_is_given_back(scene: Scene):
    scene.serve("v3")
    begin(scene, "full")
    assert has_only(scene, "v2")
    scene.operator.kill()
    scene.delete()

    scene.apply(scene.rollout("v3", stages=PLANS["canary"], traffic={"traefikService": {"name": "fraud"}}))
    scene.operator.start()

    status = scene.until_step("canary")
    assert status["attempt"]["baseline"]["version"] == "v1"
    assert "TrafficReturned" in [reason for reason, _ in scene.events()]
    wait_until(lambda: set(answers(scene)) == {"v1", "v3"}, "v1 and v3 to answer")
