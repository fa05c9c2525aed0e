"""The sequential tests as a specification: vectors, boundaries, and how often they are wrong."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from modelrollout.core.stats import (
    Counts,
    Pair,
    is_catastrophe,
    log_evidence_above,
    log_evidence_below,
    log_evidence_increase,
    requests_for_clean_pass,
    requests_until_pass,
)
from scipy import stats as oracle

HUNDRED_TO_ONE = math.log(100)
TWENTY_TO_ONE = math.log(20)


def pair(bad: int, total: int, baseline_bad: int, baseline_total: int) -> Pair:
    return Pair(Counts(total, bad), Counts(baseline_total, baseline_bad))


@pytest.mark.parametrize(
    ("bad", "total", "limit", "above", "below"),
    [
        (0, 0, 0.02, 0.0, 0.0),
        (2, 100, 0.02, -0.663975721, -1.077977028),
        (5, 100, 0.02, 1.114013592, -2.296294963),
        (10, 100, 0.02, 6.833912803, -3.151579422),
        (20, 100, 0.02, 25.733083677, -3.937604874),
        (0, 300, 0.02, -2.231521615, 5.152931953),
        (30, 1000, 0.02, 1.077152401, -3.480862541),
        (40, 1000, 0.02, 6.569818652, -4.079356277),
        (5, 10, 0.05, 5.364272065, -2.585190633),
        (0, 50, 0.05, -1.546197328, 2.022786331),
    ],
)
def test_evidence_for_and_against_a_limit(bad: int, total: int, limit: float, above: float, below: float) -> None:
    counts = Counts(total, bad)

    assert log_evidence_above(counts, limit) == pytest.approx(above, abs=1e-9)
    assert log_evidence_below(counts, limit) == pytest.approx(below, abs=1e-9)


@pytest.mark.parametrize(
    ("total", "fails_from", "passes_to"),
    [(20, 5, None), (50, 7, None), (100, 9, None), (200, 13, 0), (500, 23, 2), (1000, 37, 8), (5000, 138, 69)],
)
def test_where_a_limit_of_two_percent_is_broken_and_where_it_is_kept(
    total: int, fails_from: int, passes_to: int | None
) -> None:
    failing = [bad for bad in range(200) if bad <= total and evidence_above(total, bad) >= HUNDRED_TO_ONE]
    passing = [bad for bad in range(200) if bad <= total and evidence_below(total, bad) >= TWENTY_TO_ONE]

    assert min(failing) == fails_from
    assert max(passing, default=None) == passes_to


@pytest.mark.parametrize(
    ("counts", "tolerance", "expected"),
    [
        (pair(5, 100, 9, 900), 0, 2.546333098),
        (pair(10, 200, 18, 1800), 0, 5.535093270),
        (pair(3, 200, 18, 1800), 0, -0.865439045),
        (pair(10, 200, 18, 1800), 0.25, 3.994433653),
        (pair(30, 1000, 90, 9000), 0, 9.308557250),
        (pair(1, 50, 0, 450), 0, 1.310000798),
        (pair(20, 200, 18, 1800), 0, 20.320217373),
    ],
)
def test_evidence_for_more_errors_than_the_baseline_has(counts: Pair, tolerance: float, expected: float) -> None:
    assert log_evidence_increase([counts], tolerance) == pytest.approx(expected, abs=1e-9)


def test_the_right_to_look_at_any_time_costs_some_sureness_at_a_single_look() -> None:
    ten_of_200 = pair(10, 200, 18, 1800)

    p_once = oracle.binomtest(10, 28, 200 / 2000, alternative="greater").pvalue
    p_always = math.exp(-log_evidence_increase([ten_of_200], 0))

    assert p_once == pytest.approx(0.000239294, abs=1e-9)
    assert p_once < p_always < 0.005


@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param([], id="no steps"),
        pytest.param([pair(0, 0, 0, 0)], id="no requests"),
        pytest.param([pair(0, 300, 0, 9000)], id="no bad requests"),
        pytest.param([pair(50, 100, 0, 0)], id="no requests of the baseline"),
        pytest.param([pair(0, 0, 50, 100)], id="no requests of the candidate"),
        pytest.param([pair(0, 0, 0, 0), pair(0, 5, 0, 5)], id="several of these"),
    ],
)
def test_nothing_to_compare_is_exactly_no_evidence(nothing: list[Pair]) -> None:
    assert log_evidence_increase(nothing, 0.25) == 0


def test_an_empty_step_changes_nothing() -> None:
    step = pair(10, 200, 18, 1800)

    assert log_evidence_increase([step, pair(0, 0, 7, 90)], 0) == log_evidence_increase([step], 0)


def test_steps_are_compared_each_with_itself_so_a_common_drift_is_no_difference() -> None:
    early = pair(1, 500, 19, 9500)
    late = pair(150, 5000, 150, 5000)
    pooled = pair(151, 5500, 169, 14500)

    assert log_evidence_increase([early, late], 0) < 0
    assert log_evidence_increase([pooled], 0) > HUNDRED_TO_ONE


def test_bursty_errors_weigh_less() -> None:
    step = [pair(20, 200, 18, 1800)]

    plain, bursty = log_evidence_increase(step, 0), log_evidence_increase(step, 0, dispersion=5)

    assert 0 < bursty < plain / 4


@pytest.mark.parametrize(
    ("total", "bad", "expected"),
    [
        (0, 0, False),
        (19, 19, False),
        (20, 9, False),
        (20, 10, True),
        (21, 10, False),
        (10**12, 10**12 // 2, True),
    ],
)
def test_half_of_twenty_requests_is_a_catastrophe(*, total: int, bad: int, expected: bool) -> None:
    assert is_catastrophe(Counts(total, bad)) is expected


@pytest.mark.parametrize(
    ("limit", "at_95", "at_99"),
    [(0.1, 29, 44), (0.05, 59, 90), (0.02, 149, 228), (0.01, 299, 459), (0.005, 598, 919), (0.001, 2995, 4603)],
)
def test_clean_requests_needed_at_a_single_look(limit: float, at_95: int, at_99: int) -> None:
    assert (requests_for_clean_pass(limit, 0.95), requests_for_clean_pass(limit, 0.99)) == (at_95, at_99)


def test_a_bound_met_exactly_is_met() -> None:
    assert requests_for_clean_pass(0.1, 0.19) == 2
    assert requests_for_clean_pass(0.5, 0.5) == 1


@example(bad=0, limit=0.02, threshold=TWENTY_TO_ONE, dispersion=1.0)
@example(bad=5, limit=0.02, threshold=TWENTY_TO_ONE, dispersion=1.0)
@example(bad=8, limit=0.02, threshold=TWENTY_TO_ONE, dispersion=1.0)
@example(bad=0, limit=0.01, threshold=TWENTY_TO_ONE, dispersion=1.0)
@example(bad=1000, limit=0.001, threshold=TWENTY_TO_ONE, dispersion=1.0)
@example(bad=3, limit=0.9, threshold=TWENTY_TO_ONE, dispersion=1.0)
@example(bad=10**6, limit=1e-8, threshold=1000.0, dispersion=1.0)
@settings(max_examples=300)
@given(
    bad=some.integers(0, 10**5),
    limit=some.floats(-6, -0.005).map(lambda power: 10**power),
    threshold=some.floats(0, 1000),
    dispersion=some.floats(1, 100),
)
def test_the_requests_still_needed_are_the_fewest_that_suffice(
    bad: int, limit: float, threshold: float, dispersion: float
) -> None:
    total = requests_until_pass(bad, limit, threshold, dispersion)

    assert log_evidence_below(Counts(total, bad), limit, dispersion) >= threshold
    assert total == bad or log_evidence_below(Counts(total - 1, bad), limit, dispersion) < threshold


def test_without_a_threshold_nothing_is_needed() -> None:
    assert requests_until_pass(0, 0.02, 0) == 0


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1, 1.5, math.nan, math.inf, 1e-320])
def test_a_limit_that_is_no_share_is_refused(limit: float) -> None:
    for ask in (
        lambda: log_evidence_above(Counts(1, 0), limit),
        lambda: log_evidence_below(Counts(1, 0), limit),
        lambda: requests_for_clean_pass(limit, 0.95),
        lambda: requests_until_pass(0, limit, 3),
    ):
        with pytest.raises(ValueError, match="limit must be a fraction between 0 and 1"):
            ask()


@pytest.mark.parametrize("counts", [Counts(3, 4), Counts(3, -1), Counts(-1, -1)])
def test_counts_that_cannot_be_are_refused(counts: Counts) -> None:
    for ask in (
        lambda: log_evidence_above(counts, 0.02),
        lambda: log_evidence_below(counts, 0.02),
        lambda: log_evidence_increase([Pair(counts, Counts(9, 0))], 0),
        lambda: log_evidence_increase([Pair(Counts(0, 0), counts)], 0),
        lambda: is_catastrophe(counts),
    ):
        with pytest.raises(ValueError, match=f"cannot be {counts.bad} bad requests among {counts.total}"):
            ask()


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_other_arguments_out_of_range_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="tolerance must be"):
        log_evidence_increase([], wrong)
    with pytest.raises(ValueError, match="dispersion must be"):
        log_evidence_increase([], 0, dispersion=wrong)
    with pytest.raises(ValueError, match="confidence must be"):
        requests_for_clean_pass(0.01, wrong)
    with pytest.raises(ValueError, match="threshold must be"):
        requests_until_pass(0, 0.01, wrong)


# How often the tests are wrong when looked at every 30 s for an hour. Each simulation has a fixed seed.

RUNS, LOOKS, SECONDS = 500, 120, 30


@cache
def evidence_above(total: int, bad: int, limit: float = 0.02) -> float:
    return log_evidence_above(Counts(total, bad), limit)


@cache
def evidence_below(total: int, bad: int, limit: float = 0.02) -> float:
    return log_evidence_below(Counts(total, bad), limit)


def bad_requests(seed: int, per_look: int, share: float) -> list[list[int]]:
    """Return bad requests so far, by run and look."""
    drawn = np.random.default_rng(seed).binomial(per_look, share, size=(RUNS, LOOKS))
    return [[int(bad) for bad in run] for run in drawn.cumsum(axis=1)]


def last_five_minutes(run: list[int]) -> list[Counts]:
    """Return what a window of ten looks holds at each look of a run with one request a second."""
    so_far = [0, *run]
    starts = [max(0, look - 10) for look in range(1, LOOKS + 1)]
    return [
        Counts((look - start) * SECONDS, so_far[look] - so_far[start]) for look, start in enumerate(starts, start=1)
    ]


@pytest.mark.parametrize("requests_per_second", [1, 10])
@pytest.mark.parametrize(("alpha", "seed"), [(0.05, 1), (0.01, 2)])
def test_a_candidate_exactly_at_the_limit_is_rolled_back_as_rarely_as_promised(
    requests_per_second: int, alpha: float, seed: int
) -> None:
    per_look = requests_per_second * SECONDS

    wrong = sum(
        any(evidence_above(per_look * look, bad) >= math.log(1 / alpha) for look, bad in enumerate(run, start=1))
        for run in bad_requests(seed, per_look, share=0.02)
    )

    assert wrong / RUNS <= alpha


def test_row_42_a_healthy_candidate_is_not_rolled_back_where_a_plain_threshold_mostly_does_it() -> None:
    runs = bad_requests(seed=3, per_look=SECONDS, share=0.01)

    sequential = sum(any(evidence_above(SECONDS * n, bad) >= TWENTY_TO_ONE for n, bad in enumerate(r, 1)) for r in runs)
    five_minutes = sum(any(bad > 0.02 * total for total, bad in last_five_minutes(run)) for run in runs)

    assert sequential / RUNS < 0.005
    assert five_minutes / RUNS > 0.7


def test_a_candidate_exactly_at_the_limit_is_promoted_as_rarely_as_promised() -> None:
    runs = bad_requests(seed=4, per_look=60, share=0.02)

    wrong = sum(any(evidence_below(60 * n, bad) >= TWENTY_TO_ONE for n, bad in enumerate(r, 1)) for r in runs)

    assert wrong / RUNS <= 0.05


@pytest.mark.parametrize(("alpha", "seed"), [(0.05, 5), (0.01, 6)])
def test_equal_versions_whose_common_error_rate_drifts_are_told_apart_as_rarely_as_promised(
    alpha: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    wrong = 0
    for _ in range(150):
        done: list[Pair] = []
        refuted = False
        for candidate, share in ((30, 0.005), (150, 0.01), (300, 0.03)):  # of 600 requests a look: 5, 25, 50 %
            bad = random.binomial(candidate, share, size=LOOKS // 3).cumsum()
            other = random.binomial(600 - candidate, share, size=LOOKS // 3).cumsum()
            for look in range(1, LOOKS // 3 + 1):
                now = pair(int(bad[look - 1]), candidate * look, int(other[look - 1]), (600 - candidate) * look)
                refuted = refuted or log_evidence_increase([*done, now], 0) >= math.log(1 / alpha)
            done.append(now)
        wrong += refuted

    assert wrong / 150 <= alpha


def test_a_candidate_with_ten_times_the_errors_is_caught_within_two_minutes() -> None:
    random = np.random.default_rng(7)
    seconds = []
    for _ in range(100):
        bad = random.binomial(60, 0.1, size=LOOKS).cumsum()
        other = random.binomial(540, 0.01, size=LOOKS).cumsum()
        looks = (pair(int(bad[n]), 60 * (n + 1), int(other[n]), 540 * (n + 1)) for n in range(LOOKS))
        caught = next(n for n, look in enumerate(looks, 1) if log_evidence_increase([look], 0) >= HUNDRED_TO_ONE)
        seconds.append(caught * SECONDS)

    assert np.median(seconds) <= 60
    assert max(seconds) <= 120
