"""Rules that decide at each look: ours, from the operator's own code, and what others use."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from modelrollout.core.stats import (
    Counts,
    Pair,
    log_evidence_above,
    log_evidence_below,
    log_evidence_increase,
)
from numpy.typing import NDArray

from local.statistics.worlds import LOOKS, Counted, last, so_far

Hits = NDArray[np.bool_]
"""By run and look: whether the rule says so there."""

FIVE_MINUTES = 10
"""In looks."""


def broken(requests: Counted, bad: Counted, limit: float, log_threshold: float, dispersion: float = 1.0) -> Hits:
    """Return where our test finds the limit broken."""

    def bound(total: int) -> int:
        return _fails_from(total, limit, log_threshold, dispersion)

    def says(total: int, bad: int) -> bool:
        return log_evidence_above(Counts(total, bad), limit, dispersion) >= log_threshold

    return _from(so_far(requests), so_far(bad), bound, says)


def kept(requests: Counted, bad: Counted, limit: float, log_threshold: float, dispersion: float = 1.0) -> Hits:
    """Return where our test finds the limit kept."""

    def bound(total: int) -> int:
        return _passes_to(total, limit, log_threshold, dispersion) + 1

    def denies(total: int, bad: int) -> bool:
        return log_evidence_below(Counts(total, bad), limit, dispersion) < log_threshold

    return ~_from(so_far(requests), so_far(bad), bound, denies)


def _from(totals: Counted, bad: Counted, bound: Callable[[int], int], says: Callable[[int, int], bool]) -> Hits:
    """Return where there are so many bad ones that `says` holds.

    It holds from some number on, and that number grows with the total. So the numbers for the least and the greatest
    total of a look settle nearly all runs; the rest is asked one by one.
    """
    found = np.zeros(bad.shape, dtype=bool)
    for look in range(LOOKS):
        n, x = totals[:, look], bad[:, look]
        surely, possibly = bound(int(n.max())), bound(int(n.min()))
        found[:, look] = x >= surely
        for run in np.flatnonzero((x >= possibly) & (x < surely)):
            found[run, look] = says(int(n[run]), int(x[run]))
    return found


def worse(
    bad: Counted,
    other: Counted,
    per_look: tuple[int, int],
    tolerance: float,
    log_threshold: float,
    dispersion: float = 1.0,
) -> Hits:
    """Return where our test finds the candidate worse than the baseline; `per_look` has the requests of both."""
    mine, theirs = so_far(bad), so_far(other)
    found = np.zeros(mine.shape, dtype=bool)
    for look in range(LOOKS):
        totals = per_look[0] * (look + 1), per_look[1] * (look + 1)
        known, where = np.unique(theirs[:, look], return_inverse=True)
        bounds = _worse_from(totals, known.tolist(), tolerance, log_threshold, dispersion)
        found[:, look] = mine[:, look] >= np.array(bounds)[where]
    return found


def over_limit(requests: Counted, bad: Counted, limit: float) -> Hits:
    """Return where the share over the last five minutes is above the limit."""
    found: Hits = last(bad, FIVE_MINUTES) > limit * last(requests, FIVE_MINUTES)
    return found


def over_ratio(bad: Counted, other: Counted, per_look: tuple[int, int], ratio: float) -> Hits:
    """Return where the candidate's share over the last five minutes is that many times the baseline's."""
    mine, theirs = last(bad, FIVE_MINUTES), last(other, FIVE_MINUTES)
    found: Hits = mine / per_look[0] > ratio * theirs / per_look[1]
    return found


def z_test(bad: Counted, other: Counted, per_look: tuple[int, int], least: int = 0) -> Hits:
    """Return where a one-sided test of two shares at 5 % finds a difference, asked at each look."""
    looks = np.arange(1, LOOKS + 1)
    n, m = per_look[0] * looks, per_look[1] * looks
    mine, theirs = so_far(bad), so_far(other)
    pooled = (mine + theirs) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(error > 0, (mine / n - theirs / m) / error, 0.0)
    return (z > 1.6449) & (n >= least)


def in_a_row(hits: Hits, times: int) -> Hits:
    """Return where a rule has said so that many times in a row."""
    found = hits.copy()
    for back in range(1, times):
        found[:, back:] = np.logical_and(found[:, back:], hits[:, :-back])
        found[:, :back] = False
    return found


def ever(hits: Hits) -> NDArray[np.bool_]:
    """Return the runs in which a rule says so at any look."""
    found: NDArray[np.bool_] = np.asarray(hits.any(axis=1))
    return found


def first(hits: Hits) -> NDArray[np.float64]:
    """Return the look at which a rule first says so, by run, counted from 1; infinite where it never does."""
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)


@cache
def _fails_from(total: int, limit: float, log_threshold: float, dispersion: float) -> int:
    def evidence(bad: int) -> float:
        return log_evidence_above(Counts(total, bad), limit, dispersion)

    return bisect_left(range(total + 1), log_threshold, key=evidence)


@cache
def _passes_to(total: int, limit: float, log_threshold: float, dispersion: float) -> int:
    def against(bad: int) -> float:
        return -log_evidence_below(Counts(total, bad), limit, dispersion)

    return bisect_right(range(total + 1), -log_threshold, key=against) - 1


def _worse_from(
    totals: tuple[int, int], known: Sequence[int], tolerance: float, log_threshold: float, dispersion: float
) -> list[int]:
    """Return the fewest bad requests of the candidate that are too many, for each number of the baseline's, ascending."""
    bounds: list[int] = []
    low = 0
    for theirs in known:

        def evidence(bad: int, theirs: int = theirs) -> float:
            pair = Pair(Counts(totals[0], bad), Counts(totals[1], theirs))
            return log_evidence_increase([pair], tolerance, dispersion)

        # The more bad ones the baseline has, the more the candidate may have: the search goes on where it ended.
        high, stride = low, 1
        while high <= totals[0] and evidence(high) < log_threshold:
            low, high, stride = high + 1, high + stride, 2 * stride
        low += bisect_left(range(low, min(high, totals[0] + 1)), log_threshold, key=evidence)
        bounds.append(low)
    return bounds
