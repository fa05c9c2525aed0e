"""The baseline against itself: its own requests of then, dealt out at random to two versions that are the same."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from modelrollout.api.fields import ALL
from modelrollout.core.evidence import Answer, Counted, Question, Track
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import Shares

Ask = Callable[[Question], Awaitable[Answer]]


_NOTHING = Counts(0, 0)


@dataclass
class _Dealt:
    """What a step's window had at the last look, and what of it went to the candidate."""

    seen: Counts = _NOTHING
    candidate: Counts = _NOTHING


@dataclass
class Split:
    """Measures a candidate that is the baseline: whatever a gate says against it is a false alarm.

    Each request that came since the last look is the candidate's with the probability of its share, and what was dealt
    once stays so, as it would live. A copied request counts for both.
    """

    ask: Ask
    baseline: Track
    random: random.Random
    _dealt: dict[tuple[str, datetime], _Dealt] = field(default_factory=dict)

    async def measure(self, question: Question, shares: Shares) -> Answer:
        """Return the counts of both halves."""
        found = await self.ask(replace(question, candidate=self.baseline, baseline=None))
        if not isinstance(found, Counted):
            return found
        dealt = self._dealt.setdefault((question.gate.name, question.since), _Dealt())
        candidate = self._deal(dealt, found.candidate, shares)
        if question.baseline is None:
            return replace(found, candidate=candidate)
        whole = shares.mirror.hundredths > 0
        rest = Counts(found.candidate.total - candidate.total, found.candidate.bad - candidate.bad)
        return replace(found, candidate=candidate, baseline=found.candidate if whole else rest)

    def _deal(self, dealt: _Dealt, now: Counts, shares: Shares) -> Counts:
        share = (shares.mirror if shares.mirror.hundredths else shares.candidate).hundredths / ALL.hundredths
        # A count may come back a little smaller; what was dealt cannot be more than there is.
        bad = max(0, now.bad - dealt.seen.bad)
        good = max(0, (now.total - now.bad) - (dealt.seen.total - dealt.seen.bad))
        more_bad, more_good = self._some(bad, share), self._some(good, share)
        total = min(now.total, dealt.candidate.total + more_bad + more_good)
        dealt.candidate = Counts(total, min(now.bad, total, dealt.candidate.bad + more_bad))
        dealt.seen = now
        return dealt.candidate

    def _some(self, count: int, share: float) -> int:
        """Return how many of so many go to the candidate: binomial."""
        if share >= 1:
            return count
        if count > 1000:
            spread = (count * share * (1 - share)) ** 0.5
            return min(count, max(0, round(self.random.gauss(count * share, spread))))
        return sum(self.random.random() < share for _ in range(count))
