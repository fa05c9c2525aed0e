"""When a route carries a note of where its traffic belongs, and what one of a deleted rollout keeps from beginning."""

from dataclasses import replace

import pytest
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.status import Outcome
from modelrollout.core.projection import RouteWrite
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    CANDIDATE_ONLY,
    EARLIER_ATTEMPT,
    Endpoints,
    Foreign,
    Route,
    Routed,
    Shares,
    WayBack,
)
from modelrollout.core.verbs import Begin, Finish, Hold, Promote, Rest, RollBack, Wait

from tests.core.builders import asking, decided, ended, looked, new, passing, running, service, world

OURS = WayBack("u1", service("fraud-v1"), service("fraud-v2"))
THEIRS = replace(OURS, uid="u0")
HALF = Shares(Percent(5_000), NONE)


def written(write: RouteWrite | None) -> tuple[Shares | None, WayBack | None] | None:
    return (write.shares, write.way_back) if write else None


class TestTheNoteOfOurs:
    def test_comes_with_the_first_share(self):
        decision = decided(new())

        assert isinstance(decision.verb, Begin)
        assert written(decision.write) == (Shares(NONE, ALL), OURS)

    def test_stays_while_the_attempt_goes_on(self):
        decision = decided(running("canary", 1))

        assert decision.write is None

    def test_goes_in_the_write_that_gives_everything_back(self):
        decision = decided(asking(running("canary", 1), rollback={}))

        assert isinstance(decision.verb, RollBack)
        assert written(decision.write) == (BASELINE_ONLY, None)

    def test_stays_while_a_rollback_waits_for_the_baseline(self):
        rollout = asking(running("canary", 1), rollback={})

        decision = decided(rollout, world(rollout, baseline=Endpoints.NONE_READY))

        assert decision.write is None

    def test_goes_after_a_promotion_and_no_share_is_written(self):
        rollout = running("full", applied=None)
        rollout = replace(rollout, status=decided(rollout).status)

        decision = decided(rollout, looked(rollout, passing()), after="1h")

        assert isinstance(decision.verb, Promote)
        assert written(decision.write) == (None, None)

    @pytest.mark.parametrize("outcome", Outcome)
    def test_that_a_crash_left_after_the_end_is_taken_away(self, outcome):
        rollout = ended(outcome)
        shares = CANDIDATE_ONLY if outcome is Outcome.PROMOTED else BASELINE_ONLY

        decision = decided(rollout, world(rollout, route=Routed(shares, "1", way_back=OURS)))

        assert decision.write is not None
        assert decision.write.way_back is None or isinstance(decision.verb, Begin)

    @pytest.mark.parametrize("shares", [BASELINE_ONLY, HALF, None])
    def test_that_was_left_is_taken_off_shares_of_others_without_a_fight(self, shares):
        rollout = ended(Outcome.PROMOTED)

        decision = decided(rollout, world(rollout, route=Foreign(shares, "kubectl", "9", way_back=OURS)))

        assert isinstance(decision.verb, Rest)
        assert written(decision.write) == (None, None)

    def test_goes_when_somebody_has_given_everything_back_before_the_rollback_could(self):
        rollout = asking(running("canary", 1), rollback={})
        rollout = replace(rollout, status=decided(rollout).status)

        decision = decided(rollout, world(rollout, route=Foreign(BASELINE_ONLY, "kubectl", "9", way_back=OURS)))

        assert isinstance(decision.verb, Finish)
        assert written(decision.write) == (None, None)

    def test_that_is_missing_is_written_again_on_a_route_of_ours(self):
        rollout = running("canary", 1)

        decision = decided(rollout, world(rollout, route=Routed(HALF, "1")))

        assert written(decision.write) == (None, OURS)

    def test_that_is_missing_is_not_fought_for_on_shares_of_others(self):
        rollout = running("canary", 1)

        decision = decided(rollout, world(rollout, route=Foreign(HALF, "kubectl", "9")))

        assert decision.write is None

    def test_of_an_earlier_attempt_is_replaced_by_the_next_ones(self):
        third = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}
        rollout = replace(new(candidate=third), status=ended(Outcome.PROMOTED).status)

        decision = decided(rollout, world(rollout, route=Routed(BASELINE_ONLY, "1", way_back=OURS)))

        assert isinstance(decision.verb, Begin)
        assert written(decision.write) == (Shares(NONE, ALL), WayBack("u1", service("fraud-v2"), service("fraud-v3")))

    def test_does_not_exist_at_a_first_deployment(self):
        decision = decided(new(baseline=None), world(new(baseline=None), shares=BASELINE_ONLY))

        assert written(decision.write) == (CANDIDATE_ONLY, None)


class TestTheNoteOfADeletedRolloutOfThisName:
    @pytest.mark.parametrize(
        "route",
        [
            pytest.param(Routed(HALF, "1", way_back=THEIRS), id="half a share"),
            pytest.param(Routed(CANDIDATE_ONLY, "1", way_back=THEIRS), id="all, which is not recognized"),
            pytest.param(Routed(Shares(NONE, ALL), "1", way_back=THEIRS), id="copies"),
            pytest.param(Foreign(None, EARLIER_ATTEMPT, "1", "v3", THEIRS), id="shares of another candidate"),
        ],
    )
    def test_is_waited_for_and_left_to_the_engine(self, route: Route):
        rollout = new()

        decision = decided(rollout, world(rollout, route=route))

        assert isinstance(decision.verb, Wait)
        assert decision.verb.reason == "GivingBack"
        assert (decision.write, decision.status.attempt) == (None, None)

    @pytest.mark.parametrize("shares", [HALF, CANDIDATE_ONLY, None])
    def test_on_shares_of_somebody_else_waits_for_a_person(self, shares):
        rollout = new()
        route = Foreign(shares, "kubectl", "9", way_back=THEIRS)

        decision = decided(rollout, world(rollout, route=route))

        assert isinstance(decision.verb, Hold)
        assert (decision.verb.reason, decision.write) == ("RouteChanged", None)

    @pytest.mark.parametrize("shares", [HALF, None])
    def test_is_replaced_when_that_person_says_resume(self, shares):
        rollout = asking(new(), resume={})

        decision = decided(rollout, world(rollout, route=Foreign(shares, "kubectl", "9", way_back=THEIRS)))

        assert isinstance(decision.verb, Begin)
        assert written(decision.write) == (Shares(NONE, ALL), OURS)

    def test_does_not_keep_a_person_from_going_back(self):
        rollout = asking(new(), rollback={})

        decision = decided(rollout, world(rollout, route=Routed(HALF, "1", way_back=THEIRS)))

        assert isinstance(decision.verb, RollBack)
        assert written(decision.write) == (BASELINE_ONLY, None)
