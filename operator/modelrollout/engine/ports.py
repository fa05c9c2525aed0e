"""What the engine needs of the world, and the four ways in which the world says no."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from modelrollout.api.gates import Gate
from modelrollout.api.metrics import Metrics
from modelrollout.api.status import ModelRolloutStatus
from modelrollout.api.versions import ServiceRef, Workload
from modelrollout.core.events import Event
from modelrollout.core.evidence import Answer, Gap, NoData, Question
from modelrollout.core.notices import Told
from modelrollout.core.traffic import Blocked, Capabilities, Endpoints, Place, Route, Shares, WayBack


class Conflict(Exception):
    """The object has changed since it was read: read it again and decide anew."""


class Gone(Exception):
    """The object is no longer there: forget it."""


class Refused(Exception):
    """The API server said no for good; its sentence is the argument. Tell the user."""


class Unavailable(Exception):
    """The other side cannot be had now: come back later.

    `retry_after` is what it asked for, if it did.
    """

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Left:
    """A note found on a route, as it will be read when its rollout is gone.

    `place` is what the rollout's was at its last write; `about` is the routing object as events refer to it.
    """

    way_back: WayBack
    place: Place
    about: Mapping[str, Any]


class Clock(Protocol):
    """Where time comes from."""

    def __call__(self) -> datetime:
        """Return the present time: aware, UTC."""
        ...


class Driver(Protocol):
    """Reads and writes one kind of routing object. Each method may raise the four errors above."""

    kind: str

    def name_of(self, place: Place) -> str:
        """Return the name of the routing object."""
        ...

    async def capabilities(self, place: Place) -> Capabilities | Blocked:
        """Return what the router can do, or what keeps anybody from knowing."""
        ...

    async def read(self, place: Place, *, live: bool = False) -> Route:
        """Return the route as it stands; `live` asks the API server even where a watch keeps a copy."""
        ...

    def left(self, uid: str = "") -> Iterator[Left]:
        """Return the notes on all routes that are watched: those of one rollout, or without `uid` all."""
        ...

    async def write(
        self, place: Place, shares: Shares | None, guard: str | None, way_back: WayBack | None = None
    ) -> Route:
        """Make the route give these shares (`None`: those it gives) and carry this note; return it as read back.

        It may only have been brought on the way there; then the next write goes on.


        `guard` is from the `read` that this write was decided on, `None` where that found nothing.
        A route that is so already, by our own hand, is not written.

        Raises:
            Conflict: the route is no longer as `guard` knew it.
        """
        ...


class Source(Protocol):
    """Where samples come from. Never raises: whatever is odd is `NoData` with its reason."""

    def check(self, metrics: Metrics, gates: Sequence[Gate]) -> Blocked | None:
        """Return what keeps these gates from being judged at all: an unknown source, a metric not named."""
        ...

    async def measure(self, question: Question) -> Answer:
        """Return what the source knows, within its own time limit."""
        ...

    async def covered(self, gap: Gap) -> float | NoData:
        """Return the fraction of a span that the source saw, from 0 to 1, within its own time limit."""
        ...


class Cluster(Protocol):
    """The API server, as far as the engine needs it. Each method may raise the four errors above."""

    async def get_rollout(self, namespace: str, name: str) -> dict[str, Any]:
        """Return the object as it stands now."""
        ...

    async def patch_status(self, namespace: str, name: str, guard: str, patch: dict[str, Any]) -> dict[str, Any]:
        """Merge `patch` into status if the object is still at resourceVersion `guard`; return the new object.

        Raises:
            Conflict: it is not.
        """
        ...

    async def post_event(self, about: Mapping[str, Any], event: Event) -> None:
        """Post an event about the object: a rollout, or a routing object."""
        ...

    def endpoints(self, namespace: str, service: ServiceRef) -> Endpoints:
        """Return what stands behind a Service, as the watches last said."""
        ...

    def ready_replicas(self, namespace: str, service: ServiceRef) -> int | None:
        """Return how many ready endpoints a Service has, as the watches last said; `None` before they said anything."""
        ...

    def clock_skew(self) -> timedelta | None:
        """Return how far this clock is ahead of the API server's, `None` where that is not known yet."""
        ...

    def frozen(self) -> str | None:
        """Return why the administrator lets no weight grow, `None` where weights may."""
        ...

    def names_bound_since(self) -> datetime | None:
        """Return since when admission has kept messages to their writers' names, `None` where it does not."""
        ...

    async def workload_problem(self, namespace: str, workload: Workload) -> str | None:
        """Return why the workload is not fully up to date and available, `None` if it is."""
        ...


class Records(Protocol):
    """ModelRolloutRecords, which are made and added to. Each method may raise the four errors above."""

    async def confirm_rollout(self, namespace: str, name: str, guard: str) -> dict[str, Any]:
        """Return the rollout if it is still at resourceVersion `guard`, as the API server itself has it; change nothing.

        The schema's defaults may be stored with it for the first time, so the version returned may be a later one.

        Raises:
            Conflict: it is not.
        """
        ...

    async def create_record(self, namespace: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a record and return it.

        Raises:
            Conflict: it exists.
            Gone: the namespace is ending, nothing can be made there any more.
        """
        ...

    async def record_names(self, namespace: str, uid: str) -> list[str]:
        """Return the names of all records of the rollout of this uid, in no order."""
        ...

    async def get_record(self, namespace: str, name: str) -> dict[str, Any]:
        """Return the record as it stands now."""
        ...

    async def extend_record(
        self,
        namespace: str,
        name: str,
        guard: str,
        *,
        segment: Mapping[str, Any] | None,
        fields: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Add a segment to a record that is still at `guard`, set these fields of its status, and return it.

        Raises:
            Conflict: it is not.
        """
        ...


class Announcer(Protocol):
    """Who is told outside of the cluster."""

    def announce(self, told: Told) -> None:
        """Take note of what is to be told: never waits, never raises."""
        ...


class Telemetry(Protocol):
    """Where the engine counts."""

    def pass_ended(self, outcome: str, seconds: float) -> None:
        """Count a pass: ok, interrupted, gone, conflict, unavailable, refused or bug."""
        ...

    def record_failed(self, outcome: str) -> None:
        """Count a record that could not be written: conflict, gone, refused or unavailable."""
        ...

    def decided(self, old: ModelRolloutStatus, new: ModelRolloutStatus) -> None:
        """Count what has changed from one status to the next, once it was written."""
        ...
