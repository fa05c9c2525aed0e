"""What holds for the sequential tests whatever the counts; scipy is the oracle where its floats suffice."""

import math

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from modelrollout.core.stats import (
    Counts,
    Pair,
    log_evidence_above,
    log_evidence_below,
    log_evidence_increase,
    requests_for_clean_pass,
    requests_until_pass,
)
from scipy import special

limits = st.floats(1e-6, 0.99)
tolerances = st.floats(0, 4)
repeatable = settings(deadline=None, derandomize=True)  # the same examples on every machine, however busy


@st.composite
def counts(draw: st.DrawFn, most: int = 10**6) -> Counts:
    """Totals of every order of magnitude, bad ones anywhere from none to all."""
    total = draw(st.integers(0, 10 ** draw(st.integers(0, len(str(most)) - 1))))
    few = draw(st.booleans())
    return Counts(total, draw(st.integers(0, min(total, 50) if few else total)))


pairs = st.builds(Pair, counts(), counts())


def log_add(*terms: float) -> float:
    top = max(terms)
    return top + math.log(sum(math.exp(term - top) for term in terms))


def by_textbook(counts: Counts, limit: float, *, above: bool) -> float:
    """Return ln E from a library's beta functions: their tail underflows, so that is assumed away."""
    a, b = 0.5, 0.5 * (1 - limit) / limit
    tail = special.betaincc if above else special.betainc
    posterior = tail(a + counts.bad, b + counts.total - counts.bad, limit)
    assume(posterior > 1e-290)
    mixed = special.betaln(a + counts.bad, b + counts.total - counts.bad) + math.log(posterior)
    prior = special.betaln(a, b) + math.log(tail(a, b, limit))
    at_limit = counts.bad * math.log(limit) + (counts.total - counts.bad) * math.log1p(-limit)
    return float(mixed - prior - at_limit)


@repeatable
@given(counts(), limits)
def test_the_oracle_agrees(given_counts: Counts, limit: float) -> None:
    expected_above = by_textbook(given_counts, limit, above=True)
    expected_below = by_textbook(given_counts, limit, above=False)

    assert log_evidence_above(given_counts, limit) == pytest.approx(expected_above, rel=1e-7, abs=1e-6)
    assert log_evidence_below(given_counts, limit) == pytest.approx(expected_below, rel=1e-7, abs=1e-6)


@repeatable
@given(counts(10**9), limits)
def test_at_the_limit_the_next_request_is_a_fair_bet(now: Counts, limit: float) -> None:
    """This is what makes looking at any time safe: nobody can wait for E to grow if E does not grow on average."""
    bad_next, good_next = Counts(now.total + 1, now.bad + 1), Counts(now.total + 1, now.bad)

    for evidence in (log_evidence_above, log_evidence_below):
        expected = log_add(math.log(limit) + evidence(bad_next, limit), math.log1p(-limit) + evidence(good_next, limit))
        assert expected == pytest.approx(evidence(now, limit), rel=1e-9, abs=1e-7)


@repeatable
@given(pairs, pairs, tolerances)
def test_at_the_tolerated_ratio_the_next_bad_request_is_a_fair_bet(before: Pair, now: Pair, tolerance: float) -> None:
    (candidate, baseline) = now
    assume(candidate.bad < candidate.total and baseline.bad < baseline.total)
    share = (1 + tolerance) * candidate.total / ((1 + tolerance) * candidate.total + baseline.total)
    ours = Pair(candidate._replace(bad=candidate.bad + 1), baseline)
    theirs = Pair(candidate, baseline._replace(bad=baseline.bad + 1))

    expected = log_add(
        math.log(share) + log_evidence_increase([before, ours], tolerance),
        math.log1p(-share) + log_evidence_increase([before, theirs], tolerance),
    )

    assert expected == pytest.approx(log_evidence_increase([before, now], tolerance), rel=1e-9, abs=1e-7)


@repeatable
@given(counts(), limits)
def test_a_bad_request_speaks_for_above_and_a_good_one_for_below(now: Counts, limit: float) -> None:
    bad_next, good_next = Counts(now.total + 1, now.bad + 1), Counts(now.total + 1, now.bad)
    noise = 1e-6

    above, below = log_evidence_above(now, limit), log_evidence_below(now, limit)

    assert log_evidence_above(good_next, limit) - noise <= above <= log_evidence_above(bad_next, limit) + noise
    assert log_evidence_below(bad_next, limit) - noise <= below <= log_evidence_below(good_next, limit) + noise


@repeatable
@given(pairs, tolerances)
def test_a_bad_request_speaks_against_whose_it_is_and_tolerance_speaks_for(now: Pair, tolerance: float) -> None:
    candidate, baseline = now
    assume(candidate.bad < candidate.total and baseline.bad < baseline.total)
    noise = 1e-6 * (1 + candidate.bad + baseline.bad) ** 0.5

    evidence = log_evidence_increase([now], tolerance)
    ours = log_evidence_increase([Pair(candidate._replace(bad=candidate.bad + 1), baseline)], tolerance)
    theirs = log_evidence_increase([Pair(candidate, baseline._replace(bad=baseline.bad + 1))], tolerance)
    tolerant = log_evidence_increase([now], tolerance + 0.5)

    assert ours >= evidence - noise
    assert theirs <= evidence + noise
    assert tolerant <= evidence + noise


@repeatable
@given(pairs, tolerances, st.floats(1, 50))
def test_dispersion_never_makes_evidence_stronger(now: Pair, tolerance: float, dispersion: float) -> None:
    plain = log_evidence_increase([now], tolerance)

    assert log_evidence_increase([now], tolerance, dispersion) <= max(0.0, plain) + 1e-9


@repeatable
@given(st.integers(0, 10**12), st.floats(0, 1), st.floats(1e-9, 1 - 1e-9))
@example(total=10**12, share=0.0, limit=0.01)
@example(total=10**12, share=1.0, limit=0.01)
@example(total=10**12, share=1.0, limit=1e-9)
@example(total=10**12, share=0.0, limit=1 - 1e-9)
@example(total=10**12, share=0.02, limit=0.02)
def test_no_count_is_too_large(total: int, share: float, limit: float) -> None:
    now = Counts(total, min(total, round(total * share)))

    assert math.isfinite(log_evidence_above(now, limit))
    assert math.isfinite(log_evidence_below(now, limit))
    assert math.isfinite(log_evidence_increase([Pair(now, Counts(10**12, 10**9)), Pair(Counts(1, 1), now)], limit))


@repeatable
@given(counts(10**12), limits)
def test_evidence_for_both_sides_at_once_there_is_none(now: Counts, limit: float) -> None:
    assert min(log_evidence_above(now, limit), log_evidence_below(now, limit)) < math.log(2)


@repeatable
@given(st.integers(0, 10**6), limits, st.floats(0.1, 20))
def test_the_requests_still_needed_grow_with_bad_ones_and_with_the_threshold(
    bad: int, limit: float, threshold: float
) -> None:
    needed = requests_until_pass(bad, limit, threshold)

    assert log_evidence_below(Counts(needed, bad), limit) >= threshold - 1e-6
    assert needed == bad or log_evidence_below(Counts(needed - 1, bad), limit) < threshold + 1e-6
    assert requests_until_pass(bad + 1, limit, threshold) >= needed
    assert requests_until_pass(bad, limit, threshold + 1) >= needed


@repeatable
@given(st.floats(1e-6, 0.99), st.floats(0.01, 0.999))
def test_a_clean_pass_is_the_binomial_bound(limit: float, confidence: float) -> None:
    needed = requests_for_clean_pass(limit, confidence)

    assert needed * math.log1p(-limit) <= math.log1p(-confidence) + 1e-6
    assert (needed - 1) * math.log1p(-limit) > math.log1p(-confidence) - 1e-6
