"""`plan`: how long steps take and whether gates can pass, reckoned, observed in a real Prometheus, and in a cluster."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.cluster import LocalCluster
from tests.api.manifests import Changes, changed, good
from tests.cli.stage import OnCall, call, on_call, said_by
from tests.metrics.exporter import Points, exporting, tell

TEST = "plan"
STAGES = [
    {"name": "canary", "canary": {"weights": [1, 50]}, "minDuration": "10m"},
    {"name": "full", "full": {}, "minDuration": "1h"},
]
ERRORS = {"name": "errors", "errorRate": {"max": "1%"}}
CUSTOM = {
    "requests": {"metric": "asked_total", "matchers": [{"label": "test", "op": "=", "value": TEST}]},
    "errors": {"metric": "failed_total", "matchers": [{"label": "test", "op": "=", "value": TEST}]},
    "versionLabel": {"name": "service", "holds": "Service"},
}


def write(path: Path, changes: Changes) -> Path:
    file = path / "rollout.yaml"
    usual = {"spec.stages": STAGES, "spec.gates": [ERRORS], "spec.analysis": {}}
    file.write_text(yaml.safe_dump(changed(good("fraud", "models"), {**usual, **changes})))
    return file


def planned(file: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    (found,) = json.loads(said_by(call("plan", "-f", file, "-o", "json", *arguments), code))
    return dict(found)


def test_a_step_lasts_until_its_gates_pass_at_the_candidates_share_of_the_rate(tmp_path: Path):
    found = planned(write(tmp_path, {}), "--offline", "--rps", "50")

    small, large, full = found["steps"]
    assert [one["candidateRequestsPerSecond"] for one in found["steps"]] == [0.5, 25, 50]
    # 367 good requests at one in two seconds are 12m14s, after 2m of warm-up and 30s of ingestion.
    assert 14 * 60 < small["gates"][0]["passesAfterSeconds"] < 16 * 60
    assert 367 <= small["gates"][0]["requests"] < 390
    assert large["gates"][0]["passesAfterSeconds"] < 4 * 60
    assert 600 <= large["lastsSeconds"] < 660
    assert 3600 <= full["lastsSeconds"] < 3700


def test_a_step_that_can_never_pass_is_a_no_and_the_others_are_told_all_the_same(tmp_path: Path):
    found = planned(write(tmp_path, {}), "--offline", "--rps", "1", code=1)

    small, large, full = found["steps"]
    assert small["lastsSeconds"] is None
    assert small["gates"][0]["passesAfterSeconds"] is None
    assert "has not passed in 1h after its minimum" in small["why"]
    assert large["lastsSeconds"]
    assert full["lastsSeconds"]


def test_what_a_person_reads_is_a_table_and_a_sum(tmp_path: Path):
    said = said_by(call("plan", "-f", write(tmp_path, {}), "--offline", "--rps", "50"))

    assert "canary at 1%" in said
    assert "errors after 1" in said
    assert "in all, if the candidate is as good as what serves" in said


def test_a_month_of_shadow_is_reckoned_in_a_moment(tmp_path: Path):
    gates = [{**ERRORS, "name": kind, "class": kind} for kind in ("infrastructure", "model", "business")]
    file = write(tmp_path, {"spec.risk": "high", "spec.stages": None, "spec.gates": gates})

    began = time.process_time()
    found = planned(file, "--offline", "--rps", "100")

    assert found["steps"][0]["lastsSeconds"] >= 28 * 86400
    assert time.process_time() - began < 60


def test_without_a_rate_nothing_is_promised(tmp_path: Path):
    found = planned(write(tmp_path, {}), "--offline", code=2)

    assert found["steps"] == []
    assert any("--rps" in one["message"] for one in found["remarks"])


def test_a_manifest_that_would_be_refused_is_not_reckoned_with(tmp_path: Path):
    found = planned(write(tmp_path, {"spec.risk": "none"}), "--offline", "--rps", "5", code=1)

    assert "supported values" in found["remarks"][0]["message"]


@pytest.fixture(scope="module")
def prometheus(cluster: LocalCluster) -> Iterator[str]:
    """An hour of a version with 10 requests a second of which 0.2 % fail, and of one with 3 %."""
    now = float(int(time.time()))
    series: dict[str, Points] = {}
    times = [now - 3500 + n * 15 for n in range(3480 // 15)]
    for service, failing in (("fraud-v1", 0.3), ("fraud-v0", 4.5)):
        series[f'asked_total{{service="{service}"}}'] = [(at, 150.0 * n) for n, at in enumerate(times)]
        series[f'failed_total{{service="{service}"}}'] = [(at, failing * n) for n, at in enumerate(times)]
    with exporting(cluster) as exporter:
        tell(cluster, exporter, TEST, series)
        yield cluster.prometheus.url


OBSERVED: Changes = {"spec.metrics": {"preset": "custom", "custom": CUSTOM}}


@pytest.mark.cluster
def test_rate_and_share_of_bad_requests_are_those_of_the_last_hour(tmp_path: Path, prometheus: str):
    file = write(tmp_path, OBSERVED)

    found = planned(file, "--offline", "--prometheus", prometheus, code=1)

    assert found["requestsPerSecond"] == pytest.approx(10, rel=0.05)
    assert re.search(r"are bad \(0[.](19|2)[0-9]*%\)", str(found["remarks"])), found["remarks"]
    small, large, _ = found["steps"]
    assert small["gates"][0]["passesAfterSeconds"] is None or small["gates"][0]["passesAfterSeconds"] > 3600
    # With 0.2 % bad ones it takes more than the 367 of a version without any.
    assert large["gates"][0]["requests"] > 367


@pytest.mark.cluster
def test_a_gate_that_the_version_that_serves_does_not_meet_is_a_no(tmp_path: Path, prometheus: str):
    file = write(tmp_path, {**OBSERVED, "spec.baseline.service.name": "fraud-v0"})

    found = planned(file, "--offline", "--prometheus", prometheus, "--rps", "500", code=1)

    assert found["steps"][0]["gates"][0]["passesAfterSeconds"] is None


@pytest.mark.cluster
def test_metrics_that_are_not_there_are_said(tmp_path: Path, prometheus: str):
    file = write(tmp_path, {**OBSERVED, "spec.baseline.service.name": "fraud-v9"})

    found = planned(file, "--offline", "--prometheus", prometheus, "--rps", "50", code=1)

    assert found["remarks"][0]["found"] == "no"
    assert "has no series for the" in found["remarks"][0]["message"]


@pytest.mark.cluster
def test_the_settings_of_the_operator_are_taken_as_they_are(tmp_path: Path, prometheus: str):
    settings = tmp_path / "values.yaml"
    settings.write_text(yaml.safe_dump({"metricsSources": {"default": {"url": prometheus}}}))

    found = planned(write(tmp_path, OBSERVED), "--offline", "--settings", str(settings), code=1)

    assert found["requestsPerSecond"] == pytest.approx(10, rel=0.05)


@pytest.fixture
def alice(cluster: LocalCluster, namespace: str) -> OnCall:
    return on_call(cluster, namespace)


@pytest.mark.cluster
def test_what_the_router_cannot_do_is_a_no(tmp_path: Path, alice: OnCall):
    traefik = {"httpRoute": {"parentRefs": [alice.cluster.traefik.parent_ref], "hostnames": ["fraud.example.com"]}}
    shadow = [{"name": "shadow", "shadow": {}, "minDuration": "10m"}, *STAGES]
    file = write(tmp_path, {"metadata.namespace": alice.namespace, "spec.traffic": traefik, "spec.stages": shadow})

    found = planned(file, "--rps", "50", "--kubeconfig", str(alice.cluster.kubeconfig), code=1)

    said = {one["about"]: one for one in found["remarks"]}
    assert said["router"]["found"] == "no"
    assert "copies requests" in said["router"]["message"]
    assert "is not in namespace" in said["services"]["message"]


@pytest.mark.cluster
def test_who_may_not_look_at_the_router_is_told_so_and_gets_the_rest(tmp_path: Path, alice: OnCall):
    file = write(tmp_path, {"metadata.namespace": alice.namespace})

    found = planned(file, "--rps", "50", "--kubeconfig", str(alice.kubeconfig))

    said = {one["about"]: one for one in found["remarks"]}
    assert said["router"]["found"] == "?"
    assert "you may not" in said["router"]["message"]
    assert found["steps"]
