"""What a gate's options make of its verdict: warnings, dry runs, safety, and the stages that it is for."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from modelrollout.api.options import GateEffect
from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.api.status import Cause, GateStatus, Outcome, Verdict
from modelrollout.core.evidence import Counted
from modelrollout.core.flaws import flaw_of
from modelrollout.core.looking import judge_all
from modelrollout.core.panel import panel_of
from modelrollout.core.plan import plan_of
from modelrollout.core.stats import Counts
from modelrollout.core.verbs import Begin, Go, Hold, Rest, RollBack, Stall, Wait

from tests.core.builders import (
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
