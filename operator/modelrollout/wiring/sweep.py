"""Belt and braces beside the watches: complete lists now and then, which find what a watch has missed."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import structlog

from modelrollout.cluster.kubernetes import ROLLOUTS, Kubernetes
from modelrollout.cluster.server import ApiServer
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable
from modelrollout.engine.store import Store
from modelrollout.engine.worker import Engine

log = structlog.get_logger(__name__)

EVERY = 180.0
AGAIN_AFTER_FAILURE = 2.0


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
    ) -> None:
        self._server = server
        self._kubernetes = kubernetes
        self._engine = engine
        self._store = store
        self._resources = resources
        self._namespaces = list(namespaces) or None
        self.complete = asyncio.Event()

    async def run(self) -> None:
        """Sweep until cancelled; one that fails is tried again soon."""
        while True:
            try:
                await self._sweep()
            except (Conflict, Gone, Refused, Unavailable) as error:
                log.warning("the cluster could not be listed", error=str(error))
                await asyncio.sleep(AGAIN_AFTER_FAILURE)
            else:
                await asyncio.sleep(EVERY * random.uniform(0.9, 1.1))  # noqa: S311 - jitter

    async def _sweep(self) -> None:
        for resource in self._resources:
            scope = None if resource == "gatewayclasses" else self._namespaces
            self._engine.touched(await self._kubernetes.relist(resource, scope))
        self.complete.set()
        listed: dict[str, dict[str, Any]] = {}
        newest = 0
        scopes: list[str | None] = [*self._namespaces] if self._namespaces else [None]
        for namespace in scopes:
            async for page in self._server.pages(ROLLOUTS, namespace):
                listed |= {obj["metadata"]["uid"]: obj for obj in page["items"]}
                version = int(page["metadata"]["resourceVersion"])
                newest = min(newest, version) if newest else version
        for obj in listed.values():
            # Items of a list do not say what they are; events about them have to.
            self._engine.seen({"apiVersion": "modelrollout.dev/v1alpha1", "kind": "ModelRollout", **obj})
        for stored in self._store.all():
            if stored.rollout.uid not in listed and int(stored.rollout.guard) <= newest:
                self._engine.dropped(stored.obj)
        self._engine.give_back()
