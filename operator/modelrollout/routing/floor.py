"""Steps from and to nothing, for routers that make a cluster for each backend: one of a million goes first, and last.

Envoy Gateway does so for a rule in which any reference has filters of its own. A backend that gets its first weight gets
its cluster with it, and clusters and routes travel to Envoy by different ways: the whole weight would meet 500s until
both are there. In the same way what goes to nothing loses its cluster before the last request has left.
"""

from modelrollout.api.fields import NONE
from modelrollout.core.traffic import Shares

FLOOR = 1
REST = 999_999
Weights = tuple[int, int]
"""Of baseline and candidate."""


def weights_on_the_way(now: Weights, shares: Shares) -> Weights | None:
    """Return the weights to write before those of `shares` can be, `None` where these may be written at once.

    Going back to the baseline takes all but the floor away in the first write, whatever that costs the baseline.
    A share of 0.01 % or less needs no floor of its own.
    """
    baseline, candidate = (weight > _floor_of(now) for weight in now)
    if shares.candidate == NONE:
        return (REST, FLOOR) if candidate else None
    if now[1] == 0 and shares.candidate.hundredths > 1:
        return REST, FLOOR
    if now[0] == 0 and shares.candidate.rest.hundredths > 1:
        return FLOOR, REST
    if baseline and shares.candidate.rest == NONE:
        return FLOOR, REST
    return None


def _floor_of(weights: Weights) -> float:
    return sum(weights) * FLOOR / (FLOOR + REST)
