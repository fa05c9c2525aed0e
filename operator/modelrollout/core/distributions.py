"""Two histograms to a verdict: has what is watched drifted away from the baseline's, by more than chance takes it?

The tests are of fixed samples, so not every look may be one. A step is tested when both versions have the least number of
observations, and again each time the smaller sample has doubled; in between the last verdict stands. Test k of a step
spends 2**-k of the step's false alarms, and step j of a stage 2**-j of the stage's.
"""

import math
from dataclasses import replace

from modelrollout.api.fields import render_number
from modelrollout.api.gates import Gate
from modelrollout.api.kinds import Drift
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.bench import Bench, Finding, status_of, warming
from modelrollout.core.counts import shrunk
from modelrollout.core.drift import (
    chi_square_critical,
    g_statistic,
    jensen_shannon,
    pooled,
    population_stability,
)
from modelrollout.core.evidence import Distributed, Unknown
from modelrollout.core.outlook import Weighed

LEAST_SAMPLES = 1000
LIMITS = {"PSI": 0.25, "JensenShannon": 0.1}
DRIFTED, NOT_DRIFTED = "Drifted", "NotDrifted"
_TESTED = frozenset({DRIFTED, NOT_DRIFTED, str(Unknown.NEED_EVIDENCE)})


def judge_drift(gate: Gate, found: Distributed, bench: Bench) -> GateStatus:
    """Return the verdict: a failure lies above the limit, and above what chance explains."""
    limits = gate.drift
    if limits is None:
        raise ValueError(f"gate {gate.name!r} watches no histogram")
    limit = f"at most {render_number(_limit(limits))} ({limits.method})"
    if found.baseline is None:
        nothing = "the baseline has no live requests to compare with; compared while it had"
        return status_of(gate, bench, Finding(Verdict.PASS, "NothingToCompare", nothing), limit=limit)
    samples = sum(found.candidate)
    if bench.warming_until:
        return status_of(gate, bench, warming(bench), limit=limit, samples=samples)
    tally = Tally(total=samples, bad=0, baseline_total=sum(found.baseline))
    if finding := shrunk(tally, bench) or _too_few(limits, tally):
        return status_of(gate, bench, finding, limit=limit, samples=samples, tally=tally)
    if (last := _standing(tally, bench)) and last.tally:
        finding = Finding(last.verdict, last.reason, last.message, _weighed_of(last))
        return status_of(
            gate, bench, finding, value=last.value, limit=limit, samples=last.tally.total, tally=last.tally
        )
    distance, finding = _test(limits, found.candidate, found.baseline, tally, bench)
    value = None if distance is None else render_number(distance)
    return status_of(gate, bench, finding, value=value, limit=limit, samples=samples, tally=tally)


def _limit(limits: Drift) -> float:
    return LIMITS[limits.method] if limits.max is None else limits.max


def _least(limits: Drift) -> int:
    return limits.min_samples or LEAST_SAMPLES


def _too_few(limits: Drift, tally: Tally) -> Finding | None:
    least = _least(limits)
    for count, whose in ((tally.total, "candidate"), (tally.baseline_total, "baseline")):
        if count < least:
            weighed = Weighed(
                0.0,
                min(tally.total, tally.baseline_total) / least,
                max(0, least - tally.total),
                max(0, least - tally.baseline_total),
            )
            text = f"{count} of {least} observations of the {whose} are in"
            return Finding(Verdict.UNKNOWN, Unknown.NEED_REQUESTS, text, weighed)
    return None


def _standing(tally: Tally, bench: Bench) -> GateStatus | None:
    """Return the last test's verdict as long as the smaller sample has not doubled since."""
    last = bench.stored
    if last is None or last.tally is None or last.reason not in _TESTED:
        return None
    return last if _smaller(tally) < 2 * _smaller(last.tally) else None


def _smaller(tally: Tally) -> int:
    return min(tally.total, tally.baseline_total)


def _weighed_of(last: GateStatus) -> Weighed | None:
    if last.evidence is None or last.evidence.towards_fail is None or last.evidence.towards_pass is None:
        return None
    needed = last.evidence.needed if last.verdict is Verdict.UNKNOWN else 0
    return Weighed(last.evidence.towards_fail / 100, last.evidence.towards_pass / 100, needed)


def _test(
    limits: Drift, candidate: tuple[int, ...], baseline: tuple[int, ...], tally: Tally, bench: Bench
) -> tuple[float | None, Finding]:
    mine, theirs = pooled(candidate, baseline)
    if len(mine) < 2:
        none = (
            "nearly all observations of both versions lie in one bucket, so no drift could be seen: give the histogram"
            " bounds among its values"
        )
        return None, Finding(Verdict.UNKNOWN, Unknown.ONE_BUCKET, none)
    doublings = int(math.log2(_smaller(tally) / _least(limits)))
    log_alpha = -(bench.fail_threshold_of_step + (doublings + 1) * math.log(2))
    chance = chi_square_critical(log_alpha, len(mine) - 1)
    limit = _limit(limits)
    if limits.method == "PSI":
        distance = population_stability(mine, theirs)
        times_chance = distance / (chance * (1 / tally.total + 1 / tally.baseline_total))
    else:
        distance = math.sqrt(jensen_shannon(mine, theirs))
        times_chance = g_statistic(mine, theirs) / chance
    shown = (
        f"{limits.method} {render_number(distance)} over {len(mine)} buckets, allowed is {render_number(limit)};"
        f" {times_chance:.3g} times what chance explains in {tally.total} observations of the candidate and"
        f" {tally.baseline_total} of the baseline"
    )
    return distance, _finding(distance / limit, times_chance, shown, tally)


def _finding(times_limit: float, times_chance: float, shown: str, tally: Tally) -> Finding:
    if times_limit > 1 and times_chance > 1:
        return Finding(Verdict.FAIL, DRIFTED, shown)
    weighed = Weighed(min(times_limit, times_chance), 1.0)
    if times_limit <= 1:
        return Finding(Verdict.PASS, NOT_DRIFTED, shown, weighed)
    again = f"{shown}: it is looked at again when there are twice as many"
    return Finding(
        Verdict.UNKNOWN, Unknown.NEED_EVIDENCE, again, replace(weighed, towards_pass=0.99, needed=_smaller(tally))
    )
