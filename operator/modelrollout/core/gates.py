"""Answers to verdicts: what a gate says of the candidate, why, and with which numbers."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from modelrollout.api.fields import render_number, render_share
from modelrollout.api.gates import Gate
from modelrollout.api.options import GateEffect, PromoteOn
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.evidence import Answer, Counted, Measured, NoData, Unknown
from modelrollout.core.stats import (
    Counts,
    Pair,
    is_catastrophe,
    log_evidence_above,
    log_evidence_below,
    log_evidence_increase,
    requests_until_pass,
)

ALPHA_ROLLBACK = 0.01
ALPHA_PROMOTE = 0.05
PASS_THRESHOLD = math.log(1 / ALPHA_PROMOTE)
CATASTROPHE = "Catastrophe"
BASELINE_TOO = "BaselineAlsoFailing"
# A window's edges are extrapolated by up to a scrape, so a count may come back a little smaller.
SHRINK_ALLOWED = 0.1
_COLLECTING = frozenset(str(reason) for reason in Unknown if reason.is_collecting)
SHRINK_ALLOWED_COUNT = 20


@dataclass(frozen=True, slots=True)
class Bench:
    """What a gate is judged by, beside the answer.

    `limits` is the number of limits that all gates of the step set: rolling back when any one is broken, each
    has to be that much surer. `stored` is the gate's last status in this step, if it has one. A window is short
    while it may well hold no sample, so that its emptiness says nothing.
    """

    min_requests: int
    limits: int
    warming_until: datetime | None
    earlier: tuple[Tally, ...]
    stored: GateStatus | None
    now: datetime
    is_window_short: bool = False
    promote_on: PromoteOn = PromoteOn.EVIDENCE
    effect: GateEffect | None = None

    @property
    def fail_threshold(self) -> float:
        """The ln E at which a limit counts as broken (Bonferroni over the step's limits)."""
        return math.log(self.limits / ALPHA_ROLLBACK)


@dataclass(frozen=True, slots=True)
class _Finding:
    verdict: Verdict
    reason: str
    message: str


def judge(gate: Gate, answer: Answer, bench: Bench) -> GateStatus:
    """Return the gate's verdict. Pass and Fail may be looked at any number of times (Ville's inequality)."""
    match answer:
        case NoData(Unknown.NO_DATA, _) if bench.warming_until:
            # The first requests are still on their way into the metrics: no reason to call anybody.
            return _status(gate, bench, _warming(bench))
        case NoData(Unknown.NO_DATA, _) if bench.is_window_short:
            text = "the first requests that count are on their way into the metrics"
            return _status(gate, bench, _Finding(Verdict.UNKNOWN, Unknown.WARMING_UP, text))
        case NoData(reason, message):
            return _status(gate, bench, _Finding(Verdict.UNKNOWN, reason, message))
        case Measured(value):
            return _judge_value(gate, value, bench)
        case Counted():
            return _judge_counts(gate, answer, bench)
        case _:
            assert_never(answer)


def fresh_tally(status: GateStatus) -> tuple[Tally, ...]:
    """Return the counts a gate carries into the stage's next step."""
    return (*status.earlier, *((status.tally,) if status.tally else ()))


def is_lost(gate: GateStatus) -> bool:
    """Whether the gate does not know for a reason that more requests will not cure."""
    return gate.verdict is Verdict.UNKNOWN and gate.reason not in _COLLECTING


def _judge_value(gate: Gate, value: float, bench: Bench) -> GateStatus:
    bounds = gate.value
    if bounds is None:
        raise ValueError(f"gate {gate.name!r} has no value, but a value was measured")
    least = [f"at least {render_number(bounds.min)}"] if bounds.min is not None else []
    most = [f"at most {render_number(bounds.max)}"] if bounds.max is not None else []
    limit = " and ".join(least + most)
    broken = (bounds.max is not None and value > bounds.max) or (bounds.min is not None and value < bounds.min)
    number = _number(value)
    shown = f"{number}; allowed is {limit}"
    if broken and bench.warming_until:
        finding = _Finding(Verdict.UNKNOWN, Unknown.WARMING_UP, f"{shown}; not judged while the candidate warms up")
    elif broken:
        finding = _Finding(Verdict.FAIL, "OutOfBounds", shown)
    elif bench.warming_until:
        finding = _warming(bench)
    else:
        finding = _Finding(Verdict.PASS, "WithinBounds", shown)
    return _status(gate, bench, finding, value=number, limit=limit)


def _number(value: float) -> str:
    """Print a measured value; a p-value of 1e-200 keeps its exponent, status has no room for 200 zeros."""
    return render_number(value) if value == 0 or 1e-9 <= abs(value) < 1e16 else f"{value:.6g}"


def _judge_counts(gate: Gate, counted: Counted, bench: Bench) -> GateStatus:
    tally = Tally(
        total=counted.candidate.total,
        bad=counted.candidate.bad,
        baseline_total=counted.baseline.total if counted.baseline else 0,
        baseline_bad=counted.baseline.bad if counted.baseline else 0,
    )
    finding = (
        _catastrophe(gate, counted)
        or _shrunk(tally, bench)
        or (_warming(bench) if bench.warming_until else None)
        or _weigh(gate, counted, tally, bench)
    )
    absolute, increase, what = _limits(gate)
    most = [f"at most {render_share(absolute)} {what}"] if absolute is not None else []
    more = [f"at most {render_share(increase)} more than the baseline"] if increase is not None else []
    limit = ", ".join(most + more)
    share = render_share(tally.bad / tally.total) if tally.total else None
    kept = None if bench.warming_until else tally
    return _status(gate, bench, finding, value=share, limit=limit, samples=tally.total, tally=kept)


def _catastrophe(gate: Gate, counted: Counted) -> _Finding | None:
    """Armed from the first request, warm-up included, but for errors only: slow is not broken."""
    if gate.error_rate is None or not is_catastrophe(counted.candidate):
        return None
    counts = f"{counted.candidate.bad} of the candidate's {counted.candidate.total} requests failed"
    if counted.baseline and is_catastrophe(counted.baseline):
        both = (
            f"{counts}, and {counted.baseline.bad} of the baseline's {counted.baseline.total}: look at what they share"
        )
        return _Finding(Verdict.UNKNOWN, BASELINE_TOO, both)
    return _Finding(Verdict.FAIL, CATASTROPHE, f"{counts}: half or more, no test is needed")


def _shrunk(tally: Tally, bench: Bench) -> _Finding | None:
    before = bench.stored.tally if bench.stored else None
    if before is None or tally.total >= before.total * (1 - SHRINK_ALLOWED) - SHRINK_ALLOWED_COUNT:
        return None
    return _Finding(
        Verdict.UNKNOWN,
        Unknown.COUNTS_SHRANK,
        f"{tally.total} requests now, {before.total} before: Prometheus has lost data, evidence starts again",
    )


def _warming(bench: Bench) -> _Finding:
    until = f"{bench.warming_until:%H:%M:%S} UTC" if bench.warming_until else "soon"
    return _Finding(Verdict.UNKNOWN, Unknown.WARMING_UP, f"requests before {until} do not count: caches warm up")


def _weigh(gate: Gate, counted: Counted, tally: Tally, bench: Bench) -> _Finding:
    """Weigh evidence against the limits over the stage's steps, and for them in this step alone."""
    findings = []
    absolute, increase, what = _limits(gate)
    if absolute is not None:
        findings.append(_weigh_absolute(absolute, what, tally, bench))
    if increase is not None:
        findings.append(_weigh_increase(increase, what, counted, tally, bench))
    for verdict in (Verdict.FAIL, Verdict.UNKNOWN):
        if worst := next((f for f in findings if f.verdict is verdict), None):
            return worst
    return _Finding(Verdict.PASS, findings[0].reason, "; ".join(f.message for f in findings))


def _weigh_absolute(limit: float, what: str, tally: Tally, bench: Bench) -> _Finding:
    now = Counts(tally.total, tally.bad)
    steps = [*bench.earlier, tally]
    against = sum(log_evidence_above(Counts(t.total, t.bad), limit) for t in steps)
    shown = f"{tally.bad} of {tally.total} requests {what} ({_share(now)}), allowed is {render_share(limit)}"
    if against >= bench.fail_threshold:
        baseline = sum(log_evidence_above(Counts(t.baseline_total, t.baseline_bad), limit) for t in steps)
        if baseline >= bench.fail_threshold:
            both = f"{shown}; the baseline too: {tally.baseline_bad} of {tally.baseline_total}. Look at what they share"
            return _Finding(Verdict.UNKNOWN, BASELINE_TOO, both)
        return _Finding(Verdict.FAIL, "AboveLimit", f"{shown}; odds against it {_odds(against)}")
    if tally.total < bench.min_requests:
        return _need_requests(tally.total, "candidate", bench)
    if bench.promote_on is PromoteOn.NO_BREACH:
        return _no_breach(shown, kept=tally.bad <= limit * tally.total)
    in_favour = log_evidence_below(now, limit)
    if in_favour >= PASS_THRESHOLD:
        return _Finding(Verdict.PASS, "BelowLimit", f"{shown}; odds for it {_odds(in_favour)}")
    missing = max(0, requests_until_pass(tally.bad, limit, PASS_THRESHOLD) - tally.total)
    return _Finding(
        Verdict.UNKNOWN,
        Unknown.NEED_EVIDENCE,
        f"{shown}; odds for it {_odds(in_favour)} of 20:1, about {missing} more good requests are needed",
    )


def _weigh_increase(increase: float, what: str, counted: Counted, tally: Tally, bench: Bench) -> _Finding:
    if counted.baseline is None:
        nothing = "the baseline has no live requests to compare with; compared while it had"
        return _Finding(Verdict.PASS, "NothingToCompare", nothing)
    steps = [Pair(Counts(t.total, t.bad), Counts(t.baseline_total, t.baseline_bad)) for t in (*bench.earlier, tally)]
    against = log_evidence_increase(steps, increase)
    shown = (
        f"{what}: candidate {tally.bad} of {tally.total} ({_share(counted.candidate)}), baseline"
        f" {tally.baseline_bad} of {tally.baseline_total} ({_share(counted.baseline)}), allowed is"
        f" {render_share(increase)} more"
    )
    if against >= bench.fail_threshold:
        return _Finding(Verdict.FAIL, "WorseThanBaseline", f"{shown}; odds against it {_odds(against)}")
    for count, whose in ((tally.total, "candidate"), (tally.baseline_total, "baseline")):
        if count < bench.min_requests:
            return _need_requests(count, whose, bench)
    if bench.promote_on is PromoteOn.NO_BREACH:
        allowed = (1 + increase) * tally.baseline_bad * tally.total
        return _no_breach(shown, kept=tally.bad * tally.baseline_total <= allowed)
    if against <= 1e-9:  # without a single bad request on either side E is exactly 1: no evidence
        return _Finding(Verdict.PASS, "NoWorseThanBaseline", f"{shown}; no evidence against it")
    hint = f"{shown}; odds against it {_odds(against)}: neither refuted nor confirmed, more requests are needed"
    return _Finding(Verdict.UNKNOWN, Unknown.NEED_EVIDENCE, hint)


def _no_breach(shown: str, *, kept: bool) -> _Finding:
    """Pass on the numbers alone. A version that is exactly at its limit passes so at every other look."""
    if kept:
        return _Finding(Verdict.PASS, "NoBreach", f"{shown}; no limit is broken, which is no evidence that it is kept")
    hint = f"{shown}; above what is allowed, without evidence that it is not chance: more requests are needed"
    return _Finding(Verdict.UNKNOWN, Unknown.NEED_EVIDENCE, hint)


def _need_requests(count: int, whose: str, bench: Bench) -> _Finding:
    message = f"{count} of {bench.min_requests} requests of the {whose} are in"
    return _Finding(Verdict.UNKNOWN, Unknown.NEED_REQUESTS, message)


def _limits(gate: Gate) -> tuple[float | None, float | None, str]:
    if gate.error_rate:
        return gate.error_rate.max, gate.error_rate.max_increase, "failed"
    if gate.latency:
        slow = f"took longer than {gate.latency.threshold.total_seconds():g}s"
        return gate.latency.max_above, gate.latency.max_increase, slow
    raise ValueError(f"gate {gate.name!r} counts no requests, but requests were counted")


def _share(counts: Counts) -> str:
    return render_share(counts.bad / counts.total) if counts.total else "none"


def _odds(log_evidence: float) -> str:
    """Print E as odds; beyond a million to one nobody reads the digits."""
    if log_evidence > math.log(1e6):
        return "over 1000000:1"
    return f"{math.exp(log_evidence):.2g}:1" if log_evidence < math.log(10) else f"{math.exp(log_evidence):.0f}:1"


def _status(
    gate: Gate,
    bench: Bench,
    finding: _Finding,
    *,
    value: str | None = None,
    limit: str | None = None,
    samples: int | None = None,
    tally: Tally | None = None,
) -> GateStatus:
    return GateStatus(
        name=gate.name,
        verdict=finding.verdict,
        reason=str(finding.reason),
        message=finding.message[:1024],
        value=value,
        limit=limit,
        samples=samples,
        evaluated_at=bench.now,
        tally=tally,
        effect=bench.effect,
        earlier=list(bench.earlier),
    )
