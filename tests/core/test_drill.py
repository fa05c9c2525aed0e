"""The way back, rehearsed before the first live requests: what moves, what is timed, and what a slow one means."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from modelrollout.api.fields import ALL, NONE
from modelrollout.api.record import Why
from modelrollout.api.status import Cause, Command
from modelrollout.core.traffic import BASELINE_ONLY, Endpoints, Shares, Unmanaged
from modelrollout.core.verbs import Begin, Drill, Go, Hold, Promote, RollBack

from tests.core.builders import (
    OF_EACH_CLASS,
    asking,
    commands,
    conditions,
    decided,
    failing,
    looked,
    new,
    passing,
    percent,
    running,
    unknown,
    world,
)

DAY = timedelta(days=1)
DRILL: dict[str, Any] = {"rollback": {"drill": {}}}
CANARY_FIRST = [{"name": "canary", "canary": {"weights": [5, 50]}}, {"name": "full", "full": {}}]
SMALLEST = Shares(percent(1), NONE)


def after(rollout, decision):
    return replace(rollout, status=decision.status)


def shadow_is_over(**changes):
    return running("shadow", 0, applied=DAY, **{**DRILL, "analysis": {"deadline": "14d"}, **changes})


def on_the_way_back(took="2s", **changes):
    """Return a rollout whose shadow is over, with the way back read from the route so long after it was ordered."""
    rollout = shadow_is_over(**changes)
    ordered = after(rollout, decided(rollout, looked(rollout, passing())))
    return after(ordered, decided(ordered, world(ordered, shares=BASELINE_ONLY), after=took))


class TestAfterAShadow:
    def test_its_end_is_the_drill_the_mirror_goes_off(self):
        rollout = shadow_is_over()

        decision = decided(rollout, looked(rollout, passing()))

        assert isinstance(decision.verb, Drill)
        assert decision.write.shares == BASELINE_ONLY
        assert decision.status.attempt.target.cause is Cause.DRILL
        assert decision.status.attempt.stage == "shadow"

    def test_the_time_until_it_was_read_back_is_kept_and_the_first_weight_comes(self):
        rollout = on_the_way_back("2s")

        decision = decided(rollout, after="3s")

        drill = decision.status.attempt.drill
        assert (drill.took, drill.ok) == (timedelta(seconds=2), True)
        assert isinstance(decision.verb, Go)
        assert decision.write.shares == Shares(percent(5), NONE)
        assert "rehearsed 2026-11-17 15:47 UTC, it took 2s" in next(
            c.message for c in decision.status.conditions if c.type == "RollbackReady"
        )

    def test_the_next_weights_need_no_other(self):
        rollout = on_the_way_back()
        begun = after(rollout, decided(rollout, after="3s"))
        applied = after(begun, decided(begun, after="4s"))

        assert isinstance(decided(applied, looked(applied, passing()), after="1h").verb, Go)

    def test_what_is_asked_before_live_traffic_is_asked_before_the_drill(self):
        rollout = shadow_is_over(risk="high", gates=OF_EACH_CLASS)

        assert decided(rollout, looked(rollout, passing())).verb.reason == "ApprovalNeeded"

    def test_a_freeze_that_came_meanwhile_holds_with_the_mirror_off(self):
        rollout = on_the_way_back()

        decision = decided(rollout, world(rollout, frozen="audit"), after="3s")

        assert decision.verb.reason == "Frozen"
        assert decision.status.attempt.drill.ok

    def test_an_advance_past_gates_comes_by_way_of_it(self):
        rollout = asking(shadow_is_over(), advance={"overrideGates": True, "reason": "labels are late"})

        decision = decided(rollout, looked(rollout, unknown("NeedRequests")))

        assert isinstance(decision.verb, Drill)
        assert commands(decision)[0][0] is Command.ADVANCE
        assert decision.status.attempt.overrides[0].reason == "labels are late"


class TestWithoutAShadow:
    def test_the_smallest_weight_goes_out_and_back_before_the_first_one(self):
        rollout = new(stages=CANARY_FIRST, **DRILL)

        begun = decided(rollout)
        out = after(rollout, begun)
        back = decided(out, after="1s")
        returned = after(after(out, back), decided(after(out, back), world(out, shares=BASELINE_ONLY), after="2s"))
        goes_on = decided(returned, after="3s")

        assert isinstance(begun.verb, Begin)
        assert begun.write.shares == SMALLEST
        assert isinstance(back.verb, Drill)
        assert back.write.shares == BASELINE_ONLY
        assert goes_on.write.shares == Shares(percent(5), NONE)
        assert goes_on.status.attempt.drill.took == timedelta(seconds=1)

    def test_it_goes_back_though_a_person_holds(self):
        rollout = new(stages=CANARY_FIRST, **DRILL)
        out = asking(after(rollout, decided(rollout)), hold={})

        held = decided(out, after="1s")

        assert held.write.shares == BASELINE_ONLY
        assert held.status.held

    def test_a_first_deployment_has_no_way_back_to_rehearse(self):
        rollout = new(baseline=None, **DRILL)

        decision = decided(rollout, world(rollout, route=Unmanaged(), baseline=None))

        assert decision.write.shares == Shares(ALL, NONE)
        assert decision.status.attempt.drill is None

    def test_a_plan_that_asks_for_none_has_none(self):
        assert decided(new(stages=CANARY_FIRST)).write.shares == Shares(percent(5), NONE)


class TestTooSlow:
    def slow(self):
        return on_the_way_back("31s")

    def test_it_goes_no_further_and_says_so(self):
        rollout = self.slow()

        decision = decided(rollout, after="32s")

        assert conditions(decision)["Held"] == ("True", "DrillFailed")
        assert "the way back took 31s" in decision.verb.message
        assert decision.write is None

    def test_resume_rehearses_it_again_from_the_way_out(self):
        rollout = asking(self.slow(), resume={})

        decision = decided(rollout, after="1m")

        assert isinstance(decision.verb, Drill)
        assert decision.write.shares == Shares(NONE, ALL)
        assert decision.status.attempt.drill.at is None

    def test_how_slow_that_is_the_plan_says(self):
        rollout = on_the_way_back("31s", rollback={"drill": {"within": "1m"}})

        assert isinstance(decided(rollout, after="32s").verb, Go)

    def test_it_is_an_event(self):
        rollout = shadow_is_over()
        ordered = after(rollout, decided(rollout, looked(rollout, passing())))

        events = decided(ordered, world(ordered, shares=BASELINE_ONLY), after="31s").events

        assert ("Warning", "DrillFailed") in [(event.type, event.reason) for event in events]


class TestRollbacks:
    @pytest.mark.parametrize("took", ["2s", "31s"])
    def test_a_person_rolls_back_in_the_middle_of_it(self, took):
        rollout = asking(on_the_way_back(took), rollback={})

        assert isinstance(decided(rollout, after="40s").verb, RollBack)

    def test_a_failed_gate_outranks_it(self):
        rollout = shadow_is_over()

        assert isinstance(decided(rollout, looked(rollout, failing())).verb, RollBack)

    def test_an_unfinished_one_is_not_kept_as_if_it_had_been(self):
        rollout = new(stages=CANARY_FIRST, **DRILL)
        out = asking(after(rollout, decided(rollout)), rollback={})

        assert decided(out, after="1s").status.attempt.drill is None


class TestChangedPlans:
    @pytest.mark.parametrize("stages", [CANARY_FIRST, [CANARY_FIRST[1]]])
    def test_a_plan_that_goes_live_at_once_comes_by_way_of_a_drill(self, stages):
        rollout = running("shadow", 0, applied=DAY, **DRILL)
        edited = replace(new(stages=stages, **DRILL), status=rollout.status)

        decision = decided(edited)

        assert isinstance(decision.verb, Drill)
        assert decision.write.shares == SMALLEST
        assert decision.status.attempt.plan == edited.plan(has_baseline=True).digest

    def test_who_is_live_already_goes_on(self):
        rollout = running("canary", 0, applied=DAY)
        edited = replace(new(**DRILL), status=rollout.status)

        assert isinstance(decided(edited, looked(edited, passing())).verb, Go)

    def test_held_outside_of_it_nothing_is_rehearsed(self):
        rollout = shadow_is_over(paused=True)

        assert isinstance(decided(rollout, looked(rollout, passing())).verb, Hold)


EVERY = {"rollback": {"drill": {"every": "7d"}}, "stages": [{"name": "full", "full": {}, "minDuration": "90d"}]}
ONE_AWAY = Shares(percent(99), NONE)
ALL_OF_IT = Shares(ALL, NONE)


class TestWhileItBakes:
    def baking(self, *, applied: timedelta = 7 * DAY, **changes: Any):
        rollout = running("full", 0, applied=applied, **{**EVERY, **changes})
        attempt = rollout.status.attempt
        assert attempt
        target = attempt.target.model_copy(update={"cause": Cause.REHEARSED})
        attempt = attempt.model_copy(update={"target": target, "drill": None})
        return replace(rollout, status=rollout.status.model_copy(update={"attempt": attempt}))

    def out(self, **changes: Any):
        rollout = self.baking(**changes)
        return after(rollout, decided(rollout, looked(rollout, passing())))

    def timed(self, took="2s", **changes: Any):
        out = self.out(**changes)
        return after(out, decided(out, world(out, shares=ONE_AWAY), after=took))

    def test_one_percent_goes_to_the_baseline_when_the_time_has_come(self):
        rollout = self.baking()

        decision = decided(rollout, looked(rollout, passing()))

        assert isinstance(decision.verb, Drill)
        assert decision.write.shares == ONE_AWAY
        assert decision.status.phase == "Full"

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"applied": 7 * DAY - timedelta(seconds=1)}, id="too early"),
            pytest.param({"rollback": {"drill": {}}}, id="not asked for"),
            pytest.param({"paused": True}, id="held"),
        ],
    )
    def test_else_nothing_moves(self, changes):
        rollout = self.baking(**changes)

        assert decided(rollout, looked(rollout, passing())).write is None

    def test_a_baseline_without_pods_gets_nothing(self):
        rollout = self.baking()

        assert decided(rollout, looked(rollout, passing(), baseline=Endpoints.NONE_READY)).write is None

    def test_it_comes_home_at_once_and_clock_and_evidence_go_on(self):
        rollout = self.timed("2s")

        decision = decided(rollout, world(rollout, shares=ONE_AWAY), after="3s")
        home = after(rollout, decision)
        next_look = decided(home, looked(home, passing()), after="10s")

        assert decision.write.shares == ALL_OF_IT
        assert (decision.status.attempt.drill.took, decision.status.attempt.drill.ok) == (timedelta(seconds=2), True)
        assert decision.status.attempt.applied_at == self.baking().status.attempt.applied_at
        assert next_look.write is None
        assert next_look.status.attempt.stage_started_at == self.baking().status.attempt.stage_started_at

    def test_the_next_one_is_as_long_after_it(self):
        rollout = self.timed()
        home = after(rollout, decided(rollout, world(rollout, shares=ONE_AWAY), after="3s"))

        early = decided(home, looked(home, passing()), after="6d")
        due = decided(home, looked(home, passing()), after="169h")

        assert early.write is None
        assert due.write.shares == ONE_AWAY

    def test_a_person_who_holds_keeps_nobody_away_from_home(self):
        rollout = asking(self.timed(), hold={})

        assert decided(rollout, world(rollout, shares=ONE_AWAY), after="3s").write.shares == ALL_OF_IT

    def test_a_crash_before_its_write_is_made_up_for_without_a_new_clock(self):
        out = self.out()

        decision = decided(out, world(out, shares=ALL_OF_IT), after="1s")

        assert decision.write.shares == ONE_AWAY
        assert decision.status.attempt.applied_at == out.status.attempt.applied_at

    def test_a_slow_one_holds_with_everything_at_home_until_it_is_rehearsed_again(self):
        rollout = self.timed("31s")
        home = after(rollout, decided(rollout, world(rollout, shares=ONE_AWAY), after="32s"))

        held = decided(home, looked(home, passing()), after="40s")
        again = decided(asking(after(home, held), resume={}), after="50s")

        assert conditions(held)["Held"] == ("True", "DrillFailed")
        assert held.write is None
        assert again.write.shares == ONE_AWAY

    def test_a_rollback_in_the_middle_of_it_goes_all_the_way(self):
        out = asking(self.out(), rollback={})

        decision = decided(out, world(out, shares=ONE_AWAY), after="1s")

        assert isinstance(decision.verb, RollBack)
        assert decision.write.shares == BASELINE_ONLY

    def test_the_end_of_its_minimum_comes_first(self):
        rollout = self.baking(applied=91 * DAY, analysis={"deadline": "90d"})

        assert isinstance(decided(rollout, looked(rollout, passing())).verb, Promote)


def test_every_cause_can_be_recorded():
    assert {cause.value for cause in Cause} <= {why.value for why in Why}
