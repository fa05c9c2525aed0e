"""What the engine does to the world: promised orders, refusals, conflicts, patience, and calm."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest
from modelrollout.core.evidence import Answer, NoData, Question, Unknown
from modelrollout.engine.ports import Conflict, Refused, Unavailable

from tests.engine.stage import ROUTES, Stage
from tests.support.fake_api import Call

STATUS = "patch status"


def fails(verb: str, error: Exception, *, resource: str | None = None, times: int = 10**6) -> Callable[[Call], None]:
    """Return what makes the next calls of a kind fail."""
    left = [times]

    def fail(call: Call) -> None:
        if call.verb == verb and resource in {None, call.resource} and left[0]:
            left[0] -= 1
            raise error

    return fail


async def hang(_: object) -> NoData:
    await asyncio.Event().wait()
    return NoData(Unknown.TIMED_OUT, "never said")


def elapsed() -> float:
    return asyncio.get_running_loop().time()


class TestOrder:
    async def test_an_increase_is_written_down_before_it_happens(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")

        for number, call in enumerate(stage.writes):
            if call.resource == ROUTES:
                assert stage.writes[number - 1].verb == STATUS

    async def test_the_record_of_an_increase_is_in_status_when_the_route_is_written(self):
        stage = Stage()
        stage.apply()
        intents = []

        def before(call: Call) -> None:
            if call.verb in {"create", "patch"} and stage.status()["phase"] != "Promoted":
                target = stage.status()["attempt"]["target"]
                intents.append((target["candidate"], target["mirror"]))

        stage.before = before
        async with stage.engine():
            await stage.phase("Promoted")

        assert intents == [(0, 100), (5, 0), (50, 0), (100, 0)]

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(Refused("403: forbidden"), id="403"),
            pytest.param(Unavailable("503: overloaded"), id="503"),
            pytest.param(Unavailable("no answer within 10s"), id="time-out"),
        ],
    )
    async def test_a_rollback_reaches_the_route_though_its_status_is_refused(self, error):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 50, v2 50")
            await asyncio.sleep(1)
            stage.before = fails(STATUS, error)
            stage.control(rollback={"reason": "p99"})
            await asyncio.sleep(1)

            assert stage.route() == "v1 100"
            assert stage.status()["control"] == {"rollback": {"reason": "p99"}}

            stage.before = lambda _: None
            await stage.phase("RolledBack", within=timedelta(seconds=10))
            assert stage.status()["attempt"]["rollback"]["cause"] == "Manual"
            assert [c["result"] for c in stage.status()["commands"]] == ["rolling back"]

    async def test_a_promotion_whose_status_is_refused_moves_no_traffic(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 95, v2 5")
            stage.before = fails(STATUS, Refused("403: forbidden"))
            await asyncio.sleep(3600)

            assert stage.shares[-1] == "v1 95, v2 5"

    async def test_a_route_that_cannot_be_written_is_written_later_and_people_are_told_once(self):
        stage = Stage()
        stage.apply()
        stage.before = fails("create", Unavailable("503"), times=3)
        async with stage.engine():
            await stage.until(lambda: stage.route() != "none", within=timedelta(minutes=1))
            await asyncio.sleep(1)

        assert stage.shares == ["v1 100, 100% copied to v2"]
        assert [event.reason for event in stage.api.events] == ["AttemptStarted"]

    async def test_an_event_that_cannot_be_posted_fails_no_pass(self):
        stage = Stage()
        stage.apply()
        stage.before = fails("event", Refused("403: events are forbidden"))

        async with stage.engine():
            await stage.phase("Promoted")

        assert set(stage.telemetry.outcomes) == {"ok"}


class TestBlindSpots:
    WORKLOAD: ClassVar = {
        "version": "v2",
        "service": {"name": "fraud-v2", "port": 8080},
        "workload": {"kind": "Deployment", "name": "fraud-v2"},
    }

    @pytest.mark.parametrize("error", [Refused("403: forbidden"), Unavailable("no answer within 10s")])
    async def test_a_workload_that_cannot_be_looked_at_keeps_weights_from_growing_and_says_so(self, error):
        stage = Stage(candidate=self.WORKLOAD)
        stage.before = fails("get", error, resource="workloads")
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.condition("Held") == ("True", "WorkloadNotReady"))
            assert "v2" not in stage.route()

            stage.before = lambda _: None
            await stage.until(lambda: "v2" in stage.route(), within=timedelta(minutes=1))

    async def test_gates_go_on_guarding_without_a_look_at_the_workload(self):
        stage = Stage(candidate=self.WORKLOAD)
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 50, v2 50")
            stage.before = fails("get", Refused("403: forbidden"), resource="workloads")
            stage.source.errors["v2"] = 0.3
            await stage.phase("RolledBack", within=timedelta(minutes=1))

        assert stage.route() == "v1 100"

    @pytest.mark.parametrize("error", [Refused("403: forbidden"), Unavailable("no answer within 10s")])
    async def test_after_promotion_a_rollback_needs_no_knowledge_of_the_gateway(self, error):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.phase("Promoted")

            async def capabilities(_: object) -> None:
                raise error

            stage.driver.capabilities = capabilities
            stage.control(rollback={})
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(seconds=0.1))


class TestConflicts:
    async def test_a_rollback_that_meets_a_conflict_is_decided_again_at_once(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 50, v2 50")
            await asyncio.sleep(1)
            stage.before = fails(STATUS, Conflict("somebody was faster"), times=3)
            stage.control(rollback={})
            asked = elapsed()
            await stage.until(lambda: stage.route() == "v1 100")

            assert elapsed() - asked < 0.1
            assert stage.telemetry.outcomes.count("conflict") == 3

    async def test_a_rollback_goes_on_over_conflicts_on_its_route(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 50, v2 50")
            await asyncio.sleep(1)
            stage.before = fails("patch", Conflict("somebody was faster"), resource=ROUTES, times=3)
            stage.control(rollback={})
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(seconds=0.1))

    async def test_a_person_who_writes_between_our_read_and_our_write_loses_nothing(self):
        stage = Stage()
        stage.apply()
        raced = []

        def race(call: Call) -> None:
            if call.verb == STATUS and not raced and stage.route() == "v1 95, v2 5":
                raced.append(call)
                stage.control(hold={"reason": "lunch"})

        stage.before = race
        async with stage.engine():
            await stage.phase("Held")

        assert stage.status()["held"]["reason"] == "lunch"
        assert [c["command"] for c in stage.status()["commands"]] == ["hold"]


class TestInterrupting:
    async def test_a_rollback_is_written_while_a_look_at_the_metrics_hangs(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 50, v2 50")
            stage.source.act = hang
            await asyncio.sleep(60)
            stage.control(rollback={"reason": "p99"})
            asked = elapsed()
            await stage.until(lambda: stage.route() == "v1 100")

            assert elapsed() - asked < 0.1

    async def test_a_rollback_that_comes_between_two_reads_of_a_pass_interrupts_its_look_too(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 50, v2 50")
            await asyncio.sleep(35)
            stage.source.act = hang
            asked = []

            async def slow_read(*args: object, **kwargs: object) -> object:
                if not asked:
                    asked.append(elapsed())
                    stage.control(rollback={"reason": "p99"})
                    await asyncio.sleep(0.05)
                return await read(*args, **kwargs)

            read, stage.api.read = stage.api.read, slow_read
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(minutes=5))

            assert elapsed() - asked[0] < 0.2

    async def test_one_rollout_rolls_back_while_all_workers_hang_in_others(self):
        stage = Stage()
        for name in ("fraud", "churn", "spam", "rank"):
            stage.apply(name)
        async with stage.engine(workers=2):
            await stage.until(lambda: stage.route("rank") == stage.route() == "v1 50, v2 50")
            stage.source.act = hang
            await asyncio.sleep(60)
            stage.control("rank", rollback={})
            await stage.until(lambda: stage.route("rank") == "v1 100", within=timedelta(seconds=0.1))

    async def test_lost_metrics_hold_and_their_return_goes_on(self):
        stage = Stage()
        stage.apply()

        async def lost(_: object) -> NoData:
            return NoData(Unknown.UNREACHABLE, "Prometheus does not answer")

        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 95, v2 5")
            stage.source.act = lost
            await stage.phase("Held", within=timedelta(minutes=1))
            assert stage.condition("MetricsAvailable") == ("False", "Unreachable")
            await asyncio.sleep(3600)
            assert stage.route() == "v1 95, v2 5"

            stage.source.act = stage.source.count
            await stage.phase("Promoted", within=timedelta(minutes=10))

        assert stage.shares == ["v1 100, 100% copied to v2", "v1 95, v2 5", "v1 50, v2 50", "v2 100"]


class TestPatience:
    async def test_waits_between_failures_grow_up_to_half_a_minute(self):
        stage = Stage()
        tries = []

        def down(call: Call) -> None:
            if call.verb == "get" and call.resource == ROUTES:
                tries.append(elapsed())
                raise Unavailable("503")

        stage.before = down
        stage.apply()
        async with stage.engine():
            await asyncio.sleep(600)

        waits = [after - before for before, after in itertools.pairwise(tries)]
        assert 0.1 <= waits[0] <= 0.2
        assert max(waits) <= 30
        assert min(waits[-5:]) >= 15

    async def test_a_rollback_is_tried_again_within_two_seconds_however_often_it_failed(self):
        stage = Stage()
        stage.apply()
        tries = []

        def down(call: Call) -> None:
            if call.verb == "patch" and call.resource == ROUTES:
                tries.append(elapsed())
                raise Unavailable("503", retry_after=timedelta(minutes=5))

        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 50, v2 50")
            await asyncio.sleep(1)
            stage.before = down
            stage.control(rollback={})
            await asyncio.sleep(120)

            waits = [after - before for before, after in itertools.pairwise(tries)]
            assert len(waits) > 50
            assert max(waits) <= 2

            stage.before = lambda _: None
            await stage.phase("RolledBack", within=timedelta(seconds=3))

    async def test_the_api_servers_own_wish_to_be_left_alone_is_respected(self):
        stage = Stage()
        tries = []

        def down(call: Call) -> None:
            if call.verb == "get" and call.resource == ROUTES:
                tries.append(elapsed())
                raise Unavailable("429", retry_after=timedelta(seconds=40))

        stage.before = down
        stage.apply()
        async with stage.engine():
            await asyncio.sleep(130)

        assert len(tries) == 4

    async def test_a_bug_in_one_rollouts_pass_is_logged_and_stops_no_other(self, logs):
        stage = Stage()
        stage.apply("fraud")
        stage.apply("churn")

        def bug(call: Call) -> None:
            if call.name == "fraud" and call.resource == ROUTES:
                raise ZeroDivisionError("a bug")

        stage.before = bug
        async with stage.engine() as task:
            await stage.until(lambda: stage.status("churn").get("phase") == "Promoted")
            assert not task.done()

        assert stage.route("fraud") == "none"
        assert [entry for entry in logs if entry["event"] == "pass failed" and entry.get("exc_info")]
        assert 5 < stage.telemetry.outcomes.count("bug") < 60


class TestPrice:
    async def test_a_rollback_costs_ten_requests_at_most(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 50, v2 50")
            await asyncio.sleep(5)
            before = len(stage.api.calls)
            stage.control(rollback={"reason": "p99"})
            await stage.phase("RolledBack")
            await asyncio.sleep(3600)

            # What is read is the watches' copy, which the API in memory counts as a get.
            calls = [call for call in stage.api.calls[before:] if call.verb != "get"]
            assert 3 <= len(calls) <= 10

    async def test_a_look_that_changes_nothing_makes_no_request(self):
        stage = Stage(stages=[{"name": "full", "full": {}, "minDuration": "24h"}])
        stage.apply()
        async with stage.engine():
            await asyncio.sleep(2500)
            asked, before = stage.source.asked, len(stage.api.calls)
            await asyncio.sleep(600)

            assert stage.source.asked >= asked + 59
            assert [call for call in stage.api.calls[before:] if call.verb != "get"] == []


class TestCalm:
    async def test_nothing_is_written_while_nothing_changes(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(10)
            before = len(stage.writes)
            await asyncio.sleep(12 * 3600)

            assert stage.writes[before:] == []

    async def test_the_same_manifest_applied_a_hundred_times_writes_nothing(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(10)
            writes, status = len(stage.writes), stage.status()
            for _ in range(100):
                stage.apply()
                await asyncio.sleep(0.1)

            assert stage.writes[writes:] == []
            assert stage.status() == status

    async def test_hours_in_one_step_cost_a_dozen_writes(self):
        stage = Stage(stages=[{"name": "full", "full": {}, "minDuration": "48h"}])
        stage.apply()
        async with stage.engine():
            await asyncio.sleep(4 * 3600)

            # Start, route, clock, the first verdicts; tenfold counts; an hour's age.
            assert len(stage.writes) <= 8 + 5 + 4

    async def test_metrics_that_lose_half_of_their_counts_start_the_step_again(self):
        stage = Stage(stages=[{"name": "full", "full": {}, "minDuration": "24h"}])
        stage.apply()
        async with stage.engine():
            await asyncio.sleep(6000)
            begun = stage.status()["attempt"]["stepStartedAt"]
            count: Callable[[Question], Awaitable[Answer]] = stage.source.act

            async def lose(question: Question) -> Answer:
                lost = (question.until - question.since) / 2
                answer: Answer = await count(replace(question, since=question.since + lost))
                return answer

            stage.source.act = lose
            await stage.until(lambda: stage.status()["attempt"]["stepStartedAt"] > begun, within=timedelta(seconds=11))

            assert stage.status()["attempt"]["target"]["cause"] == "MetricsLost"

    async def test_numbers_alone_are_written_rarely(self):
        stage = Stage(stages=[{"name": "full", "full": {}, "minDuration": "1h"}])
        stage.apply()
        async with stage.engine():
            await stage.until(lambda: stage.status().get("gates") == "1/1")
            before = len(stage.writes)
            await asyncio.sleep(600)

            assert 1 <= len(stage.writes) - before <= 3

    async def test_an_end_of_retention_is_told_without_being_asked(self):
        stage = Stage(rollback={"retainBaseline": "2h"})
        stage.apply()
        async with stage.engine():
            await stage.phase("Promoted")
            assert stage.condition("RollbackReady") == ("True", "BaselineReady")
            await asyncio.sleep(3 * 3600)

            assert stage.condition("RollbackReady") == ("False", "RetentionOver")
