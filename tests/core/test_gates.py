"""Answers to verdicts: each reason, and the boundaries at which a verdict turns."""

from datetime import timedelta
from typing import Any, ClassVar

import pytest
from modelrollout.api.gates import Gate
from modelrollout.api.options import PromoteOn
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.bench import Bench
from modelrollout.core.evidence import Answer, Counted, Judged, Measured, NoData, Unknown
from modelrollout.core.gates import fresh_tally, is_lost, judge
from modelrollout.core.stats import Counts

from tests.core.builders import NOW, unknown

ERRORS = {"name": "errors", "errorRate": {"max": "2%"}}
COMPARED = {"name": "errors", "errorRate": {"maxIncrease": "25%"}}
BOTH = {"name": "errors", "errorRate": {"max": "2%", "maxIncrease": "25%"}}
SLOW = {"name": "latency", "latency": {"threshold": "300ms", "maxAbove": "2%"}}
DISAGREEMENT = {
    "name": "disagreement",
    "ratio": {"bad": {"metric": "differing_total"}, "total": {"metric": "compared_total"}, "max": "2%"},
}
SCORE = {"name": "score", "value": {"query": "q", "min": "0.1", "max": "0.2"}}


def bench(**changes: Any) -> Bench:
    values: dict[str, Any] = {
        "min_requests": 100,
        "limits": 1,
        "warming_until": None,
        "earlier": (),
        "stored": None,
        "now": NOW,
        **changes,
    }
    return Bench(**values)


def counted(bad: int, total: int, baseline: tuple[int, int] | None = None) -> Counted:
    return Counted(Counts(total, bad), Counts(baseline[1], baseline[0]) if baseline else None)


def judged(gate: dict[str, Any], answer: Answer, **changes: Any) -> GateStatus:
    return judge(Gate.model_validate(gate), answer, bench(**changes))


def verdict(gate: dict[str, Any], answer: Answer, **changes: Any) -> tuple[Verdict, str]:
    status = judged(gate, answer, **changes)
    return status.verdict, status.reason


class TestAbsoluteLimit:
    @pytest.mark.parametrize(("total", "bad"), [(50, 7), (100, 9), (200, 13), (500, 23), (1000, 37), (5000, 138)])
    def test_fails_from_so_many_errors_on(self, total, bad):
        assert verdict(ERRORS, counted(bad, total)) == (Verdict.FAIL, "AboveLimit")
        assert verdict(ERRORS, counted(bad - 1, total))[0] is not Verdict.FAIL

    @pytest.mark.parametrize(("total", "bad"), [(200, 0), (500, 2), (1000, 8), (5000, 69)])
    def test_passes_up_to_so_many_errors(self, total, bad):
        assert verdict(ERRORS, counted(bad, total)) == (Verdict.PASS, "BelowLimit")
        assert verdict(ERRORS, counted(bad + 1, total)) == (Verdict.UNKNOWN, "NeedEvidence")

    def test_no_number_of_good_requests_below_the_minimum_passes(self):
        assert verdict(ERRORS, counted(0, 4999), min_requests=5000) == (Verdict.UNKNOWN, "NeedRequests")

    def test_fails_below_the_minimum_of_requests_too(self):
        assert verdict(ERRORS, counted(9, 100), min_requests=5000) == (Verdict.FAIL, "AboveLimit")

    def test_row_39_says_how_many_more_good_requests_it_takes(self):
        status = judged(ERRORS, counted(0, 150))
        more = int(status.message.split("about ")[1].split()[0])

        assert verdict(ERRORS, counted(0, 150 + more))[0] is Verdict.PASS
        assert verdict(ERRORS, counted(0, 149 + more))[0] is Verdict.UNKNOWN

    def test_slow_requests_are_counted_like_failed_ones(self):
        assert verdict(SLOW, counted(37, 1000)) == (Verdict.FAIL, "AboveLimit")
        assert verdict(SLOW, counted(8, 1000)) == (Verdict.PASS, "BelowLimit")
        assert "took longer than 0.3s" in judged(SLOW, counted(8, 1000)).message

    def test_bad_events_of_a_ratio_are_counted_like_failed_requests(self):
        assert verdict(DISAGREEMENT, counted(37, 1000)) == (Verdict.FAIL, "AboveLimit")
        assert verdict(DISAGREEMENT, counted(8, 1000)) == (Verdict.PASS, "BelowLimit")
        assert "8 of 1000 requests were bad (0.8%), allowed is 2%" in judged(DISAGREEMENT, counted(8, 1000)).message

    def test_nothing_at_all_is_no_evidence(self):
        status = judged(ERRORS, counted(0, 0))

        assert (status.verdict, status.reason, status.value, status.samples) == (
            Verdict.UNKNOWN,
            "NeedRequests",
            None,
            0,
        )

    def test_a_baseline_that_fails_as_well_is_no_fault_of_the_candidates(self):
        answer = counted(40, 1000, baseline=(40, 1000))

        assert verdict(ERRORS, answer) == (Verdict.UNKNOWN, "BaselineAlsoFailing")
        assert is_lost(judged(ERRORS, answer))

    def test_the_numbers_are_shown(self):
        status = judged(ERRORS, counted(37, 1000))

        assert (status.value, status.limit, status.samples) == ("3.7%", "at most 2% failed", 1000)
        assert status.tally == Tally(total=1000, bad=37)
        assert "37 of 1000 requests failed (3.7%), allowed is 2%" in status.message


class TestSeveralLimits:
    def test_over_so_many_limits_each_has_to_be_that_much_surer(self):
        at_the_boundary = counted(37, 1000)

        assert verdict(ERRORS, at_the_boundary, limits=1)[0] is Verdict.FAIL
        assert verdict(ERRORS, at_the_boundary, limits=5)[0] is Verdict.UNKNOWN

    def test_promoting_needs_no_correction(self):
        assert verdict(ERRORS, counted(8, 1000), limits=20)[0] is Verdict.PASS

    def test_a_gate_of_two_limits_passes_when_both_do(self):
        assert verdict(BOTH, counted(0, 1000, baseline=(0, 9000)), limits=2) == (Verdict.PASS, "BelowLimit")

    def test_a_gate_of_two_limits_fails_when_one_does(self):
        worse = counted(15, 1000, baseline=(9, 9000))

        assert verdict(BOTH, worse, limits=2) == (Verdict.FAIL, "WorseThanBaseline")

    def test_a_gate_of_two_limits_does_not_know_when_one_does_not(self):
        few = counted(0, 1000, baseline=(0, 20))

        assert verdict(BOTH, few, limits=2) == (Verdict.UNKNOWN, "NeedRequests")


class TestEarlierSteps:
    WORSE = Tally(total=1000, bad=34)

    def test_evidence_against_is_added_up_over_the_stage(self):
        assert verdict(ERRORS, counted(34, 1000))[0] is Verdict.UNKNOWN
        assert verdict(ERRORS, counted(34, 1000), earlier=(self.WORSE,)) == (Verdict.FAIL, "AboveLimit")

    def test_evidence_for_it_is_not(self):
        clean = Tally(total=100_000, bad=0)

        assert verdict(ERRORS, counted(0, 150), earlier=(clean,)) == (Verdict.UNKNOWN, "NeedEvidence")

    def test_requests_of_earlier_steps_are_not_requests_of_this_one(self):
        clean = Tally(total=100_000, bad=0)

        assert verdict(ERRORS, counted(0, 99), earlier=(clean,)) == (Verdict.UNKNOWN, "NeedRequests")

    def test_evidence_of_a_difference_is_added_up_too(self):
        worse = {"total": 200, "bad": 6, "baseline_total": 1800, "baseline_bad": 18}

        alone = verdict(COMPARED, counted(6, 200, baseline=(18, 1800)))
        after = verdict(COMPARED, counted(6, 200, baseline=(18, 1800)), earlier=(Tally.model_validate(worse),) * 5)

        assert alone[0] is not Verdict.FAIL
        assert after == (Verdict.FAIL, "WorseThanBaseline")

    def test_the_next_step_is_handed_all_counts_so_far(self):
        status = judged(ERRORS, counted(3, 500), earlier=(self.WORSE,))

        assert fresh_tally(status) == (self.WORSE, Tally(total=500, bad=3))
        assert fresh_tally(unknown("NoData")) == ()


class TestComparison:
    def test_fails_on_evidence_that_it_is_worse(self):
        assert verdict(COMPARED, counted(20, 200, baseline=(18, 1800))) == (Verdict.FAIL, "WorseThanBaseline")

    def test_without_errors_on_either_side_the_minimum_of_requests_is_enough(self):
        assert verdict(COMPARED, counted(0, 100, baseline=(0, 100))) == (Verdict.PASS, "NoWorseThanBaseline")

    def test_below_the_minimum_of_either_version_it_does_not_pass(self):
        assert verdict(COMPARED, counted(0, 99, baseline=(0, 1000))) == (Verdict.UNKNOWN, "NeedRequests")
        status = judged(COMPARED, counted(0, 1000, baseline=(0, 99)))
        assert (status.verdict, status.reason) == (Verdict.UNKNOWN, "NeedRequests")
        assert "baseline" in status.message

    def test_a_slight_suspicion_waits_for_more_requests(self):
        assert verdict(COMPARED, counted(6, 200, baseline=(18, 1800))) == (Verdict.UNKNOWN, "NeedEvidence")

    def test_fewer_errors_than_the_baseline_pass(self):
        assert verdict(COMPARED, counted(1, 200, baseline=(36, 1800))) == (Verdict.PASS, "NoWorseThanBaseline")

    def test_a_baseline_without_live_requests_is_not_compared_with(self):
        assert verdict(COMPARED, counted(5, 1000)) == (Verdict.PASS, "NothingToCompare")
        assert verdict(BOTH, counted(37, 1000)) == (Verdict.FAIL, "AboveLimit")

    def test_limits_are_said_as_they_were_written(self):
        status = judged(BOTH, counted(0, 1000, baseline=(0, 9000)))

        assert status.limit == "at most 2% failed, at most 25% more than the baseline"


class TestNoBreach:
    NO_BREACH: ClassVar = {"promote_on": PromoteOn.NO_BREACH}

    @pytest.mark.parametrize(
        ("gate", "answer"),
        [
            pytest.param(ERRORS, counted(20, 1000), id="exactly at the absolute limit"),
            pytest.param(COMPARED, counted(25, 1000, baseline=(180, 9000)), id="exactly at the relative limit"),
            pytest.param(BOTH, counted(19, 1000, baseline=(180, 9000)), id="within both"),
        ],
    )
    def test_numbers_that_keep_the_limit_pass_without_evidence(self, gate, answer):
        assert verdict(gate, answer, limits=2, **self.NO_BREACH) == (Verdict.PASS, "NoBreach")

    def test_without_it_an_absolute_limit_needs_evidence_for_the_same_numbers(self):
        assert verdict(ERRORS, counted(20, 1000)) == (Verdict.UNKNOWN, "NeedEvidence")

    @pytest.mark.parametrize(
        ("gate", "answer"),
        [
            pytest.param(ERRORS, counted(21, 1000), id="absolute"),
            pytest.param(COMPARED, counted(26, 1000, baseline=(180, 9000)), id="relative"),
            pytest.param(BOTH, counted(20, 1000, baseline=(135, 9000)), id="one of two"),
        ],
    )
    def test_numbers_above_the_limit_wait_for_evidence_either_way(self, gate, answer):
        assert verdict(gate, answer, limits=2, **self.NO_BREACH) == (Verdict.UNKNOWN, "NeedEvidence")

    def test_it_fails_on_the_same_evidence(self):
        assert verdict(ERRORS, counted(37, 1000), **self.NO_BREACH) == (Verdict.FAIL, "AboveLimit")
        assert verdict(ERRORS, counted(10, 20), **self.NO_BREACH) == (Verdict.FAIL, "Catastrophe")

    def test_fewer_requests_than_the_minimum_do_not_pass(self):
        assert verdict(ERRORS, counted(0, 99), **self.NO_BREACH) == (Verdict.UNKNOWN, "NeedRequests")

    def test_the_message_says_what_it_is_not(self):
        assert "no evidence" in judged(ERRORS, counted(1, 100), **self.NO_BREACH).message


class TestCatastrophe:
    def test_half_of_twenty_requests_failing_needs_no_test(self):
        assert verdict(ERRORS, counted(10, 20)) == (Verdict.FAIL, "Catastrophe")
        assert verdict(ERRORS, counted(10, 19), limits=20)[1] != "Catastrophe"
        assert verdict(ERRORS, counted(9, 20), limits=20)[1] != "Catastrophe"

    def test_it_is_armed_while_the_candidate_warms_up(self):
        warming = NOW + timedelta(minutes=1)

        assert verdict(ERRORS, counted(10, 20), warming_until=warming) == (Verdict.FAIL, "Catastrophe")

    def test_slow_is_not_broken(self):
        assert verdict(SLOW, counted(20, 20), warming_until=NOW) == (Verdict.UNKNOWN, "WarmingUp")

    def test_a_baseline_in_the_same_state_is_no_fault_of_the_candidates(self):
        assert verdict(ERRORS, counted(20, 20, baseline=(100, 200))) == (Verdict.UNKNOWN, "BaselineAlsoFailing")


class TestWarmingUp:
    WARMING = NOW + timedelta(minutes=1)

    def test_counts_of_a_warm_up_are_neither_judged_nor_kept(self):
        status = judged(ERRORS, counted(40, 1000), warming_until=self.WARMING)

        assert (status.verdict, status.reason, status.tally) == (Verdict.UNKNOWN, "WarmingUp", None)
        assert not is_lost(status)

    def test_clean_counts_of_a_warm_up_do_not_pass(self):
        assert verdict(ERRORS, counted(0, 100_000), warming_until=self.WARMING) == (Verdict.UNKNOWN, "WarmingUp")

    @pytest.mark.parametrize("value", [0.15, 0.5])
    def test_a_value_is_not_judged_either(self, value):
        assert verdict(SCORE, Measured(value), warming_until=self.WARMING) == (Verdict.UNKNOWN, "WarmingUp")


class TestShrunkCounts:
    def stored(self, total: int) -> GateStatus:
        return unknown("NeedEvidence").model_copy(update={"tally": Tally(total=total, bad=0)})

    def test_a_count_that_went_down_means_that_data_was_lost(self):
        status = judged(ERRORS, counted(0, 500), stored=self.stored(1000))

        assert (status.verdict, status.reason) == (Verdict.UNKNOWN, "CountsShrank")
        assert is_lost(status)

    def test_the_edges_of_a_window_may_take_a_little_away(self):
        assert verdict(ERRORS, counted(0, 900), stored=self.stored(1000))[0] is Verdict.PASS
        assert verdict(ERRORS, counted(0, 881), stored=self.stored(1000))[0] is Verdict.PASS
        assert verdict(ERRORS, counted(0, 879), stored=self.stored(1000))[1] == "CountsShrank"

    def test_a_catastrophe_is_one_all_the_same(self):
        assert verdict(ERRORS, counted(30, 50), stored=self.stored(1000)) == (Verdict.FAIL, "Catastrophe")


class TestValues:
    @pytest.mark.parametrize("value", [0.1, 0.15, 0.2])
    def test_bounds_are_allowed_values(self, value):
        assert verdict(SCORE, Measured(value)) == (Verdict.PASS, "WithinBounds")

    @pytest.mark.parametrize("value", [0.0999, 0.2001, -1.0])
    def test_what_lies_outside_fails(self, value):
        status = judged(SCORE, Measured(value))

        assert (status.verdict, status.reason) == (Verdict.FAIL, "OutOfBounds")
        assert status.limit == "at least 0.1 and at most 0.2"

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            pytest.param(1e-200, "1e-200", id="a p-value"),
            pytest.param(-1.7976931348623157e308, "-1.79769e+308", id="the largest float"),
            pytest.param(123456.0, "123456", id="plain"),
            pytest.param(0.0, "0", id="zero"),
        ],
    )
    def test_a_value_is_shown_in_a_few_digits_however_large_or_small(self, value, shown):
        assert judged(SCORE, Measured(value)).value == shown


class TestValuesBesideTheBaselines:
    LIMITS: ClassVar = {"query": 'q{a="$service"}', "maxIncrease": "10%", "maxDecrease": "5%"}
    NEAR: ClassVar = {"name": "score", "value": LIMITS}
    BOTH: ClassVar = {"name": "score", "value": {**LIMITS, "max": "100"}}

    @pytest.mark.parametrize(
        ("value", "baseline", "found"),
        [
            pytest.param(44.0, 40.0, (Verdict.PASS, "NoWorseThanBaseline"), id="as far above as it may"),
            pytest.param(44.1, 40.0, (Verdict.FAIL, "WorseThanBaseline"), id="further above"),
            pytest.param(38.0, 40.0, (Verdict.PASS, "NoWorseThanBaseline"), id="as far below as it may"),
            pytest.param(37.9, 40.0, (Verdict.FAIL, "WorseThanBaseline"), id="further below"),
            pytest.param(-36.0, -40.0, (Verdict.PASS, "NoWorseThanBaseline"), id="as far above a negative one"),
            pytest.param(-35.9, -40.0, (Verdict.FAIL, "WorseThanBaseline"), id="further above a negative one"),
            pytest.param(-42.1, -40.0, (Verdict.FAIL, "WorseThanBaseline"), id="further below a negative one"),
            pytest.param(0.0, 0.0, (Verdict.PASS, "NoWorseThanBaseline"), id="both 0"),
            pytest.param(0.1, 0.0, (Verdict.UNKNOWN, "BaselineZero"), id="no percentage of 0"),
            pytest.param(1.0, None, (Verdict.PASS, "NothingToCompare"), id="a baseline without requests"),
            pytest.param(1.0, NoData(Unknown.STALE, "old"), (Verdict.UNKNOWN, "Stale"), id="an unknown baseline"),
        ],
    )
    def test_a_value_is_compared_in_percent_of_the_baselines(self, value, baseline, found):
        assert verdict(self.NEAR, Measured(value, baseline)) == found

    def test_only_the_side_that_is_limited_is_looked_at(self):
        may_fall = {"name": "score", "value": {"query": 'q{a="$service"}', "maxIncrease": "10%"}}

        assert verdict(may_fall, Measured(1.0, 40.0))[0] is Verdict.PASS

    def test_what_is_within_its_bounds_may_still_be_worse_than_the_baseline(self):
        assert verdict(self.BOTH, Measured(50.0, 40.0)) == (Verdict.FAIL, "WorseThanBaseline")

    def test_what_is_near_the_baseline_may_still_be_out_of_bounds(self):
        assert verdict(self.BOTH, Measured(101.0, 99.0)) == (Verdict.FAIL, "OutOfBounds")

    def test_what_both_versions_break_is_no_fault_of_the_candidates(self):
        assert verdict(self.BOTH, Measured(102.0, 101.0)) == (Verdict.UNKNOWN, "BaselineAlsoFailing")

    def test_the_numbers_of_both_are_shown(self):
        status = judged(self.BOTH, Measured(50.0, 40.0))

        assert status.limit == "at most 100, at most 10% more and at most 5% less than the baseline"
        assert "50, the baseline has 40; allowed is at most 10% more" in status.message

    def test_no_comparison_fails_while_the_candidate_warms_up(self):
        warming = NOW + timedelta(minutes=1)

        assert verdict(self.NEAR, Measured(99.0, 40.0), warming_until=warming) == (Verdict.UNKNOWN, "WarmingUp")


class TestJudges:
    ASKED: ClassVar = {"name": "monitor", "webhook": {"url": "https://judge.example.com/"}}

    @pytest.mark.parametrize(
        ("said", "reason"),
        [(Verdict.PASS, "JudgePasses"), (Verdict.FAIL, "JudgeFails"), (Verdict.UNKNOWN, "JudgeWaits")],
    )
    def test_a_judges_word_is_the_verdict(self, said, reason):
        status = judged(self.ASKED, Judged(said, "judge x says so"))

        assert (status.verdict, status.reason, status.message) == (said, reason, "judge x says so")

    def test_who_waits_for_more_calls_nobody(self):
        assert not is_lost(judged(self.ASKED, Judged(Verdict.UNKNOWN, "few labels yet")))

    @pytest.mark.parametrize("said", list(Verdict))
    def test_no_word_counts_while_the_candidate_warms_up(self, said):
        warming = NOW + timedelta(minutes=1)

        assert verdict(self.ASKED, Judged(said, "so"), warming_until=warming) == (Verdict.UNKNOWN, "WarmingUp")

    def test_a_judge_who_is_not_reached_is_lost(self):
        assert is_lost(judged(self.ASKED, NoData(Unknown.TIMED_OUT, "silence")))


class TestNoData:
    @pytest.mark.parametrize("reason", [reason for reason in Unknown if not reason.is_collecting])
    def test_the_source_s_reason_is_the_gate_s(self, reason):
        status = judged(ERRORS, NoData(reason, "because"))

        assert (status.verdict, status.reason, status.message) == (Verdict.UNKNOWN, str(reason), "because")
        assert is_lost(status)

    @pytest.mark.parametrize("reason", ["WarmingUp", "NeedRequests", "NeedEvidence"])
    def test_what_passes_with_time_is_not_lost(self, reason):
        assert not is_lost(unknown(reason))

    def test_an_endless_message_is_cut(self):
        assert len(judged(ERRORS, NoData(Unknown.MALFORMED, "x" * 5000)).message) == 1024
