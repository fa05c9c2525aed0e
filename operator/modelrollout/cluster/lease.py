"""Who may decide, by one Lease: pure. Times are seconds on this process's own monotonic clock, never those in the Lease.

Another process's clock is not asked: a standby measures for itself how long the Lease has stood unchanged, from the
moment it saw it, and takes it after its full duration. The holder counts from before it sent a renewal, and stops after
two thirds of that. So there is never a second one, as long as no clock runs half again as fast as another.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

SHORTEST = timedelta(seconds=2)
LONGEST = timedelta(seconds=60)
NOBODY = "nobody yet"


@dataclass(frozen=True, slots=True)
class Terms:
    """What follows from how long a Lease lasts."""

    duration: float

    @property
    def deadline(self) -> float:
        """How long after a renewal was sent its sender may write."""
        return self.duration * 2 / 3

    @property
    def renew_every(self) -> float:
        """How often the holder renews: a silence of a third of the duration still costs nothing."""
        return self.duration / 4

    @property
    def look_every(self) -> float:
        """How often others look."""
        return self.duration / 6

    @property
    def retry_every(self) -> float:
        """How soon a call that nobody answered is made again."""
        return self.duration / 12

    @property
    def call_limit(self) -> float:
        """How long one call may take."""
        return self.duration / 3


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as it was read; a holder that is empty has given it back."""

    holder: str
    duration: float
    guard: str
    transitions: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done before that time."""

    until: float


@dataclass(frozen=True, slots=True)
class Look:
    """The Lease has to be read."""


@dataclass(frozen=True, slots=True)
class Create:
    """The Lease has to be made, in nobody's name: it may have been deleted under a holder who does not know it yet."""


@dataclass(frozen=True, slots=True)
class Write:
    """The Lease has to be written in one's own name, if it is still at this guard."""

    guard: str
    transitions: int


Step = Wait | Look | Create | Write


@dataclass(frozen=True, slots=True)
class Standing:
    """What one process knows of the Lease.

    `lease` is what it saw last (`None`: there is none), `since` when it saw that first, `looked_at` when it heard of it
    last (`None`: it has to look). `tried_at` is when it sent what nobody answered. `renewed_at` is when it sent its last
    renewal that was accepted, `None` while somebody else may hold the Lease.
    """

    me: str
    terms: Terms
    lease: Lease | None = None
    since: float = math.inf
    looked_at: float | None = None
    tried_at: float = -math.inf
    renewed_at: float | None = None

    def saw(self, lease: Lease | None, now: float) -> "Standing":
        """Return the standing after an answer; a Lease that is not in our name is not ours any more."""
        is_old = _guard_of(lease) == _guard_of(self.lease)
        is_mine = lease is not None and lease.holder == self.me
        return replace(
            self,
            lease=lease,
            since=self.since if is_old else now,
            looked_at=now,
            renewed_at=self.renewed_at if is_mine else None,
        )

    def wrote(self, lease: Lease, sent_at: float, now: float) -> "Standing":
        """Return the standing after a write of ours was accepted.

        One that left the Lease as it was is no renewal: nobody can have seen it.
        """
        is_seen = _guard_of(lease) != _guard_of(self.lease)
        after = self.saw(lease, now)
        return replace(after, renewed_at=sent_at) if is_seen else after

    def failed(self, sent_at: float) -> "Standing":
        """Return the standing after a call of which nobody knows what became."""
        return replace(self, tried_at=sent_at)

    def outdated(self) -> "Standing":
        """Return the standing after a write that was refused, as the Lease had changed."""
        return replace(self, looked_at=None)

    @property
    def stops_at(self) -> float:
        """When this process has to have stopped writing; before all time while it does not hold the Lease."""
        return -math.inf if self.renewed_at is None else self.renewed_at + self.terms.deadline

    def step(self, now: float) -> Step:
        """Return what to do next."""
        again_at = self.tried_at + self.terms.retry_every
        if now < again_at:
            return Wait(again_at)
        if self.looked_at is None:
            return Look()
        if self.lease is None:
            return Create()
        if now < self.stops_at and self.renewed_at is not None:
            due = self.renewed_at + self.terms.renew_every
            return Write(self.lease.guard, self.lease.transitions) if now >= due else Wait(due)
        free_at = self._free_at(self.lease)
        if now >= free_at:
            return Write(self.lease.guard, self.lease.transitions + 1)
        due = self.looked_at + self.terms.look_every
        return Look() if now >= due else Wait(min(due, free_at))

    def _free_at(self, lease: Lease) -> float:
        """Return when nobody else can hold the Lease any more."""
        if lease.holder in {"", self.me}:
            return -math.inf
        return self.since + min(max(lease.duration, SHORTEST.total_seconds()), LONGEST.total_seconds())


def _guard_of(lease: Lease | None) -> str | None:
    return lease.guard if lease else None


def parse_lease(obj: Mapping[str, Any]) -> Lease:
    """Return what counts of a Lease; whatever is missing is read so that it takes longest to be taken."""
    spec = obj.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        duration=float(spec.get("leaseDurationSeconds") or LONGEST.total_seconds()),
        guard=obj["metadata"]["resourceVersion"],
        transitions=spec.get("leaseTransitions") or 0,
    )


def render_lease(standing: Standing, step: Create | Write, at: datetime) -> dict[str, Any]:
    """Return the spec of a Lease in one's own name, or of a new one in nobody's; its dates are for people."""
    now = at.isoformat(timespec="microseconds")
    spec = {"leaseDurationSeconds": math.ceil(standing.terms.duration), "renewTime": now}
    if isinstance(step, Create):
        return {**spec, "holderIdentity": NOBODY, "leaseTransitions": 0}
    is_mine = standing.lease is not None and standing.lease.holder == standing.me
    dated = {} if is_mine else {"acquireTime": now}
    return {**spec, **dated, "holderIdentity": standing.me, "leaseTransitions": step.transitions}
