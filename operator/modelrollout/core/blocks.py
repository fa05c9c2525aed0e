"""Spans of a step in which the candidate had one share of the requests: a comparison holds within each, not across.

A step's weight is constant, its share need not be: sticky sessions, another route to the same Service, pods that come
late. If both versions' bad share moves meanwhile, counts added up over the step look like a difference.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from modelrollout.api.status import MAX_CUTS, GateStatus, Tally
from modelrollout.core.stats import Counts, Pair

LARGEST_DRIFT = 0.2
"""Of the candidate's share, relative; beyond it the step is cut."""
SURE = 4.0
"""Standard errors that a drift must have: so far off is chance once in ten thousand looks."""
MOST_SPANS = 5
"""Of one stage, cuts and earlier steps together, after which no step is cut any more: status has no room for more."""

_NOTHING = Tally(total=0, bad=0)


def cuts_after(known: GateStatus | None, written: Tally | None, now: Tally, earlier: int) -> tuple[Tally, ...]:
    """Return the counts at which the step is cut: once more at the last look, if the share has drifted since `written`.

    `known` is what the last look said, `written` the counts in status, which are older while nothing else is news. It
    depends on requests alone, never on which of them were bad: that would be choosing the data.
    """
    cuts = tuple(known.cuts) if known else ()
    if known is None or known.tally is None or written is None:
        return cuts
    if len(cuts) >= MAX_CUTS or earlier + len(cuts) >= MOST_SPANS:
        return cuts
    last = cuts[-1] if cuts else _NOTHING
    if written.total < last.total or not _has_drifted(_span(last, written), _span(written, now)):
        return cuts
    return (*cuts, known.tally)


def spans_of(tally: Tally, cuts: Sequence[Tally]) -> tuple[Tally, ...]:
    """Return what was counted in each span of a step."""
    return tuple(_span(first, then) for first, then in pairwise((_NOTHING, *cuts, tally))) if cuts else (tally,)


def pair_of(tally: Tally) -> Pair:
    """Return the counts of both versions."""
    return Pair(Counts(tally.total, tally.bad), Counts(tally.baseline_total, tally.baseline_bad))


def _span(first: Tally, then: Tally) -> Tally:
    # A window's edges are extrapolated, so a count may come back a little smaller.
    total = max(0, then.total - first.total)
    other = max(0, then.baseline_total - first.baseline_total)
    return Tally(
        total=total,
        bad=min(total, max(0, then.bad - first.bad)),
        baseline_total=other,
        baseline_bad=min(other, max(0, then.baseline_bad - first.baseline_bad)),
    )


def _has_drifted(before: Tally, after: Tally) -> bool:
    first, then = before.total + before.baseline_total, after.total + after.baseline_total
    if not (before.total and before.baseline_total and after.total and after.baseline_total):
        return False
    was, now = before.total / first, after.total / then
    both = (before.total + after.total) / (first + then)
    error = math.sqrt(both * (1 - both) * (1 / first + 1 / then))
    return abs(now / was - 1) > LARGEST_DRIFT and abs(now - was) > SURE * error
