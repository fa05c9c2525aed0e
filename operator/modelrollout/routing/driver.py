"""The flow that all drivers share: read, see whose it is, write under a guard. The shape of the object is theirs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from modelrollout.core.traffic import (
    Acceptance,
    Blocked,
    Capabilities,
    Foreign,
    Place,
    Route,
    Routed,
    Shares,
    Unmanaged,
)
from modelrollout.engine.ports import Conflict, Gone, Refused
from modelrollout.routing.objects import Objects, other_writer

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

    def change(self, obj: Obj, place: Place, shares: Shares) -> Obj:
        """Return what to merge into the object's spec."""
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

    async def write(self, place: Place, shares: Shares, guard: str | None) -> Route:
        """Make the route give these shares, or bring it on the way there; return it as it was read back.

        On the way it gives other shares than asked for. The next write goes on, once the router has had time.

        Raises:
            Conflict: the route is no longer as `guard` knew it.
            Gone: the namespace is ending, nothing can be made there any more.
            Refused: what `read` calls `Blocked`, and what the API server's validation says.
            ValueError: these shares need a baseline, and the place has none.
        """
        if place.baseline is None and (shares.candidate.rest.hundredths or shares.mirror.hundredths):
            raise ValueError(f"{shares} needs a baseline")
        return await (self._make(place, shares) if guard is None else self._change(place, shares, guard))

    async def _make(self, place: Place, shares: Shares) -> Route:
        shape = self._shape_for(place)
        missing = shape.absent(place)
        if isinstance(missing, Blocked):
            raise Refused(missing.message)
        try:
            made = await self._objects.create(self._resource, place.namespace, shape.fresh(place, shares))
        except Gone as error:  # A path that the server does not have: no such kind, or the namespace is ending.
            if await self._objects.serves(self._resource):
                raise
            raise Refused(self._not_installed().message) from error
        return _route_of(shape, made, place)

    async def _change(self, place: Place, shares: Shares, guard: str) -> Route:
        shape = self._shape_for(place)
        try:
            obj = await self._settled(place, await self._find(place, guard=guard))
            found = _route_of(shape, obj, place)
            if isinstance(found, Blocked):
                raise Refused(found.message)
            spec = shape.change(obj, place, shares)
            if isinstance(found, Routed) and found.shares == shares and _covers(obj["spec"], spec):
                return found
            body = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "spec": spec}
            changed = await self._objects.patch(self._resource, place.namespace, shape.name_of(place), body)
        except Gone as error:
            raise Conflict(f"{self.kind} {shape.name_of(place)} was deleted meanwhile") from error
        route = _route_of(shape, changed, place)
        if isinstance(route, Routed) and route.shares != shares:
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


def _route_of(shape: Shape, obj: Obj, place: Place) -> Routed | Foreign | Blocked:
    if obstacle := shape.obstacle(obj, place):
        return obstacle
    guard = obj["metadata"]["resourceVersion"]
    shares = shape.shares_of(obj, place)
    other = other_writer(obj, shape.fields_of(obj))
    if isinstance(shares, str):
        return Foreign(None, str(other) if other else "an earlier attempt of this operator", guard, shares)
    if other:
        return Foreign(shares, str(other), guard)
    return Routed(shares, guard, *shape.acceptance_of(obj))


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
