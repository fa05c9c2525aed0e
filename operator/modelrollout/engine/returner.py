"""Gives back to the baseline what deleted rollouts have left with their candidates.

A rollout needs no finalizer for that: the route itself carries a note of where its traffic belongs.
"""

from collections.abc import Iterator

import structlog

from modelrollout.api.fields import NONE
from modelrollout.api.versions import ServiceRef
from modelrollout.core.events import LONGEST_NOTE, Event
from modelrollout.core.traffic import BASELINE_ONLY, WAY_BACK_PREFIX, Endpoints, Foreign, Routed
from modelrollout.engine.observe import Drivers
from modelrollout.engine.ports import Clock, Cluster, Conflict, Driver, Gone, Left, Refused, Unavailable
from modelrollout.engine.recorder import Recorder
from modelrollout.engine.store import Key

log = structlog.get_logger(__name__)

CONFLICTS_ALLOWED = 5
# A dead baseline says nothing when it comes to life: no rollout that is left names it.
LOOK_AGAIN = 15.0
DEAD = frozenset({Endpoints.NONE_READY, Endpoints.NO_SERVICE, Endpoints.NO_PORT})
RETURNED, STAYS = "TrafficReturned", "TrafficNotReturned"


class Returner:
    """Knows the notes on all watched routes; the key of each is the uid of the rollout that it speaks of."""

    def __init__(self, *, drivers: Drivers, cluster: Cluster, recorder: Recorder, clock: Clock) -> None:
        self._drivers = drivers
        self._cluster = cluster
        self._recorder = recorder
        self._clock = clock
        self._told: dict[Key, str] = {}

    def left(self) -> Iterator[Key]:
        """Return the uids of all rollouts that have a note on a route, living ones too."""
        for driver in self._drivers.all:
            for left in driver.left():
                yield left.way_back.uid

    async def give_back(self, key: Key) -> float | None:
        """Have the baseline get what the rollout of this uid has left; return in how many seconds to look again.

        A rollout that lives after all keeps everything. So does a candidate that somebody else has given its share.

        Raises:
            Refused, Unavailable: as the API server says.
        """
        waits = []
        for driver in self._drivers.all:
            for left in list(driver.left(key)):
                wait = None if await self._lives(left) else await self._return(driver, left)
                waits.append(wait)
        if not waits:
            self._told.pop(key, None)
        return max((wait for wait in waits if wait), default=None)

    async def _lives(self, left: Left) -> bool:
        try:
            found = await self._cluster.get_rollout(left.place.namespace, left.place.rollout)
        except Gone:
            return False
        return bool(found["metadata"]["uid"] == left.way_back.uid)

    async def _return(self, driver: Driver, left: Left) -> float | None:
        live = False
        for _ in range(CONFLICTS_ALLOWED):
            route = await driver.read(left.place, live=live)
            if not isinstance(route, Routed | Foreign) or route.way_back != left.way_back:
                return None  # It has gone, or has been given back meanwhile.
            moves = route.shares != BASELINE_ONLY
            if moves and isinstance(route, Foreign):
                await self._tell(
                    left, STAYS, f"but {route.manager} has set the shares since: they stay. {_remedy(left)}"
                )
                return None
            if moves and self._is_outage(left, route):
                name = left.way_back.baseline.name
                await self._tell(
                    left, STAYS, f"but Service {name} has no ready endpoint: start its pods, then it is given back"
                )
                return LOOK_AGAIN
            try:
                written = await driver.write(left.place, BASELINE_ONLY if moves else None, route.guard)
            except Conflict:
                live = True
                continue
            live = isinstance(written, Routed) and written.shares != BASELINE_ONLY  # On the way: once more.
            if not live:
                await self._tell(left, RETURNED, f"Service {left.way_back.baseline.name} has all the traffic again")
                if moves and isinstance(written, Routed):
                    await self._record(driver, left, written)
                return None
        raise Unavailable(f"{driver.kind} {driver.name_of(left.place)} changes faster than it can be written")

    async def _record(self, driver: Driver, left: Left, route: Routed) -> None:
        """Write it down; it has happened in any case."""
        try:
            await self._recorder.note_return(left.place.namespace, left.way_back.uid, driver.kind, route, self._clock())
        except (Conflict, Gone, Refused, Unavailable) as error:
            log.warning("what went back is not recorded", name=left.place.rollout, error=str(error))

    def _is_outage(self, left: Left, route: Routed | Foreign) -> bool:
        """Whether giving back would turn a candidate that works into an outage."""
        if route.shares is None or route.shares.candidate == NONE:
            return False
        return self._endpoints(left, left.way_back.baseline) in DEAD and (
            self._endpoints(left, left.way_back.candidate) is Endpoints.READY
        )

    def _endpoints(self, left: Left, service: ServiceRef) -> Endpoints:
        try:
            return self._cluster.endpoints(left.place.namespace, service)
        except Unavailable:
            return Endpoints.UNKNOWN

    async def _tell(self, left: Left, reason: str, what: str) -> None:
        """Say it in the log and on the route, once; an event that cannot be posted is no reason to fail."""
        note = f"ModelRollout {left.place.rollout} was deleted in mid-attempt: {what}"
        if self._told.get(left.way_back.uid) == note:
            return
        if reason == STAYS:
            self._told[left.way_back.uid] = note
        say = log.info if reason == RETURNED else log.warning
        say(note, reason=reason, namespace=left.place.namespace, name=left.place.rollout, uid=left.way_back.uid)
        event = Event("Normal" if reason == RETURNED else "Warning", reason, "GiveBack", note[:LONGEST_NOTE])
        try:
            await self._cluster.post_event(left.about, event)
        except (Conflict, Gone, Refused, Unavailable) as error:
            log.warning("event not posted", reason=reason, error=str(error))


def _remedy(left: Left) -> str:
    return (
        f"Give {left.way_back.baseline.name} everything there by hand, or take annotation"
        f" {WAY_BACK_PREFIX}{left.place.rollout} away to keep them"
    )
