"""Belt and braces beside the watches: complete lists now and then, which find what a watch has missed."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Protocol

import structlog

from modelrollout.cluster.kubernetes import ROLLOUTS, Kubernetes
from modelrollout.cluster.server import ApiServer
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable
from modelrollout.engine.store import Store
from modelrollout.engine.worker import Engine

log = structlog.get_logger(__name__)

EVERY = 180.0
AGAIN_AFTER_FAILURE = 2.0
AGAIN_AFTER_REFUSAL = 30.0


class OnMissed(Protocol):
    """Told how many changes of a resource no watch had told of."""

    def __call__(self, resource: str, changes: int) -> None:
        """Take note of them."""
        ...


class Sweeper:
    """Lists everything that is watched. `complete` is set once all that rollouts depend on has been listed."""

    def __init__(
        self,
        *,
        server: ApiServer,
        kubernetes: Kubernetes,
        engine: Engine,
        store: Store,
        resources: Sequence[str],
        namespaces: Sequence[str],
        missed: OnMissed,
    ) -> None:
        self._server = server
        self._kubernetes = kubernetes
        self._engine = engine
        self._store = store
        self._resources = resources
        self._namespaces = list(namespaces) or None
        self._missed = missed
        self._is_first = True
        self.complete = asyncio.Event()
        self._last: float | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the last complete sweep began; `None` before the first one has ended."""
        return None if self._last is None else asyncio.get_running_loop().time() - self._last

    async def run(self) -> None:
        """Sweep until cancelled; one that fails is tried again soon."""
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._sweep()
            except Refused as error:
                log.error("not all of the cluster may be listed", error=str(error))  # noqa: TRY400 - it says it all
                await asyncio.sleep(AGAIN_AFTER_REFUSAL)
            except (Conflict, Gone, Unavailable) as error:
                log.warning("the cluster could not be listed", error=str(error))
                await asyncio.sleep(AGAIN_AFTER_FAILURE)
            else:
                self._last = began
                await asyncio.sleep(EVERY * random.uniform(0.9, 1.1))  # noqa: S311 - jitter

    async def _sweep(self) -> None:
        refused: Refused | None = None
        for resource in self._resources:
            scope = None if resource == "gatewayclasses" else self._namespaces
            try:
                found = await self._kubernetes.relist(resource, scope)
            except Refused as error:  # Rollouts that do not need this kind go on; the others' own calls say what lacks.
                refused = error
                continue
            self._engine.touched(found)
            self._count(resource, len(found))
        self.complete.set()
        await self._sweep_rollouts()
        if refused:
            raise refused
        self._is_first = False

    async def _sweep_rollouts(self) -> None:
        listed: dict[str, dict[str, Any]] = {}
        newest = 0
        scopes: list[str | None] = [*self._namespaces] if self._namespaces else [None]
        for namespace in scopes:
            async for page in self._server.pages(ROLLOUTS, namespace):
                listed |= {obj["metadata"]["uid"]: obj for obj in page["items"]}
                version = int(page["metadata"]["resourceVersion"])
                newest = min(newest, version) if newest else version
        # Items of a list do not say what they are; events about them have to.
        kind = {"apiVersion": "modelrollout.dev/v1alpha1", "kind": "ModelRollout"}
        missed = sum(self._engine.seen({**kind, **obj}) for obj in listed.values())
        for stored in self._store.all():
            if stored.rollout.uid not in listed and int(stored.rollout.guard) <= newest:
                self._engine.dropped(stored.head)
                missed += 1
        self._count(ROLLOUTS.plural, missed)
        self._engine.give_back()

    def _count(self, resource: str, missed: int) -> None:
        if not self._is_first:  # The first list races the watches' own.
            self._missed(resource, missed)
