"""Each experiment as a table: worlds of the same kind, judged by several rules."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from modelrollout.core.bench import ALPHA_ROLLBACK
from modelrollout.core.counts import PASS_THRESHOLD
from modelrollout.core.dispersion import dispersion_of
from modelrollout.core.evidence import Minutes
from modelrollout.core.stats import Counts, Pair, log_evidence_increase
from numpy.typing import NDArray

from local.statistics import rules, worlds
from local.statistics.worlds import LOOKS, SECONDS, generator

FAIL = math.log(1 / ALPHA_ROLLBACK)
FAIL_AT_5 = math.log(1 / 0.05)
RATES = (0.1, 0.5, 1, 2, 5, 10, 20, 100, 300, 1000)
TIMES = (2, 3, 5, 10)


@dataclass(frozen=True, slots=True)
class Share:
    """How often something happened, in so many runs."""

    hits: int
    runs: int

    @property
    def estimate(self) -> float:
        """The share of the runs."""
        return self.hits / self.runs

    @property
    def error(self) -> float:
        """Its standard error; where it never or always happened, that of half a run."""
        share = min(max(self.estimate, 0.5 / self.runs), 1 - 0.5 / self.runs)
        return math.sqrt(share * (1 - share) / self.runs)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of shares, or of seconds (a pair: median and ninth decile); `name` is an identifier, `about` says what was done."""

    name: str
    title: str
    about: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple["Cell", ...]], ...]

    def cell(self, row: str, column: str) -> "Cell":
        """Return a cell by the text of its row and column."""
        return dict(self.rows)[row][self.head.index(column) - 1]


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long it took: median and ninth decile of the runs; infinite where it took longer than an hour."""

    median: float
    ninth: float


Cell = Share | Seconds


def all_tables(scale: float = 1.0) -> Iterator[Table]:
    """Yield the tables in the order in which they are read; `scale` below 1 makes fewer runs."""

    def runs(wanted: int) -> int:
        return max(50, round(wanted * scale))

    yield healthy(runs(20_000))
    yield at_the_limit(runs(20_000))
    yield compared(runs(10_000))
    yield cold_start(runs(20_000))
    yield common_drift(runs(5000))
    yield bursty(runs(10_000))
    yield detection(runs(5000))
    yield detection_absolute(runs(10_000))


def healthy(runs: int) -> Table:
    """A healthy candidate: half of what is allowed."""

    def row(number: int, rate: float) -> tuple[Cell, ...]:
        random = generator(1, number)
        requests = worlds.arriving(random, runs, rate * SECONDS)
        bad = worlds.independent(random, requests, 0.01)
        over = rules.over_limit(requests, bad, 0.02)
        ours = rules.ever(rules.broken(requests, bad, 0.02, FAIL))
        return (
            _share(over[:, rules.FIVE_MINUTES - 1]),
            *(_share(rules.ever(rules.in_a_row(over, times))) for times in (1, 3, 5)),
            _share(ours),
        )

    return Table(
        "healthy",
        "A healthy candidate is rolled back",
        "1 % of requests are bad, 2 % are allowed. A threshold on the share over the last five minutes at one look, at any of 120,"
        " at three and at five looks in a row; and our absolute test.",
        ("requests/s", "one look", "any look", "3 in a row", "5 in a row", "ours"),
        _by_rate(row),
    )


def at_the_limit(runs: int) -> Table:
    """The worst that still counts as allowed."""

    def row(number: int, rate: float) -> tuple[Cell, ...]:
        random = generator(2, number)
        requests = worlds.arriving(random, runs, rate * SECONDS)
        bad = worlds.independent(random, requests, 0.02)
        return (
            _share(rules.ever(rules.over_limit(requests, bad, 0.02))),
            _share(rules.ever(rules.broken(requests, bad, 0.02, FAIL_AT_5))),
            _share(rules.ever(rules.broken(requests, bad, 0.02, FAIL))),
            _share(rules.ever(rules.kept(requests, bad, 0.02, PASS_THRESHOLD))),
        )

    return Table(
        "at_the_limit",
        "A candidate exactly at its limit",
        "2 % are bad and 2 % are allowed: the hardest case. Rolled back by the threshold, by our test at alpha 5 % and at our 1 %;"
        " and passed by ours (5 % promised), within an hour of one step.",
        ("requests/s", "any look", "ours at 5 %", "ours", "ours passes"),
        _by_rate(row),
    )


def compared(runs: int) -> Table:
    """Both versions alike, a tenth of the traffic for the candidate."""

    def row(number: int, rate: float) -> tuple[Cell, ...]:
        per_look = round(rate * SECONDS), round(9 * rate * SECONDS)
        random = generator(3, number)
        bad, other = (worlds.independent(random, worlds.steady(runs, each), 0.01) for each in per_look)
        at_the_edge = worlds.independent(random, worlds.steady(runs, per_look[0]), 0.0125)
        return (
            _share(rules.ever(rules.over_ratio(bad, other, per_look, 1.5))),
            _share(rules.ever(rules.z_test(bad, other, per_look))),
            _share(rules.ever(rules.z_test(bad, other, per_look, least=300))),
            _share(rules.ever(rules.worse(bad, other, per_look, 0.0, FAIL))),
            _share(rules.ever(rules.worse(at_the_edge, other, per_look, 0.25, FAIL))),
        )

    return Table(
        "compared",
        "A candidate that is no worse than the baseline is rolled back",
        "Both have 1 % bad requests; the candidate has a tenth of the traffic, at the rate of the row. More than 1.5 times the"
        " baseline's share over five minutes at any look; a one-sided test of two shares at 5 %, asked at each look, without and"
        " with a minimum of 300 requests; ours without tolerance; ours with 25 % tolerance and a candidate exactly there.",
        ("requests/s", "1.5 times", "z-test", "z-test from 300", "ours, 0 %", "ours, 25 % at the edge"),
        _by_rate(row, RATES[1:8]),
    )


def cold_start(runs: int) -> Table:
    """A fifth of the first minute's requests fail, then all is well."""
    random, share = generator(4), np.full(LOOKS, 0.01)
    share[: 60 // SECONDS] = 0.2
    requests = worlds.arriving(random, runs, 2 * SECONDS)
    bad = worlds.independent(random, requests, share)
    counting = np.arange(LOOKS) >= 120 // SECONDS
    rows = []
    for name, mask in (("all requests count", np.ones(LOOKS, dtype=bool)), ("two minutes of warm-up", counting)):
        counted = requests * mask, bad * mask
        over, ours = rules.over_limit(*counted, 0.02), rules.broken(*counted, 0.02, FAIL)
        rows.append((name, (_share(rules.ever(over)), _share(rules.ever(ours)))))
    return Table(
        "cold_start",
        "A cold start is taken for a fault",
        "20 % bad in the first minute, 1 % after it; 2 % allowed; 2 requests a second.",
        ("", "any look", "ours"),
        tuple(rows),
    )


def common_drift(runs: int) -> Table:
    """Three weights, and a common error rate that rises meanwhile."""
    random = generator(5)
    total = 2 * SECONDS
    steps = ((total // 20, 0.005), (total // 4, 0.01), (total // 2, 0.03))
    looks = LOOKS // 3
    hits = np.zeros((4, runs), dtype=bool)
    for run in range(runs):
        done: list[Pair] = []
        mine = theirs = Counts(0, 0)
        for per_look, share in steps:
            bad = random.binomial(per_look, share, size=looks).cumsum()
            other = random.binomial(total - per_look, share, size=looks).cumsum()
            for look in range(1, looks + 1):
                now = _pair(bad[look - 1], per_look * look, other[look - 1], (total - per_look) * look)
                apart = log_evidence_increase([*done, now], 0)
                pooled = Pair(_plus(mine, now.candidate), _plus(theirs, now.baseline))
                one = log_evidence_increase([pooled], 0)
                hits[:, run] |= [apart >= FAIL_AT_5, apart >= FAIL, one >= FAIL_AT_5, one >= FAIL]
            done.append(now)
            mine, theirs = _plus(mine, now.candidate), _plus(theirs, now.baseline)
    found = [_share(row) for row in hits]
    return Table(
        "common_drift",
        "A common drift is taken for a difference",
        "Weights 5, 25 and 50 %, twenty minutes each at 2 requests a second, while both versions' bad share rises from 0.5 by 1 to"
        " 3 %. Counts of all steps added up, and ours: evidence of each step by itself, multiplied.",
        ("", "added up", "ours"),
        (("alpha 5 %", (found[2], found[0])), ("alpha 1 %", (found[3], found[1]))),
    )


def bursty(runs: int) -> Table:
    """Bad requests that come several at a time."""

    def row(number: int, length: float) -> tuple[Cell, ...]:
        random = generator(6, number)
        per_look = 300, 2700
        bad, other = (worlds.bursts(random, (runs, LOOKS), each, 0.01, length) for each in per_look)
        at_limit = worlds.bursts(random, (runs, LOOKS), per_look[0], 0.02, length)
        requests = worlds.steady(runs, per_look[0])
        known = 2 * length - 1
        hours = worlds.bursts(random, (runs, 60), 2 * sum(per_look), 0.01, length)
        measured = _measured(hours, 2 * sum(per_look))
        return (
            _share(rules.ever(rules.worse(bad, other, per_look, 0.0, FAIL))),
            _share(rules.ever(rules.worse(bad, other, per_look, 0.0, FAIL, known))),
            _share(_each(measured, lambda n, phi: rules.worse(bad[n], other[n], per_look, 0.0, FAIL, phi))),
            _share(rules.ever(rules.broken(requests, at_limit, 0.02, FAIL))),
            _share(_each(measured, lambda n, phi: rules.broken(requests[n], at_limit[n], 0.02, FAIL, phi))),
            _share(rules.ever(rules.kept(requests, at_limit, 0.02, PASS_THRESHOLD))),
            _share(_each(measured, lambda n, phi: rules.kept(requests[n], at_limit[n], 0.02, PASS_THRESHOLD, phi))),
        )

    return Table(
        "bursty",
        "Errors that come in bursts",
        "Bursts of the length of the row on average, geometric; 10 requests a second of 100. Two versions alike, told apart: without"
        " regard to bursts, with the true dispersion, and with the one that we measure in the hour before. A candidate exactly at"
        " its limit of 2 %, found broken and found kept: without, and with the one that we measure.",
        (
            "bursts of",
            "relative, plain",
            "true factor",
            "ours",
            "broken, plain",
            "broken, ours",
            "kept, plain",
            "kept, ours",
        ),
        tuple((f"{length:g}", row(number, length)) for number, length in enumerate((1, 1.5, 3, 5, 10))),
    )


def detection(runs: int) -> Table:
    """How soon a worse candidate is caught by comparison."""
    per_look = 2 * SECONDS, 18 * SECONDS

    def row(times: int) -> tuple[Cell, ...]:
        random = generator(7, times)
        bad = worlds.independent(random, worlds.steady(runs, per_look[0]), 0.01 * times)
        other = worlds.independent(random, worlds.steady(runs, per_look[1]), 0.01)
        ours = rules.worse(bad, other, per_look, 0.25, FAIL)
        ratio = rules.over_ratio(bad, other, per_look, 1.5)
        return (
            _share(rules.ever(ours)),
            _seconds(ours),
            _seconds(rules.worse(bad, other, per_look, 0.0, FAIL)),
            _seconds(rules.in_a_row(ratio, 3)),
            _seconds(rules.in_a_row(ratio, 5)),
        )

    return Table(
        "detection",
        "How soon a worse candidate is caught: compared with the baseline",
        "The baseline has 1 % bad requests, the candidate that many times as many; 2 requests a second of 20. The share caught within"
        " an hour by ours (25 % tolerated); then seconds, median and ninth decile: ours, ours without tolerance, and more than 1.5"
        " times the baseline's share over five minutes three and five looks in a row, which cannot act sooner whatever the damage.",
        ("times", "caught by ours", "ours", "ours, 0 %", "3 in a row", "5 in a row"),
        tuple((f"{times}x", row(times)) for times in (*TIMES, 30)),
    )


def detection_absolute(runs: int) -> Table:
    """How soon a worse candidate is caught by its limit."""

    def row(times: int) -> tuple[Cell, ...]:
        random = generator(8, times)
        requests = worlds.arriving(random, runs, 2 * SECONDS)
        bad = worlds.independent(random, requests, 0.01 * times)
        over = rules.over_limit(requests, bad, 0.01)
        ours = rules.broken(requests, bad, 0.01, FAIL)
        return (
            _share(rules.ever(ours)),
            _seconds(ours),
            _seconds(rules.in_a_row(over, 3)),
            _seconds(rules.in_a_row(over, 5)),
        )

    return Table(
        "detection_absolute",
        "How soon a worse candidate is caught: its own limit",
        "1 % is allowed, that many times as many are bad; 2 requests a second.",
        ("times", "caught by ours", "ours", "3 in a row", "5 in a row"),
        tuple((f"{times}x", row(times)) for times in (*TIMES, 30)),
    )


def _by_rate(
    row: Callable[[int, float], tuple[Cell, ...]], rates: Sequence[float] = RATES
) -> tuple[tuple[str, tuple[Cell, ...]], ...]:
    return tuple((f"{rate:g}", row(number, rate)) for number, rate in enumerate(rates))


def _share(hits: NDArray[np.bool_]) -> Share:
    return Share(int(hits.sum()), len(hits))


def _seconds(hits: rules.Hits) -> Seconds:
    looks = np.sort(rules.first(hits))
    return Seconds(*(float(looks[round(q * (len(looks) - 1))]) * SECONDS for q in (0.5, 0.9)))


def _each(dispersions: NDArray[np.float64], rule: Callable[[NDArray[np.intp], float], rules.Hits]) -> NDArray[np.bool_]:
    """Return the runs in which a rule says so, each run with its own dispersion; those of one are judged together."""
    found = np.zeros(len(dispersions), dtype=bool)
    for phi in np.unique(dispersions):
        runs = np.flatnonzero(dispersions == phi)
        found[runs] = rules.ever(rule(runs, float(phi)))
    return found


def _measured(hours: NDArray[np.int64], per_minute: int) -> NDArray[np.float64]:
    """Return the dispersions that the operator would measure, to the nearest of steps of 5 %, to judge many together."""
    exact = np.array([dispersion_of(_minutes(hour, per_minute)).factor for hour in hours])
    found: NDArray[np.float64] = np.exp(math.log(1.05) * np.round(np.log(exact) / math.log(1.05)))
    return found


def _minutes(bad: NDArray[np.int64], per_minute: int) -> Minutes:
    squares = float((bad.astype(float) ** 2).sum() / per_minute)
    return Minutes(len(bad), len(bad), float(per_minute * len(bad)), float(bad.sum()), squares)


def _pair(bad: int, total: int, other: int, others: int) -> Pair:
    return Pair(Counts(total, int(bad)), Counts(others, int(other)))


def _plus(one: Counts, other: Counts) -> Counts:
    return Counts(one.total + other.total, one.bad + other.bad)
