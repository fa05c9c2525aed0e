"""Messages of people: each one is acted on, answered and filed, or still in the inbox."""

from dataclasses import replace
from datetime import timedelta

import pytest
from modelrollout.api.status import MAX_COMMANDS, Command, HandledCommand, Outcome, Phase
from modelrollout.core.traffic import BASELINE_ONLY, Endpoints
from modelrollout.core.verbs import Begin, Finish, Hold, Restore, RollBack

from tests.core.builders import (
    NOW,
    asking,
    commands,
    conditions,
    decided,
    ended,
    looked,
    new,
    passing,
    running,
    world,
)


def rolling_back():
    rollout = asking(running("canary", 1), rollback={})
    return replace(rollout, status=decided(rollout).status)


class TestAnswers:
    @pytest.mark.parametrize(
        ("rollout", "answer"),
        [
            pytest.param(running("shadow", 0), "rolling back", id="in shadow"),
            pytest.param(running("canary", 1), "rolling back", id="in canary"),
            pytest.param(running("full", 0), "rolling back", id="while it bakes"),
            pytest.param(ended(Outcome.PROMOTED), "rolling back", id="after promotion"),
            pytest.param(rolling_back(), "already rolling back", id="twice"),
            pytest.param(ended(Outcome.ROLLED_BACK), "nothing to do: the baseline has all the traffic", id="when over"),
            pytest.param(new(), "the candidate is refused before it started", id="before the start"),
            pytest.param(
                running("full", 0, baseline=None),
                "refused: this is the first deployment, there is no baseline",
                id="at a first deployment",
            ),
            pytest.param(
                new(baseline=None), "refused: no earlier version is known to go back to", id="with nothing before"
            ),
            pytest.param(
                ended(Outcome.PROMOTED, timedelta(days=2)),
                "refused: v1 was kept until 2026-11-16 15:47 UTC; make it the candidate",
                id="after the retention",
            ),
        ],
    )
    def test_a_rollback_is_answered(self, rollout, answer):
        decision = decided(asking(rollout, rollback={"reason": "p99"}))

        assert commands(decision)[-1] == (Command.ROLLBACK, answer)
        assert decision.status.control is None

    def test_a_hold_holds_until_resume(self):
        held = decided(asking(running("canary", 0, applied=timedelta(hours=1)), hold={"reason": "audit"}))

        assert isinstance(held.verb, Hold)
        assert held.status.held.reason == "audit"
        assert commands(held) == [(Command.HOLD, "held until resume")]
        assert conditions(held)["Held"] == ("True", "HeldByPerson")

    def test_a_hold_outlasts_passing_gates(self):
        rollout = running("canary", 0, applied=timedelta(hours=1))
        held = replace(rollout, status=decided(asking(rollout, hold={})).status)

        assert isinstance(decided(held, looked(held, passing()), after="2h").verb, Hold)

    def test_resume_goes_on(self):
        rollout = running("canary", 0)
        held = replace(rollout, status=decided(asking(rollout, hold={})).status)

        decision = decided(asking(held, resume={}))

        assert decision.status.held is None
        assert commands(decision)[-1] == (Command.RESUME, "resumed")
        assert conditions(decision)["Held"] == ("False", "NotHeld")

    @pytest.mark.parametrize(
        ("rollout", "answer"),
        [
            pytest.param(ended(Outcome.ROLLED_BACK), "trying again", id="rolled back"),
            pytest.param(ended(Outcome.PROMOTED), "nothing to do: no candidate was rolled back", id="promoted"),
            pytest.param(running("canary", 0), "nothing to do: no candidate was rolled back", id="running"),
            pytest.param(
                replace(
                    new(candidate={"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}),
                    status=ended(Outcome.ROLLED_BACK).status,
                ),
                "nothing to do: spec names another candidate by now",
                id="another candidate",
            ),
        ],
    )
    def test_a_retry_is_answered(self, rollout, answer):
        decision = decided(asking(rollout, retry={}), world(rollout, shares=BASELINE_ONLY))

        assert commands(decision)[-1] == (Command.RETRY, answer)
        assert decision.status.control is None


class TestPhaseEdit:
    def test_writing_the_phase_counts_as_a_rollback(self):
        rollout = running("canary", 1)
        edited = replace(rollout, status=rollout.status.model_copy(update={"phase": Phase.ROLLING_BACK}))

        decision = decided(edited)

        assert isinstance(decision.verb, RollBack)
        assert decision.status.commands[-1].reason == "phase: RollingBack was written"
        assert decision.write.shares == BASELINE_ONLY

    def test_the_phase_that_the_operator_wrote_itself_does_not(self):
        going = rolling_back()
        assert going.status.phase is Phase.ROLLING_BACK

        decision = decided(going)

        assert isinstance(decision.verb, Finish | Restore)
        assert len(decision.status.commands) == 1

    def test_a_phase_that_cannot_be_obeyed_is_answered_and_written_over(self):
        rollout = ended(Outcome.ROLLED_BACK)
        edited = replace(rollout, status=rollout.status.model_copy(update={"phase": Phase.ROLLING_BACK}))

        decision = decided(edited)

        assert decision.status.phase is Phase.ROLLED_BACK
        assert len(decision.status.commands) == 1

    @pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ROLLING_BACK])
    def test_any_other_phase_is_only_written_over(self, phase):
        rollout = running("canary", 1)
        edited = replace(rollout, status=rollout.status.model_copy(update={"phase": phase}))

        decision = decided(edited)

        assert decision.status.phase is Phase.CANARY
        assert decision.status.commands == []


class TestTogether:
    def test_hold_and_resume_at_once_end_resumed_and_both_are_filed(self):
        decision = decided(asking(running("canary", 0), hold={}, resume={}))

        assert decision.status.held is None
        assert commands(decision) == [(Command.HOLD, "held until resume"), (Command.RESUME, "resumed")]

    def test_messages_are_filed_in_the_order_of_what_outranks_what(self):
        decision = decided(asking(running("canary", 0), retry={}, resume={}, hold={}, rollback={}))

        assert [command for command, _ in commands(decision)] == list(Command)
        assert isinstance(decision.verb, RollBack)
        assert decision.status.control is None

    def test_a_rollback_outranks_a_retry_which_is_then_ignored(self):
        decision = decided(asking(ended(Outcome.ROLLED_BACK), rollback={}, retry={}))

        assert not isinstance(decision.verb, Begin)
        assert commands(decision)[-1] == (Command.RETRY, "ignored: a rollback was asked for at the same time")

    def test_a_rollback_under_a_hold_leaves_the_hold(self):
        decision = decided(asking(running("canary", 0), rollback={}, hold={"reason": "audit"}))

        assert isinstance(decision.verb, RollBack)
        assert decision.status.held.reason == "audit"


class TestWaitingRetry:
    """A retry that cannot start yet stays in the inbox: it would be lost otherwise."""

    @pytest.mark.parametrize(
        ("seen", "reason"),
        [
            pytest.param({"candidate": Endpoints.NONE_READY}, "CandidateNotReady", id="pods are starting"),
            pytest.param({"workload": "1 of 3 replicas"}, "WorkloadNotReady", id="a roll-out of pods is under way"),
        ],
    )
    def test_it_waits_for_the_candidate_and_then_starts(self, seen, reason):
        rollout = asking(ended(Outcome.ROLLED_BACK), retry={"reason": "fixed"})

        waiting = decided(rollout, world(rollout, **seen))
        later = replace(rollout, status=waiting.status)
        started = decided(later, after="1m")

        assert conditions(waiting)["Held"] == ("True", reason)
        assert (waiting.status.control.retry.reason, commands(waiting)) == ("fixed", [])
        assert isinstance(started.verb, Begin)
        assert (started.status.control, commands(started)) == (None, [(Command.RETRY, "trying again")])

    def test_it_waits_for_the_end_of_a_hold(self):
        rollout = asking(ended(Outcome.ROLLED_BACK), hold={}, retry={})

        held = replace(rollout, status=decided(rollout).status)
        resumed = asking(held, retry={}, resume={})

        assert held.status.control.hold is None
        assert held.status.control.retry is not None
        assert isinstance(decided(resumed).verb, Begin)

    def test_it_waits_for_a_spec_that_can_be_read(self):
        rollout = asking(ended(Outcome.ROLLED_BACK), retry={})
        short = replace(new(analysis={"interval": "2s"}), status=rollout.status)

        assert decided(short).status.control.retry is not None

    def test_waiting_it_writes_nothing_more(self):
        rollout = asking(ended(Outcome.ROLLED_BACK), retry={})
        seen = world(rollout, candidate=Endpoints.NONE_READY)
        waiting = replace(rollout, status=decided(rollout, seen).status)

        assert decided(waiting, seen, after="1m").status == waiting.status

    def test_it_is_given_up_when_spec_names_another_candidate(self):
        third = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}
        rollout = replace(new(candidate=third), status=asking(ended(Outcome.ROLLED_BACK), retry={}).status)

        decision = decided(rollout, world(rollout, shares=BASELINE_ONLY))

        assert decision.status.control is None
        assert commands(decision) == [(Command.RETRY, "nothing to do: spec names another candidate by now")]


class TestFiling:
    def test_who_asked_and_why_are_kept(self):
        decision = decided(asking(running("canary", 0), hold={"reason": "audit", "requestedBy": "sam"}))

        filed = decision.status.commands[-1]

        assert (filed.reason, filed.requested_by, filed.handled_at) == ("audit", "sam", NOW)
        assert "by sam" in decision.verb.message
        assert any(
            e.reason == "CommandHandled" and "by sam (unverified, by way of kubectl-patch) (audit)" in e.note
            for e in decision.events
        )

    def test_the_last_ones_are_kept(self):
        rollout = running("canary", 0)
        old = [
            HandledCommand(command=Command.HOLD, reason=str(n), handled_at=NOW, result="held")
            for n in range(MAX_COMMANDS)
        ]
        rollout = replace(rollout, status=rollout.status.model_copy(update={"commands": old}))

        filed = decided(asking(rollout, resume={})).status.commands

        assert len(filed) == MAX_COMMANDS
        assert (filed[0].reason, filed[-1].command) == ("1", Command.RESUME)

    def test_the_longest_messages_fit(self):
        longest = {"reason": "r" * 1024, "requestedBy": "w" * 512}

        decision = decided(asking(running("canary", 0), rollback=longest, hold=longest, resume=longest, retry=longest))

        assert type(decision.status).model_validate(decision.status.render()) == decision.status
        assert all(len(event.note) <= 1000 for event in decision.events)

    def test_an_empty_inbox_is_left_alone(self):
        rollout = asking(running("canary", 0))

        assert decided(rollout).status.commands == []
