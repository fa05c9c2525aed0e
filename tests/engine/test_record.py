"""The record of an attempt: written before anything grows, true after everything, and in no rollback's way."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from modelrollout.core.chain import hash_of, verify
from modelrollout.engine.ports import Conflict, Refused, Unavailable

from tests.engine.account import lies, shares_text, spans, told
from tests.engine.stage import ROUTES, STAGES, Stage
from tests.engine.test_crash import Killed
from tests.support.fake_api import RECORDS, ROLLOUTS, Call

STEPS = ["v1 100, 100% copied to v2", "v1 95, v2 5", "v1 50, v2 50", "v2 100"]
NO_RIGHT = Refused("the operator's ServiceAccount may not patch modelrolloutrecords/status: grant it that verb")
FAILURES = [
    pytest.param(NO_RIGHT, id="no right"),
    pytest.param(Refused("the API server knows no kind ModelRolloutRecord"), id="no such kind"),
    pytest.param(Unavailable("500: etcd is away"), id="server error"),
]


def records_fail(error: Exception) -> Callable[[Call], None]:
    def fail(call: Call) -> None:
        if call.resource == RECORDS:
            raise error

    return fail


def segments(stage: Stage) -> list[dict[str, Any]]:
    return [one for record in stage.api.records() for one in record["status"]["segments"]]


class TestAnAttempt:
    async def test_that_is_promoted_has_every_span_and_its_end(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(1)

        (record,) = stage.api.records()
        assert told(record)["segments"] == [
            (STEPS[0], "shadow", 0, "Started", None),
            (STEPS[1], "canary", 0, "GatesPassed", None),
            (STEPS[2], "canary", 1, "GatesPassed", None),
            (STEPS[3], "full", 0, "GatesPassed", None),
            (STEPS[3], "full", 0, "Promoted", "Promoted"),
        ]
        assert told(record)["attempt"] == (1, "v2", "NewCandidate")
        assert record["status"]["outcome"] == "Promoted"
        assert lies(stage) == []

    async def test_that_is_rolled_back_names_the_gate_and_its_numbers(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[2])
            stage.source.errors["v2"] = 0.4
            await stage.phase("RolledBack")
            await asyncio.sleep(1)

        last = segments(stage)[-1]
        assert (shares_text(last["shares"]), last["outcome"]) == ("v1 100", "RolledBack")
        assert last["cause"] in {"Catastrophe", "GateFailed"}
        assert [(gate["name"], gate["verdict"], gate["bad"] > 0) for gate in last["gates"]] == [
            ("errors", "Fail", True)
        ]
        assert last["message"].startswith("gate errors: ")

    async def test_keeps_the_evidence_on_which_a_step_was_taken(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")

        taken = [one for one in segments(stage) if one["cause"] == "GatesPassed"]
        assert [[gate["verdict"] for gate in one["gates"]] for one in taken] == [["Pass"]] * 3
        assert all(gate["samples"] >= 100 for one in taken for gate in one["gates"])

    async def test_keeps_it_also_when_the_operator_was_killed_in_between(self):
        stage = Stage()
        stage.apply()

        def kill(call: Call) -> None:
            if call.resource == ROUTES and stage.route() == STEPS[1]:
                raise Killed

        stage.after = kill
        async with stage.engine() as task:
            await stage.until(task.done)
        stage.after = lambda _: None
        async with stage.engine():
            await stage.phase("Promoted")

        assert [gate["verdict"] for gate in segments(stage)[1]["gates"]] == ["Pass"]

    async def test_says_who_asked_for_a_rollback(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            stage.control(rollback={"reason": "p99", "requestedBy": "ana@example.com"})
            await stage.phase("RolledBack")
            await asyncio.sleep(1)

        last = segments(stage)[-1]
        assert (last["cause"], last["actor"], last["verified"]) == ("Manual", "ana@example.com", False)
        assert "p99" in last["message"]

    async def test_tells_once_what_people_asked_for_and_what_came_of_it(self):
        stage = Stage(stages=[STAGES[0], {**STAGES[1], "approval": {"required": 1}}, STAGES[2]])
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.condition("Held") == ("True", "ApprovalNeeded"))
            stage.control(approve=[{"requestedBy": "ada", "reason": "read the evaluation"}])
            await stage.until(lambda: stage.route() == STEPS[1])
            stage.control(hold={"reason": "month end", "requestedBy": "eve"})
            await stage.until(lambda: "held" in stage.status())
            stage.control(resume={"requestedBy": "eve"})
            await stage.phase("Promoted")

        asked = [[(one["command"], one["actor"]) for one in segment["commands"]] for segment in segments(stage)]
        assert asked == [[], [("approve", "ada")], [("hold", "eve"), ("resume", "eve")], [], []]
        (approval,) = segments(stage)[1]["commands"]
        assert approval["result"] == "counts for stage canary: 1 of 1"
        assert (approval["reason"], approval["verified"]) == ("read the evaluation", False)

    async def test_tells_of_approvals_that_were_given_before_it_began(self):
        stage = Stage(stages=[{**STAGES[1], "approval": {"required": 1}}, STAGES[2]])
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.condition("Held") == ("True", "ApprovalNeeded"))
            stage.control(approve=[{"requestedBy": "ada"}])
            await stage.phase("Promoted")

        first, *later = segments(stage)
        assert [(one["command"], one["actor"]) for one in first["commands"]] == [("approve", "ada")]
        assert [one["commands"] for one in later] == [[]] * len(later)

    async def test_begins_with_what_the_route_gave_and_goes_on_from_the_one_before(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")
            stage.apply(candidate={"version": "v3", "service": {"name": "fraud-v3", "port": 8080}})
            await stage.until(lambda: len(stage.api.records()) == 2)
            await stage.phase("Promoted")
            await asyncio.sleep(1)

        first, second = stage.api.records()
        assert (
            shares_text(second["spec"]["found"]) == "v2 100" == shares_text(first["status"]["segments"][-1]["shares"])
        )
        assert second["spec"]["attempt"] == 2
        assert lies(stage) == []

    async def test_names_its_times_from_the_intent_to_what_was_read_back(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")

        for one in segments(stage)[:4]:
            assert one["intentAt"] <= one["confirmedAt"]

    async def test_says_who_asked_for_the_candidate(self):
        stage = Stage()
        stage.apply()
        editor = {"metadata": {"annotations": {"modelrollout.dev/edited-by": "ana"}}}
        stage.api.edit(ROLLOUTS, "models", "fraud", editor)

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            stage.api.edit(
                ROLLOUTS, "models", "fraud", {"metadata": {"annotations": {"modelrollout.dev/edited-by": None}}}
            )
            stage.apply(candidate={"version": "v3", "service": {"name": "fraud-v3", "port": 8080}})
            await stage.until(lambda: len(stage.api.records()) == 2)

        first, second = (record["spec"]["trigger"] for record in stage.api.records())
        assert first == {"cause": "NewCandidate", "actor": "ana", "verified": False}
        assert second == {"cause": "NewCandidate", "actor": "kubectl-apply", "verified": False}
        back = stage.api.records()[0]["status"]["segments"][-1]
        assert (back["cause"], back["actor"]) == ("Superseded", "kubectl-apply")

    async def test_that_is_retried_says_who_asked(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            stage.control(rollback={})
            await stage.phase("RolledBack")
            stage.control(retry={"reason": "fixed the cache", "requestedBy": "bo"})
            await stage.until(lambda: len(stage.api.records()) == 2)

        trigger = stage.api.records()[1]["spec"]["trigger"]
        assert trigger == {"cause": "Retry", "actor": "bo", "verified": False, "reason": "fixed the cache"}

    async def test_after_a_rollback_from_a_promotion_goes_on_in_its_record(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(60)
            stage.control(rollback={"reason": "complaints"})
            await stage.phase("RolledBack")
            await asyncio.sleep(1)

        (record,) = stage.api.records()
        assert [one.get("outcome") for one in record["status"]["segments"]][-2:] == ["Promoted", "RolledBack"]
        assert record["status"]["outcome"] == "RolledBack"

    async def test_that_was_refused_before_it_started_is_told_of_too(self):
        stage = Stage()
        stage.set_ready("fraud-v2", 0)
        stage.apply()

        async with stage.engine():
            await stage.phase("Pending")
            await asyncio.sleep(1)
            stage.control(rollback={"reason": "not this one"})
            await stage.phase("RolledBack")
            await asyncio.sleep(1)

        assert told(stage.api.records()[0])["outcome"] == "RolledBack"

    async def test_its_segments_leave_as_lines_of_the_log_with_the_hashes_of_the_chain(self, logs):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(1)

        lines = [entry for entry in logs if entry["event"] == "segment recorded"]
        assert [line["hash"] for line in lines] == [hash_of(one) for one in segments(stage)]
        assert lines[-1]["outcome"] == "Promoted"


class TestOrder:
    async def test_of_an_increase_is_record_status_route_record(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")

        order = [(call.verb, call.resource) for call in stage.writes]
        for place, call in enumerate(order):
            if call[1] == ROUTES:
                assert order[place - 1] == ("patch status", "modelrollouts")
                if place > 2 and order[place - 2][0] != "patch status":
                    assert order[place - 2][1] == RECORDS
                    assert order[place + 1] == ("extend record", RECORDS)

    async def test_a_step_costs_two_writes_of_the_record(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            await asyncio.sleep(1)
            before = len(stage.writes)
            await stage.until(lambda: stage.route() == STEPS[2])
            await asyncio.sleep(1)

        assert len([call for call in stage.writes[before:] if call.resource == RECORDS]) == 2

    async def test_a_rollback_writes_its_record_after_its_route(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[2])
            await asyncio.sleep(1)
            before = len(stage.api.calls)
            stage.control(rollback={})
            await stage.phase("RolledBack")
            await asyncio.sleep(1)

        calls = [call.resource for call in stage.api.calls[before:]]
        assert RECORDS in calls
        assert calls.index(ROUTES) < calls.index(RECORDS)


class TestWithoutARecord:
    @pytest.mark.parametrize("error", FAILURES)
    async def test_row_50_without_a_record_nothing_starts_and_people_are_told_why(self, error):
        stage = Stage()
        stage.before = records_fail(error)
        stage.apply()

        async with stage.engine():
            await stage.until(
                lambda: stage.condition("Held") == ("True", "RecordUnavailable"), within=timedelta(minutes=2)
            )
            await asyncio.sleep(3600)
            assert stage.route() in {"none", "v1 100"}

            message = next(c["message"] for c in stage.status()["conditions"] if c["type"] == "Held")
            assert str(error) in message
            stage.before = lambda _: None
            await stage.phase("Promoted", within=timedelta(minutes=20))

    @pytest.mark.parametrize("error", FAILURES)
    async def test_row_50_no_weight_grows_in_mid_attempt(self, error):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            await asyncio.sleep(1)
            stage.before = records_fail(error)
            await asyncio.sleep(3600)
            assert stage.route() == STEPS[1]
            assert stage.condition("Held") == ("True", "RecordUnavailable")

            stage.before = lambda _: None
            await stage.phase("Promoted", within=timedelta(minutes=20))

        assert spans(stage) == STEPS

    @pytest.mark.parametrize("error", FAILURES)
    async def test_row_50_a_rollback_goes_its_way_at_once_and_is_filled_in_later(self, error):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[2])
            await asyncio.sleep(1)
            stage.before = records_fail(error)
            stage.control(rollback={"reason": "p99"})
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(seconds=0.1))
            await stage.phase("RolledBack", within=timedelta(seconds=1))
            await asyncio.sleep(600)
            assert segments(stage)[-1].get("outcome") is None

            stage.before = lambda _: None
            await asyncio.sleep(40)

        assert (shares_text(segments(stage)[-1]["shares"]), segments(stage)[-1]["outcome"]) == ("v1 100", "RolledBack")
        assert lies_but_for_times(stage) == []

    async def test_that_hangs_a_rollback_waits_for_nothing(self):
        stage = Stage()
        stage.apply()
        never = asyncio.Event()

        async def hang(*_: object, **__: object) -> None:
            await never.wait()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[2])
            await asyncio.sleep(1)
            stage.api.extend_record = stage.api.get_record = stage.api.create_record = hang
            stage.control(rollback={})
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(seconds=0.1))
            await stage.phase("RolledBack", within=timedelta(seconds=1))

    async def test_a_failed_gate_rolls_back_though_the_span_before_could_not_be_written_down(self):
        stage = Stage()
        stage.apply()

        def no_segment(call: Call) -> None:
            if call.verb == "extend record" and stage.route() == STEPS[1]:
                raise NO_RIGHT

        stage.before = no_segment
        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            stage.source.errors["v2"] = 0.4
            await stage.phase("RolledBack")

        assert stage.route() == "v1 100"

    async def test_that_somebody_deleted_another_begins_with_what_stands(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            await asyncio.sleep(1)
            stage.api.delete(RECORDS, "models", stage.api.records()[0]["metadata"]["name"])
            await stage.phase("Promoted")
            await asyncio.sleep(1)

        (record,) = stage.api.records()
        assert record["spec"]["trigger"]["cause"] == "TakenOver"
        assert shares_text(record["spec"]["found"]) == STEPS[1]
        assert spans(stage) == STEPS[2:]


class TestARecordThatIsRefused:
    """What has been cannot be written down: people are told once, and it is not tried at each look."""

    async def refused(self, stage: Stage, error: Exception) -> None:
        """Let somebody else change the route while the record cannot be written, for an hour."""
        await stage.until(lambda: stage.route() == STEPS[1])
        await asyncio.sleep(1)
        stage.before = records_fail(error)
        stage.edit_route({"weighted": {"services": [service("v1", 80), service("v2", 20)]}})
        await asyncio.sleep(3600)

    async def test_is_a_condition_with_what_to_do_and_one_event(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await self.refused(stage, NO_RIGHT)

        said = [event.note for event in stage.api.events if event.reason == "RecordNotWritten"]
        message = next(c["message"] for c in stage.status()["conditions"] if c["type"] == "Recorded")
        assert stage.condition("Recorded") == ("False", "RecordRefused")
        assert "may not patch modelrolloutrecords/status: grant it that verb" in message
        assert len(said) == 1

    async def test_is_tried_again_every_half_minute_and_counted(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await self.refused(stage, NO_RIGHT)

        tries = len(stage.telemetry.records_failed)
        assert set(stage.telemetry.records_failed) == {"refused"}
        assert 100 <= tries <= 130

    async def test_costs_no_writes_of_status_though_the_server_says_it_in_other_words_each_time(self):
        stage = Stage()
        stage.apply()
        numbers = iter(range(10**6))

        def fail(call: Call) -> None:
            if call.resource == RECORDS:
                raise Refused(f"refused, request {next(numbers)}")

        async with stage.engine():
            await self.refused(stage, NO_RIGHT)
            stage.before = fail
            before = len(stage.api.writes)
            await asyncio.sleep(3600)

        # One an hour: numbers are refreshed as ever.
        assert len([call for call in stage.api.writes[before:] if call.verb == "patch status"]) <= 1

    async def test_is_over_when_it_is_taken_and_says_so(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await self.refused(stage, NO_RIGHT)
            stage.before = lambda _: None
            await asyncio.sleep(35)

        assert stage.condition("Recorded") == ("True", "Recorded")
        assert "RecordWritten" in [event.reason for event in stage.api.events]
        assert shares_text(segments(stage)[-1]["shares"]) == "v1 80, v2 20"

    async def test_is_said_of_a_rollback_too_once_it_is_over(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[2])
            await asyncio.sleep(1)
            stage.before = records_fail(NO_RIGHT)
            stage.control(rollback={})
            await stage.phase("RolledBack", within=timedelta(seconds=1))
            await asyncio.sleep(60)

        assert stage.condition("Recorded") == ("False", "RecordRefused")
        assert [event.reason for event in stage.api.events].count("RecordNotWritten") == 1

    async def test_an_api_server_that_is_away_for_a_moment_is_not_told_of(self):
        stage = Stage()
        stage.apply()
        left = [2]

        def fail(call: Call) -> None:
            if call.resource == RECORDS and left[0]:
                left[0] -= 1
                raise Unavailable("503: try again")

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            await asyncio.sleep(1)
            stage.before = fail
            stage.edit_route({"weighted": {"services": [service("v1", 80), service("v2", 20)]}})
            await asyncio.sleep(600)

        assert stage.condition("Recorded") is None
        assert shares_text(segments(stage)[-1]["shares"]) == "v1 80, v2 20"


class TestOtherHands:
    async def test_shares_that_somebody_else_set_are_a_segment_with_their_name(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            await asyncio.sleep(1)
            edit = {"weighted": {"services": [service("v1", 70), service("v2", 30)]}}
            stage.edit_route(edit)
            await asyncio.sleep(1)
            external = segments(stage)[-1]
            stage.control(resume={"requestedBy": "ana"})
            await stage.until(lambda: stage.route() == STEPS[1])
            await asyncio.sleep(1)

        assert (shares_text(external["shares"]), external["cause"]) == ("v1 70, v2 30", "External")
        assert external["actor"].startswith("kubectl-edit")
        again = segments(stage)[-1]
        assert (shares_text(again["shares"]), again["cause"], again["actor"]) == (STEPS[1], "Manual", "ana")
        assert lies(stage) == []

    async def test_backends_of_somebody_else_are_nobodys_share(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            await asyncio.sleep(1)
            stage.edit_route({"weighted": {"services": [service("other", 1)]}})
            await asyncio.sleep(600)

        last = segments(stage)[-1]
        assert (last["shares"], last["cause"]) == ([], "External")
        assert [one for one in segments(stage) if one["cause"] == "External"] == [last]

    async def test_after_a_promotion_they_are_told_of_too(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(1)
            stage.edit_route({"weighted": {"services": [service("v1", 100)]}})
            await asyncio.sleep(1)

        last = segments(stage)[-1]
        assert (shares_text(last["shares"]), last["cause"]) == ("v1 100", "External")
        assert lies(stage) == []

    async def test_a_route_that_was_deleted_and_is_made_again_is_told_of(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[1])
            await asyncio.sleep(1)
            stage.delete_route()
            await stage.until(lambda: stage.route() == STEPS[1])
            await asyncio.sleep(1)

        assert [(shares_text(one["shares"]), one["cause"]) for one in segments(stage)[-2:]] == [
            ("none", "External"),
            (STEPS[1], "Manual"),
        ]


class TestADeletedRollout:
    async def test_leaves_a_last_segment_that_says_that_its_traffic_went_back(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[2])
            await asyncio.sleep(1)
            stage.delete()
            await stage.until(lambda: stage.route() == "v1 100")
            await asyncio.sleep(1)

        last = segments(stage)[-1]
        assert (shares_text(last["shares"]), last["cause"], last.get("outcome")) == ("v1 100", "Deleted", None)
        assert "the rollout was deleted in mid-attempt" in last["message"]
        assert lies(stage) == []

    async def test_leaves_no_more_after_its_end(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(1)
            before = segments(stage)
            stage.delete()
            await asyncio.sleep(60)

        assert segments(stage) == before

    async def test_gives_its_traffic_back_though_its_record_is_refused(self):
        stage = Stage()
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[2])
            await asyncio.sleep(1)
            stage.before = records_fail(NO_RIGHT)
            stage.delete()
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(seconds=1))


class TestSupersededIntents:
    async def test_an_intent_that_never_reached_the_route_has_no_segment(self):
        stage = Stage()
        stage.apply()

        def no_route(call: Call) -> None:
            if call.resource == ROUTES and call.verb == "patch" and stage.status()["attempt"]["stage"] == "canary":
                raise Unavailable("503")

        async with stage.engine():
            await stage.until(lambda: stage.route() == STEPS[0])
            stage.before = no_route
            await stage.until(lambda: stage.status()["attempt"]["stage"] == "canary")
            await asyncio.sleep(60)
            stage.before = lambda call: None if "rollback" in stage.status()["attempt"] else no_route(call)
            stage.control(rollback={})
            await stage.phase("RolledBack")
            await asyncio.sleep(1)

        (record,) = stage.api.records()
        since = record["status"]["intent"]["since"]
        assert shares_text(record["status"]["intent"]["shares"]) == STEPS[1]
        assert since not in [one.get("intentAt") for one in record["status"]["segments"]]
        assert spans(stage) == [STEPS[0], "v1 100"]


class TestLongRecords:
    async def test_go_on_in_another_one_whose_chain_begins_where_the_first_one_ends(self):
        stage = Stage(stages=[{"name": "full", "full": {}, "minDuration": "10h"}])
        stage.apply()

        async with stage.engine():
            await stage.until(lambda: stage.route() == "v2 100")
            await asyncio.sleep(1)
            for number in range(140):
                stage.edit_route({"weighted": {"services": [service("v1", 40 + number % 2), service("v2", 60)]}})
                await asyncio.sleep(1)

        first, second = stage.api.records()
        assert len(first["status"]["segments"]) == 128
        assert second["metadata"]["name"] == f"{first['metadata']['name']}.2"
        assert len(second["status"]["segments"]) == 141 - 128
        assert list(verify([first, second])) == []
        assert [told.message for told in verify([second])] != []

    async def test_a_new_engine_finds_the_part_that_is_being_written(self):
        stage = Stage(stages=[{"name": "full", "full": {}, "minDuration": "10h"}])
        stage.apply()

        for _ in range(2):
            async with stage.engine():
                await stage.until(lambda: stage.route() != "none")
                await asyncio.sleep(1)
                for number in range(70):
                    stage.edit_route({"weighted": {"services": [service("v1", 40 + number % 2), service("v2", 60)]}})
                    await asyncio.sleep(1)

        assert [len(record["status"]["segments"]) for record in stage.api.records()] == [128, 13]
        assert list(verify(stage.api.records())) == []


class TestCalm:
    async def test_a_restart_reads_and_writes_no_record_while_nothing_has_changed(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(10)
        before = len(stage.api.calls)

        async with stage.engine():
            await asyncio.sleep(3600)

        assert [call for call in stage.api.calls[before:] if call.resource == RECORDS] == []

    async def test_another_operators_segment_is_not_written_twice(self):
        stage = Stage()
        stage.apply()

        async with stage.engine(), stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(1)

        assert spans(stage) == STEPS
        assert lies(stage) == []

    async def test_conflicts_on_the_record_are_read_again(self):
        stage = Stage()
        stage.apply()
        left = [2]

        def conflict(call: Call) -> None:
            if call.verb == "extend record" and left[0] and stage.route() == STEPS[1]:
                left[0] -= 1
                raise Conflict("somebody was faster")

        stage.before = conflict
        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(1)

        assert spans(stage) == STEPS


def service(name: str, weight: int) -> dict[str, object]:
    return {"kind": "Service", "name": f"fraud-{name}", "port": 8080, "weight": weight}


def lies_but_for_times(stage: Stage) -> list[str]:
    """Return the lies, where a span was written down long after it began."""
    return [lie for lie in lies(stage) if "but it was" not in lie]
