"""One rule of a user's route is lent to a rollout: what the user wrote is theirs again to the byte in the end."""

from typing import Any

import pytest

from local.process import wait_until
from tests.support.scene import STAGES, Scene

pytestmark = pytest.mark.cluster

PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes/shared"
CANARY = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, STAGES[-1]]


def lend(scene: Scene) -> dict[str, Any]:
    """Create the user's route of three rules, let the rollout adopt one; return the route as its user left it."""
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-team", "value": "risk"}]}}
    v1, v2 = ({"name": f"fraud-{version}", "port": 8080} for version in ("v1", "v2"))
    rules = [
        {"name": "health", "matches": [{"path": {"type": "Exact", "value": "/health"}}], "backendRefs": [v1]},
        {"name": "score", "filters": [header], "backendRefs": [{**v2, "weight": 0}, {**v1, "weight": 1}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/other"}}], "backendRefs": [{**v2, "weight": 3}]},
    ]
    spec = {"parentRefs": [scene.cluster.traefik.parent_ref], "hostnames": [scene.host], "rules": rules}
    marks = {"labels": {"team": "risk"}, "annotations": {"example.com/ticket": "R-1"}}
    metadata = {"name": "shared", "namespace": scene.namespace, **marks}
    scene.apply({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec})
    before = users_part(scene)
    traffic = {"httpRoute": {"adopt": {"name": "shared", "rule": "score"}}}
    scene.apply(scene.rollout(traffic=traffic, stages=CANARY, rollback={"drain": "2s"}))
    scene.until_step("canary")
    wait_until(lambda: set(scene.cluster.send(scene.host, count=20)) == {"v1", "v2"}, "both to answer")
    return before


def users_part(scene: Scene) -> dict[str, Any]:
    """Return the whole object but for what the API server and the gateway keep in it."""
    found = scene.cluster.api.call("GET", PATH.format(scene.namespace))
    kept = ("name", "labels", "annotations", "finalizers", "ownerReferences")
    return {"metadata": {name: found["metadata"].get(name) for name in kept}, "spec": found["spec"]}


def test_in_a_canary_one_rule_and_one_note_differ_and_after_a_rollback_nothing(scene: Scene):
    before = lend(scene)
    during = users_part(scene)
    assert [rule for rule in during["spec"]["rules"] if rule.get("name") != "score"] == [
        rule for rule in before["spec"]["rules"] if rule.get("name") != "score"
    ]
    notes = set(during["metadata"]["annotations"]) - set(before["metadata"]["annotations"])
    assert notes == {"way-back.modelrollout.dev/fraud"}

    scene.ask(rollback={"reason": "p99"})
    scene.until_phase("RolledBack")

    assert users_part(scene) == before
    status = scene.until("idle", lambda found: "idleSince" in found["attempt"].get("drain", {}))
    assert status["attempt"]["drain"]["idleSince"] == status["attempt"]["drain"]["until"]
    assert "CandidateIdle" in [reason for reason, _ in scene.events()]


def test_after_a_deletion_with_the_operator_down_nothing_differs(scene: Scene):
    before = lend(scene)
    scene.operator.kill()

    scene.delete()
    scene.operator.start()

    wait_until(lambda: users_part(scene) == before, "the route to be as its user left it")
    wait_until(lambda: set(scene.cluster.send(scene.host, count=20)) == {"v1"}, "v1 alone to answer")
