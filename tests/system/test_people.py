"""What people may do, and that nothing they write is lost or brings it down."""

import json
import shlex
from pathlib import Path

import pytest

from local.cluster import CommandFailed
from tests.support.chart import render
from tests.support.scene import STAGES, Scene, condition

pytestmark = pytest.mark.cluster

CANARY_FOR_EVER = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, STAGES[-1]]
RACES = 1000


def test_the_on_call_role_can_roll_back_and_change_nothing_else(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=CANARY_FOR_EVER))
    scene.until_step("canary")
    before = scene.get()
    kubeconfig = _on_call(scene)
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


def test_garbage_in_status_is_dropped_and_said(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=CANARY_FOR_EVER))
    scene.until_step("canary")
    attempt = scene.status()["attempt"]

    # What the schema lets through: a time that is no time to us, a stage that is not in the plan.
    scene.write_status({"held": {"since": "0000-01-01T00:00:00Z"}})
    scene.until("told", lambda s: "held" not in s)
    scene.write_status({"attempt": {**attempt, "stage": "nowhere", "step": 4000000}})
    scene.until_step("canary")

    assert scene.operator.running
    assert any(reason == "StatusIgnored" for reason, _ in scene.events())


def test_a_wiped_status_does_not_take_traffic_away_from_what_serves(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    load = scene.load()
    scene.until_phase("Promoted")
    mark = load.snapshot()

    scene.write_status({"attempt": None, "serving": None, "conditions": None})
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


def _on_call(scene: Scene) -> Path:
    """Return the kubeconfig of a user with the on-call role of the chart and nothing more."""
    cluster, namespace = scene.cluster, scene.namespace
    rendered = render(cluster, {"namespaces": [namespace]}, namespace, release=namespace)
    role = next(one for one in rendered if "oncall" in one["metadata"]["name"] and one["kind"].endswith("Role"))
    cluster.apply(
        [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ada", "namespace": namespace}},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "ada-on-call", "namespace": namespace},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": role["kind"],
                    "name": role["metadata"]["name"],
                },
                "subjects": [{"kind": "ServiceAccount", "name": "ada", "namespace": namespace}],
            },
        ]
    )
    return cluster.kubeconfig_for(cluster.token(namespace, "ada"), f"ada-{namespace}")


def test_a_step_is_advanced_and_the_next_stage_approved_with_the_commands_that_status_says(scene: Scene):
    canary = {"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}
    full = {**STAGES[-1], "approval": {"required": 1, "groups": ["sre"], "separationOfDuties": True}}
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=[canary, full]))
    scene.load()
    scene.until_step("canary")

    scene.ask(advance={"reason": "seen enough", "requestedBy": "ada"})
    held = scene.until_condition("Held", "True", "ApprovalNeeded")
    typed = condition(held, "Held")[2].partition("kubectl ")[2]
    typed = typed.replace("YOUR-USER-NAME", "eve").replace("YOUR-GROUP", "sre").replace("WHY", "it is good")
    scene.cluster.kubectl(*shlex.split(typed))
    status = scene.until_phase("Promoted")

    assert [one["result"].partition(":")[0] for one in status["commands"]] == [
        "the minimum of this step of canary is over, all else still counts",
        "counts for stage full",
    ]
    (approval,) = status["attempt"]["approvals"]
    assert (approval["requestedBy"], approval["group"], approval["independent"]) == ("eve", "sre", True)


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
