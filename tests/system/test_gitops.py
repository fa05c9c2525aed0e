"""A pipeline applies the route of a running attempt again: seen, named with what it lacks, and never fought."""

from typing import Any

import pytest
import yaml

from local.cluster import CommandFailed
from tests.support.scene import Scene, condition

pytestmark = pytest.mark.cluster

CANARY_FOR_EVER = [
    {"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"},
    {"name": "full", "full": {}},
]
WAYS = {
    "kubectl": (["--field-manager=kubectl-client-side-apply"], "still has backendRefs of rule score"),
    "kubectl, forced": (["--server-side", "--force-conflicts"], "docs/gitops-routes.md#kubectl"),
    "Argo CD": (
        ["--server-side", "--force-conflicts", "--field-manager=argocd-controller"],
        "ignoreDifferences for rule score, with RespectIgnoreDifferences=true (docs/gitops-routes.md#argo-cd)",
    ),
    "Flux": (
        ["--server-side", "--force-conflicts", "--field-manager=kustomize-controller"],
        "spec.ignore for rule score (docs/gitops-routes.md#flux)",
    ),
}


def route(scene: Scene) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": scene.namespace},
        "spec": {
            "parentRefs": [scene.cluster.traefik.parent_ref],
            "hostnames": [scene.host],
            "rules": [{"name": "score", "backendRefs": [{"name": "fraud-v1", "port": 8080}]}],
        },
    }


def weights(scene: Scene) -> list[int]:
    found = scene.cluster.api.call("GET", scene.cluster.api.path_of(route(scene)))
    return [ref["weight"] for ref in found["spec"]["rules"][0]["backendRefs"]]


def test_whoever_reverts_an_adopted_rule_is_told_what_is_missing_each_time_and_is_never_fought(scene: Scene):
    manifest = yaml.safe_dump(route(scene))
    scene.cluster.kubectl("apply", "-f", "-", input=manifest)
    adopt = {"httpRoute": {"adopt": {"name": "shop", "rule": "score"}}}
    scene.apply(scene.rollout(traffic=adopt, stages=CANARY_FOR_EVER))
    scene.until_step("canary")

    for way, (arguments, lacks) in WAYS.items():
        scene.cluster.kubectl("apply", *arguments, "-f", "-", input=manifest)

        status = scene.until_condition("Held", "True", "RouteChanged")
        assert lacks in condition(status, "Held")[2], way
        assert weights(scene) == [1], way
        scene.ask(resume={"reason": "mended"})
        scene.until("as the plan says", lambda s: s["route"]["candidate"] == 50)
        scene.until_condition("Held", "False")
        assert weights(scene) == [50, 50], way


def test_a_server_side_apply_that_asks_is_refused_and_disturbs_nothing(scene: Scene):
    manifest = yaml.safe_dump(route(scene))
    scene.cluster.kubectl("apply", "--server-side", "-f", "-", input=manifest)
    adopt = {"httpRoute": {"adopt": {"name": "shop", "rule": "score"}}}
    scene.apply(scene.rollout(traffic=adopt, stages=CANARY_FOR_EVER))
    scene.until_step("canary")

    with pytest.raises(CommandFailed, match=r"(?s)conflict.*modelrollout-operator.*spec\.rules"):
        scene.cluster.kubectl("apply", "--server-side", "-f", "-", input=manifest)

    assert weights(scene) == [50, 50]
    assert condition(scene.status(), "Held")[0] == "False"


def test_a_rollout_in_git_is_applied_again_by_everybody_and_never_restarts_conflicts_or_drifts(scene: Scene):
    manifest = scene.rollout(traffic=scene.route_by_leaf(), stages=CANARY_FOR_EVER)
    text = yaml.safe_dump(manifest)
    scene.cluster.kubectl("apply", "-f", "-", input=text)
    before = scene.until_step("canary")
    spec = scene.get()["spec"]

    for arguments in (
        [],
        ["--server-side", "--field-manager=argocd-controller"],
        ["--server-side", "--field-manager=kustomize-controller"],
        ["--server-side", "--field-manager=argocd-controller"],
        [],
        ["--server-side"],
    ):
        scene.cluster.kubectl("apply", *arguments, "-f", "-", input=text)
        # It exits with 1 where anything would change.
        scene.cluster.kubectl("diff", *arguments, "-f", "-", input=text)
    scene.ask(hold={"reason": "look"})
    scene.until_condition("Held", "True", "HeldByPerson")
    scene.cluster.kubectl("diff", "-f", "-", input=text)

    after = scene.get()
    assert after["spec"] == spec == manifest["spec"]
    assert after["metadata"]["generation"] == 1
    assert not {"finalizers", "ownerReferences", "labels"} & after["metadata"].keys()
    attempt = after["status"]["attempt"]
    for field in ("number", "startedAt", "stepStartedAt", "appliedAt"):
        assert attempt[field] == before["attempt"][field], field
