"""How far a gate is from its verdict, how many requests it still takes, about when they are in, and what is quicker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

from modelrollout.api.evidence import GateEvidence
from modelrollout.api.fields import NONE
from modelrollout.api.status import GateStatus, Tally
from modelrollout.core.dispersion import Dispersion
from modelrollout.core.evidence import Asked
from modelrollout.core.plan import Plan, StageKind, Step
from modelrollout.core.stats import Counts, requests_until_pass

LONGEST_WAIT = timedelta(days=366)
"""Beyond it nobody is told a date."""

_clean_requests = lru_cache(maxsize=4096)(requests_until_pass)  # The same at most looks, and some eight tails to find.


@dataclass(frozen=True, slots=True)
class Weighed:
    """One limit, or several together: shares of what it takes to fail and to pass; 1 is there.

    `needed` and `needed_baseline` are further requests of the two versions until it may pass; `None` where nobody can
    say how many.
    """

    towards_fail: float
    towards_pass: float
    needed: int | None = 0
    needed_baseline: int = 0
    detectable: float | None = None


def together(limits: Sequence[Weighed]) -> Weighed | None:
    """Return a gate's own from those of its limits: one of them fails it, all of them pass it; `None` for none."""
    if not limits:
        return None
    needed = [limit.needed for limit in limits]
    return Weighed(
        max(limit.towards_fail for limit in limits),
        min(limit.towards_pass for limit in limits),
        None if None in needed else max(n for n in needed if n is not None),
        max(limit.needed_baseline for limit in limits),
        next((limit.detectable for limit in limits if limit.detectable), None),
    )


def multiple_text(multiple: float) -> str:
    """Return a multiple of the baseline's rate in two digits, rounded up, such as 2.3x."""
    unit = Decimal(10) ** (Decimal(multiple).adjusted() - 1)
    return f"{((Decimal(multiple) / unit).to_integral_value(ROUND_CEILING) * unit).normalize():f}x"


def clean_requests_missing(counts: Counts, limit: float, log_threshold: float, dispersion: float = 1.0) -> int:
    """Return how many more requests it takes to show that the share is below `limit`, if all of them are good."""
    return max(0, _clean_requests(counts.bad, limit, log_threshold, dispersion) - counts.total)


def requests_missing(
    counts: Counts, limit: float, in_favour: float, log_threshold: float, dispersion: float = 1.0
) -> int | None:
    """Return about how many more it takes if as many of them are bad as so far; `None`: it will not pass so.

    Each request is expected to add what it tells the two shares apart. A third too many at the median and within a
    factor of five, nine times in ten, when four bad ones would have been allowed so far: few bad ones tell little.
    """
    if in_favour >= log_threshold:
        return 0  # Known without the tails that it takes to find how many would have been enough.
    clean = clean_requests_missing(counts, limit, log_threshold, dispersion)
    if counts.bad == 0:
        return clean
    share = counts.bad / counts.total
    if share >= limit:
        return None
    gain = (share * math.log(share / limit) + (1 - share) * math.log((1 - share) / (1 - limit))) / dispersion
    exact = max(0.0, log_threshold - in_favour) / gain
    return max(clean, math.ceil(exact)) if exact < 1e15 else None


def evidence_of(
    weighed: Weighed | None, asked: Asked | None, tally: Tally | None, dispersion: Dispersion, now: datetime
) -> GateEvidence:
    """Return what status says of it; `weighed` and `tally` are `None` where nothing was weighed."""
    eta = _eta(weighed, asked, tally, now) if weighed and tally else None
    return GateEvidence(
        towards_fail=_percent(weighed.towards_fail) if weighed else None,
        towards_pass=_percent(weighed.towards_pass) if weighed else None,
        since=asked.since if asked else None,
        until=asked.until if asked else None,
        query_digest=asked.digest if asked else None,
        dispersion=dispersion.text,
        detectable=multiple_text(weighed.detectable) if weighed and weighed.detectable else None,
        needed=(weighed.needed or None) if weighed else None,
        eta=eta,
    )


def _eta(weighed: Weighed, asked: Asked | None, tally: Tally, now: datetime) -> datetime | None:
    waits = [
        (needed, total)
        for needed, total in ((weighed.needed, tally.total), (weighed.needed_baseline, tally.baseline_total))
        if needed != 0
    ]
    if asked is None or not waits:
        return None
    seconds = 0.0
    for needed, total in waits:
        if needed is None or total == 0:
            return None
        seconds = max(seconds, needed * asked.seconds / total)
    return now + timedelta(seconds=seconds) if seconds <= LONGEST_WAIT / timedelta(seconds=1) else None


def eta_text(evidence: GateEvidence, tally: Tally, now: datetime) -> str:
    """Return when that will be, as the end of a sentence; nothing where nobody can say."""
    if evidence.eta is None or evidence.since is None or evidence.until is None:
        return ""
    rate = tally.total / ((evidence.until - evidence.since) / timedelta(seconds=1))
    return f"; at {rate:.2g} a second that will be about {_moment(evidence.eta, now)}"


def advise(verdict: GateStatus, step: Step, plan: Plan, deadline: datetime) -> GateStatus:
    """Return the verdict with what would be quicker, where its requests come too late for the step's deadline."""
    evidence = verdict.evidence
    if evidence is None or evidence.eta is None or evidence.eta <= deadline or step.kind is not StageKind.CANARY:
        return verdict
    late = "after the step's deadline"
    if any(other.shares.mirror > NONE for other in plan.steps):
        advice = "begin with a larger weight"
    else:
        times = 1 / step.shares.candidate.fraction
        quick = f"a shadow stage gives the candidate copies of all requests, {times:.3g} times as many"
        advice = f"{quick}, where the router can copy; or begin with a larger weight"
    return verdict.model_copy(update={"message": f"{verdict.message}, {late}: {advice}"[:1024]})


def _percent(share: float) -> int:
    return int(100 * min(1.0, max(0.0, share)))


def _moment(when: datetime, now: datetime) -> str:
    return f"{when:%H:%M} UTC" if when - now < timedelta(hours=20) else f"{when:%Y-%m-%d %H:%M} UTC"
