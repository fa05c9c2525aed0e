"""After a rollback: until when requests that the candidate still has in flight may take, and that it is idle then.

A weight of 0 stops new requests only. Whoever takes the pods away at once cuts answers off that users wait for.
"""

from datetime import datetime

from modelrollout.api.fields import NONE
from modelrollout.api.status import Attempt, DrainStatus, Outcome
from modelrollout.core.case import Case
from modelrollout.core.plan import DRAIN, policy_of
from modelrollout.core.traffic import BASELINE_ONLY, Blocked, Foreign, Routed, Unmanaged


def drain_of(case: Case, attempt: Attempt | None) -> DrainStatus | None:
    """Return how far the candidate of an attempt that was rolled back is, `None` while it has traffic all the same.

    It counts from when the route was first read back without it: whatever it had before is a request in flight.
    """
    if attempt is None or attempt.outcome not in {Outcome.ROLLED_BACK, Outcome.SUPERSEDED}:
        return None
    since = _without_it_since(case)
    if since is None:
        return None
    if attempt.drain and attempt.drain.idle_since:
        return attempt.drain  # Said once, it stays said: another `drain` in spec is for the next rollback.
    # A later one than now was not written by us.
    until = min(since, case.now) + (policy_of(case.rollout.spec).drain if case.rollout.spec else DRAIN)
    return DrainStatus(until=until, idle_since=until if case.now >= until else None)


def drain_text(drain: DrainStatus | None) -> str:
    """Return the sentence about it, empty where there is nothing to say."""
    if drain is None:
        return ""
    if drain.idle_since:
        return f"It has been idle since {drain.idle_since:%Y-%m-%d %H:%M:%S} UTC"
    return f"Its requests in flight may take until {drain.until:%Y-%m-%d %H:%M:%S} UTC: keep its pods until then"


def _without_it_since(case: Case) -> datetime | None:
    known = case.status.route
    since = known.since if known and (known.candidate, known.mirror) == (NONE, NONE) else None
    match case.seen.route:
        case Routed(shares) | Foreign(shares=shares):
            return (since or case.now) if shares == BASELINE_ONLY else None
        case Unmanaged() | Blocked():
            return since  # A route that cannot be read now is taken to be as it was.
