"""Shares as integer weights, and back."""

from collections.abc import Iterable

from modelrollout.api.fields import Percent
from modelrollout.core.traffic import Shares


def weights_of(shares: Shares) -> tuple[int, int]:
    """Return the weights of baseline and candidate: they sum to 100, or to 10,000 where a share is not whole."""
    scale = 100 if shares.candidate.is_whole else 1
    return shares.candidate.rest.hundredths // scale, shares.candidate.hundredths // scale


def percent_of(part: int, total: int) -> Percent:
    """Return `part` of a positive `total` as a percentage: exact where it can be, and never 0 or 100 unless it is."""
    nearest = (10_000 * part + total // 2) // total
    if 0 < part < total:
        nearest = min(max(nearest, 1), 9_999)
    return Percent(nearest)


def candidate_share(weights: Iterable[tuple[bool, int]]) -> Percent | None:
    """Return the candidate's share from (is the candidate's, weight) pairs; `None` if all weights are 0."""
    pairs = list(weights)
    total = sum(weight for _, weight in pairs)
    return percent_of(sum(weight for is_candidate, weight in pairs if is_candidate), total) if total > 0 else None
