"""Who has to agree before a stage begins, whose word counts, and when it stops counting."""

from dataclasses import replace
from datetime import timedelta

import pytest
from modelrollout.api.status import Command, Outcome
from modelrollout.core.traffic import BASELINE_ONLY, Unmanaged
from modelrollout.core.verbs import Begin, Go, Hold, RollBack

from tests.core.builders import (
    OF_EACH_CLASS,
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
    world,
)

DAY = timedelta(days=1)
V3 = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}


def stages(stage: int = 1, **approval):
    """Return the usual stages, one of which asks for approval; by default the canary, for one."""
    found = spec()["stages"]
    return [{**one, "approval": {"required": 1, **approval}} if n == stage else one for n, one in enumerate(found)]


def approved(rollout, *people, **more):
    return asking(rollout, approve=[{"requestedBy": who, "reason": "seen it", **more} for who in people])


def after(rollout, decision):
    return replace(rollout, status=decision.status)


def shadow_is_over(**changes):
    return running("shadow", 0, applied=DAY, **{"analysis": {"deadline": "14d"}, **changes})


class TestWaiting:
    def test_a_stage_waits_for_its_approval_and_then_begins(self):
        rollout = shadow_is_over(stages=stages())

        waiting = decided(rollout, looked(rollout, passing()))
        agreed = approved(after(rollout, waiting), "ada")
        begun = decided(agreed, looked(agreed, passing()))

        assert conditions(waiting)["Held"] == ("True", "ApprovalNeeded")
        assert waiting.write is None
        assert isinstance(begun.verb, Go)
        assert commands(begun) == [(Command.APPROVE, "counts for stage canary: 1 of 1")]
        assert [one.requested_by for one in begun.status.attempt.approvals] == ["ada"]

    def test_the_hold_says_who_may_and_what_to_type(self):
        rollout = shadow_is_over(stages=stages(required=2, groups=["risk", "sre"], separationOfDuties=True))
        rollout = replace(approved(rollout, "ada", groups=["sre"]), editor="bob")

        message = decided(rollout, looked(rollout, passing())).verb.message

        assert message == (
            "stage canary of v2 needs 2 approvals, and has 1 (ada). Anybody of groups risk or sre but bob, who edited spec"
            " last: kubectl patch mr fraud -n models --subresource=status --type=merge -p"
            ' \'{"status":{"control":{"approve":[{"requestedBy":"YOUR-USER-NAME","reason":"WHY","groups":["YOUR-GROUP"]}]}}}\''
        )

    def test_it_may_be_given_before_it_is_waited_for(self):
        early = running("shadow", 0, applied=timedelta(0), stages=stages())
        early = after(early, decided(approved(early, "ada")))

        assert isinstance(decided(early, looked(early, passing()), after="31m").verb, Go)

    def test_the_next_weight_of_an_approved_stage_needs_none(self):
        rollout = shadow_is_over(stages=stages())
        begun = after(rollout, decided(approved(rollout, "ada"), looked(rollout, passing())))
        applied = after(begun, decided(begun))

        assert isinstance(decided(applied, looked(applied, passing()), after="1h").verb, Go)

    def test_each_stage_has_approvals_of_its_own(self):
        rollout = running("canary", 1, applied=DAY, stages=stages(2))

        assert decided(rollout, looked(rollout, passing())).verb.reason == "ApprovalNeeded"
        named = approved(rollout, "ada", stage="canary")
        refused = decided(named, looked(named, passing()))
        assert commands(refused)[0][1] == ("refused: stage canary needs no approval (any more); stages that do: full")

    @pytest.mark.parametrize("gate", [failing()])
    def test_a_failed_gate_rolls_back_while_it_is_waited_for(self, gate):
        rollout = shadow_is_over(stages=stages())

        assert isinstance(decided(rollout, looked(rollout, gate)).verb, RollBack)

    def test_an_advance_does_not_skip_it(self):
        rollout = asking(shadow_is_over(stages=stages()), advance={"overrideGates": True, "reason": "now"})

        decision = decided(rollout, looked(rollout, passing()))

        assert decision.verb.reason == "ApprovalNeeded"
        assert commands(decision)[0][1].startswith("not advanced")


class TestBeforeTheStart:
    def test_an_attempt_whose_first_stage_asks_waits_and_takes_the_approvals_along(self):
        rollout = new(stages=stages(0, required=2))

        one = after(rollout, decided(approved(rollout, "ada")))
        two = decided(approved(one, "eve"))

        assert decided(rollout).verb.reason == "ApprovalNeeded"
        assert [a.requested_by for a in one.status.approvals] == ["ada"]
        assert isinstance(two.verb, Begin)
        assert [a.requested_by for a in two.status.attempt.approvals] == ["ada", "eve"]
        assert two.status.approvals == []

    def test_the_baseline_gets_a_route_meanwhile(self):
        rollout = new(stages=stages(0))

        assert decided(rollout, world(rollout, route=Unmanaged())).write.shares == BASELINE_ONLY

    def test_a_retry_needs_new_approvals(self):
        rollout = approved(new(stages=stages(0)), "ada")
        begun = after(rollout, decided(rollout))
        back = asking(begun, rollback={})
        back = after(back, decided(back))
        back = after(back, decided(back, world(back, shares=BASELINE_ONLY)))
        assert back.status.attempt.outcome is Outcome.ROLLED_BACK

        again = decided(asking(back, retry={}), world(back, shares=BASELINE_ONLY))

        assert again.verb.reason == "ApprovalNeeded"
        assert again.status.control.retry is not None

    def test_a_candidate_refused_before_it_started_takes_its_approvals_with_it(self):
        rollout = new(stages=stages(0, required=2))
        one = after(rollout, decided(approved(rollout, "ada")))

        refused = decided(asking(one, rollback={}))

        assert refused.status.approvals == []

    def test_a_next_first_deployment_is_asked_for_under_the_one_that_runs(self):
        rollout = running("full", 0, baseline=None, stages=stages(2))
        bumped = replace(new(baseline=None, stages=stages(2), candidate=V3), status=rollout.status)

        waiting = decided(bumped)
        begun = decided(approved(after(bumped, waiting), "ada"))

        assert waiting.verb.reason == "ApprovalNeeded"
        assert isinstance(begun.verb, Begin)


class TestWhoCounts:
    @pytest.mark.parametrize(
        ("approval", "message", "editor", "answer"),
        [
            pytest.param({}, {}, None, "refused: an approval is a person's: write your user name", id="nobody"),
            pytest.param(
                {"groups": ["sre"]},
                {"requestedBy": "ada", "groups": ["dev"]},
                None,
                "refused: stage canary asks for somebody of group sre",
                id="of another group",
            ),
            pytest.param(
                {"separationOfDuties": True},
                {"requestedBy": "bob"},
                "bob",
                "refused: bob edited spec last, and stage canary wants somebody else",
                id="the last editor",
            ),
            pytest.param(
                {"separationOfDuties": True},
                {"requestedBy": "bob", "independent": True},
                "bob",
                "refused: bob edited spec last",
                id="the last editor, whatever he states",
            ),
            pytest.param(
                {"separationOfDuties": True},
                {"requestedBy": "ada"},
                None,
                "refused: nothing here says who edited spec last",
                id="an editor that is not known",
            ),
            pytest.param(
                {"separationOfDuties": True},
                {"requestedBy": "ada", "independent": True},
                None,
                "counts for stage canary: 1 of 1",
                id="who states not to be that editor",
            ),
            pytest.param({}, {"requestedBy": "bob"}, "bob", "counts for stage canary: 1 of 1", id="an editor who may"),
            pytest.param(
                {}, {"requestedBy": "ada", "stage": "full"}, None, "refused: stage full needs no", id="another stage"
            ),
        ],
    )
    def test_an_approval_is_answered(self, approval, message, editor, answer):
        rollout = replace(asking(shadow_is_over(stages=stages(**approval)), approve=[message]), editor=editor)

        decision = decided(rollout, looked(rollout, passing()))

        assert commands(decision)[0][1].startswith(answer)
        assert isinstance(decision.verb, Go) == answer.startswith("counts")
        assert decision.status.control is None

    def test_one_person_counts_once(self):
        rollout = approved(shadow_is_over(stages=stages(required=2)), "ada", "ada")

        decision = decided(rollout, looked(rollout, passing()))

        assert isinstance(decision.verb, Hold)
        assert commands(decision)[1][1] == "nothing to do: ada has approved stage canary already"

    def test_two_at_once_both_count(self):
        rollout = approved(shadow_is_over(stages=stages(required=2)), "ada", "eve")

        assert isinstance(decided(rollout, looked(rollout, passing())).verb, Go)

    def test_an_approver_who_edits_spec_afterwards_counts_no_more(self):
        rollout = approved(running("shadow", 0, stages=stages(separationOfDuties=True)), "ada")
        rollout = replace(rollout, editor="bob")
        agreed = replace(after(rollout, decided(rollout)), editor="ada")

        decision = decided(agreed, looked(agreed, passing()), after="1h")

        assert decision.verb.reason == "ApprovalNeeded"

    @pytest.mark.parametrize("rollout", [ended(Outcome.PROMOTED, stages=stages()), running("full", 0, stages=stages())])
    def test_where_nothing_waits_it_is_said(self, rollout):
        decision = decided(approved(rollout, "ada"))

        assert commands(decision) == [(Command.APPROVE, "nothing to do: no stage waits for an approval")]


class TestVoid:
    def agreed(self):
        rollout = approved(running("shadow", 0, stages=stages()), "ada")
        return after(rollout, decided(rollout))

    def test_under_another_plan_it_is(self):
        agreed = self.agreed()
        edited = replace(
            new(stages=stages(), gates=[{"name": "errors", "errorRate": {"max": "9%"}}]), status=agreed.status
        )
        edited = after(edited, decided(edited))
        edited = after(edited, decided(edited))

        decision = decided(edited, looked(edited, passing()), after="1h")

        assert decision.verb.reason == "ApprovalNeeded"

    def test_for_another_candidate_it_is(self):
        rollout = approved(new(stages=stages(0, required=2)), "ada")
        bumped = replace(new(stages=stages(0, required=2), candidate=V3), status=decided(rollout).status)

        assert "has 1" not in decided(bumped).verb.message
        assert [a.requested_by for a in decided(approved(bumped, "eve")).status.approvals] == ["eve"]

    def test_within_a_stage_a_changed_plan_keeps_the_weight_and_asks_again_before_the_next(self):
        rollout = running("canary", 0, applied=DAY)
        edited = replace(new(stages=stages()), status=rollout.status)

        goes_on = decided(edited)
        applied = after(edited, goes_on)
        applied = after(applied, decided(applied))

        assert isinstance(goes_on.verb, Go)
        assert decided(applied, looked(applied, passing()), after="1h").verb.reason == "ApprovalNeeded"


class TestHighRisk:
    def test_one_person_has_to_agree_before_live_traffic(self):
        rollout = shadow_is_over(risk="high", gates=OF_EACH_CLASS)

        assert isinstance(decided(new(risk="high", gates=OF_EACH_CLASS)).verb, Begin)
        assert decided(rollout, looked(rollout, passing())).verb.reason == "ApprovalNeeded"
        agreed = approved(rollout, "ada")
        assert isinstance(decided(agreed, looked(agreed, passing())).verb, Go)

    def test_a_first_deployment_has_live_traffic_at_once(self):
        rollout = new(risk="high", gates=OF_EACH_CLASS, baseline=None)

        assert decided(rollout, world(rollout, route=Unmanaged(), baseline=None)).verb.reason == "ApprovalNeeded"

    def test_so_it_has_where_only_its_shadow_stage_asks(self):
        rollout = new(risk="low", baseline=None, stages=stages(0, required=2))

        assert "needs 2 approvals" in decided(rollout, world(rollout, route=Unmanaged(), baseline=None)).verb.message

    def test_an_approval_that_the_plan_asks_for_before_that_is_enough(self):
        rollout = shadow_is_over(risk="high", gates=OF_EACH_CLASS, stages=stages(0))

        assert isinstance(decided(rollout, looked(rollout, passing())).verb, Go)

    def test_other_risks_need_none(self):
        rollout = shadow_is_over(risk="medium")

        assert isinstance(decided(rollout, looked(rollout, passing())).verb, Go)
