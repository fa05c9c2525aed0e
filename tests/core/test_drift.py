"""Distances of histograms, and what chance explains: worked examples, scipy's numbers, and properties."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelrollout.core.drift import (
    chi_square_critical,
    g_statistic,
    jensen_shannon,
    pooled,
    population_stability,
)
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2, chi2_contingency

BASELINE = (500, 300, 120, 60, 20)
PAIRS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=2, max_size=20).filter(
    lambda pairs: all(sum(side) for side in zip(*pairs, strict=True))
)


@pytest.mark.parametrize(
    ("candidate", "psi", "js", "g"),
    [
        pytest.param((450, 310, 140, 70, 30), 0.014128383, 0.002568092, 7.120262, id="a little apart"),
        pytest.param((200, 300, 250, 150, 100), 0.577327281, 0.100109697, 277.563017, id="far apart"),
        pytest.param((50, 30, 12, 8, 0), 0.029619714, 0.011034030, 4.355317, id="a tenth, with an empty bucket"),
        pytest.param((1000, 600, 240, 120, 40), 0.000003389, 0.0, 0.0, id="exactly twice as many"),
    ],
)
def test_worked_examples(candidate, psi, js, g):
    assert population_stability(candidate, BASELINE) == pytest.approx(psi, abs=1e-9)
    assert jensen_shannon(candidate, BASELINE) == pytest.approx(js, abs=1e-9)
    assert g_statistic(candidate, BASELINE) == pytest.approx(g, abs=1e-6)


@given(PAIRS)
def test_scipy_has_the_same_distance_and_statistic(pairs):
    candidate, baseline = (tuple(side) for side in zip(*pairs, strict=True))
    table = [[c, b] for c, b in pairs if c + b]

    assert math.sqrt(jensen_shannon(candidate, baseline)) == pytest.approx(
        jensenshannon(candidate, baseline, base=2), abs=1e-6
    )
    if len(table) > 1:
        expected = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
        assert g_statistic(candidate, baseline) == pytest.approx(expected, abs=1e-6, rel=1e-9)


@given(PAIRS)
def test_distances_are_none_of_a_version_to_itself_and_the_same_both_ways(pairs):
    candidate, baseline = (tuple(side) for side in zip(*pairs, strict=True))

    for distance in (population_stability, jensen_shannon, g_statistic):
        assert distance(candidate, candidate) == pytest.approx(0, abs=1e-9)
        assert distance(candidate, baseline) >= 0
        assert distance(candidate, baseline) == pytest.approx(distance(baseline, candidate), abs=1e-9)
    assert jensen_shannon(candidate, baseline) <= 1 + 1e-12


@given(PAIRS)
def test_pooling_loses_no_observation_and_leaves_no_sparse_bucket(pairs):
    candidate, baseline = (tuple(side) for side in zip(*pairs, strict=True))

    mine, theirs = pooled(candidate, baseline)

    assert (sum(mine), sum(theirs)) == (sum(candidate), sum(baseline))
    share = min(sum(candidate), sum(baseline)) / (sum(candidate) + sum(baseline))
    assert len(mine) == len(theirs)
    assert len(mine) == 1 or all((c + b) * share >= 5 for c, b in zip(mine, theirs, strict=True))


def test_pooling_keeps_what_is_dense_and_joins_what_is_sparse():
    assert pooled((3, 3, 100, 1), (3, 3, 100, 0)) == ([6, 101], [6, 100])
    assert pooled((1, 1), (1, 1)) == ([2], [2])
    assert pooled((100, 0, 50), (0, 100, 50)) == ([100, 0, 50], [0, 100, 50])


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 19, 50, 249, 1000])
@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.01, 1e-4, 1e-9, 1e-30, 1e-200])
def test_scipy_has_the_same_critical_values(alpha, freedom):
    assert chi_square_critical(math.log(alpha), freedom) == pytest.approx(chi2.isf(alpha, freedom), rel=1e-11)


@pytest.mark.parametrize(("log_alpha", "freedom"), [(0.0, 5), (-701.0, 5), (math.nan, 5), (-3.0, 0), (-3.0, 1001)])
def test_critical_values_of_nothing_are_refused(log_alpha, freedom):
    with pytest.raises(ValueError, match="must"):
        chi_square_critical(log_alpha, freedom)


@pytest.mark.parametrize(("candidate", "baseline"), [((), ()), ((1,), (1, 2)), ((1, -1), (1, 1))])
def test_what_is_no_pair_of_histograms_is_refused(candidate, baseline):
    for distance in (population_stability, jensen_shannon, g_statistic, pooled):
        with pytest.raises(ValueError, match=r"Histograms|bucket"):
            distance(candidate, baseline)


def test_an_empty_histogram_has_no_distance():
    with pytest.raises(ValueError, match="without observations"):
        jensen_shannon((0, 0), (1, 1))
