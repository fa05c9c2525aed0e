"""Shares of traffic, and what a look at a route may find."""

from dataclasses import dataclass
from enum import StrEnum

from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.traffic import Traffic
from modelrollout.api.versions import ServiceRef


@dataclass(frozen=True, slots=True)
class Shares:
    """What a whole route gives the candidate; the baseline has the rest of the live requests."""

    candidate: Percent
    mirror: Percent

    def __str__(self) -> str:
        return f"mirror {self.mirror}%" if self.mirror > NONE else f"{self.candidate}%"


BASELINE_ONLY = Shares(NONE, NONE)
CANDIDATE_ONLY = Shares(ALL, NONE)


@dataclass(frozen=True, slots=True)
class Place:
    """The routing object of one rollout, and the two backends on it.

    `baseline` is `None` at a first deployment: then only `CANDIDATE_ONLY` can be written.
    """

    namespace: str
    rollout: str
    traffic: Traffic
    baseline: ServiceRef | None
    candidate: ServiceRef


@dataclass(frozen=True, slots=True)
class WayBack:
    """The note on a route that says whose attempt gives its candidate something there, and who should have it back.

    It is for the case that the rollout is deleted: then the route alone knows where its traffic belongs.
    """

    uid: str
    baseline: ServiceRef
    candidate: ServiceRef


# One annotation a rollout, named after it: several may have a rule each on one route.
WAY_BACK_PREFIX = "way-back.modelrollout.dev/"
# Who set shares between backends that are not ours now, where nobody else did.
EARLIER_ATTEMPT = "an earlier attempt of this operator"


class Acceptance(StrEnum):
    """What the gateway says of the route as it stands now; no proof that traffic follows it."""

    ACCEPTED = "Accepted"
    WAITING = "Waiting"
    REJECTED = "Rejected"


@dataclass(frozen=True, slots=True)
class Routed:
    """The route stands as this operator last wrote it.

    `guard` is the resourceVersion that a write must still find; `detail` says why it was not accepted; `way_back`
    is the note that it carries under this rollout's name, `uid` the routing object's.
    """

    shares: Shares
    guard: str
    acceptance: Acceptance = Acceptance.ACCEPTED
    detail: str = ""
    way_back: WayBack | None = None
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Somebody else wrote the shares last. `shares` is `None` where they involve other backends than ours."""

    shares: Shares | None
    manager: str
    guard: str
    detail: str = ""
    way_back: WayBack | None = None
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """There is no routing object yet; a write makes it."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Something outside has to be mended first: a word for machines, and a sentence with the remedy."""

    reason: str
    message: str


Route = Routed | Foreign | Unmanaged | Blocked


def way_back_in(route: Route) -> WayBack | None:
    """Return the note that a route carries under the name of the rollout that it was read for."""
    return route.way_back if isinstance(route, Routed | Foreign) else None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the router behind a route can do.

    `mirror_percent`: it honours percentages below 100; `fractional_mirror`: also broken ones, such as 0.5.
    `remedy` ends the sentence "stage x copies requests, and …" where it cannot. `one_cluster`: in its own metrics both
    versions are one backend.
    """

    mirror: bool
    mirror_percent: bool
    fractional_mirror: bool
    remedy: str = ""
    one_cluster: bool = False


class Endpoints(StrEnum):
    """What stands behind a Service; `UNKNOWN` keeps weight from growing, and never stops a rollback."""

    READY = "Ready"
    NONE_READY = "NoneReady"
    NO_SERVICE = "NoService"
    NO_PORT = "NoPort"
    UNKNOWN = "Unknown"
