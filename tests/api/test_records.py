"""ModelRolloutRecords on the real API server: what was written once stays, and more can only be added."""

import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelrollout.api.fields import ALL, Percent
from modelrollout.api.record import (
    MAX_GATES_TOLD,
    MAX_SEGMENTS,
    Evidence,
    RecordedRollout,
    RecordedRoute,
    RecordedVersion,
    RecordSpec,
    RecordTrigger,
    Segment,
    Trigger,
    VersionShare,
    Why,
)
from modelrollout.api.status import Verdict
from modelrollout.api.versions import ServiceRef
from modelrollout.cluster.kubernetes import Kubernetes
from modelrollout.cluster.server import connect
from modelrollout.cluster.world import World
from modelrollout.core.chain import end_of_chain, hash_of, verify
from modelrollout.core.record import MAX_BYTES
from modelrollout.engine.ports import Conflict

from local.api import ApiRefused
from local.cluster import LocalCluster

pytestmark = pytest.mark.cluster

NOW = datetime(2026, 11, 17, 15, 47, tzinfo=UTC)
Segments = list[dict[str, Any]]
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


def spec(**changes: Any) -> dict[str, Any]:
    service = ServiceRef(name="fraud-v2", port=8080)
    fields: dict[str, Any] = {
        "rollout": RecordedRollout(name="fraud", uid="u-1", generation=3),
        "attempt": 1,
        "decided_at": NOW,
        "spec_digest": "d1",
        "candidate": RecordedVersion(version="v2", digest="d2", service=service),
        "trigger": RecordTrigger(cause=Trigger.NEW_CANDIDATE),
        "found": [share("v1", 10_000)],
    }
    return RecordSpec(**{**fields, **changes}).render()


def share(version: str, hundredths: int) -> VersionShare:
    return VersionShare(version=version, digest=f"digest-{version}", weight=Percent(hundredths))


def segment(seq: int, previous: str, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "seq": seq,
        "shares": [share("v1", 9_500), share("v2", 500)],
        "intent_at": NOW,
        "confirmed_at": NOW + timedelta(seconds=seq),
        "route": RecordedRoute(kind="HTTPRoute", name="fraud", uid="u-2", resource_version="7"),
        "stage": "canary",
        "step": 0,
        "cause": Why.GATES_PASSED,
        "actor": "modelrollout-operator",
        "previous": previous,
    }
    return Segment(**{**fields, **changes}).render()


class Record:
    """A stored record, and how people might try to change it."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.api = cluster.api
        self.path = f"/apis/modelrollout.dev/v1alpha1/namespaces/{namespace}/modelrolloutrecords/fraud-u1-g3-1"
        body = {
            "apiVersion": "modelrollout.dev/v1alpha1",
            "kind": "ModelRolloutRecord",
            "metadata": {"name": "fraud-u1-g3-1"},
            "spec": spec(),
        }
        self.api.call("POST", self.path.rpartition("/")[0], body)

    @property
    def stored(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.call("GET", self.path)
        return found

    def add(self, count: int = 1, **changes: Any) -> None:
        for _ in range(count):
            stored = self.stored
            new = segment(len(stored["status"]["segments"]), end_of_chain(stored), **changes)
            step = {"op": "add", "path": "/status/segments/-", "value": new}
            self.api.call("PATCH", f"{self.path}/status", [step], content_type=JSON_PATCH)

    def refusal_of(self, patch: Any, *, status: bool = True) -> str:
        """Return the sentence that refuses a patch; empty where it is taken."""
        kind = JSON_PATCH if isinstance(patch, list) else MERGE
        try:
            self.api.call("PATCH", f"{self.path}/status" if status else self.path, patch, content_type=kind)
        except ApiRefused as error:
            return str(error)
        return ""


@pytest.fixture
def record(contract: LocalCluster, namespace: str) -> Record:
    found = Record(contract, namespace)
    found.add(3)
    return found


def test_a_new_record_has_room_for_its_first_segment(contract, namespace):
    assert Record(contract, namespace).stored["status"] == {"segments": []}


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"spec": {"rollout": {"name": "other"}}}, id="another rollout"),
        pytest.param({"spec": {"found": []}}, id="other shares"),
        pytest.param({"spec": {"owner": {"team": "somebody"}}}, id="an owner"),
        pytest.param({"spec": {"decidedAt": "2026-11-17T15:48:00.000Z"}}, id="another time"),
    ],
)
def test_spec_never_changes(record, patch):
    assert "the spec of a record never changes" in record.refusal_of(patch, status=False)


def without(segments: Segments, *numbers: int) -> Segments:
    return [one for one in segments if one["seq"] not in numbers]


def other(segments: Segments, number: int, **fields: Any) -> Segments:
    return [{**one, **fields} if one["seq"] == number else one for one in segments]


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda old: without(old, 2), id="the last one is left out"),
        pytest.param(lambda old: without(old, 1), id="one in the middle is left out"),
        pytest.param(lambda old: without(old, 0, 1, 2), id="all are left out"),
        pytest.param(lambda old: other(old, 1, shares=[]), id="shares are changed"),
        pytest.param(lambda old: other(old, 0, actor="eve"), id="an actor is changed"),
        pytest.param(lambda old: other(old, 2, confirmedAt="2026-11-17T15:00:00.000Z"), id="a time is changed"),
        pytest.param(lambda old: other(old, 2, outcome="Promoted"), id="an outcome is added"),
        pytest.param(lambda old: [segment(0, "0" * 64), *old], id="one is put in front"),
        pytest.param(lambda old: [*old, segment(4, "0" * 64)], id="a number is left free"),
        pytest.param(lambda old: [old[0], old[2], old[1]], id="two change places"),
    ],
)
def test_segments_are_only_added_at_the_end(record, edit):
    before = record.stored["status"]

    refusal = record.refusal_of({"status": {"segments": edit(before["segments"])}})

    assert refusal
    assert record.stored["status"] == before


def test_segments_do_not_go_with_their_field_or_with_status(record):
    before = record.stored["status"]

    assert "never taken away" in record.refusal_of({"status": {"segments": None}})
    record.refusal_of({"status": None})
    record.refusal_of([{"op": "remove", "path": "/status"}])

    assert record.stored["status"] == before


def test_status_is_not_written_through_the_record_itself(record):
    before = record.stored["status"]

    record.refusal_of({"status": {"segments": [], "outcome": "Promoted"}}, status=False)

    assert record.stored["status"] == before


def test_a_full_record_takes_no_more(contract, namespace):
    record = Record(contract, namespace)
    many = [segment(number, "0" * 64) for number in range(MAX_SEGMENTS)]

    assert record.refusal_of({"status": {"segments": many[:-1]}}) == ""
    record.add()
    assert "Too many" in record.refusal_of([{"op": "add", "path": "/status/segments/-", "value": many[0]}])


def test_a_record_that_is_as_long_as_it_may_be_takes_the_longest_segment(contract, namespace):
    record = Record(contract, namespace)
    evidence = [
        Evidence(name=f"g{n}".ljust(63, "x"), verdict=Verdict.PASS, reason="Passed", samples=3, message="x" * 256)
        for n in range(MAX_GATES_TOLD)
    ]
    longest = segment(0, "0" * 64, gates=evidence, message="y" * 1024, actor="z" * 256)
    count = MAX_BYTES // len(json.dumps(longest)) + 1

    assert record.refusal_of({"status": {"segments": [{**longest, "seq": number} for number in range(count)]}}) == ""
    record.add(gates=evidence, message="y" * 1024, actor="z" * 256)

    assert len(record.stored["status"]["segments"]) == count + 1


def test_a_stored_chain_holds_and_a_forged_one_shows(record):
    honest = record.stored
    forged = copy.deepcopy(honest)
    forged["status"]["segments"][1]["actor"] = "eve"

    assert list(verify([honest])) == []
    assert [(one.seq, one.message) for one in verify([forged])] == [
        (2, "it was made after another segment 1 than the one that stands")
    ]


@asynccontextmanager
async def operator_of(cluster: LocalCluster) -> AsyncIterator[Kubernetes]:
    server = await connect(cluster.kubeconfig, call_limit=timedelta(seconds=10))
    try:
        yield Kubernetes(server, World(), clock=lambda: NOW, identity="test")
    finally:
        await server.close()


async def test_the_operators_own_way_of_adding_keeps_what_it_sends_and_is_guarded(contract, namespace):
    async with operator_of(contract) as kubernetes:
        body = {
            "apiVersion": "modelrollout.dev/v1alpha1",
            "kind": "ModelRolloutRecord",
            "metadata": {"name": "fraud"},
            "spec": spec(),
        }
        made = await kubernetes.create_record(namespace, body)
        guard = made["metadata"]["resourceVersion"]
        first = segment(0, hash_of(made["spec"]))

        added = await kubernetes.extend_record(namespace, "fraud", guard, segment=first, fields={"outcome": "Promoted"})

        assert made["spec"] == body["spec"]
        assert added["status"] == {"segments": [first], "outcome": "Promoted"}
        with pytest.raises(Conflict):
            await kubernetes.create_record(namespace, body)
        with pytest.raises(Conflict):
            await kubernetes.extend_record(namespace, "fraud", guard, segment=first, fields={})
        assert (await kubernetes.get_record(namespace, "fraud"))["status"] == added["status"]


def test_kubectl_prints_what_became_of_an_attempt(contract, namespace):
    record = Record(contract, namespace)
    record.refusal_of({"status": {"outcome": "RolledBack"}})

    printed = contract.kubectl("get", "mrr", "-n", namespace)

    assert printed.splitlines()[0].split() == ["NAME", "ROLLOUT", "ATTEMPT", "BASELINE", "CANDIDATE", "OUTCOME", "AGE"]
    assert "RolledBack" in printed


def test_weights_are_kept_as_they_were_written(contract, namespace):
    record = Record(contract, namespace)
    record.add(shares=[share("v1", 9_950), share("v2", 50)])
    record.add(shares=[VersionShare(version="v2", digest="d", weight=ALL)])

    weights = [[one["weight"] for one in part["shares"]] for part in record.stored["status"]["segments"]]
    assert weights == [["99.5", "0.5"], [100]]
