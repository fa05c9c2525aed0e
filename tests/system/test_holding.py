"""When it does not know, it holds, says so, and goes on by itself when what was missing is back."""

from typing import Any

import pytest

from local.process import wait_until
from tests.support.scene import QUICK, STAGES, Scene, condition

pytestmark = pytest.mark.cluster

CANARY_FOR_EVER = [
    {"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"},
    {"name": "full", "full": {}},
]


def test_prometheus_down_in_mid_canary_holds_and_goes_on_when_it_is_back(scene: Scene):
    stages = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "6s"}, {"name": "full", "full": {}}]
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=stages))
    load = scene.load()
    scene.until_step("canary")
    scene.cluster.prometheus.stop()
    try:
        status = scene.until_condition("Held", "True", "Unreachable")
        assert condition(status, "MetricsAvailable")[0] == "False"
        assert status["attempt"]["target"]["candidate"] == 50
    finally:
        scene.cluster.prometheus.start()

    scene.until_step("full")

    assert load.stop().errors == 0


def test_a_service_that_is_missing_stalls_and_clears_when_it_comes(scene: Scene):
    scene.apply(scene.rollout("v3", traffic=scene.route_by_leaf()))

    status = scene.until_condition("Stalled", "True", "ServiceMissing")
    assert "fraud-v3" in condition(status, "Stalled")[2]
    assert "attempt" not in status
    scene.serve("v3")

    scene.until_step("shadow")


def test_a_candidate_without_ready_endpoints_holds_and_clears_when_they_are(scene: Scene):
    scene.models["v2"].set_ready(False)
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))

    status = scene.until_condition("Held", "True", "CandidateNotReady")
    assert "attempt" not in status
    scene.models["v2"].set_ready(True)

    scene.until_step("shadow")


def test_an_unknown_metrics_source_stalls_with_the_known_names(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), metrics={"preset": "traefik", "source": "nowhere"}))

    status = scene.until_condition("Stalled", "True", "UnknownMetricsSource")

    assert "default" in condition(status, "Stalled")[2]


def test_a_shadow_on_a_gateway_that_cannot_mirror_is_refused_before_traffic_moves(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_owned(), stages=STAGES))

    status = scene.until_condition("Stalled", "True", "CannotMirror")

    assert "TraefikService" in condition(status, "Stalled")[2] or "traefikService" in condition(status, "Stalled")[2]
    assert "route" not in status


@pytest.mark.parametrize(
    ("adopt", "reason"),
    [
        pytest.param({"name": "absent", "rule": "score"}, "RouteMissing", id="the route is missing"),
        pytest.param({"name": "users", "rule": "absent"}, "RuleMissing", id="it has no such rule"),
    ],
)
def test_a_route_to_adopt_that_is_not_there_stalls(scene: Scene, adopt: dict[str, str], reason: str):
    scene.route_by_leaf()
    scene.apply(scene.rollout(traffic={"httpRoute": {"adopt": adopt}}, stages=CANARY_FOR_EVER))

    status = scene.until_condition("Stalled", "True", reason)

    assert "attempt" not in status


def test_a_route_to_adopt_is_taken_up_when_it_comes_and_keeps_its_other_rules(scene: Scene):
    scene.apply(
        scene.rollout(traffic={"httpRoute": {"adopt": {"name": "shop", "rule": "score"}}}, stages=CANARY_FOR_EVER)
    )
    scene.until_condition("Stalled", "True", "RouteMissing")
    other = {
        "name": "docs",
        "matches": [{"path": {"type": "PathPrefix", "value": "/docs"}}],
        "backendRefs": [{"name": "fraud-v1", "port": 8080}],
    }
    rule = {"name": "score", "backendRefs": [{"name": "fraud-v1", "port": 8080}]}
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": scene.namespace, "labels": {"team": "shop"}},
        "spec": {
            "parentRefs": [scene.cluster.traefik.parent_ref],
            "hostnames": [scene.host],
            "rules": [other, rule],
        },
    }
    (stored,) = scene.cluster.apply(route)

    scene.until_step("canary")
    load = scene.load()
    wait_until(lambda: load.snapshot().versions["v2"] > 20, "the candidate's answers")
    found = scene.cluster.api.call("GET", scene.cluster.api.path_of(route))

    assert found["spec"]["rules"][0] == stored["spec"]["rules"][0]
    assert found["metadata"]["labels"] == {"team": "shop"}
    assert load.stop().errors == 0


def test_row_15_weights_changed_by_somebody_else_hold_with_their_name_and_are_not_fought(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), stages=CANARY_FOR_EVER))
    scene.until_step("canary")
    services = [{"name": "fraud-v1", "port": 8080, "weight": 10}, {"name": "fraud-v2", "port": 8080, "weight": 90}]
    path = f"/apis/traefik.io/v1alpha1/namespaces/{scene.namespace}/traefikservices/fraud?fieldManager=grace"
    scene.patch(path, {"spec": {"weighted": {"services": services}}})

    status = scene.until_condition("Held", "True", "RouteChanged")

    assert "grace" in condition(status, "Held")[2]
    assert scene.leaf()["spec"]["weighted"]["services"][1]["weight"] == 90
    scene.ask(resume={"reason": "it was a test"})
    scene.until("as the plan says", lambda s: s["route"]["candidate"] == 50)
    assert condition(scene.until_condition("Held", "False"), "RouteInSync")[0] == "True"


def test_a_persons_hold_lasts_until_resume(scene: Scene):
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    scene.load()
    scene.until_step("shadow")

    scene.ask(hold={"reason": "month end", "requestedBy": "admin"})
    status = scene.until_condition("Held", "True", "HeldByPerson")
    assert "month end" in condition(status, "Held")[2]
    scene.ask(resume={})

    scene.until_phase("Promoted")


def test_a_paused_rollout_holds_until_it_is_not(scene: Scene):
    manifest = scene.rollout(traffic=scene.route_by_leaf(), paused=True)
    scene.apply(manifest)
    scene.until_condition("Held", "True", "Paused")

    manifest["spec"]["paused"] = False
    scene.apply(manifest)

    scene.until_step("shadow")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param("0/0", "NotANumber", id="NaN"),
        pytest.param("vector(1)/0", "Infinite", id="infinite"),
        pytest.param("no_such_metric", "NoData", id="empty"),
        pytest.param("up", "ManySeries", id="several series"),
        pytest.param("sum(", "Refused", id="no PromQL"),
    ],
)
def test_a_query_without_one_finite_number_holds_with_its_reason(scene: Scene, query: str, reason: str):
    value: dict[str, Any] = {"name": "score", "value": {"query": query, "max": "1"}}
    analysis = {**QUICK, "warmup": "0s"}
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), gates=[value], analysis=analysis))

    status = scene.until_condition("Held", "True", reason)

    assert status["attempt"]["stage"] == "shadow"
