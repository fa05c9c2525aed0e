"""Where drivers are put to the test: stored objects, or a real API server."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from modelrollout.cluster.kubernetes import WATCHED, Kubernetes
from modelrollout.cluster.server import ApiServer, connect
from modelrollout.cluster.world import World
from modelrollout.core.traffic import Place
from modelrollout.engine.ports import Left
from modelrollout.routing.driver import RouteDriver

from local.cluster import LocalCluster
from tests.routing.conftest import Router
from tests.support.fake_api import FakeApi


class Stage(Protocol):
    """A driver on its object, and a hand that is not the operator's."""

    router: Router
    driver: RouteDriver
    place: Place

    def stored(self) -> dict[str, Any]: ...

    def edit(self, patch: Mapping[str, Any], *, manager: str) -> None: ...

    def delete(self) -> None: ...


def left_on(stage: Stage, uid: str = "") -> list[Left]:
    """Return the notes in the stage's namespace: on a real server others' tests have left theirs elsewhere."""
    return [left for left in stage.driver.left(uid) if left.place.namespace == stage.place.namespace]


class StoredStage:
    """Objects in memory."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.place = router.place()
        self.driver = router.make_driver(api := FakeApi())
        self._api = api
        self._key = (router.resource, self.place.namespace, router.name)
        if router.users_own:
            api.add(router.resource, router.users_own(self.place.namespace))

    def stored(self) -> dict[str, Any]:
        return self._api.object(*self._key)

    def edit(self, patch: Mapping[str, Any], *, manager: str) -> None:
        self._api.edit(*self._key, patch, manager=manager)

    def delete(self) -> None:
        self._api.delete(*self._key)


class RealStage:
    """A namespace of a real API server, with a cache as in the operator."""

    def __init__(self, router: Router, cluster: LocalCluster, namespace: str, kubernetes: Kubernetes) -> None:
        self.router = router
        self.place = router.place(namespace)
        self.driver = router.make_driver(kubernetes)
        self._api = cluster.api
        self._path = cluster.api.path_of(
            {
                "apiVersion": router.api_version,
                "kind": self.driver.kind,
                "metadata": {"name": router.name, "namespace": namespace},
            }
        )
        if router.users_own:
            cluster.apply(router.users_own(namespace))

    def stored(self) -> dict[str, Any]:
        found: dict[str, Any] = self._api.call("GET", self._path)
        return found

    def edit(self, patch: Mapping[str, Any], *, manager: str) -> None:
        path = f"{self._path}?fieldManager={manager}"
        self._api.call("PATCH", path, patch, content_type="application/merge-patch+json")

    def delete(self) -> None:
        self._api.call("DELETE", self._path)


async def open_kubernetes(cluster: LocalCluster) -> tuple[ApiServer, Kubernetes]:
    """Return a connection, and the operator's view of the cluster, its lists complete."""
    server = await connect(cluster.kubeconfig, call_limit=timedelta(seconds=10))
    world = World()
    kubernetes = Kubernetes(server, world, clock=lambda: datetime.now(UTC), identity="test")
    for resource in WATCHED:
        await kubernetes.relist(resource, None)
    return server, kubernetes
