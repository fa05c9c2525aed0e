"""How far two histograms lie apart, and how far chance alone takes them: numbers in, numbers out.

Counts are those of the same buckets in both, in order. Both distances belong to tests of samples whose size was fixed
before, so who looks again has to share alpha among the looks: see `core.distributions`.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

_SMOOTHING = 0.5
_LEAST_EXPECTED = 5.0
_MOST_TERMS = 10_000


def population_stability(candidate: Sequence[int], baseline: Sequence[int]) -> float:
    """Return the population stability index, in nats; half an observation is added to each bucket of both.

    Without it an empty bucket would make it infinite.

    Raises:
        ValueError: the two differ in their number of buckets, have none, or less than no observations in one.
    """
    _check(candidate, baseline)
    return sum((p - q) * math.log(p / q) for p, q in zip(_smoothed(candidate), _smoothed(baseline), strict=True))


def jensen_shannon(candidate: Sequence[int], baseline: Sequence[int]) -> float:
    """Return the Jensen-Shannon divergence in bits, both versions weighted alike: from 0 to 1.

    Raises:
        ValueError: as `population_stability`, or one of the two is empty.
    """
    n, m = _sums(candidate, baseline)
    bits = 0.0
    for c, b in zip(candidate, baseline, strict=True):
        p, q = c / n, b / m
        bits += p * math.log2(2 * p / (p + q)) if c else 0.0
        bits += q * math.log2(2 * q / (p + q)) if b else 0.0
    return max(0.0, bits / 2)


def g_statistic(candidate: Sequence[int], baseline: Sequence[int]) -> float:
    """Return the G of the test that both were drawn from one distribution: about chi-square with buckets - 1.

    Raises:
        ValueError: as `jensen_shannon`.

    Source: the likelihood-ratio test of homogeneity; it is 2 N times the Jensen-Shannon divergence in
    nats whose versions are weighted by their observations.
    """
    n, m = _sums(candidate, baseline)
    terms = 0.0
    for c, b in zip(candidate, baseline, strict=True):
        both = (c + b) / (n + m)
        terms += c * math.log(c / n / both) if c else 0.0
        terms += b * math.log(b / m / both) if b else 0.0
    return max(0.0, 2 * terms)


def pooled(candidate: Sequence[int], baseline: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the same with neighbours put together until the smaller sample expects five in each bucket.

    Chi-square is no measure of sparse buckets. What is put together follows from the sums of both alone, which the
    tests take as given, so that it costs them nothing.

    Raises:
        ValueError: as `population_stability`.
    """
    _check(candidate, baseline)
    n, m = sum(candidate), sum(baseline)
    share = min(n, m) / (n + m) if n + m else 0.0
    firsts, seconds, first, second = [], [], 0, 0
    for c, b in zip(candidate, baseline, strict=True):
        first, second = first + c, second + b
        if (first + second) * share >= _LEAST_EXPECTED:
            firsts.append(first)
            seconds.append(second)
            first = second = 0
    if not firsts:
        return [first], [second]
    firsts[-1] += first
    seconds[-1] += second
    return firsts, seconds


@lru_cache(maxsize=1024)
def chi_square_critical(log_alpha: float, freedom: int) -> float:
    """Return what a chi-square variable exceeds with a probability whose natural logarithm is `log_alpha`, below 0.

    Good to twelve digits for 1 to 1,000 degrees of freedom and any probability from 1e-300 to 0.5.

    Raises:
        ValueError: an argument is out of range.
    """
    if not -700 < log_alpha <= math.log(0.5):
        raise ValueError(f"The probability must lie between e**-700 and a half, not at e**{log_alpha}.")
    if not 1 <= freedom <= 1000:
        raise ValueError(f"There must be 1 to 1000 degrees of freedom, not {freedom}.")
    low, high = 0.0, float(freedom)
    while _log_upper_gamma(freedom / 2, high / 2) > log_alpha:
        low, high = high, 2 * high
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if _log_upper_gamma(freedom / 2, middle / 2) > log_alpha:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _log_upper_gamma(a: float, x: float) -> float:
    """Return ln Q(a, x), the log of the upper regularized incomplete gamma function.

    Source: the power series of P below a + 1, the continued fraction of Q by Lentz's method above.
    """
    if x <= 0:
        return 0.0
    front = a * math.log(x) - x - math.lgamma(a)
    if x < a + 1:
        term = total = 1 / a
        for n in range(1, _MOST_TERMS):
            term *= x / (a + n)
            total += term
            if term < 1e-17 * total:
                break
        return math.log1p(-min(math.exp(front) * total, 1 - 1e-16))
    b = x + 1 - a
    c, d = math.inf, 1 / b
    fraction = d
    for n in range(1, _MOST_TERMS):
        step = n * (a - n)
        b += 2
        d = 1 / (step * d + b)
        c = b + step / c
        fraction *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return front + math.log(fraction)


def _smoothed(counts: Sequence[int]) -> list[float]:
    whole = sum(counts) + _SMOOTHING * len(counts)
    return [(count + _SMOOTHING) / whole for count in counts]


def _sums(candidate: Sequence[int], baseline: Sequence[int]) -> tuple[int, int]:
    _check(candidate, baseline)
    n, m = sum(candidate), sum(baseline)
    if not n or not m:
        raise ValueError("A histogram without observations has no distance to another.")
    return n, m


def _check(candidate: Sequence[int], baseline: Sequence[int]) -> None:
    if len(candidate) != len(baseline) or not candidate:
        raise ValueError(f"Histograms of {len(candidate)} and {len(baseline)} buckets cannot be compared.")
    if min(*candidate, *baseline) < 0:
        raise ValueError("No bucket holds less than no observations.")
