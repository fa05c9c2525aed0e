"""A status that was wiped: what the record says stands again, and where the route says otherwise people are asked."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from modelrollout.engine.ports import Conflict, Refused, Unavailable

from tests.engine.account import lies
from tests.engine.stage import ROUTES, STAGES, Stage
from tests.support.fake_api import RECORDS, ROLLOUTS, Call

STEPS = ["v1 100, 100% copied to v2", "v1 95, v2 5", "v1 50, v2 50", "v2 100"]
V3 = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}


def wipe(stage: Stage) -> None:
    """Do as `kubectl replace --subresource=status` with a file without one does."""
    status = stage.status()
    stage.api.edit(ROLLOUTS, "models", "fraud", {"status": dict.fromkeys(status)}, status=True)
    stage.deliver()


async def at(stage: Stage, shares: str) -> None:
    await stage.until(lambda: stage.route() == shares)
    await asyncio.sleep(1)


async def rolled_back(stage: Stage) -> None:
    await at(stage, STEPS[1])
    stage.control(rollback={"reason": "p99", "requestedBy": "ana"})
    await stage.phase("RolledBack")
    await asyncio.sleep(1)


def attempt(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.status()["attempt"]
    return found


def message(stage: Stage, kind: str) -> str:
    return next(str(c["message"]) for c in stage.status()["conditions"] if c["type"] == kind)


def reasons(stage: Stage) -> list[str]:
    return [event.reason for event in stage.api.events]


class TestAfterTheEnd:
    @pytest.mark.parametrize("restarts", [False, True])
    async def test_a_candidate_that_was_rolled_back_stays_so(self, restarts: bool):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await rolled_back(stage)
            if not restarts:
                wipe(stage)
                await stage.phase("RolledBack")
                await asyncio.sleep(3600)
        if restarts:
            wipe(stage)
            async with stage.engine():
                await stage.phase("RolledBack")
                await asyncio.sleep(3600)

        assert stage.shares == [*STEPS[:2], "v1 100"]
        assert attempt(stage)["outcome"] == "RolledBack"
        assert attempt(stage)["rollback"]["cause"] == "Manual"
        assert "p99" in message(stage, "Ready")
        assert reasons(stage).count("StatusRecalled") == 1
        assert len(stage.api.records()) == 1
        assert lies(stage) == []

    async def test_a_retry_then_begins_the_next_attempt(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await rolled_back(stage)
            wipe(stage)
            await stage.phase("RolledBack")
            stage.control(retry={})
            await stage.phase("Promoted")

        assert attempt(stage)["number"] == 2
        assert [record["spec"]["trigger"]["cause"] for record in stage.api.records()] == ["NewCandidate", "Retry"]

    async def test_another_candidate_then_begins_as_ever(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await rolled_back(stage)
            wipe(stage)
            stage.apply(candidate=V3)
            await stage.phase("Promoted")

        assert (attempt(stage)["number"], stage.status()["serving"]["version"]) == (2, "v3")

    async def test_a_safety_stop_stands_again(self):
        gates = [{"name": "errors", "errorRate": {"max": "2%"}, "severity": "safety"}]
        stage = Stage(gates=gates)
        stage.apply()

        async with stage.engine():
            await at(stage, STEPS[1])
            stage.source.errors["v2"] = 0.4
            await stage.phase("RolledBack")
            await asyncio.sleep(1)
            before = stage.status()["safetyStop"]
            wipe(stage)
            stage.apply(candidate=V3)
            await asyncio.sleep(600)

        assert {**stage.status()["safetyStop"], "since": ""} == {**before, "since": ""}
        assert stage.condition("Held") == ("True", "SafetyStop")

    async def test_a_promoted_candidate_serves_and_can_still_be_rolled_back(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(60)
            since = stage.status()["serving"]["since"]
            wipe(stage)
            await stage.phase("Promoted")
            assert stage.status()["serving"]["version"] == "v2"
            assert stage.status()["serving"]["since"][:18] == since[:18]
            stage.control(rollback={})
            await stage.phase("RolledBack")

        assert stage.shares == [*STEPS, "v1 100"]

    async def test_a_promotion_whose_route_says_otherwise_waits_for_a_person(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(1)
        # As another operator's rollback would have left it, before it was written down.
        wipe(stage)
        services = [{"kind": "Service", "name": "fraud-v1", "port": 8080, "weight": 100}]
        await stage.api.patch(ROUTES, "models", "fraud", {"spec": {"weighted": {"services": services}}})

        async with stage.engine():
            await stage.until(lambda: stage.condition("Held") == ("True", "RecordDisagrees"))
            await asyncio.sleep(3600)
            assert stage.route() == "v1 100"
            stage.control(rollback={})
            await stage.phase("RolledBack")

        assert stage.route() == "v1 100"


class TestInMidAttempt:
    async def test_it_goes_on_with_its_step_and_evidence_begins_anew(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await at(stage, STEPS[2])
            applied = attempt(stage)["appliedAt"]
            await asyncio.sleep(60)
            wipe(stage)
            await stage.until(lambda: "appliedAt" in stage.status().get("attempt", {}))
            found = attempt(stage)
            await stage.phase("Promoted")

        assert (found["number"], found["stage"], found["step"]) == (1, "canary", 1)
        assert found["appliedAt"] > applied
        assert {gate["reason"] for gate in found["gates"]} <= {"WarmingUp"}
        assert stage.shares == STEPS
        assert lies(stage) == []

    @pytest.mark.parametrize("number", range(4))
    async def test_from_each_step_it_goes_on_without_going_back(self, number: int):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await at(stage, STEPS[number])
            wipe(stage)
            await stage.phase("Promoted")

        assert stage.shares == STEPS
        assert lies(stage) == []

    @pytest.mark.parametrize("after", [False, True])
    async def test_a_growth_that_was_decided_is_taken_up_only_if_the_route_has_it(self, after: bool):
        stage = Stage()
        stage.apply()

        def die(call: Call) -> None:
            if call.resource == ROUTES and call.verb == "patch" and attempt(stage)["step"] == 1:
                raise Unavailable("cut off")

        async with stage.engine():
            await at(stage, STEPS[1])
            if after:
                stage.after = die
            else:
                stage.before = die
            await stage.until(lambda: attempt(stage)["step"] == 1)
            await asyncio.sleep(0.01)
        stage.before = stage.after = lambda _: None
        wipe(stage)
        async with stage.engine():
            await stage.until(lambda: "attempt" in stage.status())
            found = attempt(stage)["step"]
            await stage.phase("Promoted")

        assert found == (1 if after else 0)
        assert stage.shares == STEPS
        assert lies(stage) == []

    async def test_a_rollback_that_was_not_written_down_waits_for_a_person(self):
        stage = Stage()
        stage.apply()

        def refuse(call: Call) -> None:
            if call.resource == RECORDS and call.verb == "extend record":
                raise Refused("no")

        async with stage.engine():
            await at(stage, STEPS[2])
            stage.before = refuse
            stage.control(rollback={})
            await stage.phase("RolledBack")
            stage.before = lambda _: None
            wipe(stage)
            await stage.until(lambda: stage.condition("Held") == ("True", "RecordDisagrees"))
            await asyncio.sleep(3600)
            assert stage.route() == "v1 100"
            assert "says 50% for the candidate, TraefikService fraud gives it 0%" in message(stage, "Held")
            stage.control(rollback={})
            await stage.phase("RolledBack")

        assert stage.shares == [*STEPS[:3], "v1 100"]

    async def test_where_they_disagree_resume_goes_on_as_the_record_says(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await at(stage, STEPS[2])
        wipe(stage)
        services = [{"kind": "Service", "name": "fraud-v1", "port": 8080, "weight": 100}]
        await stage.api.patch(ROUTES, "models", "fraud", {"spec": {"weighted": {"services": services}}})

        async with stage.engine():
            await stage.until(lambda: stage.condition("Held") == ("True", "RecordDisagrees"))
            stage.control(resume={})
            await stage.phase("Promoted")

        assert stage.shares == [*STEPS[:3], "v1 100", *STEPS[2:]]

    async def test_a_hold_stands_again_and_a_lifted_one_does_not(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await at(stage, STEPS[1])
            stage.control(hold={"reason": "month end", "requestedBy": "ana"})
            await stage.phase("Held")
            await asyncio.sleep(1)
            wipe(stage)
            await stage.phase("Held")
            await asyncio.sleep(3600)
            assert stage.route() == STEPS[1]
            assert "ana" in message(stage, "Held")
            assert "month end" in message(stage, "Held")

            stage.control(resume={"requestedBy": "ana"})
            await stage.until(lambda: "held" not in stage.status())
            await asyncio.sleep(1)
            wipe(stage)
            await stage.phase("Promoted")

        assert stage.shares == STEPS

    async def test_a_new_candidate_first_takes_the_old_ones_share(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await at(stage, STEPS[2])
            wipe(stage)
            stage.apply(candidate=V3)
            await stage.phase("Promoted")

        assert stage.shares == [*STEPS[:3], "v1 100", *(text.replace("v2", "v3") for text in STEPS)]

    async def test_somebody_elses_edit_is_still_somebody_elses(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await at(stage, STEPS[2])
            weights = {"v1": 80, "v2": 20}
            services = [
                {"kind": "Service", "name": f"fraud-{name}", "port": 8080, "weight": weight}
                for name, weight in weights.items()
            ]
            stage.edit_route({"weighted": {"services": services}})
            await asyncio.sleep(1)
            wipe(stage)
            await stage.until(lambda: stage.condition("Held") == ("True", "RouteChanged"))
            await asyncio.sleep(3600)

        assert stage.route() == "v1 80, v2 20"
        assert "kubectl-edit" in message(stage, "Held")

    async def test_a_rollback_asked_for_at_once_goes_back_to_what_the_record_names(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")
            stage.apply(candidate=V3)
            await at(stage, "v2 50, v3 50")
        wipe(stage)
        stage.control(rollback={})
        async with stage.engine():
            await stage.phase("RolledBack")

        assert stage.route() == "v2 100"

    async def test_a_rollback_does_not_wait_for_records_that_hang(self):
        stage = Stage()
        stage.apply()
        never = asyncio.Event()

        async def hang(*_: object, **__: object) -> list[str]:
            await never.wait()
            return []

        async with stage.engine():
            await at(stage, STEPS[2])
        stage.api.record_names = hang
        wipe(stage)
        stage.control(rollback={})
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(seconds=1.5))


class TestRecordsThatCannotBeReliedOn:
    async def test_a_broken_chain_is_held_and_resume_begins_from_the_first_step(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await rolled_back(stage)
        name = stage.api.records()[0]["metadata"]["name"]
        segments = stage.api.records()[0]["status"]["segments"]
        segments[0]["message"] = "nothing of note"
        stage.api.edit(RECORDS, "models", name, {"status": {"segments": segments}}, status=True)
        wipe(stage)
        async with stage.engine():
            await stage.until(lambda: stage.condition("Held") == ("True", "RecordBroken"))
            await asyncio.sleep(3600)
            assert stage.route() == "v1 100"
            assert f"{name}, segment 1: it was made after another segment 0" in message(stage, "Held")
            stage.control(resume={})
            await stage.phase("Promoted")

        assert stage.shares == [*STEPS[:2], "v1 100", *STEPS]

    @pytest.mark.parametrize(
        "error", [Refused("may not list modelrolloutrecords: grant it that verb"), Unavailable("500: etcd is away")]
    )
    async def test_while_they_cannot_be_read_nothing_begins_and_people_are_told(self, error: Exception):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await rolled_back(stage)
        wipe(stage)

        def fail(call: Call) -> None:
            if call.verb == "list records":
                raise error

        stage.before = fail
        async with stage.engine():
            await stage.until(lambda: stage.condition("Held") == ("True", "RecordUnavailable"))
            calls = len(stage.api.calls)
            await asyncio.sleep(600)
            assert str(error) in message(stage, "Held")
            assert len(stage.api.calls) - calls < 100
            stage.before = lambda _: None
            await stage.phase("RolledBack", within=timedelta(minutes=1))

        assert stage.shares == [*STEPS[:2], "v1 100"]

    async def test_the_record_of_an_attempt_that_never_began_says_nothing(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await rolled_back(stage)
            stage.control(retry={})
            stage.before = lambda call: _refuse_status(call, stage)
            await stage.until(lambda: len(stage.api.records()) == 2)
        stage.before = lambda _: None
        wipe(stage)
        async with stage.engine():
            await stage.phase("RolledBack")
            await asyncio.sleep(600)

        assert stage.shares == [*STEPS[:2], "v1 100"]


class TestCost:
    async def test_a_rollout_without_an_attempt_is_asked_about_once(self):
        stage = Stage()
        stage.set_ready("fraud-v2", 0)
        stage.apply()

        async with stage.engine():
            await asyncio.sleep(3600)

        assert [call.verb for call in stage.api.calls if call.resource == RECORDS] == ["list records"]

    async def test_one_with_an_attempt_never(self):
        stage = Stage(stages=STAGES)
        stage.apply()
        async with stage.engine():
            await at(stage, STEPS[1])
        before = len(stage.api.calls)

        async with stage.engine():
            await stage.phase("Promoted")

        assert "list records" not in {call.verb for call in stage.api.calls[before:]}


async def test_an_attempt_decided_on_an_old_list_leaves_no_record():
    stage = Stage()
    stage.apply()

    def edit_first(call: Call) -> None:
        if call.verb == "list records":
            stage.before = lambda _: None
            stage.api.edit(ROLLOUTS, "models", "fraud", {"spec": {"paused": True}})
            stage.deaf = True

    stage.before = edit_first
    async with stage.engine():
        await asyncio.sleep(60)

    assert stage.api.records() == []
    assert stage.route() in {"none", "v1 100"}


def _refuse_status(call: Call, stage: Stage) -> None:
    if call.verb == "patch status" and len(stage.api.records()) == 2:
        raise Conflict("somebody was faster")
