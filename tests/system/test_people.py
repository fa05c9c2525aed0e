"""What people may do, and that nothing they write is lost or brings it down."""

import json
import shlex
from datetime import timedelta

import pytest

from local.cluster import CommandFailed
from tests.support.scene import STAGES, Scene, condition

pytestmark = pytest.mark.cluster

CANARY_FOR_EVER = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, STAGES[-1]]
RACES = 1000


def test_the_on_call_role_can_roll_back_and_change_nothing_else(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=CANARY_FOR_EVER))
    scene.until_step("canary")
    scene.people.wait_until_filled_in("fraud")
    before = scene.get()
    kubeconfig = scene.people.new("ada", "oncall").kubeconfig
    patch = json.dumps({"status": {"control": {"rollback": {"reason": "p99"}}}})
    fraud = ("mr", "fraud", "-n", scene.namespace)

    for refused in (
        ("patch", *fraud, "--type=merge", "-p", '{"spec":{"paused":true}}'),
        ("delete", *fraud),
        ("label", *fraud, "a=b"),
        ("patch", "httproute", "users", "-n", scene.namespace, "--type=merge", "-p", '{"spec":{"hostnames":["x.y"]}}'),
    ):
        with pytest.raises(CommandFailed, match="orbidden"):
            scene.cluster.kubectl(*refused, kubeconfig=kubeconfig)
    scene.cluster.kubectl("patch", *fraud, "--subresource=status", "--type=merge", "-p", patch, kubeconfig=kubeconfig)
    scene.until_phase("RolledBack")

    after = scene.get()
    assert after["spec"] == before["spec"]
    assert "fraud" in scene.cluster.kubectl("get", *fraud, kubeconfig=kubeconfig)


def test_a_command_bears_the_name_of_who_gave_it_and_the_word_of_admission(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=CANARY_FOR_EVER))
    scene.people.wait_until_filled_in("fraud")
    scene.until_step("canary")
    ada = scene.people.new("ada", "oncall")
    scene.ask(hold={"reason": "look first"})
    scene.until_condition("Held", "True", "HeldByPerson")
    # What was written in the policy's first seconds does not count as verified.
    scene.until("verified", lambda _: _is_verified_hold(scene))

    ada.write({"phase": "RollingBack"}, "fraud")
    status = scene.until_phase("RolledBack")

    rolled_back = next(one for one in status["commands"] if one["command"] == "rollback")
    assert (rolled_back["requestedBy"], rolled_back["verified"]) == (ada.user, True)
    message = f"{ada.user} asked for it: phase: RollingBack was written"
    assert status["attempt"]["rollback"]["message"] == message
    assert any(reason == "RollingBack" and message in note for reason, note in scene.events())


def test_without_the_policy_a_name_is_noted_as_unverified_with_the_client(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=CANARY_FOR_EVER))
    scene.until_step("canary")
    scene.operator.stop()
    scene.start_operator(binds_names=False)
    patch = json.dumps({"status": {"control": {"rollback": {"reason": "p99", "requestedBy": "boss"}}}})

    scene.cluster.kubectl(
        "patch", "mr", "fraud", "-n", scene.namespace, "--subresource=status", "--type=merge", "-p", patch
    )
    status = scene.until_phase("RolledBack")

    assert status["attempt"]["rollback"]["message"] == "boss (unverified, by way of kubectl-patch) asked for it: p99"
    found = status["commands"][-1]
    assert (found["requestedBy"], found["verified"], found["manager"]) == ("boss", False, "kubectl-patch")


def _is_verified_hold(scene: Scene) -> bool:
    if "control" not in scene.status():
        scene.ask(hold={"reason": "look first"})
    commands = scene.status().get("commands", [])
    return bool(commands) and commands[-1]["verified"] and commands[-1]["requestedBy"] == "admin"


def test_garbage_in_status_is_dropped_and_said(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=CANARY_FOR_EVER))
    scene.until_step("canary")
    attempt = scene.status()["attempt"]

    # What the schema lets through: a time that is no time to us, a stage that is not in the plan.
    scene.forge_status({"held": {"since": "0000-01-01T00:00:00Z"}})
    scene.until("told", lambda s: "held" not in s)
    scene.forge_status({"attempt": {**attempt, "stage": "nowhere", "step": 4000000}})
    scene.until_step("canary")

    assert scene.operator.running
    assert any(reason == "StatusIgnored" for reason, _ in scene.events())


def test_a_wiped_status_does_not_take_traffic_away_from_what_serves(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    load = scene.load()
    scene.until_phase("Promoted")
    mark = load.snapshot()

    scene.forge_status({"attempt": None, "serving": None, "conditions": None})
    status = scene.until("again serving v2", lambda s: s.get("serving", {}).get("version") == "v2")

    assert status["serving"]["version"] == "v2"
    assert load.since(mark).share_of("v2") == 1.0


def test_row_17_of_a_thousand_edits_that_race_the_operators_own_writes_none_is_lost(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=CANARY_FOR_EVER))
    scene.load(20)
    scene.until_step("canary")
    handled = set()

    for number in range(RACES):
        command = "hold" if number % 2 == 0 else "resume"
        scene.ask(**{command: {"reason": f"race {number}"}})
        if number % 10 == 9:
            # The inbox has one place a command: only what stands there unread may be replaced by its own kind.
            status = scene.until("empty", lambda s: "control" not in s)
            handled |= {found["reason"] for found in status["commands"]}

    last = {f"race {number}" for number in range(RACES) if number % 10 in {8, 9}}
    assert last <= handled
    assert "held" not in scene.status()


def test_a_step_is_advanced_and_the_next_stage_approved_with_the_commands_that_status_says(scene: Scene):
    canary = {"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}
    full = {**STAGES[-1], "approval": {"required": 1, "groups": ["system:masters"], "separationOfDuties": True}}
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=[canary, full]))
    scene.load()
    scene.until_step("canary")

    scene.ask(advance={"reason": "seen enough", "requestedBy": "admin"})
    held = scene.until_condition("Held", "True", "ApprovalNeeded")
    typed = condition(held, "Held")[2].partition("kubectl ")[2]
    typed = (
        typed.replace("YOUR-USER-NAME", "admin").replace("YOUR-GROUP", "system:masters").replace("WHY", "it is good")
    )
    scene.cluster.kubectl(*shlex.split(typed))
    status = scene.until_phase("Promoted")

    assert [one["result"].partition(":")[0] for one in status["commands"]] == [
        "the minimum of this step of canary is over, all else still counts",
        "counts for stage full",
    ]
    (approval,) = status["attempt"]["approvals"]
    assert (approval["requestedBy"], approval["group"], approval["independent"]) == ("admin", "system:masters", True)


def test_an_administrators_config_map_freezes_while_it_is_there(scene: Scene):
    frozen = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "modelrollout-freeze", "namespace": scene.namespace},
        "data": {"reason": "year's end, ask #platform"},
    }
    scene.cluster.apply(frozen)
    scene.operator.kill()
    scene.start_operator(f"--freeze-config-map={scene.namespace}/modelrollout-freeze")
    canary = {"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=[canary, STAGES[-1]]))

    held = scene.until_condition("Held", "True", "Frozen")
    assert "year's end, ask #platform" in condition(held, "Held")[2]
    scene.cluster.kubectl("delete", "configmap", "modelrollout-freeze", "-n", scene.namespace)
    scene.until_step("canary")

    path = f"/apis/events.k8s.io/v1/namespaces/{scene.namespace}/events"
    events = [one for one in scene.cluster.api.call("GET", path)["items"] if one["regarding"]["kind"] == "ModelRollout"]
    assert {one["metadata"]["annotations"]["modelrollout.dev/owner-team"] for one in events} == {"risk-ml"}
    assert any("Owner: risk-ml." in one["note"] for one in events if one["type"] == "Warning")


def test_while_it_bakes_one_percent_goes_back_and_comes_home_and_users_notice_nothing(scene: Scene):
    canary, bake = {**STAGES[1], "canary": {"weights": [50]}}, {**STAGES[2], "minDuration": "70s"}
    drill = {"drill": {"every": "1m"}}
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=[canary, bake], rollback=drill))
    load = scene.load()

    first = scene.until_step("full")["attempt"]
    status = scene.until_phase("Promoted", within=timedelta(minutes=3))

    again = status["attempt"]["drill"]
    assert first["drill"]["ok"]
    assert again["ok"]
    assert again["at"] > first["appliedAt"]
    assert status["attempt"]["stageStartedAt"] == first["stageStartedAt"]
    assert [reason for reason, _ in scene.events()].count("RollbackRehearsed") == 2
    assert load.stop().errors == 0
    path = f"/apis/modelrollout.dev/v1alpha1/namespaces/{scene.namespace}/modelrolloutrecords"
    (record,) = scene.cluster.api.call("GET", path)["items"]
    told = [
        {one["version"]: one["weight"] for one in segment["shares"]}
        for segment in record["status"]["segments"]
        if segment["cause"] == "Drill"
    ]
    assert {"v1": 1, "v2": 99} in told
