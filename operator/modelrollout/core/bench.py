"""What every kind of gate is judged by, and the form in which each says what it found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelrollout.api.gates import Gate
from modelrollout.api.options import GateEffect, PromoteOn
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.dispersion import INDEPENDENT, Dispersion
from modelrollout.core.evidence import NO_REPLICAS, Asked, Replicas, Unknown
from modelrollout.core.outlook import Weighed, eta_text, evidence_of
from modelrollout.core.traffic import BASELINE_ONLY, Shares

ALPHA_ROLLBACK = 0.01
ALPHA_PROMOTE = 0.05
BROKEN = Weighed(1.0, 0.0)
_SETTLED = {Verdict.PASS: Weighed(0.0, 1.0), Verdict.FAIL: BROKEN}


@dataclass(frozen=True, slots=True)
class Bench:
    """What a gate is judged by, beside the answer.

    `limits` is the number of limits that the acting gates of the step set: rolling back when any one is broken, each
    has to be that much surer. `stored` is the gate's last status in this step, if it has one. A window is short
    while it may well hold no sample, so that its emptiness says nothing. Evidence is divided by `dispersion`. `written`
    are the step's counts as they stand in status, `shares` are the step's. `ways_to_pass` is how many gates there are of
    which any one may let what they make up pass: false passes add up.
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
    ways_to_pass: int = 1
    dispersion: Dispersion = INDEPENDENT
    asked: Asked | None = None
    written: Tally | None = None
    window: timedelta = timedelta(0)
    shares: Shares = BASELINE_ONLY
    replicas: Replicas = NO_REPLICAS

    @property
    def fail_threshold(self) -> float:
        """The ln E at which a limit counts as broken (Bonferroni over the step's limits)."""
        return math.log(self.limits / ALPHA_ROLLBACK)

    @property
    def pass_threshold(self) -> float:
        """The ln E at which a limit counts as kept."""
        return math.log(self.ways_to_pass / ALPHA_PROMOTE)

    @property
    def fail_threshold_of_step(self) -> float:
        """The same for evidence that no other step adds to: step k spends 2**-k of what the stage may."""
        return self.fail_threshold + (len(self.earlier) + 1) * math.log(2)


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, its word and its sentence, and how far the gate is from others where that was weighed."""

    verdict: Verdict
    reason: str
    message: str
    weighed: Weighed | None = None


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
    cuts: Sequence[Tally] = (),
) -> GateStatus:
    """Return what status shows of a finding."""
    weighed = finding.weighed or _SETTLED.get(finding.verdict)
    evidence = evidence_of(weighed, bench.asked, tally, bench.dispersion, bench.now)
    when = eta_text(evidence, tally, bench.now) if tally and evidence.eta else ""
    return GateStatus(
        name=gate.name,
        verdict=finding.verdict,
        reason=str(finding.reason),
        message=f"{finding.message}{when}"[:1024],
        value=value,
        limit=limit,
        samples=samples,
        evaluated_at=bench.now,
        evidence=evidence,
        tally=tally,
        cuts=list(cuts) if tally else [],
        effect=bench.effect,
        earlier=list(bench.earlier),
    )
