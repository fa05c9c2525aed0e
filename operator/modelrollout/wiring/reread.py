"""Every few seconds, while an attempt is under way: has a watch kept something to itself?

A watch can be silent without being broken. What is at stake is a rollback that somebody asked for, so a second watch, new
each time and a second long, has the API server tell again what changed of late, and what is not known yet is read. It
costs what changes cost, not what objects cost. Only where the server has no history that goes back far enough are the
resourceVersions of all rollouts listed.
"""

import asyncio
import random
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import structlog

from modelrollout.cluster.kubernetes import ROLLOUTS
from modelrollout.cluster.server import ApiServer
from modelrollout.core.case import is_under_way, is_urgent
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable
from modelrollout.engine.store import Store
from modelrollout.engine.worker import Engine
from modelrollout.wiring.sweep import OnMissed

log = structlog.get_logger(__name__)

EVERY = 3.4
"""From one beginning to the next, so that with `WATCHED` and `GRACE` nothing is missed for longer than five seconds."""
WATCHED = 1
"""The shortest time-out that the API server knows. It ends the watch itself, so the connection is used again."""
GRACE = 0.5
"""How long the watch may be behind before it has missed something."""
LOOKED_BACK = 3
"""So many comparisons back a watch begins: an API server whose own history is late has time to tell."""
AT_ONCE = 16
SCOPES_AT_ONCE = 32
"""The client has 100 connections, and the rest of the operator needs them, too."""
_BREATH = 100
"""After so many events the loop has its turn."""


class _Told(NamedTuple):
    """What the API server has told of one rollout."""

    metadata: dict[str, Any]
    is_there: bool = True


class _Scope:
    """A namespace, or all (`None`), and as of which resourceVersions its rollouts have been compared."""

    def __init__(self, namespace: str | None) -> None:
        self.namespace = namespace
        self.compared: deque[int] = deque(maxlen=LOOKED_BACK)


class Rereader:
    """Compares. `missed` is told how many rollouts a watch had kept back."""

    def __init__(
        self,
        *,
        server: ApiServer,
        engine: Engine,
        store: Store,
        namespaces: Sequence[str],
        missed: OnMissed,
    ) -> None:
        self._server = server
        self._engine = engine
        self._store = store
        self._scopes = [_Scope(one) for one in namespaces or (None,)]
        self._missed = missed
        self._last: float | None = None

    @property
    def age(self) -> float:
        """Seconds since the last comparison that succeeded; 0 while none is needed."""
        return asyncio.get_running_loop().time() - self._last if self._last is not None else 0.0

    async def run(self) -> None:
        """Compare until cancelled, at once and then every few seconds; one that fails is tried again as soon."""
        try:
            while True:
                began = asyncio.get_running_loop().time()
                if self._is_needed():
                    await self._try(began)
                else:
                    self._last = None
                spent = asyncio.get_running_loop().time() - began
                await asyncio.sleep(max(EVERY * random.uniform(0.9, 1.0) - spent, EVERY / 4))  # noqa: S311 - jitter
        finally:
            self._last = None

    def _is_needed(self) -> bool:
        return any(is_under_way(one.rollout) or is_urgent(one.rollout) for one in self._store.all())

    async def _try(self, began: float) -> None:
        if self._last is None:
            self._last = began
        limit = asyncio.Semaphore(SCOPES_AT_ONCE)
        if all(await asyncio.gather(*(self._compare(scope, limit) for scope in self._scopes))):
            self._last = began

    async def _compare(self, scope: _Scope, limit: asyncio.Semaphore) -> bool:
        """Return whether the rollouts of a scope are known as they are."""
        try:
            async with limit:
                told, newest = await self._told(scope) if scope.compared else await self._listed(scope)
            is_read = await self._read_missed(told)
        except (Conflict, Gone, Refused, Unavailable) as error:
            log.warning("rollouts could not be compared with what the watch has told", error=str(error))
            return False
        if is_read:
            scope.compared.append(newest)
        return is_read

    async def _told(self, scope: _Scope) -> tuple[dict[str, _Told], int]:
        """Return by uid what a new watch tells of rollouts that changed lately, and as of which version at least."""
        newest = await self._server.newest_version(ROLLOUTS, scope.namespace)
        told: dict[str, _Told] = {}
        events = self._server.metadata_changes(ROLLOUTS, scope.namespace, scope.compared[0], seconds=WATCHED)
        try:
            async with aclosing(events):
                count = 0
                async for event in events:
                    metadata = event["object"]["metadata"]
                    told[metadata["uid"]] = _Told(metadata, event["type"] != "DELETED")
                    if int(metadata["resourceVersion"]) >= newest:
                        break
                    count += 1
                    if count % _BREATH == 0:
                        await asyncio.sleep(0)
        except Gone:
            log.info("the API server has no history that goes back far enough", since=scope.compared[0])
            scope.compared.clear()
            return await self._listed(scope)
        return told, newest

    async def _listed(self, scope: _Scope) -> tuple[dict[str, _Told], int]:
        """Return the same of a list of all, in which what is known and not there is gone."""
        told: dict[str, _Told] = {}
        versions = []
        async for page in self._server.metadata_pages(ROLLOUTS, scope.namespace):
            told |= {item["metadata"]["uid"]: _Told(item["metadata"]) for item in page["items"]}
            versions.append(int(page["metadata"]["resourceVersion"]))
            await asyncio.sleep(0)
        newest = min(versions)
        for rollout in (one.rollout for one in self._store.all()):
            if rollout.uid not in told and scope.namespace in (None, rollout.namespace):
                gone = {"namespace": rollout.namespace, "name": rollout.name, "uid": rollout.uid}
                told[rollout.uid] = _Told(gone | {"resourceVersion": str(newest)}, is_there=False)
        return told, newest

    async def _read_missed(self, told: dict[str, _Told]) -> bool:
        """Read what was told and is not known after the grace; return whether all of it could be read."""
        behind = self._behind(told.values())
        if not behind:
            return True
        await asyncio.sleep(GRACE)
        behind = self._behind(behind)
        if not behind:
            return True
        log.warning("a watch has missed changes", rollouts=len(behind), first=behind[0].metadata["name"])
        self._missed(ROLLOUTS.plural, len(behind))
        limit = asyncio.Semaphore(AT_ONCE)
        return all(await asyncio.gather(*(self._read(one.metadata, limit) for one in behind)))

    def _behind(self, told: Iterable[_Told]) -> list[_Told]:
        return [one for one in told if self._is_missed(one)]

    def _is_missed(self, told: _Told) -> bool:
        try:
            known = int(self._store.get(told.metadata["uid"]).rollout.guard)
        except Gone:
            return told.is_there
        version = int(told.metadata["resourceVersion"])
        return known < version if told.is_there else known <= version

    async def _read(self, metadata: dict[str, Any], limit: asyncio.Semaphore) -> bool:
        namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
        async with limit:
            try:
                found = await self._server.get(ROLLOUTS, namespace, name)
            except Gone:
                found = None
            except (Conflict, Refused, Unavailable) as error:
                log.warning("a rollout could not be read", namespace=namespace, name=name, error=str(error))
                return False
        if found is not None:
            self._engine.seen(found)
        if found is None or found["metadata"]["uid"] != uid:
            self._forget(uid)
        return True

    def _forget(self, uid: str) -> None:
        try:
            self._engine.dropped(self._store.get(uid).head)
        except Gone:
            return  # Not known, or the watch has told by now.
