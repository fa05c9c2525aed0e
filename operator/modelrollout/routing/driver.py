"""The flow that all drivers share: read, see whose it is, write under a guard. The shape of the object is theirs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from modelrollout.core.traffic import (
    EARLIER_ATTEMPT,
    Acceptance,
    Blocked,
    Capabilities,
    Foreign,
    Place,
    Route,
    Routed,
    Shares,
    Unmanaged,
    WayBack,
)
from modelrollout.engine.ports import Conflict, Gone, Left, Refused
from modelrollout.routing.notes import Note, lefts_on, note_change, note_on
from modelrollout.routing.objects import API_VERSIONS, Objects, other_writer

SETTLES_IN = timedelta(seconds=1)
"""Between two writes of one step. Seen on Envoy Gateway 1.9: a cluster is known 30 ms after the write."""

Obj = Mapping[str, Any]


class Shape(Protocol):
    """What one kind of routing object looks like. Pure: no method does I/O."""

    def name_of(self, place: Place) -> str:
        """Return the object's name."""
        ...

    def absent(self, place: Place) -> Unmanaged | Blocked:
        """Return what it means that the object does not exist."""
        ...

    def obstacle(self, obj: Obj, place: Place) -> Blocked | None:
        """Return why the object cannot be used for this rollout."""
        ...

    def shares_of(self, obj: Obj, place: Place) -> Shares | str:
        """Return the shares that the object gives, or in a sentence why they are not between our two backends."""
        ...

    def fields_of(self, obj: Obj) -> Sequence[tuple[str, ...]]:
        """Return the paths of the fields that hold the shares, as finely as managedFields tells fields apart."""
        ...

    def acceptance_of(self, obj: Obj) -> tuple[Acceptance, str]:
        """Return what the gateway says of the object, with the reason where it does not accept it."""
        ...

    def fresh(self, place: Place, shares: Shares) -> Obj:
        """Return the object to create."""
        ...

    def before(self, obj: Obj) -> Obj | None:
        """Return what of the object has to be noted before our first write, so that it can be put back as it was."""
        ...

    def change(self, obj: Obj, place: Place, shares: Shares, before: Obj | None) -> Obj:
        """Return what to merge into the object's spec; `before` is what was noted, if anything was."""
        ...


class RouteDriver:
    """A driver (`engine.ports.Driver`) for objects of one kind, whose shape may depend on the place."""

    def __init__(
        self,
        objects: Objects,
        *,
        kind: str,
        resource: str,
        install: str,
        shape_for: Callable[[Place], Shape],
        ask_capabilities: Callable[[Place], Awaitable[Capabilities | Blocked]],
    ) -> None:
        self.kind = kind
        self._objects = objects
        self._resource = resource
        self._install = install
        self._shape_for = shape_for
        self._ask_capabilities = ask_capabilities
        self._half_way: dict[tuple[str, str], float] = {}

    def name_of(self, place: Place) -> str:
        """Return the name of the routing object."""
        return self._shape_for(place).name_of(place)

    async def capabilities(self, place: Place) -> Capabilities | Blocked:
        """Return what the router can do, or what keeps anybody from knowing."""
        return await self._ask_capabilities(place)

    async def read(self, place: Place, *, live: bool = False) -> Route:
        """Return the route as it stands; `live` asks the API server even where a watch keeps a copy."""
        shape = self._shape_for(place)
        try:
            obj = await self._find(place, live=live)
        except Gone:
            return shape.absent(place) if await self._objects.serves(self._resource) else self._not_installed()
        return _route_of(shape, obj, place)

    def left(self, uid: str = "") -> Iterator[Left]:
        """Return the notes on all routes that are watched: those of one rollout, or without `uid` all."""
        for obj in self._objects.known(self._resource):
            for left in lefts_on(obj, API_VERSIONS[self._resource], self.kind, uid):
                try:
                    is_here = self.name_of(left.place) == obj["metadata"]["name"]
                except ValueError:  # It speaks of another kind of router.
                    is_here = False
                if is_here:
                    yield left

    async def write(
        self, place: Place, shares: Shares | None, guard: str | None, way_back: WayBack | None = None
    ) -> Route:
        """Make the route give these shares and carry this note, in one write; return it as it was read back.

        Without shares only the note is written. The write may only bring the route on the way: then it gives other
        shares than asked for, keeps its note, and the next write goes on, once the router has had time.

        Raises:
            Conflict: the route is no longer as `guard` knew it.
            Gone: the namespace is ending, nothing can be made there any more.
            Refused: what `read` calls `Blocked`, and what the API server's validation says.
            ValueError: these shares need a baseline, and the place has none.
        """
        if shares and place.baseline is None and (shares.candidate.rest.hundredths or shares.mirror.hundredths):
            raise ValueError(f"{shares} needs a baseline")
        if guard is not None:
            return await self._change(place, shares, guard, way_back)
        if shares is None:
            raise ValueError("there is nothing yet to carry a note")
        return await self._make(place, shares, way_back)

    async def _make(self, place: Place, shares: Shares, way_back: WayBack | None) -> Route:
        shape = self._shape_for(place)
        missing = shape.absent(place)
        if isinstance(missing, Blocked):
            raise Refused(missing.message)
        body = shape.fresh(place, shares)
        if way_back:
            noted = note_change({}, place, Note(way_back, place.traffic, None))
            body = {**body, "metadata": {**body["metadata"], "annotations": noted}}
        try:
            made = await self._objects.create(self._resource, place.namespace, body)
        except Gone as error:  # A path that the server does not have: no such kind, or the namespace is ending.
            if await self._objects.serves(self._resource):
                raise
            raise Refused(self._not_installed().message) from error
        return _route_of(shape, made, place)

    async def _change(self, place: Place, shares: Shares | None, guard: str, way_back: WayBack | None) -> Route:
        shape = self._shape_for(place)
        try:
            obj: Obj = await self._find(place, guard=guard)
            obj = await self._settled(place, obj) if shares else obj
            found = _route_of(shape, obj, place)
            if isinstance(found, Blocked):
                raise Refused(found.message)
            known = note_on(obj, place.rollout)
            spec = shape.change(obj, place, shares, known.before if known else None) if shares else {}
            if isinstance(found, Routed) and found.shares == shares and _covers(obj["spec"], spec):
                spec = {}
            is_last = shares is None or shape.shares_of({**obj, "spec": {**obj["spec"], **spec}}, place) == shares
            # What is needed to put a rule back stays until it is put back.
            note = _note(shape, obj, place, way_back, known) if way_back or is_last else known
            annotations = note_change(obj, place, note)
            if not spec and not annotations:
                return found
            metadata = {
                "resourceVersion": obj["metadata"]["resourceVersion"],
                **({"annotations": annotations} if annotations else {}),
            }
            body = {"metadata": metadata, **({"spec": spec} if spec else {})}
            changed = await self._objects.patch(self._resource, place.namespace, shape.name_of(place), body)
        except Gone as error:
            raise Conflict(f"{self.kind} {shape.name_of(place)} was deleted meanwhile") from error
        route = _route_of(shape, changed, place)
        if shares and isinstance(route, Routed) and route.shares != shares:
            self._half_way[place.namespace, shape.name_of(place)] = asyncio.get_running_loop().time()
        return route

    async def _settled(self, place: Place, obj: Obj) -> Obj:
        """Return the object once a first write has had time to reach the router; a spec that has changed is a conflict.

        Gateways write their word into its status meanwhile, which changes its resourceVersion and nothing else.
        """
        since = self._half_way.pop((place.namespace, self.name_of(place)), None)
        if since is None:
            return obj
        await asyncio.sleep(since + SETTLES_IN.total_seconds() - asyncio.get_running_loop().time())
        return await self._find(place, live=True, generation=obj["metadata"]["generation"])

    async def _find(
        self, place: Place, *, live: bool = False, guard: str | None = None, generation: int | None = None
    ) -> dict[str, Any]:
        name = self.name_of(place)
        obj = await self._objects.read(self._resource, place.namespace, name, live=live)
        if generation is not None and obj["metadata"]["generation"] != generation:
            raise Conflict(f"{self.kind} {name} has changed between two writes")
        if guard is None or obj["metadata"]["resourceVersion"] == guard:
            return obj
        obj = await self._objects.read(self._resource, place.namespace, name, live=True)
        if obj["metadata"]["resourceVersion"] != guard:
            raise Conflict(f"{self.kind} {name} has changed since it was read")
        return obj

    def _not_installed(self) -> Blocked:
        return Blocked("RouterNotInstalled", f"the API server knows no kind {self.kind}: {self._install}")


def _note(shape: Shape, obj: Obj, place: Place, way_back: WayBack | None, known: Note | None) -> Note | None:
    """Return the note to write; what was before our first write is known to the one that stands, if it is this one."""
    if way_back is None:
        return None
    before = known.before if known and known.way_back == way_back else shape.before(obj)
    return Note(way_back, place.traffic, before)


def _route_of(shape: Shape, obj: Obj, place: Place) -> Routed | Foreign | Blocked:
    if obstacle := shape.obstacle(obj, place):
        return obstacle
    guard = obj["metadata"]["resourceVersion"]
    shares = shape.shares_of(obj, place)
    other = other_writer(obj, shape.fields_of(obj))
    note = note_on(obj, place.rollout)
    way_back = note.way_back if note else None
    uid = obj["metadata"].get("uid", "")
    if isinstance(shares, str):
        return Foreign(None, str(other) if other else EARLIER_ATTEMPT, guard, shares, way_back, uid)
    if other:
        return Foreign(shares, str(other), guard, way_back=way_back, uid=uid)
    return Routed(shares, guard, *shape.acceptance_of(obj), way_back, uid)


def _covers(stands: object, wanted: object) -> bool:
    """Whether merging `wanted` would change nothing but defaults that the API server fills in."""
    if isinstance(wanted, Mapping):
        return isinstance(stands, Mapping) and all(
            name not in stands if value is None else name in stands and _covers(stands[name], value)
            for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(stands, list)
            and len(stands) == len(wanted)
            and all(_covers(*pair) for pair in zip(stands, wanted, strict=True))
        )
    return bool(stands == wanted)
