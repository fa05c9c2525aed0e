"""Each rule of the policy, by what it decides for one case."""

from dataclasses import replace
from datetime import timedelta

import pytest
from modelrollout.api.fields import ALL, NONE
from modelrollout.api.status import Cause, Command, Outcome, Phase
from modelrollout.api.traffic import Traffic
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    CANDIDATE_ONLY,
    Acceptance,
    Blocked,
    Endpoints,
    Foreign,
    Routed,
    Shares,
    Unmanaged,
)
from modelrollout.core.verbs import (
    Begin,
    Finish,
    Go,
    Hold,
    Promote,
    Recognize,
    Rest,
    Restore,
    RollBack,
    Stall,
    Wait,
)

from tests.core.builders import (
    CAN_MIRROR,
    CANNOT_MIRROR,
    asking,
    conditions,
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

HALF_AN_HOUR = timedelta(minutes=30)


class TestStarting:
    def test_a_new_candidate_starts_at_the_first_step(self):
        decision = decided(new())

        assert isinstance(decision.verb, Begin)
        assert decision.status.attempt.stage == "shadow"
        assert decision.write.shares == Shares(NONE, ALL)

    def test_the_baseline_of_the_first_attempt_is_the_one_in_spec(self):
        decision = decided(new())

        assert decision.status.serving.version == "v1"
        assert decision.status.attempt.baseline.version == "v1"

    def test_the_baseline_of_a_later_attempt_is_what_was_promoted_last(self):
        promoted = ended(Outcome.PROMOTED)
        third = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}
        bumped = new(candidate=third)
        bumped = replace(bumped, status=promoted.status)

        decision = decided(bumped, world(bumped, shares=BASELINE_ONLY))

        assert decision.status.attempt.baseline.version == "v2"
        assert decision.status.attempt.candidate.version == "v3"
        assert decision.status.attempt.number == 2

    def test_a_first_deployment_takes_everything_at_once_and_bakes(self):
        decision = decided(new(baseline=None), world(new(), route=Unmanaged(), baseline=None))

        assert decision.write.shares == CANDIDATE_ONLY
        assert decision.status.attempt.stage == "full"
        assert decision.status.attempt.baseline is None

    def test_a_candidate_that_has_all_traffic_on_our_route_already_serves(self):
        decision = decided(new(), world(new(), shares=CANDIDATE_ONLY))

        assert isinstance(decision.verb, Recognize)
        assert decision.status.serving.version == "v2"
        assert decision.write is None

    @pytest.mark.parametrize(
        ("seen", "reason", "remedy"),
        [
            pytest.param({"candidate": Endpoints.NO_SERVICE}, "ServiceMissing", "create it", id="Service missing"),
            pytest.param({"candidate": Endpoints.NO_PORT}, "ServicePortMissing", "correct spec", id="port missing"),
            pytest.param({"baseline": Endpoints.NO_SERVICE}, "ServiceMissing", "create it", id="baseline missing"),
            pytest.param({"capabilities": CANNOT_MIRROR}, "CannotMirror", "remove the stage", id="cannot mirror"),
            pytest.param(
                {"metrics": Blocked("UnknownMetricsSource", "name a")}, "UnknownMetricsSource", "name a", id="source"
            ),
            pytest.param(
                {"route": Blocked("RouteMissing", "create r")}, "RouteMissing", "create r", id="route missing"
            ),
        ],
    )
    def test_stalls_before_traffic_moves_on(self, seen, reason, remedy):
        decision = decided(new(), world(new(), **seen))

        assert isinstance(decision.verb, Stall)
        assert conditions(decision)["Stalled"] == ("True", reason)
        assert remedy in decision.verb.message
        assert decision.write is None
        assert decision.status.attempt is None

    @pytest.mark.parametrize(
        ("metrics", "stalls"),
        [
            pytest.param({"preset": "envoy"}, True, id="one cluster for both versions"),
            pytest.param({"preset": "envoy", "versionLabel": {"name": "version"}}, False, id="a label of the user's"),
            pytest.param({"preset": "vllm"}, False, id="the server's own numbers"),
        ],
    )
    def test_a_gateway_that_counts_both_versions_as_one_stalls_the_preset_that_asks_it(self, metrics, stalls):
        rollout = new(metrics=metrics)

        decision = decided(rollout, world(rollout, capabilities=replace(CAN_MIRROR, one_cluster=True)))

        assert isinstance(decision.verb, Stall) is stalls
        assert not stalls or conditions(decision)["Stalled"] == ("True", "VersionsNotToldApart")

    @pytest.mark.parametrize(
        ("seen", "reason"),
        [
            pytest.param({"candidate": Endpoints.NONE_READY}, "CandidateNotReady", id="candidate"),
            pytest.param({"baseline": Endpoints.NONE_READY}, "BaselineNotReady", id="baseline"),
            pytest.param({"candidate": Endpoints.UNKNOWN}, "CandidateNotReady", id="candidate unknown"),
            pytest.param({"workload": "2 of 3 replicas"}, "WorkloadNotReady", id="workload"),
        ],
    )
    def test_holds_before_traffic_moves_while_not_ready(self, seen, reason):
        decision = decided(new(), world(new(), **seen))

        assert conditions(decision)["Held"] == ("True", reason)
        assert decision.write is None

    def test_the_baseline_gets_a_route_of_ours_while_the_candidate_is_waited_for(self):
        decision = decided(new(), world(new(), route=Unmanaged(), candidate=Endpoints.NONE_READY))

        assert isinstance(decision.verb, Hold)
        assert decision.write.shares == BASELINE_ONLY

    def test_an_interval_below_the_administrators_is_refused_with_the_least_one(self):
        decision = decided(new(analysis={"interval": "2s"}))

        assert conditions(decision)["Stalled"] == ("True", "IntervalTooShort")
        assert "10s" in decision.verb.message

    def test_a_spec_that_cannot_be_read_moves_nothing_and_says_which_field(self):
        decision = decided(new(stages=[{"name": "x"}], candidate={"version": "v2"}))

        assert conditions(decision)["Stalled"] == ("True", "InvalidSpec")
        assert "spec.candidate.service" in decision.verb.message
        assert decision.status.phase is Phase.INVALID

    def test_a_paused_rollout_does_not_start(self):
        assert isinstance(decided(new(paused=True)).verb, Hold)


class TestStepping:
    def test_passing_gates_lead_to_the_next_step_once_the_minimum_is_over(self):
        rollout = running("canary", 0, applied=timedelta(minutes=10))

        decision = decided(rollout, looked(rollout, passing()))

        assert isinstance(decision.verb, Go)
        assert decision.write.shares == Shares(percent(50), NONE)
        assert decision.status.attempt.applied_at is None

    def test_passing_gates_wait_for_the_minimum(self):
        rollout = running("canary", 0, applied=timedelta(minutes=9))

        decision = decided(rollout, looked(rollout, passing()))

        assert isinstance(decision.verb, Wait)

    def test_verdicts_that_were_not_measured_in_this_pass_promote_nothing(self):
        rollout = running("canary", 0, applied=timedelta(minutes=10))

        decision = decided(rollout, world(rollout, gates=(passing(),)))

        assert isinstance(decision.verb, Wait)

    def test_without_any_verdict_nothing_is_promoted(self):
        rollout = running("canary", 0, applied=timedelta(days=1), analysis={"deadline": "14d"})

        assert isinstance(decided(rollout, looked(rollout)).verb, Wait)

    def test_the_last_step_promotes_the_candidate(self):
        rollout = running("full", 0, applied=timedelta(hours=1))

        decision = decided(rollout, looked(rollout, passing()))

        assert isinstance(decision.verb, Promote)
        assert decision.status.serving.version == "v2"
        assert decision.status.attempt.outcome is Outcome.PROMOTED
        assert decision.status.phase is Phase.PROMOTED
        assert conditions(decision)["Ready"] == ("True", "Promoted")

    def test_no_weight_goes_to_a_baseline_that_has_gone(self):
        rollout = running("shadow", 0, applied=timedelta(hours=1))

        decision = decided(rollout, looked(rollout, passing(), baseline=Endpoints.NONE_READY))

        assert isinstance(decision.verb, Hold)
        assert decision.write is None

    def test_the_clock_of_a_step_starts_when_its_shares_were_read_back(self):
        rollout = running("canary", 0, applied=None)

        decision = decided(rollout, after="5m")

        assert decision.status.attempt.applied_at is not None
        assert decision.status.attempt.target == rollout.status.attempt.target

    def test_a_route_that_is_behind_its_target_is_written(self):
        rollout = running("canary", 0, applied=None)

        decision = decided(rollout, world(rollout, shares=BASELINE_ONLY))

        assert decision.write.shares == Shares(percent(5), NONE)
        assert decision.status.attempt.applied_at is None

    def test_a_gateway_that_says_nothing_of_the_route_is_waited_for_within_a_bound(self):
        rollout = running("canary", 0, applied=None)
        silent = world(rollout, route=Routed(Shares(percent(5), NONE), "1", Acceptance.WAITING))

        assert isinstance(decided(rollout, silent, after="10s").verb, Wait)
        assert conditions(decided(rollout, silent, after="31s"))["Held"] == ("True", "RouteNotAccepted")

    def test_a_gateway_that_refuses_the_route_holds_with_its_reason(self):
        rollout = running("canary", 0, applied=None)
        route = Routed(Shares(percent(5), NONE), "1", Acceptance.REJECTED, "no such listener")

        decision = decided(rollout, world(rollout, route=route))

        assert isinstance(decision.verb, Hold)
        assert "no such listener" in decision.verb.message


class TestChangedPlans:
    def test_changed_gates_restart_clock_and_evidence_of_the_same_step(self):
        rollout = running("canary", 1, applied=HALF_AN_HOUR, gates=[{"name": "errors", "errorRate": {"max": "2%"}}])
        before = running("canary", 1, applied=HALF_AN_HOUR)
        rollout = replace(rollout, status=before.status)

        decision = decided(rollout, looked(rollout, passing()))

        assert isinstance(decision.verb, Go)
        assert decision.verb.cause is Cause.PLAN_CHANGED
        assert (decision.status.attempt.stage, decision.status.attempt.step) == ("canary", 1)
        assert decision.status.attempt.applied_at is None

    def test_changed_weights_go_on_at_no_more_than_the_present_share(self):
        stages = [{"name": "canary", "canary": {"weights": [1, 4, 80]}}, {"name": "full", "full": {}}]
        rollout, before = new(stages=stages), running("canary", 0, applied=HALF_AN_HOUR)
        rollout = replace(rollout, status=before.status)

        decision = decided(rollout, world(before))

        assert decision.write.shares == Shares(percent(4), NONE)

    def test_a_stage_that_is_gone_starts_the_plan_again(self):
        stages = [{"name": "slow", "canary": {"weights": [1]}}, {"name": "full", "full": {}}]
        rollout, before = new(stages=stages), running("canary", 1, applied=HALF_AN_HOUR)
        rollout = replace(rollout, status=before.status)

        assert decided(rollout, world(before)).write.shares == Shares(percent(1), NONE)

    def test_a_new_candidate_in_mid_attempt_goes_back_to_the_baseline_first(self):
        third = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}
        rollout, before = new(candidate=third), running("canary", 1)
        rollout = replace(rollout, status=before.status)

        decision = decided(rollout, world(before))

        assert isinstance(decision.verb, RollBack)
        assert decision.verb.cause is Cause.SUPERSEDED
        assert decision.write.shares == BASELINE_ONLY
        assert decision.write.place.candidate.name == "fraud-v2"


class TestGuarding:
    def test_a_failed_gate_rolls_back_at_once(self):
        rollout = running("canary", 1)

        decision = decided(rollout, looked(rollout, failing()))

        assert isinstance(decision.verb, RollBack)
        assert decision.write.shares == BASELINE_ONLY
        assert decision.write.outranks
        assert decision.status.phase is Phase.ROLLING_BACK

    def test_a_failed_gate_that_only_holds_holds(self):
        gates = [{"name": "errors", "errorRate": {"max": "1%"}, "onFail": "Hold"}]
        rollout = running("canary", 1, gates=gates)

        assert isinstance(decided(rollout, looked(rollout, failing())).verb, Hold)

    def test_a_catastrophe_rolls_back_even_where_the_gate_only_holds(self):
        gates = [{"name": "errors", "errorRate": {"max": "1%"}, "onFail": "Hold"}]
        rollout = running("canary", 1, gates=gates)

        decision = decided(rollout, looked(rollout, failing("Catastrophe")))

        assert isinstance(decision.verb, RollBack)

    def test_a_failed_gate_rolls_back_while_a_person_holds(self):
        rollout = asking(running("canary", 1), hold={"reason": "lunch"})

        assert isinstance(decided(rollout, looked(rollout, failing())).verb, RollBack)

    def test_a_failed_gate_at_a_first_deployment_holds_since_there_is_no_way_back(self):
        rollout = running("full", 0, baseline=None)

        assert isinstance(decided(rollout, looked(rollout, failing(), baseline=None)).verb, Hold)

    @pytest.mark.parametrize("reason", ["NoData", "NotANumber", "ManySeries", "Warnings", "Unreachable", "Malformed"])
    def test_a_gate_that_does_not_know_holds_with_its_reason(self, reason):
        rollout = running("canary", 0, applied=HALF_AN_HOUR)

        decision = decided(rollout, looked(rollout, unknown(reason)))

        assert conditions(decision)["Held"] == ("True", reason)
        assert conditions(decision)["MetricsAvailable"] == ("False", reason)
        assert decision.write is None

    def test_lost_metrics_never_roll_back_by_themselves(self):
        rollout = running("canary", 0, applied=HALF_AN_HOUR)

        assert isinstance(decided(rollout, looked(rollout, unknown("Unreachable")), after="10h").verb, Hold)

    def test_lost_metrics_roll_back_after_the_timeout_where_the_plan_says_so(self):
        analysis = {"onMetricsLost": "Rollback", "metricsLostTimeout": "15m"}
        rollout = running("canary", 0, applied=HALF_AN_HOUR, analysis=analysis)
        lost = looked(rollout, unknown("Unreachable"))
        rollout = replace(rollout, status=decided(rollout, lost).status)

        assert isinstance(decided(rollout, lost, after="14m").verb, Hold)
        assert decided(rollout, lost, after="15m").verb.cause is Cause.METRICS_LOST

    def test_a_gate_that_still_collects_evidence_is_no_hold(self):
        rollout = running("canary", 0, applied=HALF_AN_HOUR)

        decision = decided(rollout, looked(rollout, unknown("NeedRequests")))

        assert isinstance(decision.verb, Wait)
        assert conditions(decision)["Held"] == ("False", "NotHeld")

    def test_a_missed_deadline_holds_and_resume_gives_as_much_time_again(self):
        rollout = running("canary", 0, applied=timedelta(minutes=70))
        waiting = looked(rollout, unknown("NeedRequests"))

        assert conditions(decided(rollout, waiting))["Held"] == ("True", "DeadlineExceeded")
        assert isinstance(decided(asking(rollout, resume={}), waiting).verb, Wait)

    def test_evidence_that_comes_after_the_deadline_still_counts(self):
        rollout = running("canary", 0, applied=timedelta(minutes=71))

        assert isinstance(decided(rollout, looked(rollout, passing())).verb, Go)

    def test_a_candidate_without_endpoints_is_rolled_back_after_the_grace(self):
        rollout = running("canary", 1)
        gone = world(rollout, candidate=Endpoints.NONE_READY)
        first = decided(rollout, gone)
        rollout = replace(rollout, status=first.status)

        assert conditions(first)["Held"] == ("True", "CandidateNotReady")
        assert isinstance(decided(rollout, gone, after="29s").verb, Hold)
        assert decided(rollout, gone, after="30s").verb.cause is Cause.CANDIDATE_UNREADY

    def test_lost_data_in_prometheus_starts_the_steps_evidence_again(self):
        rollout = running("canary", 1, applied=HALF_AN_HOUR)

        decision = decided(rollout, looked(rollout, unknown("CountsShrank")))

        assert isinstance(decision.verb, Go)
        assert (decision.status.attempt.step, decision.status.attempt.applied_at) == (1, None)


class TestGrowing:
    """Each way to give the candidate more than it has."""

    @pytest.mark.parametrize(
        "seen",
        [
            pytest.param({"candidate": Endpoints.UNKNOWN}, id="candidate unknown"),
            pytest.param({"baseline": Endpoints.UNKNOWN}, id="baseline unknown"),
        ],
    )
    def test_a_route_that_is_behind_waits_for_endpoints_that_are_known_to_be_ready(self, seen):
        rollout = running("canary", 1, applied=None)

        behind = decided(rollout, world(rollout, shares=Shares(percent(5), NONE), **seen))
        ahead = decided(rollout, world(rollout, shares=Shares(percent(90), NONE), **seen))

        assert behind.write is None
        assert conditions(behind)["Held"][0] == "True"
        assert ahead.write.shares == Shares(percent(50), NONE)

    @pytest.mark.parametrize(
        ("state", "seen"),
        [
            pytest.param({"paused": True}, {}, id="paused"),
            pytest.param({}, {"candidate": Endpoints.UNKNOWN}, id="candidate unknown"),
            pytest.param({}, {"baseline": Endpoints.NONE_READY}, id="baseline gone"),
            pytest.param({}, {"workload": "1 of 3 replicas"}, id="workload"),
        ],
    )
    def test_a_changed_plan_does_not_grow_a_weight_where_a_step_would_not(self, state, seen):
        before = running("canary", 0, applied=HALF_AN_HOUR)
        rollout = replace(new(stages=[{"name": "full", "full": {}}], **state), status=before.status)

        decision = decided(rollout, world(before, **seen))

        assert decision.write is None
        assert decision.status.attempt.target == before.status.attempt.target

    def test_a_changed_plan_does_not_bring_back_a_route_without_endpoints(self):
        before = running("canary", 1, applied=HALF_AN_HOUR)
        rollout = replace(new(gates=[{"name": "errors", "errorRate": {"max": "2%"}}]), status=before.status)

        decision = decided(rollout, world(before, route=Unmanaged(), candidate=Endpoints.UNKNOWN))

        assert decision.write is None

    def test_a_changed_plan_does_not_write_over_a_foreign_change(self):
        before = running("canary", 1, applied=HALF_AN_HOUR)
        stages = [{"name": "canary", "canary": {"weights": [40]}}, {"name": "full", "full": {}}]
        rollout = replace(new(stages=stages), status=before.status)

        decision = decided(rollout, world(before, route=Foreign(Shares(percent(90), NONE), "kubectl", "9")))

        assert decision.write is None
        assert conditions(decision)["Held"] == ("True", "RouteChanged")

    def test_an_interval_that_became_too_short_does_not_switch_the_guard_off(self):
        rollout = replace(new(analysis={"interval": "2s"}), status=running("canary", 1).status)

        assert conditions(decided(rollout))["Stalled"] == ("True", "IntervalTooShort")
        assert isinstance(decided(rollout, looked(rollout, failing())).verb, RollBack)


class TestForeignWriters:
    def test_changed_weights_hold_and_name_who_did_it(self):
        rollout = running("canary", 1)
        route = Foreign(Shares(percent(90), NONE), "kubectl (Update)", "9")

        decision = decided(rollout, world(rollout, route=route))

        assert conditions(decision)["Held"] == ("True", "RouteChanged")
        assert "kubectl (Update)" in decision.verb.message
        assert decision.write is None

    def test_resume_makes_the_route_as_the_plan_says(self):
        rollout = asking(running("canary", 1), resume={"reason": "was me"})
        route = Foreign(Shares(percent(90), NONE), "kubectl (Update)", "9")

        decision = decided(rollout, world(rollout, route=route))

        assert decision.write.shares == Shares(percent(50), NONE)
        assert decision.write.guard == "9"

    def test_evidence_of_other_shares_than_the_plan_s_does_not_count(self):
        rollout = asking(running("canary", 0, applied=HALF_AN_HOUR), resume={})
        route = Foreign(Shares(percent(90), NONE), "kubectl (Update)", "9")

        decision = decided(rollout, looked(rollout, passing(), route=route))

        assert (decision.status.attempt.stage, decision.status.attempt.step) == ("canary", 0)
        assert decision.status.attempt.applied_at is None

    def test_a_rollback_is_written_over_a_foreign_change(self):
        rollout = asking(running("canary", 1), rollback={"reason": "p99"})
        route = Foreign(Shares(percent(90), NONE), "kubectl (Update)", "9")

        assert decided(rollout, world(rollout, route=route)).write.shares == BASELINE_ONLY

    def test_an_adopted_rule_is_its_owners_until_our_first_write(self):
        rollout = running("shadow", 0, applied=None)
        route = Foreign(BASELINE_ONLY, "argocd (Apply)", "9")

        assert decided(rollout, world(rollout, route=route)).write is not None

    def test_a_first_write_that_somebody_takes_back_holds_and_is_not_repeated(self):
        rollout = running("shadow", 0, applied=None)
        wrote = decided(rollout, world(rollout, route=Routed(Shares(NONE, ALL), "1", Acceptance.WAITING)))
        rollout = replace(rollout, status=wrote.status)
        taken_back = world(rollout, route=Foreign(BASELINE_ONLY, "argocd-controller (Apply)", "9"))

        for _ in range(3):
            decision = decided(rollout, taken_back)
            assert conditions(decision)["Held"] == ("True", "RouteChanged")
            assert decision.write is None
            rollout = replace(rollout, status=decision.status)

        again = decided(asking(rollout, resume={}), taken_back)
        assert again.write.shares == Shares(NONE, ALL)

    @pytest.mark.parametrize(
        ("manager", "lacks"),
        [
            ("argocd-controller", "ignoreDifferences for rule score, with RespectIgnoreDifferences=true"),
            ("kustomize-controller", "spec.ignore for rule score"),
            ("helm-controller", "driftDetection.ignore for rule score"),
            ("kubectl-client-side-apply", "still has backendRefs of rule score"),
            ("kubectl", "still has backendRefs of rule score"),
            ("kubectl-edit", "Remove that writer"),
        ],
    )
    def test_who_took_an_adopted_rule_back_is_told_what_is_missing(self, manager, lacks):
        traffic = Traffic.model_validate({"httpRoute": {"adopt": {"name": "shop", "rule": "score"}}})
        rollout = replace(running("canary", 1), traffic=traffic)
        route = Foreign(BASELINE_ONLY, f"{manager} (Apply, 2026-11-17T15:47:00Z)", "9")

        message = decided(rollout, world(rollout, route=route)).verb.message

        assert manager in message
        assert lacks in message

    def test_the_same_shares_from_somebody_else_are_in_sync(self):
        rollout = running("canary", 1, applied=None)
        route = Foreign(Shares(percent(50), NONE), "argocd (Apply)", "9")

        decision = decided(rollout, world(rollout, route=route))

        assert decision.write is None
        assert conditions(decision)["RouteInSync"] == ("True", "InSync")


class TestGoingBack:
    def test_a_rollback_that_has_reached_the_route_is_over(self):
        rollout = decided(running("canary", 1), looked(running("canary", 1), failing())).status
        before = running("canary", 1)
        before = replace(before, status=rollout)

        decision = decided(before, world(before, shares=BASELINE_ONLY))

        assert isinstance(decision.verb, Finish)
        assert decision.status.attempt.outcome is Outcome.ROLLED_BACK
        assert conditions(decision)["Stalled"] == ("True", "RolledBack")
        assert conditions(decision)["Ready"] == ("False", "RolledBack")

    def test_a_rollback_goes_on_before_anything_else_is_looked_at(self):
        before = running("canary", 1)
        status = decided(before, looked(before, failing())).status
        before = replace(before, status=status)

        decision = decided(before, world(before, shares=Shares(percent(50), NONE), candidate=Endpoints.NONE_READY))

        assert isinstance(decision.verb, Restore)
        assert decision.write.shares == BASELINE_ONLY

    def test_going_back_to_a_dead_baseline_waits_while_the_candidate_still_serves(self):
        rollout = asking(running("canary", 1), rollback={})

        decision = decided(rollout, world(rollout, baseline=Endpoints.NONE_READY))

        assert isinstance(decision.verb, RollBack)
        assert decision.write is None
        assert decision.status.attempt.rollback is not None

    def test_a_rolled_back_candidate_is_not_tried_again(self):
        decision = decided(ended(Outcome.ROLLED_BACK))

        assert isinstance(decision.verb, Rest)
        assert "retry" in decision.verb.message

    def test_retry_tries_it_again(self):
        decision = decided(asking(ended(Outcome.ROLLED_BACK), retry={"reason": "fixed"}))

        assert isinstance(decision.verb, Begin)
        assert decision.status.attempt.number == 2
        assert decision.status.control is None

    def test_after_promotion_a_rollback_goes_back_to_the_version_before(self):
        rollout = asking(ended(Outcome.PROMOTED), rollback={"reason": "complaints"})

        decision = decided(rollout)

        assert decision.write.shares == BASELINE_ONLY
        assert decision.status.attempt.outcome is None

    def test_after_that_rollback_the_version_before_serves(self):
        rollout = asking(ended(Outcome.PROMOTED), rollback={})
        going = replace(rollout, status=decided(rollout).status)

        decision = decided(going, world(going, shares=BASELINE_ONLY))

        assert decision.status.serving.version == "v1"
        assert decision.status.attempt.outcome is Outcome.ROLLED_BACK

    @pytest.mark.parametrize(
        ("ago", "seen", "answer"),
        [
            pytest.param(timedelta(hours=25), {}, "was kept until", id="the retention is over"),
            pytest.param(timedelta(hours=1), {"baseline": Endpoints.NONE_READY}, "no ready endpoint", id="it is gone"),
        ],
    )
    def test_after_promotion_a_rollback_is_refused_with_a_reason_when(self, ago, seen, answer):
        rollout = asking(ended(Outcome.PROMOTED, ago), rollback={})

        decision = decided(rollout, world(rollout, **seen))

        assert isinstance(decision.verb, Rest)
        assert answer in decision.status.commands[-1].result
        assert decision.status.commands[-1].command is Command.ROLLBACK


class TestResting:
    def test_a_promoted_rollout_writes_nothing(self):
        rollout = ended(Outcome.PROMOTED)
        settled = replace(rollout, status=decided(rollout).status)

        decision = decided(settled, after="30s")

        assert decision.status == settled.status
        assert decision.write is None
        assert decision.events == ()

    def test_an_owned_route_that_was_deleted_is_made_again_as_it_was(self):
        rollout = ended(Outcome.PROMOTED)

        assert decided(rollout, world(rollout, route=Unmanaged())).write.shares == CANDIDATE_ONLY

    def test_a_foreign_change_at_rest_is_reported_and_not_fought(self):
        rollout = ended(Outcome.PROMOTED)
        route = Foreign(Shares(percent(50), NONE), "kubectl", "3")

        decision = decided(rollout, world(rollout, route=route))

        assert decision.write is None
        assert conditions(decision)["RouteInSync"] == ("False", "ChangedByOther")
