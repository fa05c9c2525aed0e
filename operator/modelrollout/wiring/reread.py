"""Every few seconds, while an attempt is under way: has a watch kept something to itself?

A watch can be silent without being broken. What is at stake is a rollback that somebody asked for, so the resourceVersions
of all rollouts are compared with what the watch has told, and what differs is read.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import structlog

from modelrollout.cluster.kubernetes import ROLLOUTS
from modelrollout.cluster.server import ApiServer
from modelrollout.core.case import is_under_way, is_urgent
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable
from modelrollout.engine.store import Store
from modelrollout.engine.worker import Engine
from modelrollout.wiring.sweep import OnMissed

log = structlog.get_logger(__name__)

EVERY = 4.0
GRACE = 0.5
"""How long the watch may be behind a list before it has missed something."""
AT_ONCE = 16


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
        self._scopes: list[str | None] = [*namespaces] if namespaces else [None]
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
                if self._is_needed():
                    await self._try()
                else:
                    self._last = None
                await asyncio.sleep(EVERY * random.uniform(0.9, 1.0))  # noqa: S311 - jitter
        finally:
            self._last = None

    def _is_needed(self) -> bool:
        return any(is_under_way(one.rollout) or is_urgent(one.rollout) for one in self._store.all())

    async def _try(self) -> None:
        began = asyncio.get_running_loop().time()
        if self._last is None:
            self._last = began
        try:
            await self._compare()
        except (Conflict, Gone, Refused, Unavailable) as error:
            log.warning("rollouts could not be compared with what the watch has told", error=str(error))
        else:
            self._last = began

    async def _compare(self) -> None:
        listed, newest = await self._list()
        if not self._behind(listed, newest):
            return
        await asyncio.sleep(GRACE)
        behind = self._behind(listed, newest)
        if not behind:
            return
        log.warning("a watch has missed changes", rollouts=len(behind), first=behind[0][1])
        self._missed(ROLLOUTS.plural, len(behind))
        limit = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for namespace, name, uid in behind:
                group.create_task(self._read(namespace, name, uid, limit))

    async def _list(self) -> tuple[dict[str, dict[str, Any]], int]:
        """Return each rollout's metadata by uid, and as of which version of the cluster at least."""
        listed: dict[str, dict[str, Any]] = {}
        versions = []
        for scope in self._scopes:
            async for page in self._server.metadata_pages(ROLLOUTS, scope):
                listed |= {item["metadata"]["uid"]: item["metadata"] for item in page["items"]}
                versions.append(int(page["metadata"]["resourceVersion"]))
        return listed, min(versions, default=0)

    def _behind(self, listed: dict[str, dict[str, Any]], newest: int) -> list[tuple[str, str, str]]:
        """Return namespace, name and uid of what is not known as the list has it."""
        known = {one.rollout.uid: one.rollout for one in self._store.all()}
        changed = [
            (metadata["namespace"], metadata["name"], uid)
            for uid, metadata in listed.items()
            if uid not in known or int(known[uid].guard) < int(metadata["resourceVersion"])
        ]
        ended = [
            (rollout.namespace, rollout.name, uid)
            for uid, rollout in known.items()
            if uid not in listed and int(rollout.guard) <= newest
        ]
        return changed + ended

    async def _read(self, namespace: str, name: str, uid: str, limit: asyncio.Semaphore) -> None:
        async with limit:
            try:
                found = await self._server.get(ROLLOUTS, namespace, name)
            except Gone:
                found = None
            except (Conflict, Refused, Unavailable) as error:
                log.warning("a rollout could not be read", namespace=namespace, name=name, error=str(error))
                return
        if found is not None:
            self._engine.seen(found)
        if found is None or found["metadata"]["uid"] != uid:
            self._forget(uid)

    def _forget(self, uid: str) -> None:
        try:
            self._engine.dropped(self._store.get(uid).obj)
        except Gone:
            return  # Not known, or the watch has told by now.
