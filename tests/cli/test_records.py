"""`who-served`, `history`, `verify` and `compare` on a real API server, for somebody who may only look."""

import json
from typing import Any

import pytest
from modelrollout.core.chain import end_of_chain

from local.cluster import LocalCluster
from tests.cli.stage import OnCall, on_call, said_by
from tests.support.chart import install_crds

pytestmark = pytest.mark.cluster

GROUP = "/apis/modelrollout.dev/v1alpha1/namespaces"


class Place:
    """A namespace in which records are stored; once somebody looks, admission lets nobody but the operator write more."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def person(self) -> OnCall:
        return on_call(self.cluster, self.namespace)


@pytest.fixture
def place(cluster: LocalCluster, namespace: str) -> Place:
    install_crds(cluster)
    return Place(cluster, namespace)


def store(place: Place, attempt: int, *segments: dict[str, Any], **spec: Any) -> None:
    """Have a record stored as the operator writes it."""
    name, api = f"fraud-u-g1-{attempt}", place.cluster.api
    path = f"{GROUP}/{place.namespace}/modelrolloutrecords"
    candidate = {"version": f"v{attempt + 1}", "digest": f"d{attempt}", "service": {"name": "fraud-v2", "port": 8080}}
    body = {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelRolloutRecord",
        "metadata": {"name": name, "labels": {"modelrollout.dev/rollout": "fraud"}},
        "spec": {
            "rollout": {"name": "fraud", "uid": "u", "generation": 1},
            "attempt": attempt,
            "part": 1,
            "decidedAt": f"2026-11-{16 + attempt}T12:00:00.000Z",
            "specDigest": "d",
            "candidate": {**candidate, "artifact": {"trainingData": f"s3://data/{attempt}"}},
            "trigger": {"cause": "NewCandidate", "verified": False},
            "found": [{"version": "v1", "digest": "d0", "weight": 100}],
            **spec,
        },
    }
    stored = api.call("POST", path, body)
    for seq, segment in enumerate(segments):
        full = {
            "seq": seq,
            "route": {"kind": "HTTPRoute", "name": "fraud"},
            "stage": "canary",
            "step": seq,
            "cause": "GatesPassed",
            "actor": "modelrollout-operator",
            "verified": False,
            "previous": end_of_chain(stored),
            **segment,
        }
        step = {"op": "add", "path": "/status/segments/-", "value": full}
        stored = api.call("PATCH", f"{path}/{name}/status", [step], content_type="application/json-patch+json")


def canary(place: Place) -> None:
    store(
        place,
        1,
        {
            "shares": [{"version": "v1", "digest": "d0", "weight": 95}, {"version": "v2", "digest": "d1", "weight": 5}],
            "intentAt": "2026-11-17T12:10:00.000Z",
            "confirmedAt": "2026-11-17T12:10:02.000Z",
        },
        {
            "shares": [{"version": "v1", "digest": "d0", "weight": 100}],
            "intentAt": "2026-11-17T12:20:00.000Z",
            "confirmedAt": "2026-11-17T12:20:01.000Z",
            "cause": "Manual",
            "actor": "ana",
            "message": "a person asked for it: p99",
            "outcome": "RolledBack",
        },
    )


def test_who_served_names_versions_shares_training_data_and_who(place: Place) -> None:
    canary(place)

    person = place.person()
    said = said_by(person.call("who-served", "fraud", "--at", "2026-11-17T13:15+01:00"))
    later = said_by(person.call("who-served", "fraud", "--at", "2026-12-01T00:00Z"))

    assert "v1 95%, v2 5%" in said
    assert "s3://data/1" in said
    assert "v1 100%" in later
    assert "Manual by ana (unverified): a person asked for it: p99" in later


def test_who_served_says_what_it_does_not_know_by_its_exit_code(place: Place) -> None:
    canary(place)

    person = place.person()
    changing = json.loads(said_by(person.call("who-served", "fraud", "--at", "2026-11-17T12:10:01Z", "-o", "json"), 2))
    unknown = said_by(person.call("who-served", "fraud", "--at", "2026-11-01T00:00Z"), 3)

    assert changing["answer"] == "changing"
    assert [one["version"] for one in changing["to"]["versions"]] == ["v1", "v2"]
    assert "not known before 2026-11-17 12:00:00 UTC" in unknown


def test_history_lists_every_span_and_verify_holds(place: Place) -> None:
    canary(place)

    person = place.person()
    lines = said_by(person.call("history", "fraud")).splitlines()
    verified = json.loads(said_by(person.call("verify", "fraud", "-o", "json")))

    assert [line.split("   ")[0] for line in lines[1:]] == [
        "2026-11-17 12:00:00 UTC",
        "2026-11-17 12:10:02 UTC",
        "2026-11-17 12:20:01 UTC",
    ]
    assert verified["holds"]


def test_verify_finds_a_segment_that_was_forged_as_a_whole(place: Place) -> None:
    store(
        place,
        1,
        {"shares": [], "confirmedAt": "2026-11-17T12:10:02.000Z"},
        {"shares": [], "confirmedAt": "2026-11-17T12:10:03.000Z", "previous": "0" * 64},
    )

    person = place.person()
    result = person.call("verify", "fraud")

    assert result.exit_code == 1
    assert "segment 1: it was made after another segment 0 than the one that stands" in result.stderr


def test_compare_sets_two_attempts_side_by_side(place: Place) -> None:
    canary(place)
    store(place, 2, {"shares": [], "confirmedAt": "2026-11-18T12:10:02.000Z"})

    person = place.person()
    facts = json.loads(said_by(person.call("compare", "v2", "v3", "-o", "json")))

    assert (facts["a"]["outcome"], facts["b"]["outcome"]) == ("under way", "under way")
    assert facts["a"]["why it ended"] == "a person asked for it: p99"


def test_a_model_without_records_is_said_to_have_none(place: Place) -> None:
    person = place.person()
    result = person.call("history", "churn")

    assert result.exit_code == 3
    assert "no record of churn" in result.stderr
