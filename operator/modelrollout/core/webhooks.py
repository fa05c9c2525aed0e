"""What a judge outside says to a verdict: its word counts, but for the warm-up."""

from modelrollout.api.gates import Gate
from modelrollout.api.status import GateStatus, Verdict
from modelrollout.core.bench import Bench, Finding, status_of, warming
from modelrollout.core.evidence import Judged, Unknown

_REASONS = {
    Verdict.PASS: "JudgePasses",
    Verdict.FAIL: "JudgeFails",
    Verdict.UNKNOWN: str(Unknown.JUDGE_WAITS),
}


def judge_webhook(gate: Gate, judged: Judged, bench: Bench) -> GateStatus:
    """Return the judge's verdict in its own words."""
    if not bench.warming_until:
        return status_of(gate, bench, Finding(judged.verdict, _REASONS[judged.verdict], judged.message))
    if judged.verdict is not Verdict.FAIL:
        return status_of(gate, bench, warming(bench))
    not_yet = f"{judged.message}; not judged while the candidate warms up"
    return status_of(gate, bench, Finding(Verdict.UNKNOWN, Unknown.WARMING_UP, not_yet))
