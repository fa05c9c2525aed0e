"""`get`: what a line says of a rollout, and the same from a real API server for somebody with the on-call role."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from modelrollout.cli.get import USUAL, row_of
from modelrollout.cli.words import span

from local.cluster import LocalCluster
from tests.api.manifests import good
from tests.cli.stage import OnCall, call, canary_status, condition, kubeconfig, on_call, said_by

NOW = datetime(2026, 11, 17, 15, 52, tzinfo=UTC)


def stored(status: Any, **spec: Any) -> dict[str, Any]:
    manifest = good("fraud", "models")
    metadata = manifest["metadata"] | {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-11-14T11:52:00Z"}
    return manifest | {"metadata": metadata, "spec": manifest["spec"] | spec, "status": status}


def test_a_line_tells_where_a_rollout_stands_and_what_it_waits_for():
    row = row_of(stored(canary_status()), NOW, is_wide=False)

    why = "Progressing: gate latency: 120 of 300 requests"
    assert row == ("fraud", "Canary", "2026.10.4", "2026.11.2", "canary 2/4", "5%", "1/2", "5m", "3d4h", why)


def test_a_wide_line_names_risk_owner_and_route():
    row = row_of(stored(canary_status()), NOW, is_wide=True)

    assert row[9:12] == ("medium", "risk-ml", "HTTPRoute/fraud")


@pytest.mark.parametrize(
    "status",
    [None, {}, {"observedGeneration": -1}, {"attempt": None, "conditions": None, "route": None}],
    ids=["none", "empty", "new", "nulls"],
)
def test_a_rollout_that_nobody_has_looked_at_is_a_line_of_dashes(status: Any):
    row = row_of(stored(status), NOW, is_wide=True)

    assert row == ("fraud", "-", "-", "2026.11.2", "-", "-", "-", "-", "3d4h", "medium", "risk-ml", "-", "-")


def test_an_attempt_that_has_ended_well_is_in_no_stage_and_a_rolled_back_one_says_where_it_ended():
    attempt = canary_status()["attempt"]
    promoted = stored(canary_status(attempt=attempt | {"outcome": "Promoted"}))
    failed = stored(canary_status(attempt=attempt | {"outcome": "RolledBack", "endedAt": "2026-11-17T15:51:00Z"}))

    assert row_of(promoted, NOW, is_wide=False)[4] == "-"
    assert row_of(failed, NOW, is_wide=False)[4:8] == ("canary 2/4", "5%", "1/2", "60s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (119, "119s"),
        (200, "3m20s"),
        (240, "4m"),
        (3600, "60m"),
        (5 * 3600 + 60, "5h1m"),
        (90_000, "25h"),
        (3 * 86_400 + 3600, "3d1h"),
        (30 * 86_400, "30d"),
    ],
)
def test_spans_are_written_as_kubectl_writes_them(seconds: int, text: str):
    assert span(timedelta(seconds=seconds)) == text


pytest_cluster = pytest.mark.cluster


@pytest.fixture
def alice(cluster: LocalCluster, namespace: str) -> OnCall:
    return on_call(cluster, namespace)


@pytest_cluster
def test_somebody_on_call_sees_all_rollouts_of_the_namespace(alice: OnCall):
    alice.create("fraud", canary_status())
    alice.create("churn", {"phase": "Held", "conditions": [condition("Ready", "False", "Paused", "set it to false")]})

    said = said_by(alice.call("get")).splitlines()

    assert said[0].split() == list(USUAL)
    assert said[1].split()[:2] == ["churn", "Held"]
    assert said[1].endswith("Paused: set it to false")
    assert "canary 2/4" in said[2]
    assert said[1].index("Held") == said[2].index("Canary")


@pytest_cluster
def test_a_script_gets_what_kubectl_gives_it(alice: OnCall):
    alice.create("fraud")
    alice.create("churn")

    one = json.loads(said_by(alice.call("get", "fraud", "-o", "json")))
    listed = yaml.safe_load(said_by(alice.call("get", "-o", "yaml")))

    by_kubectl = json.loads(alice.cluster.kubectl("get", "mr", "fraud", "-n", alice.namespace, "-o", "json"))
    assert one == by_kubectl
    assert listed["kind"] == "List"
    assert listed["items"][1] == by_kubectl
    assert said_by(alice.call("get", "-o", "name")) == (
        "modelrollout.modelrollout.dev/churn\nmodelrollout.modelrollout.dev/fraud\n"
    )


@pytest_cluster
def test_what_is_not_there_or_not_allowed_is_a_sentence(alice: OnCall):
    missing = alice.call("get", "nothing")
    everywhere = alice.call("get", "-A")
    none = alice.call("get")

    said_by(missing, 3)
    assert f'"nothing" not found in namespace {alice.namespace}' in missing.stderr
    said_by(everywhere, 3)
    assert "you may not list modelrollouts: ask the administrator" in everywhere.stderr
    assert said_by(none) == ""
    assert "No modelrollouts in namespace" in none.stderr


@pytest_cluster
def test_the_administrator_sees_all_namespaces(alice: OnCall):
    alice.create("fraud")

    said = said_by(call("get", "-A", "-o", "wide", "--kubeconfig", alice.cluster.kubeconfig))

    assert said.split()[0] == "NAMESPACE"
    assert any(line.split()[:2] == [alice.namespace, "fraud"] for line in said.splitlines())


@pytest_cluster
def test_a_person_without_any_role_is_told_whom_to_ask(cluster: LocalCluster, alice: OnCall):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "eve", "namespace": alice.namespace}}
    cluster.apply(account)

    result = call("get", "--kubeconfig", kubeconfig(cluster, alice.namespace, "eve"), "-n", alice.namespace)

    said_by(result, 3)
    assert "modelrollout-oncall" in result.stderr
