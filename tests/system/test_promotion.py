"""The happy path, on the real parts."""

import pytest

from local.process import wait_until
from tests.support.scene import Scene, condition, version

pytestmark = pytest.mark.cluster


def test_a_good_candidate_goes_through_shadow_canary_and_full_and_serves(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    load = scene.load()

    scene.until_step("shadow")
    shadow = load.snapshot()
    scene.until_step("canary", 0)
    status = scene.until_phase("Promoted")

    assert shadow.versions["v2"] == 0
    assert scene.seen == [("v2", "shadow", 0), ("v2", "canary", 0), ("v2", "canary", 1), ("v2", "full", 0)]
    assert status["serving"]["version"] == "v2"
    assert condition(status, "Ready")[:2] == ("True", "Promoted")
    assert condition(status, "RollbackReady")[0] == "True"
    assert load.stop().errors == 0


def test_the_next_candidate_is_compared_with_the_one_promoted_before(scene: Scene):
    manifest = scene.rollout(traffic=scene.route_by_leaf())
    scene.apply(manifest)
    load = scene.load()
    scene.until_phase("Promoted")

    scene.serve("v3")
    manifest["spec"]["candidate"] = version("v3")
    scene.apply(manifest)
    scene.until("at work on v3", lambda s: s["attempt"]["candidate"]["version"] == "v3")
    status = scene.until_phase("Promoted")

    assert status["attempt"]["baseline"]["version"] == "v2"
    assert status["serving"]["version"] == "v3"
    assert load.stop().errors == 0


def test_an_owned_httproute_moves_traffic_by_weights(scene: Scene):
    stages = [{"name": "canary", "canary": {"weights": [25]}, "minDuration": "3s"}, {"name": "full", "full": {}}]
    scene.apply(scene.rollout(traffic=scene.route_owned(), stages=stages))
    load = scene.load()

    scene.until_step("canary")
    mark = load.snapshot()
    scene.until_step("full")

    assert 0.15 < load.since(mark).share_of("v2") < 0.45
    assert load.stop().errors == 0


def test_a_first_deployment_takes_everything_at_once_and_bakes(scene: Scene):
    manifest = scene.rollout(traffic=scene.route_by_leaf())
    del manifest["spec"]["baseline"]
    scene.apply(manifest)
    scene.load()

    status = scene.until_phase("Promoted")

    assert scene.seen == [("v2", "full", 0)]
    assert status["serving"]["version"] == "v2"


def test_the_same_manifest_applied_a_hundred_times_causes_no_write(scene: Scene):
    manifest = scene.rollout(traffic=scene.route_by_leaf())
    scene.apply(manifest)
    scene.load()
    scene.until_phase("Promoted")
    # The last that the operator has to say of it is where the record says so, too.
    scene.until("written down to its end", lambda status: "record" in status["route"])
    before, leaf = scene.get(), scene.leaf()

    for _ in range(100):
        scene.apply(manifest)

    after = scene.get()
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"] == before["status"]
    assert scene.leaf()["metadata"]["resourceVersion"] == leaf["metadata"]["resourceVersion"]


def test_events_tell_the_story_once(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    scene.load()
    scene.until_phase("Promoted")

    # Events are posted after the status that they are about.
    wait_until(lambda: any(reason == "Promoted" for reason, _ in scene.events()), "the last event")

    reasons = [reason for reason, _ in scene.events()]
    assert reasons.count("AttemptStarted") == 1
    assert reasons.count("StepStarted") == 3
    assert reasons.count("Promoted") == 1
