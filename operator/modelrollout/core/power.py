"""The smallest regression that a comparison would have caught by now: what its silence is worth."""

import math
from collections.abc import Sequence
from functools import lru_cache

from modelrollout.core.stats import RATIOS, Pair

POWER = 0.9
_NORMAL_QUANTILE = 1.2816  # of 0.9
_HALVINGS = 8
LARGEST = 1000.0


def smallest_detectable(
    steps: Sequence[Pair], tolerance: float, log_threshold: float, dispersion: float = 1.0
) -> float | None:
    """Return the smallest multiple of the baseline's rate that `log_evidence_increase` would have caught by now.

    Caught means at `log_threshold`, at this look, with a probability of nine in ten; earlier looks only add to it, so
    it errs to the large side, by up to a tenth. Counts are cut to six binary digits for a cache: that is at most 5 %
    more. It does not depend on the candidate's bad requests. `None`: not even one with only bad requests, or nobody
    can say, as the baseline had no bad ones.

    Source: the evidence is a mean of exponentials that are linear in the candidate's bad requests, so the fewest that
    suffice lie in a narrow bracket; the mean at which a Poisson number reaches them nine times in ten is a quantile of
    a gamma distribution (Wilson and Hilferty), widened by what the baseline's number moves.
    """
    coarse = tuple(
        (_coarse(candidate.total), _coarse(baseline.total), _coarse(baseline.bad))
        for candidate, baseline in steps
        if candidate.total and baseline.total
    )
    return _detectable(coarse, tolerance, log_threshold, dispersion)


@lru_cache(maxsize=4096)
def _detectable(
    steps: tuple[tuple[int, int, int], ...], tolerance: float, log_threshold: float, dispersion: float
) -> float | None:
    # How many bad requests the candidate would have at the baseline's rate, by step.
    expected = [mine * bad / theirs for mine, theirs, bad in steps]
    total = sum(expected)
    if total == 0:
        return None
    fewest, slope = _fewest_caught(steps, expected, tolerance, dispersion * log_threshold, dispersion)
    needed = math.ceil(fewest - 1e-9) / dispersion
    # What suffices moves with the baseline's bad requests, and these are a sample, too.
    moved = slope * slope * sum(bad for _, _, bad in steps) / dispersion
    mean = needed
    for _ in range(3):
        mean = _mean_reaching(needed, _NORMAL_QUANTILE * math.sqrt(1 + moved / mean))
    multiple = dispersion * mean / total
    highest = min(mine / there for (mine, _, _), there in zip(steps, expected, strict=True) if there)
    return multiple if multiple <= min(LARGEST, highest) else None


def _fewest_caught(
    steps: tuple[tuple[int, int, int], ...], expected: list[float], tolerance: float, threshold: float, phi: float
) -> tuple[float, float]:
    """Return the fewest bad requests of the candidate, shared out as expected, at which evidence is at the threshold.

    And by how much that grows with each of the baseline's.
    """
    total = sum(expected)
    slopes, offsets = [], []
    for ratio in RATIOS:
        slope, offset = math.log(ratio), 0.0
        for (mine, theirs, bad), there in zip(steps, expected, strict=True):
            share = (1 + tolerance) * mine / ((1 + tolerance) * mine + theirs)
            price = math.log1p((ratio - 1) * share)
            slope -= there / total * price
            offset += bad * price
        slopes.append(slope)
        offsets.append(offset)
    # The mean lies between the largest exponential and a twelfth of it.
    lines = list(zip(slopes, offsets, strict=True))
    low = min((threshold + offset) / slope for slope, offset in lines)
    high = min((threshold + phi * math.log(len(RATIOS)) + offset) / slope for slope, offset in lines)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        exponents = [(slope * middle - offset - threshold) / phi for slope, offset in lines]
        if sum(math.exp(min(e, 700.0)) for e in exponents) >= len(RATIOS):
            high = middle
        else:
            low = middle
    steepest = max(range(len(lines)), key=lambda k: lines[k][0] * high - lines[k][1])
    slope, offset = lines[steepest]
    return high, offset / slope / sum(bad for _, _, bad in steps)


def _mean_reaching(count: float, quantile: float) -> float:
    """Return the mean of a Poisson number that is `count` or more as often as a normal one is above -`quantile`."""
    return count * (1 - 1 / (9 * count) + quantile / (3 * math.sqrt(count))) ** 3


def _coarse(count: int) -> int:
    """Return the count with all but its first six binary digits 0."""
    spare = max(0, count.bit_length() - 6)
    return count >> spare << spare
