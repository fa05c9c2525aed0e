"""How far a gate is from its verdict: in percent, in requests, in time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from modelrollout.api.gates import Gate
from modelrollout.api.status import GateStatus, Verdict
from modelrollout.core.counts import PASS_THRESHOLD
from modelrollout.core.evidence import Asked, Counted, Measured, NoData, Unknown
from modelrollout.core.gates import judge
from modelrollout.core.looking import judge_all
from modelrollout.core.outlook import requests_missing
from modelrollout.core.stats import Counts, log_evidence_below

from tests.core.builders import NOW, decided, looked, running
from tests.core.test_gates import BOTH, COMPARED, ERRORS, SCORE, bench, counted

FIVE_MINUTES = Asked(NOW - timedelta(seconds=330), NOW - timedelta(seconds=30), "0123456789abcdef")


def judged(gate: dict[str, Any], answer: Any, **changes: Any) -> GateStatus:
    return judge(Gate.model_validate(gate), answer, bench(asked=FIVE_MINUTES, **changes))


def towards(gate: dict[str, Any], answer: Any, **changes: Any) -> tuple[int | None, int | None]:
    evidence = judged(gate, answer, **changes).evidence
    assert evidence
    return evidence.towards_fail, evidence.towards_pass


class TestPercent:
    @pytest.mark.parametrize(
        ("gate", "answer", "expected"),
        [
            pytest.param(ERRORS, counted(0, 0), (0, 0), id="nothing yet"),
            pytest.param(ERRORS, counted(37, 1000), (100, 0), id="an absolute limit that is broken"),
            pytest.param(ERRORS, counted(8, 1000), (0, 100), id="one that is kept"),
            pytest.param(ERRORS, counted(40, 1000, baseline=(40, 1000)), (100, 0), id="the baseline breaks it too"),
            pytest.param(COMPARED, counted(20, 200, baseline=(18, 1800)), (100, 0), id="worse than the baseline"),
            pytest.param(COMPARED, counted(0, 100, baseline=(0, 100)), (0, 100), id="no worse"),
            pytest.param(COMPARED, counted(0, 25, baseline=(0, 900)), (0, 25), id="a quarter of the requests"),
            pytest.param(COMPARED, counted(5, 1000), (0, 100), id="nothing to compare with"),
            pytest.param(SCORE, Measured(0.15), (0, 100), id="a value within its bounds"),
            pytest.param(SCORE, Measured(0.25), (100, 0), id="a value outside"),
        ],
    )
    def test_a_hundred_is_a_verdict(self, gate, answer, expected):
        assert towards(gate, answer) == expected

    def test_evidence_grows_with_good_requests(self):
        shares = [towards(ERRORS, counted(0, total))[1] for total in (0, 50, 100, 150, 182, 183)]

        assert shares == sorted(shares)
        assert shares[0] == 0
        assert shares[-2:] == [99, 100]

    def test_it_is_held_against_the_threshold_of_all_limits(self):
        alone, among_ten = (towards(ERRORS, counted(30, 1000), limits=limits)[0] for limits in (1, 10))

        assert alone > among_ten > 0

    def test_of_two_limits_the_nearer_fails_and_the_farther_passes(self):
        answer = counted(0, 150, baseline=(0, 9000))

        absolute, both = towards(ERRORS, answer), towards(BOTH, answer)

        assert both == absolute  # The relative limit has all that it needs.
        assert both[1] < 100

    def test_a_suspicion_is_never_a_hundred(self):
        fail, passes = towards(COMPARED, counted(6, 200, baseline=(18, 1800)))

        assert 0 < fail < 100
        assert passes == 99

    @pytest.mark.parametrize("answer", [NoData(Unknown.UNREACHABLE, "down"), NoData(Unknown.NO_DATA, "none")])
    def test_who_knows_nothing_says_only_what_was_asked(self, answer):
        evidence = judged(ERRORS, answer).evidence

        assert (evidence.towards_fail, evidence.towards_pass, evidence.eta) == (None, None, None)
        assert (evidence.since, evidence.until) == (FIVE_MINUTES.since, FIVE_MINUTES.until)
        assert evidence.query_digest == FIVE_MINUTES.digest


class TestWhen:
    def test_it_comes_when_the_requests_that_are_missing_are_in_at_the_present_rate(self):
        status = judged(ERRORS, counted(0, 150))  # In five minutes.

        assert status.evidence.needed == 33
        assert status.evidence.eta == NOW + timedelta(seconds=66)
        assert "about 33 more good requests are needed; at 0.5 a second that will be about 15:48 UTC" in status.message

    def test_the_minimum_of_requests_counts_where_it_takes_longer(self):
        status = judged(ERRORS, counted(0, 150), min_requests=300)

        assert status.evidence.needed == 150
        assert status.evidence.eta == NOW + timedelta(minutes=5)

    def test_a_baseline_with_few_requests_is_waited_for(self):
        status = judged(COMPARED, counted(0, 500, baseline=(0, 50)))

        assert status.evidence.needed is None
        assert status.evidence.eta == NOW + timedelta(minutes=5)

    def test_another_day_is_said_with_its_date(self):
        status = judged(ERRORS, counted(0, 1), min_requests=300)

        assert status.evidence.eta == NOW + timedelta(minutes=5 * 299)
        assert status.message.endswith("about 2026-11-18 16:42 UTC")

    @pytest.mark.parametrize(
        ("gate", "answer", "changes"),
        [
            pytest.param(ERRORS, counted(0, 0), {}, id="no requests come in"),
            pytest.param(ERRORS, counted(30, 1000), {}, id="as many bad ones as so far never pass"),
            pytest.param(COMPARED, counted(6, 200, baseline=(18, 1800)), {}, id="a suspicion"),
            pytest.param(ERRORS, counted(0, 1), {"min_requests": 10_000_000}, id="beyond a year"),
            pytest.param(ERRORS, counted(8, 1000), {}, id="it has passed"),
        ],
    )
    def test_nobody_is_told_a_date_that_nobody_knows(self, gate, answer, changes):
        status = judged(gate, answer, **changes)

        assert status.evidence.eta is None
        assert "a second that will be" not in status.message

    def test_a_share_above_the_limit_is_said_not_to_pass(self):
        assert "with as many bad ones as so far it will not pass" in judged(ERRORS, counted(30, 1000)).message

    @pytest.mark.parametrize(("share", "limit"), [(0.003, 0.01), (0.005, 0.01), (0.01, 0.02)])
    def test_the_estimate_is_near_what_it_takes_on_average(self, share, limit):
        random = np.random.default_rng(42)
        ratios = []
        for _ in range(60):
            counts, foretold = Counts(0, 0), None
            while (in_favour := log_evidence_below(counts, limit)) < PASS_THRESHOLD:
                if foretold is None and counts.total * limit >= 4 and counts.bad:
                    missing = requests_missing(counts, limit, in_favour, PASS_THRESHOLD)
                    foretold = counts.total + missing if missing is not None else None
                step = round(0.2 / limit)
                counts = Counts(counts.total + step, counts.bad + int(random.binomial(step, share)))
            if foretold:
                ratios.append(foretold / counts.total)

        assert len(ratios) > 10
        assert 0.5 < np.median(ratios) < 2


class TestAdvice:
    STAGES = ({"name": "canary", "canary": {"weights": [5]}}, {"name": "full", "full": {}})
    SLOWLY = Asked(NOW - timedelta(minutes=32), NOW - timedelta(seconds=30), "0")

    def message(self, total, **changes):
        rollout = running("canary", 0, applied=timedelta(minutes=34, seconds=30), **changes)
        answer = Counted(Counts(total, 0), Counts(total * 19, 0), asked=self.SLOWLY)
        (gate,) = judge_all(rollout, {"errors": answer}, NOW)
        assert gate.verdict is Verdict.UNKNOWN
        return gate.message

    def test_too_few_requests_for_the_deadline_suggest_a_shadow(self):
        message = self.message(60, stages=self.STAGES)

        assert "after the step's deadline: a shadow stage" in message
        assert "20 times as many" in message

    def test_after_a_shadow_a_larger_weight_is_suggested(self):
        message = self.message(60, stages=({"name": "shadow", "shadow": {}}, *self.STAGES))

        assert message.endswith("after the step's deadline: begin with a larger weight")

    def test_who_is_in_time_is_given_no_advice(self):
        assert "deadline" not in self.message(300, stages=self.STAGES)


def test_evidence_alone_is_no_reason_to_write():
    rollout = running("canary", 0, applied=timedelta(minutes=1))
    first, later = (judged(ERRORS, counted(0, total)) for total in (150, 170))
    rollout = replace(rollout, status=decided(rollout, looked(rollout, first)).status)

    decision = decided(rollout, looked(rollout, later), after="30s")

    assert first.evidence != later.evidence
    assert decision.status is rollout.status
