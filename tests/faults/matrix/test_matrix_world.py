"""Rows of the fault matrix about people, other writers, pods and the API server, on the server in memory."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from modelrollout.core.evidence import NoData, Question, Unknown
from modelrollout.engine.ports import Gone, Refused

from tests.engine.stage import ROUTES, Stage
from tests.support.fake_api import OPERATOR, ROLLOUTS, Call
from tests.support.virtual_time import virtual_now

HALF = "v1 50, v2 50"
STEPS = ["v1 100, 100% copied to v2", "v1 95, v2 5", HALF, "v2 100"]
V3 = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}
V2 = {"version": "v2", "service": {"name": "fraud-v2", "port": 8080}}


async def at_half(stage: Stage) -> None:
    await stage.until(lambda: stage.route() == HALF)


async def test_row_12_a_candidate_that_comes_and_goes_unseen_is_never_started():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await at_half(stage)
        stage.apply(candidate=V3)
        stage.apply(candidate=V2)
        await stage.phase("Promoted")

    assert stage.shares == STEPS
    assert stage.status()["attempt"]["number"] == 1


async def test_row_13_an_object_made_again_under_its_name_is_another_attempt_and_old_timers_are_void():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await at_half(stage)
        old = stage.api.object(ROLLOUTS, "models", "fraud")["metadata"]["uid"]
        stage.delete()
        stage.apply()
        await stage.phase("Promoted")

    assert stage.api.object(ROLLOUTS, "models", "fraud")["metadata"]["uid"] != old
    assert stage.status()["serving"]["version"] == "v2"


class TestRow14:
    """Two operators are at work at once."""

    async def test_row_14_ten_minutes_of_two_operators_oscillate_nothing_and_lose_no_command(self):
        stage = Stage()
        stage.apply()

        async with stage.engine(), stage.engine():
            await at_half(stage)
            stage.control(hold={"reason": "look first"})
            await asyncio.sleep(600)
            assert stage.shares == STEPS[:3]
            stage.control(resume={"reason": "fine"})
            await stage.phase("Promoted")

        assert stage.shares == STEPS
        assert [handled["command"] for handled in stage.status()["commands"]] == ["hold", "resume"]

    async def test_row_14_one_that_undoes_our_writes_under_our_name_is_told_and_not_raced(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await at_half(stage)
            undone, said = 0, set()

            def after(call: Call) -> None:
                nonlocal undone
                said.add(stage.condition("RouteInSync"))
                if call.verb == "patch" and stage.route() == HALF:
                    undone += 1
                    asyncio.get_running_loop().call_later(1, undo)

            def undo() -> None:
                spec = {"weighted": {"services": [ref("v1", 95), ref("v2", 5)]}}
                stage.api.edit(ROUTES, "models", "fraud", {"spec": spec}, manager=OPERATOR)
                stage.deliver()

            stage.after = after
            undo()
            await asyncio.sleep(600)
            told = [event for event in stage.api.events if event.reason == "ConcurrentWriter"]

        assert ("False", "ConcurrentWriter") in said
        assert told
        assert "another operator" in told[0].note
        assert undone < 60


def ref(version: str, weight: int) -> dict[str, Any]:
    return {"kind": "Service", "name": f"fraud-{version}", "port": 8080, "weight": weight}


async def test_row_18_garbage_in_status_is_dropped_and_said_and_the_attempt_goes_on():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await at_half(stage)
        stage.api.edit(ROLLOUTS, "models", "fraud", {"status": {"route": 7, "held": {"since": "soon"}}}, status=True)
        stage.deliver()
        await stage.phase("Promoted")

    assert stage.shares == STEPS
    assert "bug" not in stage.telemetry.outcomes
    assert "StatusIgnored" in [event.reason for event in stage.api.events]


async def test_row_19_a_wiped_status_is_restored_from_the_record_and_the_step_goes_on():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await at_half(stage)
        wipe_status(stage)
        await stage.phase("Promoted")

    assert stage.shares == STEPS
    assert "StatusRecalled" in [event.reason for event in stage.api.events]


async def test_row_19_a_candidate_that_was_rolled_back_stays_so_when_status_is_wiped():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await at_half(stage)
        stage.source.errors["v2"] = 0.4
        await stage.phase("RolledBack")
        stage.source.errors.clear()
        await asyncio.sleep(1)
        wipe_status(stage)
        await asyncio.sleep(3600)

    assert stage.status()["phase"] == "RolledBack"
    assert stage.shares == [*STEPS[:3], "v1 100"]


def wipe_status(stage: Stage) -> None:
    obj = stage.api.object(ROLLOUTS, "models", "fraud")
    stage.api.edit(ROLLOUTS, "models", "fraud", {"status": dict.fromkeys(obj["status"])}, status=True)
    stage.deliver()


async def test_row_20_a_new_candidate_in_mid_canary_waits_until_the_old_one_has_nothing():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await at_half(stage)
        stage.apply(candidate=V3)
        await stage.phase("Promoted")

    assert stage.shares == [*STEPS[:3], "v1 100", *(text.replace("v2", "v3") for text in STEPS)]


async def test_row_25_a_route_write_that_admission_denies_is_said_and_not_tried_in_a_loop():
    stage = Stage()

    def deny(call: Call) -> None:
        if call.verb in {"patch", "create"}:
            raise Refused("admission policy routes: weights are frozen until Monday")

    stage.before = deny
    stage.apply()
    async with stage.engine():
        await asyncio.sleep(600)

    denied = [call for call in stage.api.calls if call.verb == "create"]
    assert len(denied) < 60
    assert "weights are frozen until Monday" in " ".join(e.note for e in stage.api.events if e.reason == "RouteRefused")


class TestRow26:
    """The CRD is older than the operator."""

    async def test_row_26_a_field_that_the_crd_drops_keeps_traffic_from_growing_and_is_said(self):
        stage = Stage()
        stage.api.pruned = {"attempt.appliedAt"}
        stage.apply()
        async with stage.engine():
            await asyncio.sleep(1800)

        (note, *_) = [event.note for event in stage.api.events if event.reason == "StatusPruned"]
        assert stage.shares == STEPS[:1]
        assert "status.attempt.appliedAt" in note
        assert "older than this operator" in note
        assert len(stage.writes) < 100

    async def test_row_26_a_rollback_goes_on_all_the_same(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await at_half(stage)
            stage.api.pruned = {"attempt.rollback.since"}
            stage.control(rollback={"reason": "p99"})
            await asyncio.sleep(1)

        assert stage.route() == "v1 100"


class TestRow28:
    """The baseline's Service is deleted in mid-canary."""

    async def test_row_28_the_shares_stay_it_stalls_and_goes_on_when_the_service_is_back(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await at_half(stage)
            stage.api.remove_backend("models", "fraud-v1")
            stage.deliver()
            await asyncio.sleep(1800)
            assert stage.route() == HALF
            assert stage.condition("Stalled") == ("True", "ServiceMissing")
            stage.api.set_backend("models", "fraud-v1")
            stage.deliver()
            await stage.phase("Promoted")

        assert stage.shares == STEPS

    async def test_row_28_a_rollback_never_goes_to_a_baseline_that_is_gone(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await at_half(stage)
            stage.api.remove_backend("models", "fraud-v1")
            stage.source.errors["v2"] = 0.9
            stage.deliver()
            await asyncio.sleep(600)

        assert stage.route() == HALF
        assert stage.condition("Held") == ("True", "BaselineNotReady")


async def test_row_29_crashed_candidate_pods_roll_back_without_metrics():
    stage = Stage()
    stage.source.act = unreachable
    stage.apply(stages=[{"name": "canary", "canary": {"weights": [50]}}, {"name": "full", "full": {}}])
    async with stage.engine():
        await at_half(stage)
        stage.set_ready("fraud-v2", 0)
        gone = virtual_now()
        await stage.phase("RolledBack")

    assert virtual_now() - gone <= timedelta(seconds=31)
    assert stage.status()["attempt"]["rollback"]["cause"] == "CandidateUnready"


async def test_row_31_prometheus_down_for_an_hour_promotes_and_rolls_back_nothing():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await at_half(stage)
        stage.source.act = unreachable
        await asyncio.sleep(3600)
        assert stage.route() == HALF
        assert stage.condition("MetricsAvailable") == ("False", "Unreachable")
        stage.source.act = stage.source.count
        await stage.phase("Promoted")

    assert stage.shares == STEPS


async def test_row_32_one_source_that_hangs_delays_no_other_rollout():
    stage = Stage()

    async def hang_for_one(question: Question) -> Any:
        if question.candidate.route_name == "slow":
            await asyncio.sleep(5)
            return NoData(Unknown.TIMED_OUT, "did not answer within 5 s")
        return await stage.source.count(question)

    stage.source.act = hang_for_one
    stage.apply("slow")
    stage.apply()
    async with stage.engine():
        began = virtual_now()
        await stage.phase("Promoted")

    assert virtual_now() - began <= timedelta(minutes=10)


async def test_row_41_when_both_versions_fail_it_holds_at_the_present_weight_and_says_so():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await at_half(stage)
        stage.source.errors |= {"v1": 0.4, "v2": 0.4}
        await asyncio.sleep(600)
        assert stage.condition("Held") == ("True", "BaselineAlsoFailing")
        assert stage.route() == HALF
        stage.source.errors["v1"] = 0
        await stage.phase("RolledBack")

    assert stage.shares == [*STEPS[:3], "v1 100"]


async def test_row_43_prometheus_that_lost_its_data_starts_the_steps_evidence_again():
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await at_half(stage)
        await asyncio.sleep(100)
        started = stage.status()["attempt"]["stepStartedAt"]
        stage.source.lost_until = virtual_now()
        await stage.until(lambda: stage.status()["attempt"]["stepStartedAt"] != started)
        assert stage.route() == HALF
        await stage.phase("Promoted")

    assert stage.shares == STEPS
    assert min(gate["samples"] for gate in stage.status()["attempt"]["gates"]) >= 0


async def test_row_51_a_namespace_that_ends_is_left_alone():
    stage = Stage()

    def ending(call: Call) -> None:
        if call.verb in {"create", "create record"}:
            raise Gone("namespace models is being terminated")

    stage.apply()
    async with stage.engine():
        await at_half(stage)
        await asyncio.sleep(1)  # What there is to tell of that has been told.
        stage.before = ending
        stage.api.delete(ROUTES, "models", "fraud")
        calls = len(stage.api.calls)
        stage.deliver()
        await asyncio.sleep(3600)

    assert len(stage.api.calls) - calls <= 20


async def unreachable(_: Question) -> NoData:
    return NoData(Unknown.UNREACHABLE, "connection refused")


@pytest.mark.parametrize("later", [{"aFieldOfTomorrow": {"x": 1}}, {}], ids=["newer", "older"])
async def test_row_49_a_status_of_another_release_is_gone_on_with(later: Mapping[str, Any]):
    stage = Stage()
    stage.apply()
    async with stage.engine():
        await at_half(stage)
    # What an older release has not written, and what a newer one has.
    stage.write_attempt(blindFor=None, **later)
    stage.shares.clear()
    async with stage.engine():
        await stage.phase("Promoted")

    assert stage.shares == [HALF, "v2 100"]
