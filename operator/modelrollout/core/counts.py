"""Counts of requests to a verdict: evidence against the limits, and for them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from modelrollout.api.fields import render_duration, render_share
from modelrollout.api.gates import (
    ErrorRate,
    FailsWhen,
    Gate,
    InterTokenLatency,
    Latency,
    QueueTime,
    Saturation,
    TimeToFirstToken,
    Value,
)
from modelrollout.api.kinds import Drift, Ratio, Throughput, Webhook
from modelrollout.api.options import PromoteOn
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.bench import ALPHA_PROMOTE, BROKEN, Bench, Finding, most_telling, status_of, warming
from modelrollout.core.blocks import cuts_after, pair_of, spans_of
from modelrollout.core.evidence import Bound, Counted, Unknown
from modelrollout.core.outlook import Weighed, clean_requests_missing, multiple_text, requests_missing, together
from modelrollout.core.power import smallest_detectable
from modelrollout.core.stats import (
    Counts,
    is_catastrophe,
    log_evidence_above,
    log_evidence_below,
    log_evidence_increase,
)

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
    cuts = cuts_after(bench.stored, bench.written, tally, len(bench.earlier))
    finding = (
        _catastrophe(gate, counted)
        or shrunk(tally, bench)
        or (warming(bench) if bench.warming_until else None)
        or _within_buckets(gate, counted.bound, _weigh(gate, counted, tally, cuts, bench))
    )
    absolute, increase, what = _limits(gate, counted.bound)
    most = [f"at most {render_share(absolute)} {what}"] if absolute is not None else []
    more = [f"at most {render_share(increase)} more than the baseline"] if increase is not None else []
    limit = ", ".join(most + more)
    share = render_share(tally.bad / tally.total) if tally.total else None
    kept = None if bench.warming_until else tally
    return status_of(gate, bench, finding, value=share, limit=limit, samples=tally.total, tally=kept, cuts=cuts)


def _within_buckets(gate: Gate, bound: Bound | None, finding: Finding) -> Finding:
    """Return the finding, but no failure where the histogram ends below the threshold.

    What is slower than the last bound may still keep to the threshold. A pass is one: what is faster keeps to it.
    """
    if bound is None or not bound.is_last or finding.verdict is not Verdict.FAIL:
        return finding
    text = (
        f"{finding.message}. That is the histogram's last bound: how many took longer than"
        f" {_threshold(gate)} it cannot tell. Set the threshold to {render_duration(bound.at)}, or add a bound where it is"
        " exported"
    )
    return replace(finding, verdict=Verdict.UNKNOWN, reason=Unknown.ABOVE_BUCKETS, message=text)


def _catastrophe(gate: Gate, counted: Counted) -> Finding | None:
    """Armed from the first request, warm-up included, but for errors only: slow is not broken."""
    if gate.error_rate is None or not is_catastrophe(counted.candidate):
        return None
    counts = f"{counted.candidate.bad} of the candidate's {counted.candidate.total} requests failed"
    if counted.baseline and is_catastrophe(counted.baseline):
        both = (
            f"{counts}, and {counted.baseline.bad} of the baseline's {counted.baseline.total}: look at what they share"
        )
        return Finding(Verdict.UNKNOWN, BASELINE_TOO, both, BROKEN)
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


def _weigh(gate: Gate, counted: Counted, tally: Tally, cuts: Sequence[Tally], bench: Bench) -> Finding:
    """Weigh evidence against the limits over the stage's steps, and for them in this step alone."""
    findings = []
    absolute, increase, what = _limits(gate, counted.bound)
    if absolute is not None:
        findings.append(_weigh_absolute(absolute, what, tally, bench))
    if increase is not None:
        findings.append(_weigh_increase(gate, counted, tally, cuts, bench))
    weighed = together([f.weighed for f in findings if f.weighed])  # Nothing was weighed where nothing is compared.
    return replace(most_telling(findings), weighed=weighed)


def _weigh_absolute(limit: float, what: str, tally: Tally, bench: Bench) -> Finding:
    now = Counts(tally.total, tally.bad)
    steps = [*bench.earlier, tally]
    phi = bench.dispersion.factor
    against = _evidence_against(steps, limit, phi)
    shown = (
        f"{tally.bad} of {tally.total} requests {what} ({_share(now)}), allowed is {render_share(limit)}{_bursts(phi)}"
    )
    if against >= bench.fail_threshold:
        baseline = sum(log_evidence_above(Counts(t.baseline_total, t.baseline_bad), limit, phi) for t in steps)
        if baseline >= bench.fail_threshold:
            both = f"{shown}; the baseline too: {tally.baseline_bad} of {tally.baseline_total}. Look at what they share"
            return Finding(Verdict.UNKNOWN, BASELINE_TOO, both, BROKEN)
        return Finding(Verdict.FAIL, "AboveLimit", f"{shown}; odds against it {odds(against)}", BROKEN)
    in_favour = log_evidence_below(now, limit, phi)
    missing = requests_missing(now, limit, in_favour, bench.pass_threshold, phi)
    lacking = max(0, bench.min_requests - tally.total)
    weighed = Weighed(
        against / bench.fail_threshold,
        min(in_favour / bench.pass_threshold, tally.total / bench.min_requests),
        None if missing is None else max(missing, lacking),
    )
    if bench.promote_on is PromoteOn.NO_BREACH:
        weighed = replace(weighed, towards_pass=min(1.0, tally.total / bench.min_requests), needed=lacking)
    if lacking:
        return replace(need_requests(tally.total, "candidate", bench), weighed=weighed)
    if bench.promote_on is PromoteOn.NO_BREACH:
        return _no_breach(shown, weighed, kept=tally.bad <= limit * tally.total)
    if in_favour >= bench.pass_threshold:
        return Finding(Verdict.PASS, "BelowLimit", f"{shown}; odds for it {odds(in_favour)}", weighed)
    clean = clean_requests_missing(now, limit, bench.pass_threshold, phi)
    needed = f"about {clean} more good requests are needed{_at_this_share(clean, missing)}"
    text = f"{shown}; odds for it {odds(in_favour)} of {odds(bench.pass_threshold)}, {needed}"
    return Finding(Verdict.UNKNOWN, Unknown.NEED_EVIDENCE, text, weighed)


def _evidence_against(steps: Sequence[Tally], limit: float, phi: float) -> float:
    """Return the sum of the steps' ln E; 0 for a sum below it where no step's share is above the limit.

    No share above the limit fits such a step better than the limit itself, so no integral is needed to know that.
    """
    if all(step.bad <= limit * step.total for step in steps):
        return 0.0
    return sum(log_evidence_above(Counts(step.total, step.bad), limit, phi) for step in steps)


def _at_this_share(clean: int, missing: int | None) -> str:
    if missing is None:
        return ", and with as many bad ones as so far it will not pass"
    return f", {missing} if as many are bad as so far" if missing > clean else ""


def _weigh_increase(gate: Gate, counted: Counted, tally: Tally, cuts: Sequence[Tally], bench: Bench) -> Finding:
    other_limit, increase, what = _limits(gate, counted.bound)
    detect, phi = _detect_of(gate), bench.dispersion.factor
    if increase is None:
        raise ValueError(f"gate {gate.name!r} compares nothing")
    if counted.baseline is None:
        nothing = "the baseline has no live requests to compare with; compared while it had"
        return Finding(Verdict.PASS, "NothingToCompare", nothing)
    steps = [pair_of(span) for span in (*bench.earlier, *spans_of(tally, cuts))]
    against = log_evidence_increase(steps, increase, phi)
    shown = (
        f"{what}: candidate {tally.bad} of {tally.total} ({_share(counted.candidate)}), baseline"
        f" {tally.baseline_bad} of {tally.baseline_total} ({_share(counted.baseline)}), allowed is"
        f" {render_share(increase)} more{_bursts(phi)}"
    )
    if against >= bench.fail_threshold:
        return Finding(Verdict.FAIL, "WorseThanBaseline", f"{shown}; odds against it {odds(against)}", BROKEN)
    # Without a single bad request on either side E is exactly 1: no evidence.
    is_clear = against <= 1e-9
    caught = smallest_detectable(steps, increase, bench.fail_threshold, phi)
    times = (
        _times_more(caught, detect, increase) if any(pair.candidate.bad or pair.baseline.bad for pair in steps) else 1.0
    )
    lacking = [max(0, bench.min_requests - count) for count in (tally.total, tally.baseline_total)]
    weighed = Weighed(
        towards_fail=against / bench.fail_threshold,
        towards_pass=min(
            1.0 if is_clear else 0.99, min(tally.total, tally.baseline_total) / bench.min_requests, 1 / times
        ),
        needed=max(lacking[0], _more(tally.total, times)) if is_clear and times < math.inf else None,
        needed_baseline=max(lacking[1], _more(tally.baseline_total, times)) if times < math.inf else lacking[1],
        detectable=caught,
    )
    for count, whose in ((tally.total, "candidate"), (tally.baseline_total, "baseline")):
        if count < bench.min_requests:
            return replace(need_requests(count, whose, bench), weighed=weighed)
    if bench.promote_on is PromoteOn.NO_BREACH and times <= 1:
        allowed = (1 + increase) * tally.baseline_bad * tally.total
        return _no_breach(shown, weighed, kept=tally.bad * tally.baseline_total <= allowed)
    if not is_clear:
        hint = f"{shown}; odds against it {odds(against)}: neither refuted nor confirmed, more requests are needed"
        return Finding(Verdict.UNKNOWN, Unknown.NEED_EVIDENCE, hint, weighed)
    if times > 1:
        seen = f"one of {multiple_text(caught)}" if caught else "none"
        hint = f"{shown}; no evidence against it, but of regressions {seen} would have been seen by now, {detect:g}x is asked for"
        return Finding(Verdict.UNKNOWN, Unknown.NEED_EVIDENCE, hint, weighed)
    return Finding(Verdict.PASS, "NoWorseThanBaseline", f"{shown}; {_silence(caught, other_limit, bench)}", weighed)


def _times_more(caught: float | None, detect: float | None, increase: float) -> float:
    """Return how many times the requests it takes to see a regression of `detect`: they grow as its excess squared."""
    if detect is None or (caught is not None and caught <= detect):
        return 1.0
    return ((caught - 1 - increase) / (detect - 1 - increase)) ** 2 if caught else math.inf


def _more(count: int, times: float) -> int:
    return math.ceil(count * (times - 1))


def _silence(caught: float | None, other_limit: float | None, bench: Bench) -> str:
    """Return what it is worth that nothing speaks against the candidate."""
    if caught:
        return f"no evidence against it, and a regression of {multiple_text(caught)} would have been seen by now"
    decides = (
        f"the limit of {render_share(other_limit)}" if other_limit else f"the minimum of {bench.min_requests} requests"
    )
    return f"too few bad requests of the baseline to compare with: {decides} decides"


def _no_breach(shown: str, weighed: Weighed, *, kept: bool) -> Finding:
    """Pass on the numbers alone. A version that is exactly at its limit passes so at every other look."""
    if kept:
        text = f"{shown}; no limit is broken, which is no evidence that it is kept"
        return Finding(Verdict.PASS, "NoBreach", text, replace(weighed, towards_pass=1.0, needed=0))
    hint = f"{shown}; above what is allowed, without evidence that it is not chance: more requests are needed"
    return Finding(Verdict.UNKNOWN, Unknown.NEED_EVIDENCE, hint, replace(weighed, towards_pass=0.99, needed=None))


def need_requests(count: int, whose: str, bench: Bench) -> Finding:
    """Return that a version has had too few requests to judge by."""
    message = f"{count} of {bench.min_requests} requests of the {whose} are in"
    return Finding(Verdict.UNKNOWN, Unknown.NEED_REQUESTS, message)


def _limits(gate: Gate, bound: Bound | None) -> tuple[float | None, float | None, str]:
    match gate.kind:
        case ErrorRate(max=highest, max_increase=increase):
            return highest, increase, "failed"
        case Latency(threshold=threshold, max_above=highest, max_increase=increase) as slow:
            stood_in = f", the bucket bound below {render_duration(threshold)}" if bound else ""
            at = bound.at if bound else threshold
            return highest, increase, f"{_slow_words(slow)} {at.total_seconds():g}s{stood_in}"
        case Ratio(max=highest, max_increase=increase):
            return highest, increase, "were bad"
        case Value() | Saturation() | Throughput() | Drift() | Webhook() | FailsWhen():
            raise ValueError(f"gate {gate.name!r} counts no requests, but requests were counted")
        case other:
            assert_never(other)


def _detect_of(gate: Gate) -> float | None:
    return gate.kind.detect if isinstance(gate.kind, ErrorRate | Latency | Ratio) else None


def _threshold(gate: Gate) -> str:
    return render_duration(gate.kind.threshold) if isinstance(gate.kind, Latency) else "that"


def _slow_words(kind: Latency) -> str:
    match kind:
        case TimeToFirstToken():
            return "had their first token later than"
        case InterTokenLatency():
            return "waited between tokens for longer than"
        case QueueTime():
            return "waited in the queue for longer than"
        case _:
            return "took longer than"


def _share(counts: Counts) -> str:
    return render_share(counts.bad / counts.total) if counts.total else "none"


def _bursts(dispersion: float) -> str:
    return f" (they come in bursts: each weighs {dispersion:.3g} times less)" if dispersion >= 1.5 else ""


def odds(log_evidence: float) -> str:
    """Print E as odds; beyond a million to one nobody reads the digits."""
    if log_evidence > math.log(1e6):
        return "over 1000000:1"
    return f"{math.exp(log_evidence):.2g}:1" if log_evidence < math.log(10) else f"{math.exp(log_evidence):.0f}:1"
