"""Which questions the gates have, over which window, and what an absent answer means."""

from dataclasses import replace
from datetime import timedelta

import pytest
from modelrollout.api.status import Outcome, Verdict
from modelrollout.core.evidence import Counted, NoData, Replicas, Unknown
from modelrollout.core.looking import judge_all, questions
from modelrollout.core.stats import Counts

from tests.core.builders import NOW, asking, decided, ended, new, running

ANALYSIS = {"warmup": "2m", "ingestDelay": "30s", "freshness": "45s"}


def asked(rollout):
    return questions(rollout, "TraefikService", "fraud", NOW)


class TestWindow:
    def test_it_begins_when_the_warm_up_is_over_and_ends_before_the_newest_samples(self):
        rollout = running("canary", 0, applied=timedelta(minutes=10), analysis=ANALYSIS)

        question = asked(rollout)["errors"]

        assert question.since == NOW - timedelta(minutes=8)
        assert question.until == NOW - timedelta(seconds=30)
        assert question.freshness == timedelta(seconds=45)

    def test_during_the_warm_up_it_begins_when_the_shares_were_applied(self):
        rollout = running("canary", 0, applied=timedelta(seconds=90), analysis=ANALYSIS)

        question = asked(rollout)["errors"]

        assert question.since == NOW - timedelta(seconds=90)
        assert question.until == NOW - timedelta(seconds=30)

    def test_the_first_requests_that_count_are_those_ingested_after_the_warm_up(self):
        just_before = running("canary", 0, applied=timedelta(seconds=150), analysis=ANALYSIS)
        just_after = running("canary", 0, applied=timedelta(seconds=151), analysis=ANALYSIS)

        assert asked(just_before)["errors"].since == NOW - timedelta(seconds=150)
        assert asked(just_after)["errors"].since == NOW - timedelta(seconds=31)

    def test_it_ends_on_a_whole_second_so_that_questions_of_many_rollouts_can_be_asked_together(self):
        rollout = running("canary", 0, applied=timedelta(minutes=10), analysis=ANALYSIS)

        question = questions(rollout, "TraefikService", "fraud", NOW + timedelta(milliseconds=987))["errors"]

        assert question.until == NOW - timedelta(seconds=30)

    def test_a_window_of_less_than_a_second_is_not_rounded_away(self):
        rollout = running("canary", 0, applied=timedelta(seconds=150), analysis=ANALYSIS)
        moment = NOW + timedelta(milliseconds=400)

        question = questions(rollout, "TraefikService", "fraud", moment)["errors"]

        assert question.until - question.since == timedelta(milliseconds=400)

    @pytest.mark.parametrize("ago", [timedelta(0), timedelta(seconds=30)])
    def test_nothing_is_asked_before_anything_can_have_been_ingested(self, ago):
        assert asked(running("canary", 0, applied=ago, analysis=ANALYSIS)) == {}


class TestQuestions:
    def test_each_gate_of_the_stage_has_one(self):
        stages = [
            {"name": "canary", "canary": {"weights": [5]}, "gates": [{"name": "own", "errorRate": {"max": "5%"}}]},
            {"name": "full", "full": {}},
        ]

        assert set(asked(running("canary", 0, applied=timedelta(hours=1), stages=stages))) == {"errors", "own"}
        assert set(asked(running("full", 0, applied=timedelta(hours=1), stages=stages))) == {"errors"}

    def test_both_versions_are_followed_where_both_have_requests(self):
        question = asked(running("canary", 0, applied=timedelta(hours=1)))["errors"]

        assert (question.candidate.version, question.candidate.service) == ("v2", "fraud-v2")
        assert (question.baseline.version, question.baseline.service) == ("v1", "fraud-v1")
        assert (question.candidate.route_kind, question.candidate.route_name) == ("TraefikService", "fraud")

    def test_in_shadow_the_baseline_s_live_requests_are_compared_with(self):
        assert asked(running("shadow", 0, applied=timedelta(hours=1)))["errors"].baseline

    def test_the_full_stage_has_no_baseline_to_compare_with(self):
        assert asked(running("full", 0, applied=timedelta(hours=1)))["errors"].baseline is None

    def test_nor_has_a_first_deployment(self):
        rollout = running("full", 0, applied=timedelta(hours=1), baseline=None)

        assert asked(rollout)["errors"].baseline is None

    def test_nothing_is_asked_while_no_step_is_judged(self):
        back = asking(running("canary", 0, applied=timedelta(hours=1)), rollback={})
        back = replace(back, status=decided(back).status)
        changed = replace(
            new(gates=[{"name": "other", "errorRate": {"max": "3%"}}]),
            status=running("canary", 0, applied=timedelta(hours=1)).status,
        )

        for rollout in (new(), running("canary", 0, applied=None), ended(Outcome.PROMOTED), back, changed):
            assert asked(rollout) == {}
            assert list(judge_all(rollout, {}, NOW)) == []


class TestJudging:
    CLEAN = Counted(Counts(1000, 0), Counts(9000, 0))

    def test_answers_become_verdicts_by_name(self):
        rollout = running("canary", 0, applied=timedelta(hours=1))

        (gate,) = judge_all(rollout, {"errors": self.CLEAN}, NOW)

        assert (gate.name, gate.verdict, gate.evaluated_at) == ("errors", Verdict.PASS, NOW)

    def test_a_gate_without_an_answer_is_warming_up(self):
        rollout = running("canary", 0, applied=timedelta(0))

        (gate,) = judge_all(rollout, {}, NOW)

        assert (gate.verdict, gate.reason) == (Verdict.UNKNOWN, "WarmingUp")

    def test_clean_answers_during_the_warm_up_do_not_pass(self):
        rollout = running("canary", 0, applied=timedelta(seconds=90), analysis=ANALYSIS)

        (gate,) = judge_all(rollout, {"errors": self.CLEAN}, NOW)

        assert gate.reason == "WarmingUp"

    def test_counts_that_shrank_since_the_last_look_are_noticed_though_status_is_behind_it(self):
        rollout = running("canary", 0, applied=timedelta(hours=1))
        last = judge_all(rollout, {"errors": Counted(Counts(1000, 0), Counts(9000, 0))}, NOW)

        (gate,) = judge_all(rollout, {"errors": Counted(Counts(600, 0), Counts(9000, 0))}, NOW, last)

        assert (gate.verdict, gate.reason) == (Verdict.UNKNOWN, "CountsShrank")

    def test_throughput_is_judged_by_the_replicas_the_shares_and_the_window_of_the_step(self):
        gates = [{"name": "load", "throughput": {"maxDecrease": "20%"}}]
        rollout = running("shadow", 0, applied=timedelta(minutes=12), analysis=ANALYSIS, gates=gates)
        answers = {"load": Counted(Counts(5700, 0), Counts(11400, 0))}

        (equal,) = judge_all(rollout, answers, NOW, replicas=Replicas(1, 2))
        (worse,) = judge_all(rollout, answers, NOW, replicas=Replicas(2, 2))

        assert (equal.verdict, equal.value) == (Verdict.PASS, "10/s per ready replica")
        assert worse.verdict is Verdict.FAIL

    def test_lost_metrics_during_the_warm_up_are_said(self):
        rollout = running("canary", 0, applied=timedelta(seconds=90), analysis=ANALYSIS)

        (gate,) = judge_all(rollout, {"errors": NoData(Unknown.UNREACHABLE, "down")}, NOW)

        assert gate.reason == "Unreachable"

    def test_limits_of_all_gates_of_the_step_add_up(self):
        one_limit = running("canary", 0, applied=timedelta(hours=1), gates=[{"name": "a", "errorRate": {"max": "2%"}}])
        five = [{"name": name, "errorRate": {"max": "2%"}} for name in "abcde"]
        five_limits = running("canary", 0, applied=timedelta(hours=1), gates=five)
        at_the_boundary = {name: Counted(Counts(1000, 37), None) for name in "abcde"}

        assert next(judge_all(one_limit, at_the_boundary, NOW)).verdict is Verdict.FAIL
        assert next(judge_all(five_limits, at_the_boundary, NOW)).verdict is Verdict.UNKNOWN

    def test_what_the_plan_promotes_on_is_what_they_are_judged_by(self):
        at_the_limit = {"errors": Counted(Counts(1000, 10), None)}
        evidence, no_breach = (
            running("canary", 0, applied=timedelta(hours=1), analysis={"promoteOn": on})
            for on in ("Evidence", "NoBreach")
        )

        assert next(judge_all(evidence, at_the_limit, NOW)).verdict is Verdict.UNKNOWN
        assert next(judge_all(no_breach, at_the_limit, NOW)).verdict is Verdict.PASS
