"""SIGKILL at any point: it goes on where it was, no step repeated or skipped."""

from datetime import timedelta

import pytest

from tests.support.scene import STAGES, Scene

pytestmark = pytest.mark.cluster

ALL_STEPS = [("v2", "shadow", 0), ("v2", "canary", 0), ("v2", "canary", 1), ("v2", "full", 0)]


@pytest.mark.parametrize(("stage", "step"), [("shadow", 0), ("canary", 0), ("canary", 1), ("full", 0)])
def test_it_goes_on_after_a_sigkill_in(scene: Scene, stage: str, step: int):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    load = scene.load()
    started = scene.until_step(stage, step)["attempt"]["startedAt"]

    scene.operator.kill()
    scene.operator.start()
    status = scene.until_phase("Promoted")

    assert scene.seen == ALL_STEPS
    assert (status["attempt"]["number"], status["attempt"]["startedAt"]) == (1, started)
    assert load.stop().errors == 0


def test_evidence_from_before_a_sigkill_still_counts(scene: Scene):
    # So few requests that the minimum is met only if those from before the restart are counted.
    stages = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, STAGES[-1]]
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=stages))
    scene.load(40)
    before = scene.until("counting", lambda s: s.get("attempt", {}).get("gates", [{}])[0].get("samples", 0) > 60)[
        "attempt"
    ]["gates"][0]["samples"]

    scene.operator.kill()
    scene.operator.start()
    evaluated = scene.status()["attempt"]["gates"][0]["evaluatedAt"]
    gate = scene.until("judged again", lambda s: s["attempt"]["gates"][0]["evaluatedAt"] > evaluated)["attempt"][
        "gates"
    ][0]

    assert gate["samples"] >= before


def test_an_edit_made_while_the_operator_is_down_is_obeyed_first(scene: Scene):
    stages = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, STAGES[-1]]
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=stages))
    scene.load()
    scene.until_step("canary")
    scene.operator.kill()

    scene.ask(rollback={"reason": "while you were out"})
    scene.operator.start()

    assert scene.until_phase("RolledBack")["attempt"]["rollback"]["cause"] == "Manual"


def test_a_rollback_cut_short_is_finished_after_the_restart(scene: Scene):
    stages = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, STAGES[-1]]
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=stages))
    scene.until_step("canary")

    scene.ask(rollback={})
    scene.operator.kill()
    scene.operator.start()

    scene.until_phase("RolledBack")
    assert [s["name"] for s in scene.leaf()["spec"]["weighted"]["services"]] == ["fraud-v1"]


def test_it_ends_at_once_on_sigterm(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    scene.until_step("shadow")

    assert scene.operator.stop(within=timedelta(seconds=10)) == 0
