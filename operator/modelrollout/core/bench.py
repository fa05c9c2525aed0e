"""What every kind of gate is judged by, and the form in which each says what it found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelrollout.api.gates import Gate
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.evidence import NO_REPLICAS, Replicas, Unknown
from modelrollout.core.traffic import BASELINE_ONLY, Shares

ALPHA_ROLLBACK = 0.01


@dataclass(frozen=True, slots=True)
class Bench:
    """What a gate is judged by, beside the answer.

    `limits` is the number of limits that all gates of the step set: rolling back when any one is broken, each
    has to be that much surer. `stored` is the gate's last status in this step, if it has one. A window is short
    while it may well hold no sample, so that its emptiness says nothing. `shares` are the step's.
    """

    min_requests: int
    limits: int
    warming_until: datetime | None
    earlier: tuple[Tally, ...]
    stored: GateStatus | None
    now: datetime
    is_window_short: bool = False
    window: timedelta = timedelta(0)
    shares: Shares = BASELINE_ONLY
    replicas: Replicas = NO_REPLICAS

    @property
    def fail_threshold(self) -> float:
        """The ln E at which a limit counts as broken (Bonferroni over the step's limits)."""
        return math.log(self.limits / ALPHA_ROLLBACK)

    @property
    def fail_threshold_of_step(self) -> float:
        """The same for evidence that no other step adds to: step k spends 2**-k of what the stage may."""
        return self.fail_threshold + (len(self.earlier) + 1) * math.log(2)


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, its word and its sentence."""

    verdict: Verdict
    reason: str
    message: str


def most_telling(findings: Sequence[Finding]) -> Finding:
    """Return what several limits of one gate come to: a failure, else what is not known, else that all pass."""
    for verdict in (Verdict.FAIL, Verdict.UNKNOWN):
        if worst := next((found for found in findings if found.verdict is verdict), None):
            return worst
    return Finding(Verdict.PASS, findings[0].reason, "; ".join(found.message for found in findings))


def warming(bench: Bench) -> Finding:
    """Return that it is too early to judge."""
    until = f"{bench.warming_until:%H:%M:%S} UTC" if bench.warming_until else "soon"
    return Finding(Verdict.UNKNOWN, Unknown.WARMING_UP, f"requests before {until} do not count: caches warm up")


def status_of(
    gate: Gate,
    bench: Bench,
    finding: Finding,
    *,
    value: str | None = None,
    limit: str | None = None,
    samples: int | None = None,
    tally: Tally | None = None,
) -> GateStatus:
    """Return what status shows of a finding."""
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
        earlier=list(bench.earlier),
    )
