"""Counts of requests to a verdict: evidence against the limits, and for them."""

import math
from typing import assert_never

from modelrollout.api.fields import render_share
from modelrollout.api.gates import ErrorRate, Gate, Latency, Value
from modelrollout.api.kinds import Ratio, Throughput
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.bench import Bench, Finding, most_telling, status_of, warming
from modelrollout.core.evidence import Counted, Unknown
from modelrollout.core.stats import (
    Counts,
    Pair,
    is_catastrophe,
    log_evidence_above,
    log_evidence_below,
    log_evidence_increase,
    requests_until_pass,
)

ALPHA_PROMOTE = 0.05
PASS_THRESHOLD = math.log(1 / ALPHA_PROMOTE)
CATASTROPHE = "Catastrophe"
BASELINE_TOO = "BaselineAlsoFailing"
# A window's edges are extrapolated by up to a scrape, so a count may come back a little smaller.
SHRINK_ALLOWED = 0.1
SHRINK_ALLOWED_COUNT = 20


def judge_counts(gate: Gate, counted: Counted, bench: Bench) -> GateStatus:
    """Return the verdict on the gate's limits. Pass and Fail may be looked at any number of times (Ville)."""
    tally = Tally(
        total=counted.candidate.total,
        bad=counted.candidate.bad,
        baseline_total=counted.baseline.total if counted.baseline else 0,
        baseline_bad=counted.baseline.bad if counted.baseline else 0,
    )
    finding = (
        _catastrophe(gate, counted)
        or shrunk(tally, bench)
        or (warming(bench) if bench.warming_until else None)
        or _weigh(gate, counted, tally, bench)
    )
    absolute, increase, what = _limits(gate)
    most = [f"at most {render_share(absolute)} {what}"] if absolute is not None else []
    more = [f"at most {render_share(increase)} more than the baseline"] if increase is not None else []
    limit = ", ".join(most + more)
    share = render_share(tally.bad / tally.total) if tally.total else None
    kept = None if bench.warming_until else tally
    return status_of(gate, bench, finding, value=share, limit=limit, samples=tally.total, tally=kept)


def _catastrophe(gate: Gate, counted: Counted) -> Finding | None:
    """Armed from the first request, warm-up included, but for errors only: slow is not broken."""
    if gate.error_rate is None or not is_catastrophe(counted.candidate):
        return None
    counts = f"{counted.candidate.bad} of the candidate's {counted.candidate.total} requests failed"
    if counted.baseline and is_catastrophe(counted.baseline):
        both = (
            f"{counts}, and {counted.baseline.bad} of the baseline's {counted.baseline.total}: look at what they share"
        )
        return Finding(Verdict.UNKNOWN, BASELINE_TOO, both)
    return Finding(Verdict.FAIL, CATASTROPHE, f"{counts}: half or more, no test is needed")


def shrunk(tally: Tally, bench: Bench) -> Finding | None:
    """Return a complaint if there are fewer requests than at the last look."""
    before = bench.stored.tally if bench.stored else None
    if before is None or tally.total >= before.total * (1 - SHRINK_ALLOWED) - SHRINK_ALLOWED_COUNT:
        return None
    return Finding(
        Verdict.UNKNOWN,
        Unknown.COUNTS_SHRANK,
        f"{tally.total} requests now, {before.total} before: Prometheus has lost data, evidence starts again",
    )


def _weigh(gate: Gate, counted: Counted, tally: Tally, bench: Bench) -> Finding:
    """Weigh evidence against the limits over the stage's steps, and for them in this step alone."""
    findings = []
    absolute, increase, what = _limits(gate)
    if absolute is not None:
        findings.append(_weigh_absolute(absolute, what, tally, bench))
    if increase is not None:
        findings.append(_weigh_increase(increase, what, counted, tally, bench))
    return most_telling(findings)


def _weigh_absolute(limit: float, what: str, tally: Tally, bench: Bench) -> Finding:
    now = Counts(tally.total, tally.bad)
    steps = [*bench.earlier, tally]
    against = sum(log_evidence_above(Counts(t.total, t.bad), limit) for t in steps)
    shown = f"{tally.bad} of {tally.total} requests {what} ({_share(now)}), allowed is {render_share(limit)}"
    if against >= bench.fail_threshold:
        baseline = sum(log_evidence_above(Counts(t.baseline_total, t.baseline_bad), limit) for t in steps)
        if baseline >= bench.fail_threshold:
            both = f"{shown}; the baseline too: {tally.baseline_bad} of {tally.baseline_total}. Look at what they share"
            return Finding(Verdict.UNKNOWN, BASELINE_TOO, both)
        return Finding(Verdict.FAIL, "AboveLimit", f"{shown}; odds against it {odds(against)}")
    if tally.total < bench.min_requests:
        return need_requests(tally.total, "candidate", bench)
    in_favour = log_evidence_below(now, limit)
    if in_favour >= PASS_THRESHOLD:
        return Finding(Verdict.PASS, "BelowLimit", f"{shown}; odds for it {odds(in_favour)}")
    missing = max(0, requests_until_pass(tally.bad, limit, PASS_THRESHOLD) - tally.total)
    return Finding(
        Verdict.UNKNOWN,
        Unknown.NEED_EVIDENCE,
        f"{shown}; odds for it {odds(in_favour)} of 20:1, about {missing} more good requests are needed",
    )


def _weigh_increase(increase: float, what: str, counted: Counted, tally: Tally, bench: Bench) -> Finding:
    if counted.baseline is None:
        nothing = "the baseline has no live requests to compare with; compared while it had"
        return Finding(Verdict.PASS, "NothingToCompare", nothing)
    steps = [Pair(Counts(t.total, t.bad), Counts(t.baseline_total, t.baseline_bad)) for t in (*bench.earlier, tally)]
    against = log_evidence_increase(steps, increase)
    shown = (
        f"{what}: candidate {tally.bad} of {tally.total} ({_share(counted.candidate)}), baseline"
        f" {tally.baseline_bad} of {tally.baseline_total} ({_share(counted.baseline)}), allowed is"
        f" {render_share(increase)} more"
    )
    if against >= bench.fail_threshold:
        return Finding(Verdict.FAIL, "WorseThanBaseline", f"{shown}; odds against it {odds(against)}")
    for count, whose in ((tally.total, "candidate"), (tally.baseline_total, "baseline")):
        if count < bench.min_requests:
            return need_requests(count, whose, bench)
    if against <= 1e-9:  # without a single bad request on either side E is exactly 1: no evidence
        return Finding(Verdict.PASS, "NoWorseThanBaseline", f"{shown}; no evidence against it")
    hint = f"{shown}; odds against it {odds(against)}: neither refuted nor confirmed, more requests are needed"
    return Finding(Verdict.UNKNOWN, Unknown.NEED_EVIDENCE, hint)


def need_requests(count: int, whose: str, bench: Bench) -> Finding:
    """Return that a version has had too few requests to judge by."""
    message = f"{count} of {bench.min_requests} requests of the {whose} are in"
    return Finding(Verdict.UNKNOWN, Unknown.NEED_REQUESTS, message)


def _limits(gate: Gate) -> tuple[float | None, float | None, str]:
    match gate.kind:
        case ErrorRate(max=highest, max_increase=increase):
            return highest, increase, "failed"
        case Latency(threshold=threshold, max_above=highest, max_increase=increase):
            return highest, increase, f"took longer than {threshold.total_seconds():g}s"
        case Ratio(max=highest, max_increase=increase):
            return highest, increase, "were bad"
        case Value() | Throughput():
            raise ValueError(f"gate {gate.name!r} counts no requests, but requests were counted")
        case other:
            assert_never(other)


def _share(counts: Counts) -> str:
    return render_share(counts.bad / counts.total) if counts.total else "none"


def odds(log_evidence: float) -> str:
    """Print E as odds; beyond a million to one nobody reads the digits."""
    if log_evidence > math.log(1e6):
        return "over 1000000:1"
    return f"{math.exp(log_evidence):.2g}:1" if log_evidence < math.log(10) else f"{math.exp(log_evidence):.0f}:1"
