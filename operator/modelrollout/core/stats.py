"""Sequential tests on counts of good and bad requests: numbers in, numbers out.

Evidence is the natural logarithm of an e-value E: how many times better the data fit the claim than its opposite.
If the opposite is true, E reaches 1/alpha with probability alpha at most, however often one looks (Ville's
inequality). So `evidence >= ln(1/alpha)` may be asked after every scrape. E-values of separate spans of time
multiply: their evidence adds up.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

_PRIOR_BAD = 0.5
_NARROWEST = 1e-9  # nearer to 0 or 1 no limit makes sense, and a float would hold too little of its complement
_HIGHEST_THRESHOLD = 1000.0
_LEAST_CATASTROPHE = 20
_SECANTS = 12
_NEGLIGIBLE = 38.0  # one and e**-38 are one to a float

# Rate ratios, as multiples of what is tolerated, that the two-sample test bets on: 1.15 to 20, evenly on a log scale.
RATIOS = tuple(1.15 * (20 / 1.15) ** (k / 11) for k in range(12))

# Points and weights of the double exponential rule on (0, 45), beyond which e**-y adds nothing.
_STEP = 1 / 8
_QUADRATURE = tuple(
    (math.exp(v - math.exp(-v)), _STEP * (1 + math.exp(-v)) * math.exp(v - math.exp(-v)))
    for v in (_STEP * k for k in range(-28, 31))
)


class Counts(NamedTuple):
    """Requests of one version, and how many of them were bad; `bad` is at most `total`."""

    total: int
    bad: int


class Pair(NamedTuple):
    """What both versions served in the same span of constant weights."""

    candidate: Counts
    baseline: Counts


def log_evidence_above(counts: Counts, limit: float, dispersion: float = 1.0) -> float:
    """Return ln E for "the share of bad requests is above `limit`", a fraction in (0, 1).

    Zero is no evidence, below zero speaks against the claim. Valid at any number of looks, and while the share
    moves about, as long as it stays within the limit. `dispersion`, 1 or more, is the variance of bad requests over
    what independent ones have; so many requests say as much as one.

    Raises:
        ValueError: limit or dispersion are out of range, or the counts cannot be.

    Source: likelihood ratios against `limit`, averaged over a beta prior whose mean is `limit`, cut off below it;
    Ville's inequality.
    """
    bad, good = _parse_counts(counts)
    p, q = _parse_limit(limit)
    phi = _parse_dispersion(dispersion)
    return _log_tail(_PRIOR_BAD * q / p + good / phi, _PRIOR_BAD + bad / phi, q, p) - _log_priors(p, q)[1]


def log_evidence_below(counts: Counts, limit: float, dispersion: float = 1.0) -> float:
    """Return ln E for "the share of bad requests is below `limit`", a fraction in (0, 1).

    The mirror image of `log_evidence_above`: the same prior, cut off above the limit. It grows with every good
    request and shrinks with every bad one.

    Raises:
        ValueError: limit or dispersion are out of range, or the counts cannot be.
    """
    bad, good = _parse_counts(counts)
    p, q = _parse_limit(limit)
    phi = _parse_dispersion(dispersion)
    return _log_tail(_PRIOR_BAD + bad / phi, _PRIOR_BAD * q / p + good / phi, p, q) - _log_priors(p, q)[0]


def log_evidence_increase(
    steps: Sequence[Pair], tolerance: float, dispersion: float = 1.0, ratios: Sequence[float] = RATIOS
) -> float:
    """Return ln E for "the candidate's rate of bad requests is above (1 + `tolerance`) times the baseline's".

    One pair for each span of constant weights: added up over several, a common drift of both versions' rates would
    look like a difference. A pair in which a version has no requests says nothing. `tolerance` is a fraction of the
    baseline's rate, 0 or more. `dispersion`, 1 or more, is the variance of bad requests over what independent ones
    have; take it from history, as one estimated from the same counts voids the guarantee. `ratios` are what is bet on, as
    multiples of what is tolerated; any above 1 are valid.

    Raises:
        ValueError: tolerance or dispersion are out of range, or the counts cannot be.

    Source: the conditional test for two Poisson counts: given that a request was bad, it was the candidate's with a
    probability that only the traffic shares and the ratio of the rates set. Averaged over the ratios. Where bad
    requests are not rare it errs towards no evidence.
    """
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"The tolerance must be a number from 0 on, not {tolerance}.")
    phi = _parse_dispersion(dispersion)
    scores = [0.0] * len(ratios)
    for candidate, baseline in steps:
        bad, _ = _parse_counts(candidate)
        other, _ = _parse_counts(baseline)
        if not candidate.total or not baseline.total:
            continue
        expected = (1 + tolerance) * candidate.total
        share = expected / (expected + baseline.total)
        for k, ratio in enumerate(ratios):
            scores[k] += bad * math.log(ratio) - (bad + other) * math.log1p((ratio - 1) * share)
    return _log_mean_exp([score / phi for score in scores])


def is_catastrophe(counts: Counts) -> bool:
    """Whether half of at least 20 requests were bad: no test is needed.

    A version with 5 % bad requests gets there with a probability of 1e-8 at one look.

    Raises:
        ValueError: the counts cannot be.
    """
    _parse_counts(counts)
    return counts.total >= _LEAST_CATASTROPHE and 2 * counts.bad >= counts.total


def requests_for_clean_pass(limit: float, confidence: float) -> int:
    """Return how many requests without a bad one show that their share is below `limit`.

    Both are fractions in (0, 1): a limit of 0.01 at confidence 0.95 needs 299. Valid for one look at the data;
    while a step runs, `log_evidence_below` decides.

    Raises:
        ValueError: an argument is outside (0, 1).

    Source: binomial with zero events, (1 - limit)**n <= 1 - confidence.
    """
    p, _ = _parse_limit(limit)
    if not 0 < confidence < 1:
        raise ValueError(f"The confidence must be a fraction between 0 and 1, not {confidence}.")
    exact = math.log1p(-confidence) / math.log1p(-p)
    return math.ceil(exact - 1e-9)  # 1 - 0.19 is 0.9**2 to us, if not to floats


def requests_until_pass(bad: int, limit: float, log_threshold: float, dispersion: float = 1.0) -> int:
    """Return the smallest total at which `bad` bad requests leave `log_evidence_below` at `log_threshold` or above.

    It says how far a version that stays clean from now on has to go. `log_threshold` is ln(1/alpha), 0 to 1000.

    Raises:
        ValueError: an argument is out of range.
    """
    _parse_counts(Counts(bad, bad))
    p, q = _parse_limit(limit)
    if not 0 <= log_threshold <= _HIGHEST_THRESHOLD:
        raise ValueError(f"The threshold must be from 0 to {_HIGHEST_THRESHOLD:g}, not {log_threshold}.")

    phi = _parse_dispersion(dispersion)
    prior, _ = _log_priors(p, q)

    def evidence(total: int, log_integral: Callable[[float, float, float, float], float] = _log_tail) -> float:
        return log_integral(_PRIOR_BAD + bad / phi, _PRIOR_BAD * q / p + (total - bad) / phi, p, q) - prior

    low, stride = math.floor(bad / p), math.ceil((1 + math.sqrt(bad)) * phi / p)
    if evidence(low) >= log_threshold:
        return _first_at(evidence, log_threshold, bad, stride)
    # The whole is a little more than the tail and costs a tenth: with fewer than it takes the tail is not there either.
    if (nearly := _first_at(lambda total: evidence(total, _log_whole), log_threshold, low, stride)) > low:
        low, stride = nearly, math.ceil(phi / p)
    return _first_at(evidence, log_threshold, low, stride)


def _first_at(rising: Callable[[int], float], level: float, low: int, stride: int) -> int:
    """Return the first integer from `low` on at which a function without a bound is at `level`.

    Each of its values is dear. It is first like a parabola whose vertex is at `low`, later like a line, so its root is
    nearly a line: a handful of values will do. `stride` is about how far it is.

    Source: the secant method within a bracket; doubling and bisection where that takes long.
    """
    least = rising(low)
    if least >= level:
        return low

    def root(value: float) -> float:
        return math.sqrt(max(0.0, value - least))

    high: int | None = None
    aim, tries = root(level), 0
    last, following = (low, 0.0), low + stride
    while high is None or high - low > 1:
        value = rising(following)
        (x0, y0), (x1, y1) = last, (following, root(value))
        last, tries = (x1, y1), tries + 1
        low, high = (low, following) if value >= level else (following, high)
        zero = x1 + (aim - y1) * (x1 - x0) / (y1 - y0) if tries < _SECANTS and y0 != y1 else math.inf
        if high is None:
            following = low + max(1, min(stride << tries, math.ceil(min(zero, 1e18)) - low))
        elif zero == math.inf:
            following = (low + high) // 2
        else:
            following = min(max(math.floor(zero) if value >= level else math.ceil(zero), low + 1), high - 1)
    return high


def _parse_counts(counts: Counts) -> tuple[int, int]:
    """Return the bad and the good ones."""
    total, bad = counts
    if not 0 <= bad <= total:
        raise ValueError(f"There cannot be {bad} bad requests among {total}.")
    return bad, total - bad


def _parse_limit(limit: float) -> tuple[float, float]:
    """Return the limit and what is left to one."""
    if not _NARROWEST <= limit <= 1 - _NARROWEST:
        raise ValueError(f"The limit must be a fraction between 0 and 1, not {limit}.")
    return limit, 1 - limit


def _parse_dispersion(dispersion: float) -> float:
    if not 1 <= dispersion < math.inf:
        raise ValueError(f"The dispersion must be a number from 1 on, not {dispersion}.")
    return dispersion


@lru_cache(maxsize=1024)
def _log_priors(p: float, q: float) -> tuple[float, float]:
    """Return `_log_tail` of the prior below `p` and above it: half of all work of a look, and the same at each."""
    prior_good = _PRIOR_BAD * q / p
    return _log_tail(_PRIOR_BAD, prior_good, p, q), _log_tail(prior_good, _PRIOR_BAD, q, p)


def _log_tail(a: float, b: float, p: float, q: float) -> float:
    """Return the log of the integral of t**(a-1) * (1-t)**(b-1) from 0 to `p`, over p**a * q**b, where q = 1 - p.

    It is the lower tail of a beta distribution with everything large cancelled on paper rather than in floats, so
    neither a tail of e**-1e12 nor counts of 1e12 cost digits. Of the tail's two sides the smaller one is integrated.
    """
    if a * q >= (b - 1) * p:
        return _log_small_tail(a, b, p, q)
    whole = _log_whole(a, b, p, q)
    # The other side's integrand rises up to its end, so the integral is 1 / p at most: often nothing beside the whole.
    if whole + math.log(p) > _NEGLIGIBLE:
        return whole
    return whole + math.log1p(-math.exp(_log_small_tail(b, a, q, p) - whole))


def _log_small_tail(a: float, b: float, p: float, q: float) -> float:
    """Return `_log_tail` where the integrand rises up to `p`, by quadrature; t is p * exp(-y).

    A continued fraction is exact too, but near the mean it takes as many rounds as the square root of the counts.
    This is good to 13 digits for limits up to 99 %, to 5 at 99.9999 %.

    Source: the double exponential rule of Takahasi and Mori for half-infinite integrals.
    """
    odds = p / q

    def exponent(y: float) -> float:
        return (b - 1) * math.log1p(-odds * math.expm1(-y)) - a * y

    scale = 1 / a
    if b > 1:  # where the first two terms of the exponent's series lose one, or further
        slope, bend = a - (b - 1) * odds, (b - 1) * odds / q
        scale = 2 / (slope + math.sqrt(slope * slope + 2 * bend))
        while exponent(scale) > -1:
            scale *= 2
    # `exponent` written out: sixty calls less for each tail.
    c, rate = b - 1, a * scale
    terms = (w * math.exp(c * math.log1p(-odds * math.expm1(-scale * y)) - rate * y) for y, w in _QUADRATURE)
    return math.log(scale * sum(terms)) - math.log(q)


def _log_whole(a: float, b: float, p: float, q: float) -> float:
    """Return the log of the beta function of a and b over p**a * q**b.

    Source: Stirling's formula, with the powers gathered into a divergence between a / (a+b) and `p`, as Loader does
    for the binomial.
    """
    n = a + b
    off = a * q - b * p  # a - n * p without its cancellation
    divergence = a * _log_ratio(a, n * p, off) + b * _log_ratio(b, n * q, -off)
    return divergence + 0.5 * math.log(2 * math.pi * n / a / b) + _stirling(a) + _stirling(b) - _stirling(n)


def _log_ratio(x: float, mean: float, off: float) -> float:
    """Return ln(x / mean), given their difference."""
    return math.log1p(off / mean) if abs(off) < 0.5 * mean else math.log(x / mean)


def _stirling(x: float) -> float:
    """Return what Stirling's formula lacks to the log of the gamma function of `x`."""
    if x < 16:
        return math.lgamma(x) - (x - 0.5) * math.log(x) + x - 0.5 * math.log(2 * math.pi)
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / x**2) / x**2) / x**2) / x


def _log_mean_exp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values) / len(values))
