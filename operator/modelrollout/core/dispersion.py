"""How much more bad requests vary than independent ones do: they come in bursts, and tests would take one for many."""

from typing import NamedTuple

from modelrollout.api.fields import render_number
from modelrollout.api.status import GateStatus
from modelrollout.core.evidence import Answer, Counted, Minutes, NoData

NOT_KNOWN = "not known"
LEAST_MINUTES, LEAST_BAD = 60, 20
HIGHEST = 50.0
CAUTION = 1.1
"""An hour tells it to within a fifth, and too little costs more false rollbacks than too much saves: docs/statistics.md."""


class Dispersion(NamedTuple):
    """The factor by which evidence is divided, 1 or more, and the text by which status remembers it."""

    factor: float
    text: str | None


INDEPENDENT = Dispersion(1.0, None)


def dispersion_of(history: Minutes | NoData) -> Dispersion:
    """Return the variance of bad requests over what independent ones have, from minutes before anything was judged.

    1 where fewer than 20 were bad: so few tell nothing. Not known, and 1, without an hour of them, or if no
    minute is said to have had the requests that there were. At most 50.

    Source: Pearson's statistic of a binomial share, mean over the minutes that had requests; a tenth of what it has above
    1 is added.
    """
    if isinstance(history, NoData) or history.minutes < LEAST_MINUTES or (history.total and not history.busy):
        return Dispersion(1.0, NOT_KNOWN)
    if history.bad < LEAST_BAD or history.total <= history.bad:
        return recall("1")
    share = history.bad / history.total
    # The sum of (bad - share * total)**2 / total over the minutes, multiplied out.
    squares = max(0.0, history.squares - share * history.bad)
    excess = squares / (share * (1 - share)) / history.busy - 1
    return recall(render_number(round(min(HIGHEST, 1 + max(0.0, CAUTION * excess)), 2)))


def dispersion_for(stored: GateStatus | None, answer: Answer) -> Dispersion:
    """Return what holds for a gate: what its status remembers, else what its answer says, else none."""
    if stored and stored.evidence and stored.evidence.dispersion:
        return recall(stored.evidence.dispersion)
    if isinstance(answer, Counted) and answer.history is not None:
        return dispersion_of(answer.history)
    return INDEPENDENT


def recall(text: str | None) -> Dispersion:
    """Return what status remembers; who edited it to something odd gets 1."""
    try:
        factor = float(text) if text else 1.0
    except ValueError:
        factor = 1.0
    return Dispersion(factor if 1 <= factor <= HIGHEST else 1.0, text)
