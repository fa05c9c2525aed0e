"""The ways back, on the real parts."""

from datetime import timedelta

import pytest

from local.process import wait_until
from tests.support.scene import Scene, condition, version

pytestmark = pytest.mark.cluster

SLOWLY = [
    {"name": "shadow", "shadow": {"percent": 100}, "minDuration": "1h"},
    {"name": "canary", "canary": {"weights": [20, 50]}, "minDuration": "1h"},
    {"name": "full", "full": {}, "minDuration": "1h"},
]
STAYS_IN = {
    "Shadow": SLOWLY,
    "Canary": [{"name": "canary", "canary": {"weights": [20]}, "minDuration": "1h"}, SLOWLY[-1]],
    "Full": [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1s"}, SLOWLY[-1]],
}


def test_a_candidate_that_fails_in_shadow_never_gets_a_live_request(scene: Scene):
    scene.models["v2"].behave(error_share=0.8)
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    load = scene.load()

    status = scene.until_phase("RolledBack")

    assert status["attempt"]["rollback"]["cause"] in {"Catastrophe", "GateFailed"}
    assert load.stop().versions["v2"] == 0


def test_a_candidate_that_turns_bad_in_canary_is_rolled_back_by_its_gate(scene: Scene):
    stages = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, {"name": "full", "full": {}}]
    scene.apply(scene.rollout(traffic=scene.route_owned(), stages=stages))
    load = scene.load()
    scene.until_step("canary")

    scene.models["v2"].behave(error_share=0.35)
    status = scene.until_phase("RolledBack")

    assert status["attempt"]["rollback"]["cause"] == "GateFailed"
    assert condition(status, "Stalled")[:2] == ("True", "RolledBack")
    wait_until(lambda: any(reason == "RolledBack" for reason, _ in scene.events()), "the last event")
    assert any(reason == "RollingBack" and "runbooks.example" in note for reason, note in scene.events())
    wait_until(lambda: load.snapshot().at - load.snapshot().last_sent["v2"] > 1, "users to reach v2 no more")
    mark = load.snapshot()
    wait_until(lambda: load.since(mark).sent > 100, "some more requests")
    assert load.since(mark).versions["v2"] == 0


@pytest.mark.parametrize("phase", list(STAYS_IN))
def test_a_person_rolls_back_in_every_phase_with_prometheus_down(scene: Scene, phase: str):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=STAYS_IN[phase]))
    load = scene.load()
    scene.until_phase(phase)
    scene.cluster.prometheus.stop()
    try:
        scene.ask(rollback={"reason": "p99", "requestedBy": "admin"})
        status = scene.until_phase("RolledBack", within=timedelta(seconds=10))
    finally:
        scene.cluster.prometheus.start()

    assert status["attempt"]["rollback"]["cause"] == "Manual"
    assert (status["commands"][-1]["command"], status["commands"][-1]["requestedBy"]) == ("rollback", "admin")
    assert "control" not in status
    assert [s["name"] for s in scene.leaf()["spec"]["weighted"]["services"]] == ["fraud-v1"]
    assert load.stop().errors == 0


def test_a_person_rolls_back_after_promotion(scene: Scene):
    scene.apply(
        scene.rollout(traffic=scene.route_by_leaf(), stages=[{"name": "full", "full": {}, "minDuration": "1s"}])
    )
    scene.load()
    scene.until_phase("Promoted")

    scene.ask(rollback={"reason": "complaints"})
    status = scene.until_phase("RolledBack")

    assert status["serving"]["version"] == "v1"
    assert [s["name"] for s in scene.leaf()["spec"]["weighted"]["services"]] == ["fraud-v1"]


def test_a_candidate_that_is_still_waiting_can_be_refused(scene: Scene):
    scene.models["v2"].set_ready(False)
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    scene.until_condition("Held", "True", "CandidateNotReady")

    scene.ask(rollback={"reason": "not today"})
    scene.until_phase("RolledBack")
    scene.models["v2"].set_ready(True)

    assert scene.status()["phase"] == "RolledBack"


def test_writing_the_phase_rolls_back(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=STAYS_IN["Canary"]))
    scene.until_step("canary")

    scene.write_status({"phase": "RollingBack"})

    assert scene.until_phase("RolledBack")["attempt"]["rollback"]["cause"] == "Manual"


def test_retry_tries_a_rolled_back_candidate_again(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=STAYS_IN["Canary"]))
    scene.until_step("canary")
    scene.ask(rollback={})
    scene.until_phase("RolledBack")

    scene.ask(retry={"reason": "fixed the cache"})

    assert scene.until_phase("Canary")["attempt"]["number"] == 2


def test_a_candidate_without_endpoints_is_rolled_back_after_the_grace(scene: Scene):
    scene.apply(
        scene.rollout(traffic=scene.route_by_leaf(), stages=STAYS_IN["Canary"], rollback={"unreadyGrace": "1s"})
    )
    scene.until_step("canary")

    scene.models["v2"].set_ready(False)
    status = scene.until_phase("RolledBack")

    assert status["attempt"]["rollback"]["cause"] == "CandidateUnready"


def test_a_new_candidate_in_mid_attempt_goes_back_first_and_then_starts(scene: Scene):
    scene.serve("v3")
    manifest = scene.rollout(traffic=scene.route_by_leaf(), stages=STAYS_IN["Canary"])
    scene.apply(manifest)
    load = scene.load()
    scene.until_step("canary")

    manifest["spec"]["candidate"] = version("v3")
    scene.apply(manifest)
    status = scene.until("at work on v3", lambda s: s["attempt"]["candidate"]["version"] == "v3")

    assert status["attempt"]["baseline"]["version"] == "v1"
    superseded = ("Superseded", "version v2 gave way to a newer candidate")
    wait_until(lambda: superseded in scene.events(), "the event about v2")
    assert load.stop().errors == 0


def test_candidates_that_change_to_and_fro_within_a_second_end_with_the_last_one(scene: Scene):
    scene.serve("v3")
    manifest = scene.rollout(traffic=scene.route_by_leaf())
    scene.apply(manifest)
    load = scene.load()
    scene.until_step("canary")

    for name in ("v3", "v2"):
        manifest["spec"]["candidate"] = version(name)
        scene.apply(manifest)
    status = scene.until_phase("Promoted")

    assert status["serving"]["version"] == "v2"
    assert load.stop().errors == 0
