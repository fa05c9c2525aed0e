"""Requests a second and ready replica to a verdict: does the candidate need more replicas for the same work?"""

from dataclasses import replace

from modelrollout.api.fields import render_share
from modelrollout.api.gates import Gate
from modelrollout.api.kinds import Throughput
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.bench import Bench, Finding, status_of, warming
from modelrollout.core.counts import need_requests, odds, shrunk
from modelrollout.core.evidence import Counted, Unknown
from modelrollout.core.outlook import Weighed
from modelrollout.core.stats import Counts, Pair, log_evidence_increase

# A replica's time is counted finer than any request takes, so that no more requests than units fit in.
_UNITS_A_SECOND = 1_000_000
# All requests count here, not only the bad ones, so that small differences can be told: 1.02 to 5 times what is allowed.
_RATIOS = tuple(1.02 * (5 / 1.02) ** (k / 11) for k in range(12))


def judge_throughput(gate: Gate, counted: Counted, bench: Bench) -> GateStatus:
    """Return the verdict over all looks of the present step; other shares give each replica another load.

    Step k of a stage spends 2**-k of the false alarms that the stage may have.
    """
    limits = gate.throughput
    if limits is None:
        raise ValueError(f"gate {gate.name!r} asks for no throughput")
    tally = _tally(counted, bench)
    finding = _finding(limits, counted, tally, bench)
    return status_of(
        gate,
        bench,
        finding,
        value=_rate(tally.total, tally.replica_seconds) if tally else None,
        limit=f"at most {render_share(limits.max_decrease)} less than the baseline",
        samples=counted.candidate.total,
        tally=None if bench.warming_until else tally,
    )


def _tally(counted: Counted, bench: Bench) -> Tally | None:
    """Return requests and replica seconds of both versions, `None` where they are not known."""
    candidate, baseline = bench.replicas.candidate, bench.replicas.baseline
    if counted.baseline is None or not candidate or not baseline:
        return None
    known = bench.stored.tally if bench.stored else None
    return Tally(
        total=counted.candidate.total,
        bad=0,
        baseline_total=counted.baseline.total,
        replica_seconds=_replica_seconds(known.replica_seconds if known else None, candidate, bench),
        baseline_replica_seconds=_replica_seconds(known.baseline_replica_seconds if known else None, baseline, bench),
    )


def _replica_seconds(known: int | None, replicas: int, bench: Bench) -> int:
    """Return what is known of earlier looks and the time since the last one; at the first look, of the whole window."""
    if known is None or bench.stored is None:
        return max(1, round(replicas * bench.window.total_seconds()))
    return known + max(0, round(replicas * (bench.now - bench.stored.evaluated_at).total_seconds()))


def _finding(limits: Throughput, counted: Counted, tally: Tally | None, bench: Bench) -> Finding:
    if counted.baseline is None:
        nothing = "the baseline has no live requests to compare with; compared while it had"
        return Finding(Verdict.PASS, "NothingToCompare", nothing)
    if bench.warming_until:
        return warming(bench)
    if tally is None:
        none = "the ready replicas of both versions are not known, or there are none: a rate for each needs them"
        return Finding(Verdict.UNKNOWN, Unknown.NO_REPLICAS, none)
    return shrunk(tally, bench) or _unequal_load(limits, tally, bench) or _weigh(limits, tally, bench)


def _unequal_load(limits: Throughput, tally: Tally, bench: Bench) -> Finding | None:
    """Replicas that are given less to do do less: that says nothing of what they could."""
    given = bench.shares.mirror.fraction or bench.shares.candidate.fraction
    kept = 1.0 if bench.shares.mirror.fraction else 1 - bench.shares.candidate.fraction
    candidate, baseline = tally.replica_seconds or 1, tally.baseline_replica_seconds or 1
    if limits.autoscaled or given * baseline >= (1 - limits.max_decrease) * kept * candidate:
        return None
    return Finding(
        Verdict.UNKNOWN,
        Unknown.UNEQUAL_LOAD,
        f"the candidate's replicas are given {render_share(given)} of the requests, the baseline's {render_share(kept)},"
        f" and there are {candidate / baseline:.3g} of the candidate's for each of the baseline's: with less to do they"
        " cannot be compared. Judge it in a shadow of 100%, scale by the weights, or write autoscaled: true where an"
        " autoscaler keeps all replicas equally busy",
    )


def _weigh(limits: Throughput, tally: Tally, bench: Bench) -> Finding:
    candidate = Counts((tally.replica_seconds or 1) * _UNITS_A_SECOND, tally.total)
    baseline = Counts((tally.baseline_replica_seconds or 1) * _UNITS_A_SECOND, tally.baseline_total)
    # That the candidate does less than (1 - d) of the baseline is that the baseline does more than 1 / (1 - d) of it.
    against = log_evidence_increase([Pair(baseline, candidate)], 1 / (1 - limits.max_decrease) - 1, ratios=_RATIOS)
    shown = (
        f"the candidate serves {_rate(tally.total, tally.replica_seconds)}, the baseline"
        f" {_rate(tally.baseline_total, tally.baseline_replica_seconds)}; allowed is at most"
        f" {render_share(limits.max_decrease)} less"
    )
    if against >= bench.fail_threshold_of_step:
        return Finding(Verdict.FAIL, "WorseThanBaseline", f"{shown}; odds against it {odds(against)}")
    share = min(tally.total, tally.baseline_total) / bench.min_requests
    weighed = Weighed(
        against / bench.fail_threshold_of_step,
        min(1.0 if against <= 0 else 0.99, share),
        max(0, bench.min_requests - tally.total) if against <= 0 else None,
        max(0, bench.min_requests - tally.baseline_total),
    )
    for count, whose in ((tally.total, "candidate"), (tally.baseline_total, "baseline")):
        if count < bench.min_requests:
            return replace(need_requests(count, whose, bench), weighed=weighed)
    if against <= 0:
        return Finding(Verdict.PASS, "NoWorseThanBaseline", f"{shown}; no evidence against it", weighed)
    hint = f"{shown}; odds against it {odds(against)}: neither refuted nor confirmed, more requests are needed"
    return Finding(Verdict.UNKNOWN, Unknown.NEED_EVIDENCE, hint, weighed)


def _rate(requests: int, replica_seconds: int | None) -> str:
    return f"{requests / (replica_seconds or 1):.3g}/s per ready replica"
