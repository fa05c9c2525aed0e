"""`wait`: how a rollout has come out; and the same by a watch on a real API server."""

import json
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from modelrollout.cli.wait import INVALID_PATIENCE, end_of_patience, outcome_of

from local.cluster import LocalCluster
from tests.api.manifests import good
from tests.cli.stage import OnCall, canary_status, condition, on_call, said_by

SINCE = datetime(2026, 11, 17, 15, 47, tzinfo=UTC)


def promoted(**changes: Any) -> dict[str, Any]:
    ready = condition("Ready", "True", "Promoted", "version 2026.11.2 serves")
    return canary_status(phase="Promoted", conditions=[ready], **changes)


def rolled_back(reason: str = "RolledBack", **changes: Any) -> dict[str, Any]:
    conditions = [condition("Ready", "False", reason, "gate errors"), condition("Stalled", "True", reason)]
    return canary_status(**{"phase": "RolledBack", "conditions": conditions, **changes})


def held(phase: str = "Held") -> dict[str, Any]:
    conditions = [condition("Ready", "False", "Paused", "spec.paused"), condition("Held", "True", "Paused")]
    return canary_status(phase=phase, conditions=conditions)


def stored(status: dict[str, Any], generation: int = 1) -> dict[str, Any]:
    manifest = good("fraud", "models")
    metadata = manifest["metadata"] | {"uid": "u", "resourceVersion": "1", "generation": generation}
    return manifest | {"metadata": metadata, "status": status}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(promoted(), 0, id="promoted"),
        pytest.param(rolled_back(), 1, id="rolled back"),
        pytest.param(canary_status(), None, id="under way"),
        pytest.param(held(), None, id="held"),
        pytest.param(rolled_back(phase="Held"), None, id="stalled in mid-attempt"),
        pytest.param({}, None, id="never looked at"),
    ],
)
def test_a_rollout_comes_out_promoted_or_rolled_back_or_goes_on(status: dict[str, Any], code: int | None):
    ended = outcome_of(stored(status))

    assert (ended.code if ended else None) == code


def test_what_is_said_of_an_older_manifest_is_no_answer():
    assert outcome_of(stored(promoted(), generation=2)) is None
    assert end_of_patience(stored(held(), generation=2), timedelta(0)) is None


def test_with_a_candidate_another_one_in_spec_is_no_answer():
    assert outcome_of(stored(rolled_back()), "2026.12.0") is None
    assert outcome_of(stored(rolled_back()), "2026.11.2")


def test_a_hold_is_waited_for_as_long_as_one_likes_to():
    due = end_of_patience(stored(held()), timedelta(minutes=5))

    assert due
    assert due[0] == SINCE + timedelta(minutes=5)
    assert due[1].code == 2
    assert end_of_patience(stored(held()), None) is None


def test_a_rollout_that_is_invalid_gets_a_moment_for_what_it_lacks():
    due = end_of_patience(stored(rolled_back("ServiceMissing", phase="Invalid")), None)

    assert due
    assert due[0] == SINCE + INVALID_PATIENCE
    assert due[1].code == 3
    assert "ServiceMissing" in due[1].message


@pytest.fixture
def alice(cluster: LocalCluster, namespace: str) -> OnCall:
    made = on_call(cluster, namespace)
    made.create("fraud", canary_status())
    return made


@pytest.mark.cluster
def test_a_pipeline_learns_of_a_promotion_as_soon_as_it_is_written(alice: OnCall):
    writer = Thread(target=lambda: alice.write_status("fraud", promoted()))
    writer.start()

    result = alice.call("wait", "fraud", "--timeout", "20s", "-o", "json")
    writer.join()

    assert json.loads(said_by(result)) == {
        "rollout": "fraud",
        "outcome": "Promoted",
        "message": "version 2026.11.2 serves",
        "exitCode": 0,
    }


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("status", "arguments", "code", "said"),
    [
        pytest.param(rolled_back(), [], 1, "RolledBack: gate errors", id="rolled back"),
        pytest.param(held(), ["--held", "10ms"], 2, "Held: Paused: spec.paused", id="held"),
        pytest.param(held(), ["--timeout", "200ms"], 3, "TimedOut: neither promoted nor rolled back", id="time over"),
        pytest.param(promoted(), ["--candidate", "v9", "--timeout", "200ms"], 3, "TimedOut", id="another candidate"),
    ],
)
def test_each_end_has_its_exit_code(alice: OnCall, status: dict[str, Any], arguments: list[str], code: int, said: str):
    alice.write_status("fraud", status)

    assert said in said_by(alice.call("wait", "fraud", *arguments), code)


@pytest.mark.cluster
def test_a_rollout_that_is_deleted_is_not_waited_for(alice: OnCall):
    deleter = Thread(target=lambda: alice.cluster.api.call("DELETE", alice.path("fraud")))
    deleter.start()

    result = alice.call("wait", "fraud", "--timeout", "20s")
    deleter.join()

    assert result.exit_code == 3
    assert "deleted" in result.output or "not found" in result.output
