"""The last part of a pass: status, then the route, then what people are told, in the promised order.

An increase is written down before it happens. A rollback is too, but nothing may stop its route write: where the
API server refuses the status for any reason but a conflict, the route is written all the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import structlog

from modelrollout.core.events import Event, completed
from modelrollout.core.projection import Decision, RouteWrite
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import Blocked, Foreign, Route, Routed
from modelrollout.engine.observe import Drivers
from modelrollout.engine.outbox import Outbox
from modelrollout.engine.ports import Cluster, Conflict, Gone, Refused, Unavailable
from modelrollout.engine.store import Store, Stored

log = structlog.get_logger(__name__)

CONFLICTS_ALLOWED = 5


class Applier:
    """Carries decisions out."""

    def __init__(self, *, drivers: Drivers, cluster: Cluster, store: Store, outbox: Outbox) -> None:
        self._drivers = drivers
        self._cluster = cluster
        self._store = store
        self._outbox = outbox

    async def apply(self, stored: Stored, decision: Decision) -> Route | None:
        """Write what changed; return the route as it was read back, `None` where it was not written.

        Raises:
            Conflict: the rollout or its route is no longer what was decided on.
            Gone, Refused, Unavailable: as the API server says; a rollback's route is written before they are raised.
        """
        refused: Refused | Unavailable | Gone | None = None
        try:
            await self._write_status(stored, decision)
        except (Refused, Unavailable, Gone) as error:
            if not (decision.write and decision.write.outranks):
                raise
            log.warning("status refused, route is written all the same", error=str(error))
            refused = error
        route: Route | None = None
        if decision.write:
            try:
                route = await self._write_route(decision.write)
            except (Conflict, Gone, Refused, Unavailable) as error:
                # Status says by now what has happened: a later pass would find nothing new to tell.
                if refused is None:
                    self._outbox.tell(stored.head, decision.events)
                if isinstance(error, Refused):
                    self._warn(stored, "RouteRefused", str(error), decision)
                raise
        if refused:
            raise refused
        self._outbox.tell(stored.head, decision.events)
        return route

    async def _write_status(self, stored: Stored, decision: Decision) -> None:
        rollout = stored.rollout
        patch: dict[str, Any] = {}
        if decision.status != rollout.status or rollout.ignored:
            patch = status_patch(stored.status or {}, rollout, decision.status.render())
        # An empty patch changes nothing, but is a conflict if the rollout is no longer what was decided on. A route
        # that is written without it could follow a status of long ago: after a restart a list may be that old.
        if patch or decision.write:
            stands = await self._cluster.patch_status(rollout.namespace, rollout.name, rollout.guard, patch)
            self._store.put(stands)
            if lost := next(dropped_fields(patch, stands.get("status") or {}), None):
                # What is not remembered cannot be relied on: nothing grows like this.
                sentence = (
                    f"the API server dropped status.{lost}: its CRD is older than this operator. Apply the CRDs that came"
                    " with it; until then no traffic moves but by a rollback"
                )
                self._warn(stored, "StatusPruned", sentence, decision)
                raise Refused(sentence)

    async def _write_route(self, write: RouteWrite) -> Route:
        driver = self._drivers.of(write.place.traffic)
        guard = write.guard
        tries = CONFLICTS_ALLOWED if write.outranks else 1
        while True:
            tries -= 1
            try:
                route = await driver.write(write.place, write.shares, guard, write.way_back)
            except Conflict:
                if not tries:
                    raise
                guard = await self._guard_now(write)
            else:
                _log(write)
                return route

    def _warn(self, stored: Stored, reason: str, sentence: str, decision: Decision) -> None:
        event = Event("Warning", reason, "Write", sentence)
        after = replace(stored.rollout, status=decision.status)
        self._outbox.tell(stored.head, (completed(event, after, decision.at, repeats=True),))

    async def _guard_now(self, write: RouteWrite) -> str | None:
        match await self._drivers.of(write.place.traffic).read(write.place, live=True):
            case Blocked(_, message):
                raise Refused(message)
            case Routed(guard=guard) | Foreign(guard=guard):
                return guard
            case _:
                return None


def status_patch(stored: dict[str, Any], rollout: Rollout, new: dict[str, Any]) -> dict[str, Any]:
    """Return the merge patch that makes `stored` say what `new` says.

    Fields that we do not know are a later release's: after a way back to this one they stay, so that nothing is lost on
    the way forth again. Those of an attempt go with the attempt.
    """
    known = rollout.status.render()
    foreign = stored.keys() - known.keys() - set(rollout.ignored)
    kept = new | {key: stored[key] for key in foreign if key not in new}
    before, after = stored.get("attempt"), new.get("attempt")
    if isinstance(before, dict) and after and "attempt" in known and before.get("number") == after["number"]:
        foreign = before.keys() - known["attempt"].keys()
        kept["attempt"] = after | {key: before[key] for key in foreign if key not in after}
    return merge_patch(stored, kept)


def _log(write: RouteWrite) -> None:
    if write.shares is None:
        log.info("way-back note written" if write.way_back else "way-back note taken away")
    else:
        log.info("route written", candidate_percent=str(write.shares.candidate), mirror=str(write.shares.mirror))


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON merge patch (RFC 7386) that makes `old` into `new`; `{}` where they are equal."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old or old[key] != value:
            before = old.get(key)
            patch[key] = merge_patch(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return patch


def dropped_fields(sent: Mapping[str, Any], stands: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of a merge patch that are not there afterwards: an API server drops what its CRD does not know."""
    for key, value in sent.items():
        if value is None:
            continue
        if key not in stands:
            yield key
            continue
        for part, kept in zip(_parts(value), _parts(stands[key]), strict=False):
            yield from (f"{key}.{field}" for field in dropped_fields(part, kept))


def _parts(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in a value: itself, or the items of a list."""
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, Mapping) else {} for item in items]
