"""What is told outside of the cluster of each transition."""

from dataclasses import replace
from datetime import timedelta

import pytest
from modelrollout.api.options import GateEffect
from modelrollout.api.status import GateStatus, Outcome, Verdict
from modelrollout.core.notices import Level, Notice, Transition, notice_of
from modelrollout.core.projection import Decision
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import BASELINE_ONLY, Endpoints

from tests.core.builders import (
    NOW,
    asking,
    decided,
    ended,
    failing,
    gate,
    looked,
    new,
    passing,
    running,
    unknown,
    world,
)

MINUTES = timedelta(minutes=20)


def notices(decision: Decision) -> list[Notice]:
    return [event.notice for event in decision.events if event.notice]


def transitions(decision: Decision) -> list[Transition]:
    return [notice.transition for notice in notices(decision)]


def only(decision: Decision) -> Notice:
    (found,) = notices(decision)
    return found


def rolling_back(verdict: GateStatus | None = None) -> Decision:
    rollout = running("canary", 1, applied=MINUTES)
    return decided(rollout, looked(rollout, verdict or failing()))


def rolled_back() -> Decision:
    rollout = after(running("canary", 1), rolling_back())
    return decided(rollout, world(rollout, shares=BASELINE_ONLY))


def after(rollout: Rollout, decision: Decision) -> Rollout:
    return replace(rollout, status=decision.status)


class TestOneMessageATransition:
    def test_a_start_is_told(self):
        told = only(decided(new()))

        assert (told.transition, told.level) == (Transition.STARTED, Level.INFO)
        assert told.traffic == "v1 answers 100% of the requests, v2 gets copies of 100% of them"

    def test_a_step_is_told_and_not_the_gates_that_passed_for_it(self):
        rollout = running("canary", 0, applied=MINUTES)
        told = only(decided(rollout, looked(rollout, passing())))

        assert told.transition is Transition.STEP
        assert told.traffic == "v1 answers 50% of the requests, v2 answers 50% of the requests"

    def test_a_failed_gate_and_the_rollback_for_it_are_one_message(self):
        assert transitions(rolling_back()) == [Transition.ROLLING_BACK]

    def test_the_rollback_s_end_is_another(self):
        rollout = after(running("canary", 1), rolling_back())
        told = only(decided(rollout, world(rollout, shares=BASELINE_ONLY)))

        assert told.transition is Transition.ROLLED_BACK
        assert told.traffic == "v1 answers 100% of the requests, v2 has none"

    def test_a_promotion_is_told(self):
        rollout = running("full", 0, applied=timedelta(hours=2))

        told = only(decided(rollout, looked(rollout, passing())))

        assert told.transition is Transition.PROMOTED
        assert told.traffic == "v2 answers 100% of the requests"

    def test_a_command_is_told_by_what_it_does(self):
        assert transitions(decided(asking(running(), hold={"reason": "wait"}))) == [Transition.HELD]
        assert transitions(decided(asking(running(), rollback={}))) == [Transition.ROLLING_BACK]

    def test_nothing_new_is_not_told(self):
        rollout = running("canary", 0)

        assert notices(decided(rollout)) == []

    def test_a_hold_is_told_once_and_its_end_once(self):
        rollout = running("canary", 0, applied=MINUTES)
        held = decided(rollout, looked(rollout, unknown("NoData")))
        again = decided(after(rollout, held), looked(after(rollout, held), unknown("NoData")), after="1s")
        over = decided(after(rollout, held), looked(after(rollout, held), passing()), after="2s")

        assert only(held).transition is Transition.HELD
        assert notices(again) == []
        assert Transition.RESUMED in transitions(over)

    def test_pods_that_start_call_nobody_and_pods_that_are_gone_in_mid_attempt_do(self):
        starting, under_way = new(), running("canary", 0)
        gone = {"candidate": Endpoints.NONE_READY}

        assert only(decided(starting, world(starting, **gone))).level is Level.INFO
        told = only(decided(under_way, world(under_way, **gone)))
        assert (told.reason, told.level) == ("CandidateNotReady", Level.WARNING)

    def test_a_freeze_calls_nobody(self):
        rollout = new()
        told = only(decided(rollout, world(rollout, frozen="holidays")))

        assert (told.reason, told.level) == ("Frozen", Level.INFO)

    def test_a_failed_safety_gate_is_told_besides_and_is_critical(self):
        rollout = running(
            "canary", 1, applied=MINUTES, gates=[{"name": "errors", "errorRate": {"max": "1%"}, "severity": "safety"}]
        )
        stops = failing().model_copy(update={"effect": GateEffect.STOPS})
        told = {one.transition: one for one in notices(decided(rollout, looked(rollout, stops)))}

        assert told.keys() == {Transition.ROLLING_BACK, Transition.SAFETY_STOP}
        assert told[Transition.SAFETY_STOP].level is Level.CRITICAL
        assert "control.retry" in told[Transition.SAFETY_STOP].message


class TestARollbackSaysAllThatABotNeeds:
    def test_version_digest_gate_and_record(self):
        told = only(rolling_back())

        assert told.attempt
        assert told.gate
        assert (told.attempt.candidate.version, told.gate.name, told.reason) == ("v2", "errors", "GateFailed")
        assert told.record == told.attempt.record == "fraud-u1-g1-1"
        assert told.attempt.candidate.digest in told.message
        assert "fraud-u1-g1-1" in told.message

    def test_its_event_and_its_condition_name_the_record_too(self):
        rollout = after(running("canary", 1), rolling_back())
        ends = decided(rollout, world(rollout, shares=BASELINE_ONLY))
        rests = decided(after(rollout, ends), world(rollout, shares=BASELINE_ONLY), after="1m")

        assert all("record fraud-u1-g1-1" in e.note for e in ends.events if e.reason == "RolledBack")
        for decision in (ends, rests):
            stalled = next(one for one in decision.status.conditions if one.type == "Stalled")
            assert "record fraud-u1-g1-1" in stalled.message

    def test_a_catastrophe_is_critical(self):
        assert only(rolling_back(failing("Catastrophe"))).level is Level.CRITICAL

    def test_a_person_is_named_as_far_as_anybody_vouches_for_the_name(self):
        told = only(decided(asking(running(), rollback={"reason": "p99", "requestedBy": "kim"})))

        assert told.actor == "kim (unverified, by way of kubectl-patch)"
        assert only(rolling_back()).actor is None


class TestCommands:
    @pytest.mark.parametrize(
        ("decision", "verb"),
        [
            (lambda: decided(new()), "rollback"),
            (lambda: decided(asking(running(), hold={})), "resume"),
            (rolled_back, "retry"),
        ],
    )
    def test_what_to_type_next_is_given_for_the_plugin_and_for_kubectl(self, decision, verb):
        commands = only(decision()).commands

        assert commands.plugin == f'kubectl modelrollout {verb} fraud -n models --reason "WHY"'
        patch = f'{{"status":{{"control":{{"{verb}":{{"reason":"WHY"}}}}}}}}'
        assert commands.kubectl == f"kubectl patch mr fraud -n models --subresource=status --type=merge -p '{patch}'"

    def test_who_waits_for_an_approval_says_who_may_and_gives_the_command_with_its_groups(self):
        stages = [
            {"name": "canary", "canary": {"weights": [5]}, "approval": {"required": 1, "groups": ["risk"]}},
            {"name": "full", "full": {}},
        ]
        told = only(decided(new(stages=stages)))

        assert (told.transition, told.reason) == (Transition.HELD, "ApprovalNeeded")
        assert "Anybody of group risk" in told.message
        assert '"approve":[{"requestedBy":"YOUR-USER-NAME"' in told.commands.kubectl
        assert "YOUR-GROUP" in told.commands.kubectl
        assert told.commands.plugin.startswith("kubectl modelrollout approve fraud -n models")

    def test_without_a_way_back_none_is_offered(self):
        told = only(decided(new(baseline=None)))

        assert told.commands.plugin == "kubectl modelrollout explain fraud -n models"


class TestIds:
    def test_each_transition_has_its_own(self):
        decision = rolling_back()
        rollout = after(running("canary", 1), decision)
        ends = decided(rollout, world(rollout, shares=BASELINE_ONLY))

        assert len({only(decided(new())).id, only(decision).id, only(ends).id}) == 3

    def test_the_same_transition_decided_from_the_same_status_has_the_same(self):
        assert only(rolling_back()).id == only(rolling_back()).id

    def test_what_fails_at_each_try_has_the_same_at_each_try(self):
        first = notice_of("RouteRefused", "403: forbidden", running(), NOW, repeats=True)
        later = notice_of("RouteRefused", "403: forbidden", running(), NOW + MINUTES, repeats=True)
        other = notice_of("RouteRefused", "404: not found", running(), NOW, repeats=True)

        assert first
        assert later
        assert other
        assert first.id == later.id != other.id
        assert (first.transition, first.level) == (Transition.FAILED, Level.CRITICAL)


def test_a_rollout_whose_spec_cannot_be_read_is_told_of_without_an_owner():
    rollout = replace(ended(Outcome.PROMOTED), spec=None)

    told = notice_of("Stalled", "spec.gates: no", rollout, NOW)

    assert told
    assert told.owner is None


def test_gates_that_only_record_are_not_told_as_the_rollout_s():
    rollout = running("canary", 1, applied=MINUTES)
    dry = gate(Verdict.FAIL, "AboveLimit", "dry").model_copy(update={"effect": GateEffect.RECORDS})
    told = only(decided(rollout, looked(rollout, failing(), dry)))

    assert [one.name for one in told.gates] == ["errors"]
