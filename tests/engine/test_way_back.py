"""A rollout that is deleted in mid-attempt gives its traffic back, whoever runs then and whenever it is cut."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from modelrollout.engine.observe import Drivers
from modelrollout.engine.ports import Conflict, Refused, Unavailable

from tests.engine.stage import ROUTES, Stage
from tests.support.fake_api import WRITES, Call

pytestmark = pytest.mark.slow

STEPS = ["v1 100, 100% copied to v2", "v1 95, v2 5", "v1 50, v2 50", "v2 100"]
SOON = timedelta(seconds=3)


class Killed(BaseException):
    """A SIGKILL, as far as one process can play it."""


def fails(
    error: Exception, *, verb: str = "patch", resource: str = ROUTES, times: int = 10**6
) -> Callable[[Call], None]:
    """Return what makes the next calls of a kind fail."""
    left = [times]

    def fail(call: Call) -> None:
        if (call.verb, call.resource) == (verb, resource) and left[0]:
            left[0] -= 1
            raise error

    return fail


def told(stage: Stage) -> list[str]:
    return [event.reason for event in stage.api.events if event.action == "GiveBack"]


async def reached(stage: Stage, shares: str) -> None:
    """Wait until the route is so, and what belongs to it is written too."""
    await stage.until(lambda: stage.route() == shares)
    await asyncio.sleep(1)


class TestTheNote:
    async def test_it_comes_with_the_first_share_and_goes_with_the_last(self):
        stage = Stage()
        stage.apply()
        seen = []
        stage.after = lambda call: (
            seen.append((stage.route(), bool(stage.notes()))) if call.resource == ROUTES else None
        )

        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
            stage.control(rollback={})
            await stage.phase("RolledBack")

        assert list(dict.fromkeys(seen)) == [*((shares, True) for shares in STEPS[:3]), ("v1 100", False)]

    async def test_it_goes_after_a_promotion_without_a_change_of_shares(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(1)

            assert (stage.route(), stage.notes()) == ("v2 100", {})
            assert stage.shares == STEPS

    async def test_one_that_somebody_took_away_is_written_again(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
            key = next(iter(stage.notes()))
            stage.api.edit(ROUTES, "models", "fraud", {"metadata": {"annotations": {key: None}}})
            stage.deliver()
            await stage.until(lambda: bool(stage.notes()), within=SOON)

        assert stage.shares == STEPS[:3]

    async def test_a_first_deployment_has_none(self):
        stage = Stage(baseline=None)
        stage.apply()
        async with stage.engine():
            await reached(stage, "v2 100")

            assert stage.notes() == {}


class TestDeletion:
    @pytest.mark.parametrize("shares", STEPS)
    async def test_in_mid_attempt_gives_the_traffic_back(self, shares):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, shares)
            stage.delete()
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(seconds=0.1))
            await asyncio.sleep(600)

            assert (stage.route(), stage.notes(), told(stage)) == ("v1 100", {}, ["TrafficReturned"])

    @pytest.mark.parametrize("shares", STEPS)
    async def test_while_the_operator_is_down_is_made_up_for_at_its_start(self, shares):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, shares)
        stage.delete()
        await asyncio.sleep(600)
        assert stage.route() == shares

        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 100", within=SOON)

        assert stage.notes() == {}

    async def test_of_a_rollback_that_has_not_reached_the_route_finishes_it(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
            stage.before = fails(Unavailable("503"))
            stage.control(rollback={})
            await stage.phase("RollingBack")
        stage.delete()
        stage.before = lambda _: None

        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 100", within=SOON)

    @pytest.mark.parametrize("phase", ["Promoted", "RolledBack"])
    async def test_after_the_end_moves_and_writes_nothing(self, phase):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            if phase == "RolledBack":
                await reached(stage, "v1 50, v2 50")
                stage.control(rollback={})
            await stage.phase(phase)
            await asyncio.sleep(10)
            before, writes = stage.route(), len(stage.writes)
            stage.delete()
            await asyncio.sleep(600)

            assert (stage.route(), stage.writes[writes:], told(stage)) == (before, [], [])

    async def test_before_the_start_moves_nothing(self):
        stage = Stage(paused=True)
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 100")
            writes = len(stage.writes)
            stage.delete()
            await asyncio.sleep(600)

            assert (stage.route(), stage.writes[writes:]) == ("v1 100", [])

    async def test_of_one_rollout_leaves_the_others_alone(self):
        stage = Stage()
        stage.apply("fraud")
        stage.apply("churn")
        async with stage.engine():
            await stage.until(lambda: stage.route() == stage.route("churn") == "v1 50, v2 50")
            stage.delete("churn")
            await stage.until(lambda: stage.route("churn") == "v1 100", within=SOON)

            assert stage.route() == "v1 50, v2 50"
            await stage.phase("Promoted")

    async def test_that_no_watch_has_told_of_is_found_by_a_sweep(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
        stage.api.delete("modelrollouts", "models", "fraud")
        stage.forget()

        async with stage.engine():
            await stage.until(lambda: stage.route() == "v1 100", within=SOON)

    async def test_looks_at_every_kind_of_route(self):
        kinds = [field.name for field in fields(Drivers)]
        drivers = Drivers(**{kind: kind for kind in kinds})

        assert set(drivers.all) == set(kinds)


class TestCaution:
    async def test_shares_that_somebody_else_wrote_since_stay_and_people_are_told_once(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
        others = [{"kind": "Service", "name": f"fraud-{v}", "port": 8080, "weight": 7} for v in ("v1", "v2")]
        stage.edit_route({"weighted": {"services": others}})
        stage.delete()
        writes = len(stage.writes)

        for _ in range(2):
            async with stage.engine():
                await asyncio.sleep(600)

        assert stage.route() == "v1 7, v2 7"
        assert stage.writes[writes:] == []
        assert set(told(stage)) == {"TrafficNotReturned"}
        assert "kubectl-edit" in stage.api.events[-1].note

    async def test_when_somebody_has_given_it_back_by_hand_only_the_note_goes(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
        stage.edit_route(
            {"weighted": {"services": [{"kind": "Service", "name": "fraud-v1", "port": 8080, "weight": 3}]}}
        )
        stage.delete()

        async with stage.engine():
            await stage.until(lambda: not stage.notes(), within=SOON)

        assert stage.route() == "v1 3"

    async def test_a_baseline_without_endpoints_is_waited_for_while_the_candidate_serves(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
            stage.api.set_backend("models", "fraud-v1", ready=0)
            stage.delete()
            await asyncio.sleep(300)
            assert stage.route() == "v1 50, v2 50"
            assert told(stage) == ["TrafficNotReturned"]

            stage.api.set_backend("models", "fraud-v1", ready=1)
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(seconds=16))

    async def test_if_both_are_down_it_goes_back_all_the_same(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
            for version in ("v1", "v2"):
                stage.api.set_backend("models", f"fraud-{version}", ready=0)
            stage.delete()
            await stage.until(lambda: stage.route() == "v1 100", within=SOON)

    async def test_a_rollout_that_lives_though_no_list_has_it_keeps_its_shares(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
        stage.forget()

        async with stage.engine():
            await asyncio.sleep(600)

        assert stage.route() == "v1 50, v2 50"
        assert stage.notes()

    async def test_a_route_that_goes_too_is_let_go(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
            calls = len(stage.api.calls)
            stage.api.delete(ROUTES, "models", "fraud")
            stage.delete()
            await asyncio.sleep(600)

            assert len(stage.api.calls) - calls < 10

    async def test_in_a_namespace_that_refuses_every_write_it_is_tried_twice_a_minute_at_most(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
            stage.before = fails(Refused("403: the namespace is being terminated"))
            calls = len(stage.api.calls)
            stage.delete()
            await asyncio.sleep(600)

            patches = [call for call in stage.api.calls[calls:] if call.verb == "patch"]
            assert 10 < len(patches) < 60


class TestPatience:
    async def test_conflicts_are_read_again_at_once(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
            stage.before = fails(Conflict("somebody was faster"), times=3)
            stage.delete()
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(seconds=0.1))

    async def test_a_copy_that_lags_behind_is_not_believed_twice(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
            old = stage.api.object(ROUTES, "models", "fraud")
            stage.api.edit(ROUTES, "models", "fraud", {"metadata": {"labels": {"team": "risk"}}})
            read = stage.api.read

            async def lagging(resource: str, namespace: str, name: str, *, live: bool = False) -> dict[str, Any]:
                now: dict[str, Any] = await read(resource, namespace, name, live=live)
                return now if live else old

            stage.api.read = lagging
            stage.delete()
            await stage.until(lambda: stage.route() == "v1 100", within=timedelta(seconds=0.1))

    @pytest.mark.parametrize(("verb", "resource"), [("patch", ROUTES), ("get", "modelrollouts")])
    async def test_an_api_server_that_is_down_is_asked_again_within_two_seconds(self, verb, resource):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
            stage.before = fails(Unavailable("503"), verb=verb, resource=resource)
            stage.delete()
            await asyncio.sleep(120)
            assert stage.route() == "v1 50, v2 50"

            stage.before = lambda _: None
            await stage.until(lambda: stage.route() == "v1 100", within=SOON)


class TestTheSameNameAgain:
    V3 = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}  # noqa: RUF012 - a constant

    @pytest.mark.parametrize("is_up", [True, False], ids=["operator up", "operator down"])
    @pytest.mark.parametrize("shares", STEPS)
    async def test_what_the_old_one_left_goes_back_before_the_new_one_begins(self, shares, is_up):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, shares)
            if is_up:
                stage.delete()
                stage.apply(candidate=self.V3)
                await stage.phase("Promoted")
        if not is_up:
            stage.delete()
            stage.apply(candidate=self.V3)
            async with stage.engine():
                await stage.phase("Promoted")

        later = stage.shares[stage.shares.index(shares) + 1 :]
        assert later == ["v1 100", "v1 100, 100% copied to v3", "v1 95, v3 5", "v1 50, v3 50", "v3 100"]
        assert stage.status()["serving"]["version"] == "v3"

    async def test_a_full_share_that_was_left_is_not_recognized_as_serving(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v2 100")
        stage.delete()
        stage.apply()

        async with stage.engine():
            await stage.phase("Shadow")

        assert stage.shares == [*STEPS, "v1 100", STEPS[0]]

    async def test_after_a_promotion_the_full_share_is_recognized(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await stage.phase("Promoted")
            await asyncio.sleep(10)
            stage.delete()
            stage.apply()
            await stage.phase("Promoted")

        assert stage.shares == STEPS

    async def test_it_waits_for_a_person_where_somebody_else_has_changed_what_was_left(self):
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
        others = [{"kind": "Service", "name": f"fraud-{v}", "port": 8080, "weight": 7} for v in ("v1", "v2")]
        stage.edit_route({"weighted": {"services": others}})
        stage.delete()
        stage.apply(candidate=self.V3)

        async with stage.engine():
            await stage.until(lambda: stage.condition("Held") == ("True", "RouteChanged"))
            assert stage.route() == "v1 7, v2 7"

            stage.control(resume={})
            await stage.phase("Shadow", within=SOON)
            assert [note["candidate"]["name"] for note in stage.notes().values()] == ["fraud-v3"]


class TestCrashes:
    """Killed around each write of the way back, and of the promotion that makes it needless."""

    @staticmethod
    def kill_at(number: int) -> Callable[[Call], None]:
        writes = itertools.count(1)

        def kill(call: Call) -> None:
            if call.verb in WRITES and next(writes) == number:
                raise Killed

        return kill

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("again", [False, True], ids=["deleted", "deleted and made again"])
    async def test_at_any_write_the_route_ends_the_same(self, when, again):
        expected = [*STEPS[:3], "v1 100", *(STEPS if again else [])]
        for number in itertools.count(1):
            killed, shares, notes = await self.deleted(when, number, again=again)

            assert (shares, notes) == (expected, {}), f"killed {when} write {number}"
            if not killed:
                break
        assert number > 1

    async def deleted(self, when: str, number: int, *, again: bool) -> tuple[bool, list[str], dict[str, Any]]:
        """Return whether there was such a write to be killed at, and what the route went through."""
        stage = Stage()
        stage.apply()
        async with stage.engine():
            await reached(stage, "v1 50, v2 50")
        stage.delete()
        if again:
            stage.apply()

        def is_over() -> bool:
            return not stage.notes() and (not again or stage.status().get("phase") == "Promoted")

        setattr(stage, when, self.kill_at(number))
        async with stage.engine() as task:
            await stage.until(lambda: task.done() or is_over())
            await asyncio.sleep(1)
            killed = task.done()
        setattr(stage, when, lambda _: None)
        async with stage.engine():
            await stage.until(is_over)
            await asyncio.sleep(1)
        return killed, stage.shares, stage.notes()

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_around_a_promotion_the_note_is_gone_in_the_end_and_a_deletion_moves_nothing(self, when):
        stage = Stage()
        stage.apply()

        def kill(call: Call) -> None:
            if call.resource == ROUTES and stage.status().get("phase") == "Promoted":
                raise Killed

        setattr(stage, when, kill)
        async with stage.engine() as task:
            await stage.until(task.done)
        setattr(stage, when, lambda _: None)
        async with stage.engine():
            await asyncio.sleep(1)
            assert stage.notes() == {}
            stage.delete()
            await asyncio.sleep(600)

        assert stage.shares == STEPS
