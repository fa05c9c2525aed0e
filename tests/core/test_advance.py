"""A person's word that a step has waited long enough: what it ends, and what it never skips."""

from dataclasses import replace
from datetime import timedelta

import pytest
from modelrollout.api.fields import NONE
from modelrollout.api.status import Cause, Command, Outcome
from modelrollout.core.traffic import Acceptance, Endpoints, Foreign, Routed, Shares
from modelrollout.core.verbs import Go, Hold, Promote, RollBack, Wait
from modelrollout.engine.memory import Notes, next_look

from tests.core.builders import (
    NOW,
    asking,
    commands,
    decided,
    ended,
    failing,
    looked,
    new,
    passing,
    percent,
    running,
    unknown,
    world,
)

MINUTE = timedelta(minutes=1)
ONLY_HOLDS = [{"name": "errors", "errorRate": {"max": "1%"}, "onFail": "Hold"}]
OVERRIDE = {"overrideGates": True, "reason": "labels come tomorrow", "requestedBy": "ada"}


def advanced(rollout, **message):
    return asking(rollout, advance={"reason": "enough", "requestedBy": "ada", **message})


class TestMinimum:
    def test_it_ends_the_minimum_of_a_step_whose_gates_pass(self):
        rollout = advanced(running("canary", 0, applied=MINUTE))

        decision = decided(rollout, looked(rollout, passing()))

        assert isinstance(decision.verb, Go)
        assert decision.write.shares == Shares(percent(50), NONE)
        assert commands(decision) == [(Command.ADVANCE, "advanced: 1 of 1 gates pass: goes on to canary at 50%")]
        assert decision.status.control is None
        assert decision.status.attempt.overrides == []

    def test_it_ends_the_bake(self):
        rollout = advanced(running("full", 0, applied=MINUTE))

        assert isinstance(decided(rollout, looked(rollout, passing())).verb, Promote)

    @pytest.mark.parametrize("reason", ["NeedRequests", "WarmingUp", "NeedEvidence"])
    def test_it_does_not_skip_a_gate_that_only_needs_more_requests(self, reason):
        rollout = advanced(running("canary", 0, applied=MINUTE))

        waiting = decided(rollout, looked(rollout, unknown(reason)))
        later = replace(rollout, status=waiting.status)
        passed = decided(later, looked(later, passing()), after="1s")

        assert isinstance(waiting.verb, Wait)
        assert commands(waiting)[0][1].startswith("the minimum of this step of canary is over, all else still counts")
        assert waiting.status.attempt.advanced.requested_by == "ada"
        assert isinstance(passed.verb, Go)

    def test_it_is_said_of_one_step_only(self):
        rollout = advanced(running("canary", 0, applied=MINUTE))

        decision = decided(rollout, looked(rollout, passing()))

        assert decision.status.attempt.advanced is None

    def test_the_metrics_are_looked_at_at_once(self):
        rollout = advanced(running("canary", 0, applied=MINUTE))
        waiting = replace(rollout, status=decided(rollout, world(rollout, gates=(passing(),))).status)
        notes = Notes(gates=(passing(),), looked_at=NOW - timedelta(seconds=5))

        assert next_look(waiting, notes, NOW) <= NOW

    def test_the_deadline_does_not_come_earlier(self):
        rollout = running("canary", 0, applied=MINUTE, analysis={"deadline": "30m", "onDeadline": "Rollback"})
        rollout = replace(rollout, status=decided(advanced(rollout), looked(rollout, unknown("NeedRequests"))).status)

        assert isinstance(decided(rollout, looked(rollout, unknown("NeedRequests")), after="35m").verb, Wait)
        assert isinstance(decided(rollout, looked(rollout, unknown("NeedRequests")), after="39m").verb, RollBack)


class TestNeverSkipped:
    @pytest.mark.parametrize("override", [False, True])
    @pytest.mark.parametrize(
        ("changes", "seen", "reason"),
        [
            pytest.param({}, {"candidate": Endpoints.UNKNOWN}, "CandidateNotReady", id="a candidate not known ready"),
            pytest.param({}, {"workload": "1 of 3 replicas"}, "WorkloadNotReady", id="pods that are replaced"),
            pytest.param({}, {"skew": timedelta(minutes=5)}, "ClockSkew", id="a wrong clock"),
            pytest.param(
                {}, {"route": Foreign(Shares(percent(9), NONE), "kubectl", "2")}, "RouteChanged", id="a foreign route"
            ),
            pytest.param(
                {},
                {"route": Routed(Shares(percent(5), NONE), "1", Acceptance.REJECTED)},
                "RouteRejected",
                id="rejected",
            ),
            pytest.param({"paused": True}, {}, "Paused", id="a pause"),
        ],
    )
    def test_what_holds_for_another_reason_goes_on_holding(self, changes, seen, reason, override):
        rollout = advanced(running("canary", 0, applied=MINUTE, **changes), overrideGates=override)

        decision = decided(rollout, looked(rollout, passing(), **seen))

        assert isinstance(decision.verb, Hold)
        assert decision.verb.reason == reason
        assert reason in commands(decision)[0][1]

    def test_a_persons_hold_outranks_it(self):
        rollout = asking(running("canary", 0, applied=MINUTE), hold={"reason": "audit"}, advance=OVERRIDE)

        decision = decided(rollout, looked(rollout, passing()))

        assert decision.verb.reason == "HeldByPerson"
        assert [command for command, _ in commands(decision)] == [Command.HOLD, Command.ADVANCE]

    @pytest.mark.parametrize("override", [False, True])
    def test_a_failed_gate_rolls_back(self, override):
        rollout = advanced(running("canary", 0, applied=MINUTE), overrideGates=override)

        decision = decided(rollout, looked(rollout, failing()))

        assert isinstance(decision.verb, RollBack)
        assert commands(decision)[0][1].startswith("not advanced: gate errors")

    def test_a_rollback_asked_for_at_the_same_time_outranks_it(self):
        rollout = asking(running("canary", 0, applied=MINUTE), rollback={}, advance=OVERRIDE)

        decision = decided(rollout, looked(rollout, passing()))

        assert isinstance(decision.verb, RollBack)
        assert commands(decision)[1] == (Command.ADVANCE, "ignored: a rollback was asked for at the same time")

    @pytest.mark.parametrize(
        ("gate", "reason"),
        [
            pytest.param(failing(), "GateFailed", id="failed"),
            pytest.param(unknown("Unreachable"), "Unreachable", id="lost"),
        ],
    )
    def test_a_gate_that_fails_or_does_not_know_is_not_skipped_without_the_word_for_it(self, gate, reason):
        rollout = advanced(running("canary", 0, applied=MINUTE, gates=ONLY_HOLDS))

        decision = decided(rollout, looked(rollout, gate))

        assert isinstance(decision.verb, Hold)
        assert decision.verb.reason == reason

    @pytest.mark.parametrize("rollout", [new(paused=True), ended(Outcome.PROMOTED), ended(Outcome.ROLLED_BACK)])
    def test_without_a_step_there_is_nothing_to_advance(self, rollout):
        decision = decided(advanced(rollout))

        assert commands(decision) == [(Command.ADVANCE, "nothing to do: no step is under way")]
        assert decision.status.control is None


class TestOverride:
    @pytest.mark.parametrize(
        "gate", [failing(), unknown("Unreachable"), unknown("NeedRequests"), unknown("BaselineAlsoFailing")]
    )
    def test_it_goes_past_a_gate_that_only_holds_or_does_not_know(self, gate):
        rollout = asking(running("canary", 0, applied=MINUTE, gates=ONLY_HOLDS), advance=OVERRIDE)

        decision = decided(rollout, looked(rollout, gate))

        assert isinstance(decision.verb, Go)
        assert decision.status.attempt.target.cause is Cause.GATES_OVERRIDDEN
        assert decision.write.shares == Shares(percent(50), NONE)

    def test_it_is_kept_with_its_reason_and_what_the_gates_said(self):
        rollout = asking(running("canary", 0, applied=MINUTE), advance=OVERRIDE)

        decision = decided(rollout, looked(rollout, unknown("NeedRequests")))

        (kept,) = decision.status.attempt.overrides
        assert (kept.reason, kept.requested_by, kept.stage, kept.step) == ("labels come tomorrow", "ada", "canary", 0)
        assert "errors Unknown (NeedRequests)" in kept.gates
        assert any(e.reason == "GatesOverridden" and "labels come tomorrow" in e.note for e in decision.events)

    def test_where_all_gates_pass_nothing_was_overridden(self):
        rollout = asking(running("canary", 0, applied=MINUTE), advance=OVERRIDE)

        decision = decided(rollout, looked(rollout, passing()))

        assert decision.status.attempt.target.cause is Cause.GATES_PASSED
        assert decision.status.attempt.overrides == []

    def test_evidence_against_the_candidate_is_not_forgotten(self):
        rollout = asking(running("canary", 0, applied=MINUTE, gates=ONLY_HOLDS), advance=OVERRIDE)
        tally = {"total": 1000, "bad": 100}
        against = type(failing()).model_validate({**failing().render(), "tally": tally})

        decision = decided(rollout, looked(rollout, against))

        assert [one.bad for one in decision.status.attempt.gates[0].earlier] == [100]

    def test_it_acts_at_once_or_not_at_all(self):
        rollout = asking(running("canary", 0, applied=MINUTE), advance=OVERRIDE)
        blocked = decided(rollout, looked(rollout, unknown("NeedRequests"), workload="1 of 3 replicas"))

        later = replace(rollout, status=blocked.status)

        assert commands(blocked)[0][1].startswith("not advanced, ask again when that is over: WorkloadNotReady")
        assert blocked.status.attempt.advanced is None
        assert isinstance(decided(later, looked(later, unknown("NeedRequests")), after="1s").verb, Wait)

    def test_it_promotes_at_the_end_of_the_bake(self):
        rollout = asking(running("full", 0, applied=MINUTE), advance=OVERRIDE)

        decision = decided(rollout, looked(rollout, unknown("NoData")))

        assert isinstance(decision.verb, Promote)
        assert decision.status.attempt.outcome is Outcome.PROMOTED
        assert len(decision.status.attempt.overrides) == 1

    def test_a_rollback_for_lost_metrics_outranks_it(self):
        rules = {"onMetricsLost": "Rollback", "metricsLostTimeout": "0s"}
        rollout = asking(running("canary", 0, applied=MINUTE, analysis=rules), advance=OVERRIDE)

        assert isinstance(decided(rollout, looked(rollout, unknown("Unreachable"))).verb, RollBack)

    def test_only_the_last_ones_are_kept_and_they_fit(self):
        rollout = asking(
            running("canary", 0, applied=MINUTE), advance={**OVERRIDE, "reason": "r" * 1024, "requestedBy": "w" * 256}
        )
        kept = decided(rollout, looked(rollout, unknown("NeedRequests"))).status.attempt.overrides * 20
        attempt = rollout.status.attempt.model_copy(update={"overrides": kept})
        rollout = replace(rollout, status=rollout.status.model_copy(update={"attempt": attempt}))

        status = decided(rollout, looked(rollout, unknown("NeedRequests"))).status

        assert len(status.attempt.overrides) == 20
        assert type(status).model_validate(status.render()) == status
