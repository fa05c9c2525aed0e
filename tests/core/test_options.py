"""What a gate's options make of its verdict: warnings, dry runs, safety, and the stages that it is for."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from modelrollout.api.options import GateEffect
from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.api.status import Cause, GateStatus, Outcome, Verdict
from modelrollout.core.case import Case
from modelrollout.core.decide import decide
from modelrollout.core.evidence import Counted, NoData, Unknown
from modelrollout.core.flaws import flaw_of
from modelrollout.core.looking import judge_all, questions
from modelrollout.core.panel import panel_of
from modelrollout.core.plan import plan_of
from modelrollout.core.stats import Counts
from modelrollout.core.verbs import Begin, Go, Hold, Rest, RollBack, Stall, Wait

from tests.core.builders import (
    LIMITS,
    NOW,
    asking,
    commands,
    conditions,
    decided,
    ended,
    failing,
    looked,
    new,
    passing,
    running,
    spec,
    unknown,
    world,
)

ERRORS = {"name": "errors", "errorRate": {"max": "2%"}}
EXTRA = {"name": "extra", "errorRate": {"max": "2%"}}
WARNS, RECORDS, STOPS = GateEffect.WARNS, GateEffect.RECORDS, GateEffect.STOPS
V3 = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}


def having(gate: GateStatus, effect: GateEffect) -> GateStatus:
    return gate.model_copy(update={"effect": effect})


def in_canary(**changes: Any) -> Any:
    return running("canary", 0, applied=timedelta(minutes=10), **changes)


class TestNotActing:
    @pytest.mark.parametrize("effect", [WARNS, RECORDS])
    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(failing(name="extra"), id="failed"),
            pytest.param(failing("Catastrophe", "extra"), id="catastrophe"),
            pytest.param(unknown("Unreachable", "extra"), id="lost"),
            pytest.param(unknown("NeedEvidence", "extra"), id="collecting"),
            pytest.param(unknown("CountsShrank", "extra"), id="shrunk"),
        ],
    )
    def test_a_warning_or_a_dry_run_keeps_no_step_from_ending(self, effect, other):
        rollout = in_canary()

        decision = decided(rollout, looked(rollout, passing(), having(other, effect)))

        assert isinstance(decision.verb, Go)
        assert decision.verb.cause is Cause.GATES_PASSED

    @pytest.mark.parametrize("effect", [WARNS, RECORDS])
    def test_it_makes_no_step_pass_either(self, effect):
        rollout = in_canary()

        for gates in ([having(passing("extra"), effect)], [having(passing("extra"), effect), unknown("NeedEvidence")]):
            assert isinstance(decided(rollout, looked(rollout, *gates)).verb, Wait)

    @pytest.mark.parametrize("effect", [WARNS, RECORDS])
    def test_it_neither_starts_a_clock_of_lost_metrics_nor_counts_in_the_summary(self, effect):
        rollout = in_canary()

        status = decided(
            rollout, looked(rollout, unknown("NeedEvidence"), having(unknown("Unreachable", "extra"), effect))
        ).status

        assert status.attempt.metrics_lost_since is None
        assert status.gates == "0/1"
        assert [gate.name for gate in status.attempt.gates] == ["errors", "extra"]

    @pytest.mark.parametrize(
        ("effect", "told"),
        [
            pytest.param(WARNS, [("Warning", "GateWarns")], id="warning"),
            pytest.param(RECORDS, [("Normal", "GateWouldFail")], id="dry run"),
            pytest.param(None, [("Warning", "GateFailed"), ("Warning", "RollingBack")], id="critical"),
        ],
    )
    def test_its_failure_is_told(self, effect, told):
        rollout = running("canary", 0)

        events = decided(rollout, looked(rollout, having(failing(name="extra"), effect))).events

        assert [(event.type, event.reason) for event in events] == told

    def test_a_dry_run_without_data_is_not_told(self):
        rollout = running("canary", 0)

        assert decided(rollout, looked(rollout, having(unknown("NoData", "extra"), RECORDS))).events == ()


class TestLimits:
    def judged(self, *gates: dict[str, Any]) -> list[Verdict]:
        rollout = running("canary", 0, applied=timedelta(hours=1), gates=list(gates))
        at_the_boundary_of_one = {gate["name"]: Counted(Counts(1000, 37), None) for gate in gates}
        return [gate.verdict for gate in judge_all(rollout, at_the_boundary_of_one, NOW)]

    def test_one_that_does_not_act_makes_the_others_no_slower(self):
        assert self.judged(ERRORS, {**EXTRA, "severity": "warning"})[0] is Verdict.FAIL
        assert self.judged(ERRORS, {**EXTRA, "dryRun": True})[0] is Verdict.FAIL
        assert self.judged(ERRORS, EXTRA)[0] is Verdict.UNKNOWN

    def test_it_is_judged_itself_as_if_it_acted(self):
        assert self.judged(ERRORS, {**EXTRA, "dryRun": True})[1] is Verdict.UNKNOWN

    def test_verdicts_carry_what_their_gates_do(self):
        gates = [
            ERRORS,
            {**EXTRA, "severity": "warning"},
            {**EXTRA, "name": "dry", "dryRun": True, "severity": "safety"},
            {**EXTRA, "name": "safe", "severity": "safety"},
        ]
        rollout = running("canary", 0, applied=timedelta(hours=1), gates=gates)

        assert [gate.effect for gate in judge_all(rollout, {}, NOW)] == [None, WARNS, RECORDS, STOPS]


class TestSafety:
    def rolled_back(self) -> Any:
        """Return a rollout whose candidate v2 has failed a safety gate and is back."""
        rollout = running("canary", 0)
        decision = decided(rollout, looked(rollout, having(failing(name="harm"), STOPS)))
        assert isinstance(decision.verb, RollBack)
        assert decision.status.safety_stop
        assert decision.status.safety_stop.gate == "harm"
        assert decision.status.safety_stop.version == "v2"
        back = ended(Outcome.ROLLED_BACK)
        return replace(back, status=back.status.model_copy(update={"safety_stop": decision.status.safety_stop}))

    def test_it_rolls_back_whatever_on_fail_says(self):
        rollout = running("canary", 0, gates=[{**ERRORS, "severity": "safety", "onFail": "Hold"}])

        assert isinstance(decided(rollout, looked(rollout, having(failing(), STOPS))).verb, RollBack)

    @pytest.mark.parametrize("effect", [None, WARNS, RECORDS])
    def test_no_other_gate_stops_later_candidates(self, effect):
        rollout = running("canary", 0)

        assert decided(rollout, looked(rollout, having(failing(), effect))).status.safety_stop is None

    def test_it_stops_them_too_when_a_person_or_a_newer_candidate_is_first(self):
        rollout = running("canary", 0)
        seen = {"gates": (having(failing(), STOPS),)}
        bumped = replace(new(candidate=V3), status=rollout.status)

        for one in (asking(rollout, rollback={"reason": "p99"}), bumped):
            assert decided(one, world(one, **seen)).status.safety_stop is not None

    def test_the_candidate_that_failed_it_rests_and_says_so(self):
        decision = decided(self.rolled_back())

        assert isinstance(decision.verb, Rest)
        assert "safety gate" in decision.verb.message
        assert conditions(decision)["Stalled"] == ("True", "RolledBack")

    def test_a_later_candidate_waits_for_a_person_and_says_for_what(self):
        later = replace(new(candidate=V3), status=self.rolled_back().status)

        decision = decided(later)

        assert isinstance(decision.verb, Hold)
        assert conditions(decision)["Held"] == ("True", "SafetyStop")
        assert "v2 failed safety gate harm" in decision.verb.message
        assert "control.retry" in decision.verb.message
        assert decision.write is None

    def test_a_retry_lets_a_later_candidate_begin(self):
        later = asking(replace(new(candidate=V3), status=self.rolled_back().status), retry={"reason": "looked"})

        decision = decided(later)

        assert isinstance(decision.verb, Begin)
        assert decision.status.safety_stop is None
        assert commands(decision) == [("retry", "the stop of safety gate harm is lifted")]

    def test_a_retry_tries_the_same_candidate_again(self):
        decision = decided(asking(self.rolled_back(), retry={}))

        assert isinstance(decision.verb, Begin)
        assert decision.status.safety_stop is None

    def test_a_resume_is_no_retry(self):
        later = asking(replace(new(candidate=V3), status=self.rolled_back().status), resume={})

        assert isinstance(decided(later).verb, Hold)

    def test_a_first_deployment_has_nothing_to_go_back_to_and_sets_no_stop(self):
        rollout = running("full", 0, baseline=None)

        decision = decided(rollout, looked(rollout, having(failing(), STOPS)))

        assert isinstance(decision.verb, Hold)
        assert decision.status.safety_stop is None


class TestFlaws:
    def flaw(self, **changes: Any) -> Any:
        found = ModelRolloutSpec.model_validate(spec(**changes))
        return flaw_of(found, plan_of(found, has_baseline=True))

    def test_a_stage_that_the_plan_does_not_have_is_named_with_those_it_has(self):
        flaw = self.flaw(gates=[ERRORS, {**EXTRA, "stages": ["canary", "bake"]}])

        assert flaw.reason == "BadGates"
        assert "gate extra is for stage bake" in flaw.message
        assert "it has shadow, canary, full" in flaw.message

    @pytest.mark.parametrize(
        "gates",
        [
            pytest.param([{**ERRORS, "stages": ["shadow", "full"]}], id="none there"),
            pytest.param([{**ERRORS, "stages": ["shadow", "full"]}, {**EXTRA, "dryRun": True}], id="a dry run"),
            pytest.param([{**ERRORS, "stages": ["shadow", "full"]}, {**EXTRA, "severity": "warning"}], id="a warning"),
        ],
    )
    def test_a_stage_in_which_no_gate_acts_is_named(self, gates):
        assert "in stage canary no gate could stop" in self.flaw(gates=gates).message

    def test_a_flaw_keeps_an_attempt_from_starting(self):
        decision = decided(new(gates=[{**ERRORS, "dryRun": True}]))

        assert isinstance(decision.verb, Stall)
        assert conditions(decision)["Stalled"] == ("True", "BadGates")
        assert decision.write is None

    def test_gates_that_are_well_have_none(self):
        gates = [ERRORS, {**EXTRA, "stages": ["canary"], "severity": "safety"}]

        assert self.flaw(gates=gates) is None
        assert self.flaw(gates=None, stages=None) is None
        assert panel_of(()).limits == 0


class TestClasses:
    GATES: ClassVar = [ERRORS, {**EXTRA, "class": "model"}, {**EXTRA, "name": "money", "class": "business"}]

    def test_risk_high_begins_with_a_gate_of_each(self):
        assert isinstance(decided(new(risk="high", gates=self.GATES)).verb, Begin)

    @pytest.mark.parametrize(
        ("gates", "absent"),
        [
            pytest.param(None, "model and business", id="the default gate"),
            pytest.param(GATES[:2], "of class business:", id="one is missing"),
            pytest.param(GATES[1:], "of class infrastructure:", id="no other kind of class"),
            pytest.param([*GATES[:2], {**GATES[2], "dryRun": True}], "of class business:", id="a dry run"),
            pytest.param([*GATES[:2], {**GATES[2], "severity": "warning"}], "of class business:", id="a warning"),
        ],
    )
    def test_without_one_it_is_refused_with_the_class_that_is_missing(self, gates, absent):
        decision = decided(new(risk="high", gates=gates))

        assert isinstance(decision.verb, Stall)
        assert conditions(decision)["Stalled"] == ("True", "GateClassMissing")
        assert "risk high demands at least one gate of each class" in decision.verb.message
        assert absent in decision.verb.message

    @pytest.mark.parametrize("risk", ["low", "medium"])
    def test_no_other_risk_demands_them(self, risk):
        assert isinstance(decided(new(risk=risk)).verb, Begin)

    def test_the_administrator_can_turn_the_rule_off(self):
        rollout = new(risk="high")

        decision = decide(Case(rollout, world(rollout), NOW, replace(LIMITS, gate_classes=False)))

        assert isinstance(decision.verb, Begin)


class TestUnknownForLong:
    def lost(self, ago: timedelta, *, name: str = "errors", options: dict[str, Any], **changes: Any) -> Any:
        rollout = running("canary", 0, applied=timedelta(hours=1), gates=[{**ERRORS, **options}, EXTRA], **changes)
        seen = unknown("Unreachable", name).model_copy(update={"unknown_since": NOW - ago})
        return decided(rollout, looked(rollout, seen, passing("extra"))).verb

    def test_it_holds_until_its_own_time_is_over_and_then_does_what_it_says(self):
        own = {"onUnknown": "Rollback", "unknownTimeout": "5m"}

        held, rolled = self.lost(timedelta(minutes=4), options=own), self.lost(timedelta(minutes=5), options=own)

        assert isinstance(held, Hold)
        assert held.until == NOW + timedelta(minutes=1)
        assert isinstance(rolled, RollBack)
        assert rolled.cause is Cause.METRICS_LOST
        assert "gate errors does not know" in rolled.message

    def test_its_own_word_outranks_the_plans(self):
        plan = {"analysis": {"onMetricsLost": "Rollback", "metricsLostTimeout": "0s"}}

        assert isinstance(self.lost(timedelta(hours=1), options={}, **plan), RollBack)
        assert isinstance(self.lost(timedelta(hours=1), options={"onUnknown": "Hold"}, **plan), Hold)
        assert isinstance(self.lost(timedelta(minutes=1), options={"unknownTimeout": "5m"}, **plan), Hold)
        assert isinstance(self.lost(timedelta(minutes=5), options={"unknownTimeout": "5m"}, **plan), RollBack)

    def test_another_gates_word_is_not_its(self):
        own = {"onUnknown": "Rollback", "unknownTimeout": "5m"}

        assert isinstance(self.lost(timedelta(hours=1), name="extra", options=own), Hold)

    def test_since_when_is_kept_from_look_to_look_and_ends_with_the_first_answer(self):
        rollout = running("canary", 0, applied=timedelta(hours=1))
        down = {"errors": NoData(Unknown.UNREACHABLE, "down")}
        minute = timedelta(minutes=1)

        first = list(judge_all(rollout, down, NOW))
        second = list(judge_all(rollout, {"errors": NoData(Unknown.STALE, "old")}, NOW + minute, first))
        known = list(judge_all(rollout, {"errors": Counted(Counts(1000, 0), None)}, NOW + 2 * minute, second))
        again = list(judge_all(rollout, down, NOW + 3 * minute, known))

        assert [gates[0].unknown_since for gates in (first, second, known, again)] == [NOW, NOW, None, NOW + 3 * minute]


class TestLateLabels:
    LATE: ClassVar = {**EXTRA, "labelDelay": "2h"}
    ANALYSIS: ClassVar = {"warmup": "2m", "ingestDelay": "30s"}

    def at(self, applied: timedelta, *gates: dict[str, Any]) -> Any:
        return running("canary", 0, applied=applied, gates=list(gates or (ERRORS, self.LATE)), analysis=self.ANALYSIS)

    def asked(self, applied: timedelta) -> Any:
        return questions(self.at(applied), "TraefikService", "fraud", NOW)

    def test_nothing_is_asked_before_the_first_label_of_this_step_can_be_there(self):
        rollout = self.at(timedelta(hours=1))

        errors, late = judge_all(rollout, {"errors": Counted(Counts(1000, 0), None)}, NOW)

        assert set(self.asked(timedelta(hours=1))) == {"errors"}
        assert errors.verdict is Verdict.PASS
        assert (late.verdict, late.reason) == (Verdict.UNKNOWN, "AwaitingLabels")
        assert f"{NOW + timedelta(hours=1):%H:%M} UTC" in late.message

    def test_what_counts_begins_so_much_later(self):
        found = self.asked(timedelta(hours=3))

        assert found["errors"].since == NOW - timedelta(hours=3) + timedelta(minutes=2)
        assert found["extra"].since == NOW - timedelta(hours=1) + timedelta(minutes=2)
        assert found["extra"].until == found["errors"].until

    def test_labels_of_the_warm_up_do_not_count(self):
        rollout = self.at(timedelta(hours=2, minutes=1))

        late = list(judge_all(rollout, {"extra": Counted(Counts(5000, 0), None)}, NOW))[1]

        assert (late.verdict, late.reason) == (Verdict.UNKNOWN, "WarmingUp")

    def test_no_step_ends_before_them_though_all_pass(self):
        early, late = self.at(timedelta(minutes=119)), self.at(timedelta(hours=2))
        passes = passing(), passing("extra")

        assert isinstance(decided(early, looked(early, *passes)).verb, Wait)
        assert isinstance(decided(late, looked(late, *passes)).verb, Go)

    def test_a_part_of_another_gate_is_waited_for_too(self):
        both = {"name": "both", "failsWhen": {"all": ["errors", "extra"]}}
        early = self.at(timedelta(minutes=119), ERRORS, self.LATE, both)

        assert isinstance(decided(early, looked(early, passing("both"))).verb, Wait)

    @pytest.mark.parametrize("option", [{"dryRun": True}, {"severity": "warning"}])
    def test_a_gate_that_does_not_act_is_not_waited_for(self, option):
        rollout = self.at(timedelta(minutes=10), ERRORS, {**self.LATE, **option})

        assert isinstance(decided(rollout, looked(rollout, passing())).verb, Go)
