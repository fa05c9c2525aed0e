"""Answers to verdicts: what a gate says of the candidate, why, and with which numbers."""

from typing import assert_never

from modelrollout.api.gates import Gate
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.bench import Bench, Finding, status_of, warming
from modelrollout.core.blocks import spans_of
from modelrollout.core.counts import judge_counts
from modelrollout.core.distributions import judge_drift
from modelrollout.core.evidence import Answer, Counted, Distributed, Judged, Measured, NoData, Unknown
from modelrollout.core.throughput import judge_throughput
from modelrollout.core.values import judge_value
from modelrollout.core.webhooks import judge_webhook

_COLLECTING = frozenset(str(reason) for reason in Unknown if reason.is_collecting)


def judge(gate: Gate, answer: Answer, bench: Bench) -> GateStatus:
    """Return the gate's verdict. Pass and Fail may be looked at any number of times (Ville's inequality)."""
    return since_unknown(_judged(gate, answer, bench), bench)


def since_unknown(status: GateStatus, bench: Bench) -> GateStatus:
    """Return the verdict with since when it has had no usable metrics, if it has none."""
    if not is_lost(status):
        return status
    known = bench.stored.unknown_since if bench.stored and is_lost(bench.stored) else None
    return status.model_copy(update={"unknown_since": min(known or bench.now, bench.now)})


def _judged(gate: Gate, answer: Answer, bench: Bench) -> GateStatus:
    match answer:
        case NoData(Unknown.NO_DATA, _) if bench.warming_until:
            # The first requests are still on their way into the metrics: no reason to call anybody.
            return status_of(gate, bench, warming(bench))
        case NoData(Unknown.NO_DATA, _) if bench.is_window_short:
            text = "the first requests that count are on their way into the metrics"
            return status_of(gate, bench, Finding(Verdict.UNKNOWN, Unknown.WARMING_UP, text))
        case NoData(reason, message):
            return status_of(gate, bench, Finding(Verdict.UNKNOWN, reason, message))
        case Measured():
            return judge_value(gate, answer, bench)
        case Judged():
            return judge_webhook(gate, answer, bench)
        case Distributed():
            return judge_drift(gate, answer, bench)
        case Counted() if gate.throughput:
            return judge_throughput(gate, answer, bench)
        case Counted():
            return judge_counts(gate, answer, bench)
        case _:
            assert_never(answer)


def fresh_tally(status: GateStatus) -> tuple[Tally, ...]:
    """Return the counts a gate carries into the stage's next step."""
    return (*status.earlier, *(spans_of(status.tally, status.cuts) if status.tally else ()))


def is_lost(gate: GateStatus) -> bool:
    """Whether the gate does not know for a reason that more requests will not cure."""
    return gate.verdict is Verdict.UNKNOWN and gate.reason not in _COLLECTING
