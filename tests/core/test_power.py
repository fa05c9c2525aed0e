"""What the silence of a comparison is worth: the smallest regression that it would have caught by now."""

import math
from typing import Any

import numpy as np
import pytest
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.power import smallest_detectable
from modelrollout.core.stats import Counts, Pair, log_evidence_increase

from tests.core.test_gates import counted
from tests.core.test_outlook import judged

HUNDRED_TO_ONE = math.log(100)
DETECT = {"name": "errors", "errorRate": {"max": "5%", "maxIncrease": "25%", "detect": "2x"}}
COMPARED = {"name": "errors", "errorRate": {"maxIncrease": "25%", "detect": "2x"}}


def pair(candidate: tuple[int, int], baseline: tuple[int, int]) -> Pair:
    return Pair(Counts(candidate[1], candidate[0]), Counts(baseline[1], baseline[0]))


def caught(times: float, steps: list[tuple[int, int]], rate: float, tolerance: float, dispersion: float) -> float:
    """Return how often a candidate of so many times the rate has been caught at the last look, in 2,000 runs."""
    random = np.random.default_rng(8)
    hits = 0
    for _ in range(2000):
        drawn = []
        for mine, theirs in steps:
            # Bursts of `dispersion` each: the simplest of that variance.
            bad = int(random.poisson(times * rate * mine / dispersion) * dispersion)
            other = int(random.poisson(rate * theirs / dispersion) * dispersion)
            drawn.append(pair((min(bad, mine), mine), (min(other, theirs), theirs)))
        hits += log_evidence_increase(drawn, tolerance, dispersion) >= HUNDRED_TO_ONE
    return hits / 2000


class TestNineInTen:
    @pytest.mark.parametrize(
        ("steps", "rate", "tolerance", "dispersion"),
        [
            pytest.param([(600, 5400)], 0.01, 0.25, 1, id="a tenth of some traffic"),
            pytest.param([(600, 59_400)], 0.01, 0.25, 1, id="a hundredth of more"),
            pytest.param([(30_000, 30_000)], 0.01, 0.25, 1, id="half of much"),
            pytest.param([(10_000, 90_000)], 0.001, 0.0, 1, id="rare errors, no tolerance"),
            pytest.param([(30_000, 30_000)], 0.01, 0.25, 5, id="bursts"),
            pytest.param([(500, 9500), (2500, 7500)], 0.01, 0.25, 1, id="two steps"),
        ],
    )
    def test_a_regression_of_that_size_is_caught_about_so_often(self, steps, rate, tolerance, dispersion):
        expected = [pair((0, mine), (round(rate * theirs), theirs)) for mine, theirs in steps]
        times = smallest_detectable(expected, tolerance, HUNDRED_TO_ONE, dispersion)

        assert 0.85 <= caught(times, steps, rate, tolerance, dispersion) <= 0.97
        assert caught(1 + (times - 1) / 2, steps, rate, tolerance, dispersion) < 0.6

    def test_it_does_not_depend_on_what_the_candidate_did(self):
        one, other = (smallest_detectable([pair((bad, 600), (54, 5400))], 0.25, HUNDRED_TO_ONE) for bad in (0, 40))

        assert one == other

    def test_more_requests_see_less(self):
        seen = [
            smallest_detectable([pair((0, n), (round(0.09 * n), 9 * n))], 0.25, HUNDRED_TO_ONE)
            for n in (300, 1000, 3000, 10_000, 100_000)
        ]

        assert seen == sorted(seen, reverse=True)
        assert 1.25 < seen[-1] < 1.5

    def test_counts_are_cut_by_so_little_that_it_does_not_show(self):
        totals = range(2000, 2100)
        seen = {smallest_detectable([pair((0, n), (n // 10, 9 * n))], 0.25, HUNDRED_TO_ONE) for n in totals}

        assert len(seen) < 12  # A cache that hits, though every count differs.
        assert max(seen) / min(seen) < 1.08

    @pytest.mark.parametrize(
        "steps",
        [
            pytest.param([], id="no steps"),
            pytest.param([pair((0, 1000), (0, 9000))], id="no bad requests of the baseline"),
            pytest.param([pair((0, 0), (5, 9000))], id="no requests of the candidate"),
            pytest.param([pair((0, 3), (90, 9000))], id="three requests, all of which could fail"),
        ],
    )
    def test_who_cannot_say_says_nothing(self, steps):
        assert smallest_detectable(steps, 0.25, HUNDRED_TO_ONE) is None


def status(gate: dict[str, Any], *counts: Any, **changes: Any) -> GateStatus:
    return judged(gate, counted(*counts), **changes)


class TestGate:
    def test_it_is_shown_beside_the_verdict_rounded_up(self):
        found = status(COMPARED, 100, 10_000, (900, 90_000))

        assert found.verdict is Verdict.PASS
        assert found.evidence.detectable == "2x"
        assert "no evidence against it, and a regression of 2x would have been seen by now" in found.message

    def test_passing_waits_until_a_regression_of_detect_would_have_been_seen(self):
        found = status(COMPARED, 10, 1000, (90, 9000))

        assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "NeedEvidence")
        assert "of regressions one of 3.7x would have been seen by now, 2x is asked for" in found.message
        assert found.evidence.towards_pass < 50
        assert 5 * 1000 < found.evidence.needed < 10 * 1000
        assert found.evidence.eta

    def test_so_many_requests_later_it_passes(self):
        waits = status(COMPARED, 10, 1000, (90, 9000))
        n = 1000 + waits.evidence.needed

        assert status(COMPARED, n // 100, n, (9 * n // 100, 9 * n)).verdict is Verdict.PASS

    def test_without_detect_the_same_passes(self):
        gate = {"name": "errors", "errorRate": {"maxIncrease": "25%"}}

        assert status(gate, 10, 1000, (90, 9000)).verdict is Verdict.PASS

    def test_evidence_of_the_stage_s_earlier_steps_counts(self):
        earlier = Tally(total=20_000, bad=200, baseline_total=180_000, baseline_bad=1800)

        assert status(COMPARED, 10, 1000, (90, 9000), earlier=(earlier,)).verdict is Verdict.PASS

    def test_without_a_bad_request_on_either_side_the_minimum_of_requests_decides_and_says_so(self):
        found = status(COMPARED, 0, 1000, (0, 9000))

        assert (found.verdict, found.reason) == (Verdict.PASS, "NoWorseThanBaseline")
        assert "the minimum of 100 requests decides" in found.message
        assert status(COMPARED, 0, 99, (0, 9000)).verdict is Verdict.UNKNOWN

    def test_or_the_absolute_limit_of_the_same_metric_where_there_is_one(self):
        early, late = (status(DETECT, 0, total, (0, 9000), min_requests=20) for total in (40, 1000))

        assert (early.verdict, early.reason) == (Verdict.UNKNOWN, "NeedEvidence")
        assert late.verdict is Verdict.PASS
        assert "the limit of 5% decides" in late.message


def test_bursts_are_caught_later():
    plain, bursty = (
        smallest_detectable([pair((0, 10_000), (900, 90_000))], 0.25, HUNDRED_TO_ONE, phi) for phi in (1, 5)
    )

    assert 1.3 * plain < bursty
