"""Where drivers are put to the test: stored objects, or a real API server."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from modelrollout.cluster.kubernetes import WATCHED, Kubernetes
from modelrollout.cluster.server import ApiServer, connect
from modelrollout.cluster.world import World
from modelrollout.core.traffic import Place
from modelrollout.routing.driver import RouteDriver

from tests.routing.conftest import Router
from tests.support.fake_api import FakeApi


class Stage(Protocol):
    """A driver on its object, and a hand that is not the operator's."""

    router: Router
    driver: RouteDriver
    place: Place

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def stored(self) -> dict[str, Any]: ...

    def edit(self, spec: Mapping[str, Any], *, manager: str) -> None: ...

    def edit_labels(self, labels: Mapping[str, str], *, manager: str) -> None: ...

    def delete(self) -> None: ...


class StoredStage:
    """Objects in memory."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.api = FakeApi()
        self.driver = router.make_driver(self.api)
        self.place = router.place()

    async def open(self) -> None:
        if self.router.users_own:
            self.api.add(self.router.resource, self.router.users_own(self.place.namespace))

    async def close(self) -> None: ...

    def stored(self) -> dict[str, Any]:
        return self.api.object(self.router.resource, self.place.namespace, self.router.name)

    def edit(self, spec: Mapping[str, Any], *, manager: str) -> None:
        self._edit({"spec": spec}, manager)

    def edit_labels(self, labels: Mapping[str, str], *, manager: str) -> None:
        self._edit({"metadata": {"labels": labels}}, manager)

    def delete(self) -> None:
        self.api.delete(self.router.resource, self.place.namespace, self.router.name)

    def _edit(self, patch: Mapping[str, Any], manager: str) -> None:
        self.api.edit(self.router.resource, self.place.namespace, self.router.name, patch, manager=manager)
