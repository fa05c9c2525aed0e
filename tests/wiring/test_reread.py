"""What a watch has kept back is found within seconds, and nothing else is read."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from modelrollout.cluster.server import Resource
from modelrollout.engine.ports import Gone, Unavailable
from modelrollout.engine.store import Store
from modelrollout.wiring.reread import Rereader
from structlog.typing import EventDict

from tests.core.builders import running, spec


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def rollout(name: str, version: int, *, is_under_way: bool = True, uid: str = "") -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "models",
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "generation": 1,
        },
        "spec": spec(),
        "status": running().status.render() if is_under_way else {},
    }


class Server:
    """The rollouts as they are; lists their metadata, and counts."""

    def __init__(self, *objects: Mapping[str, Any]) -> None:
        self.objects = {obj["metadata"]["name"]: dict(obj) for obj in objects}
        self.lists = 0
        self.read: list[str] = []
        self.failure: Exception | None = None

    async def metadata_pages(self, resource: Resource, namespace: str | None) -> AsyncIterator[dict[str, Any]]:
        del resource, namespace
        self.lists += 1
        if self.failure:
            raise self.failure
        newest = max(int(obj["metadata"]["resourceVersion"]) for obj in self.objects.values())
        items = [{"metadata": obj["metadata"]} for obj in self.objects.values()]
        for half in (items[:1], items[1:]):
            yield {"metadata": {"resourceVersion": str(newest)}, "items": half}

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        del resource, namespace
        self.read.append(name)
        if name not in self.objects:
            raise Gone
        return self.objects[name]


class Engine:
    """Takes note, as the real one does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def seen(self, obj: dict[str, Any]) -> None:
        self._store.put(obj)

    def dropped(self, obj: dict[str, Any]) -> None:
        self._store.drop(obj["metadata"]["uid"])


class Scene:
    def __init__(self, *known: dict[str, Any]) -> None:
        self.server = Server(*known)
        self.store = Store()
        for obj in known:
            self.store.put(obj)
        self.missed = 0
        self.rereader = Rereader(
            server=self.server,  # type: ignore[arg-type]  # as far as it is needed
            engine=Engine(self.store),  # type: ignore[arg-type]  # as far as it is needed
            store=self.store,
            namespaces=[],
            missed=self.count,
        )

    def count(self, resource: str, changes: int) -> None:
        assert resource == "modelrollouts"
        self.missed += changes

    def version(self, name: str) -> int | None:
        return next((int(one.rollout.guard) for one in self.store.all() if one.rollout.name == name), None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.rereader.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_a_change_that_the_watch_kept_back_is_known_within_five_seconds():
    scene = Scene(rollout("a", 5), rollout("b", 6))
    async with scene.running():
        await asyncio.sleep(1)
        scene.server.objects["b"] = rollout("b", 9)
        await asyncio.sleep(5)

        assert scene.version("b") == 9
    assert scene.server.read == ["b"]
    assert scene.missed == 1


async def test_a_rollout_that_the_watch_never_told_of_is_found():
    scene = Scene(rollout("a", 5))
    async with scene.running():
        await asyncio.sleep(1)
        scene.server.objects["b"] = rollout("b", 9)
        await asyncio.sleep(5)

        assert scene.version("b") == 9


@pytest.mark.parametrize("is_made_anew", [False, True])
async def test_an_end_that_the_watch_kept_back_is_known(is_made_anew: bool):
    scene = Scene(rollout("a", 5), rollout("b", 6))
    async with scene.running():
        await asyncio.sleep(1)
        del scene.server.objects["b"]
        scene.server.objects["a"] = rollout("a", 8)
        if is_made_anew:
            scene.server.objects["b"] = rollout("b", 9, uid="another")
        await asyncio.sleep(5)

        assert {one.rollout.uid for one in scene.store.all()} == {"uid-a", *(["another"] if is_made_anew else [])}


async def test_a_change_that_the_watch_tells_a_moment_later_is_not_missed():
    scene = Scene(rollout("a", 5))
    async with scene.running():
        await asyncio.sleep(1)
        for version in range(6, 60):
            scene.server.objects["a"] = rollout("a", version)
            await asyncio.sleep(0.4)
            scene.store.put(rollout("a", version))
            await asyncio.sleep(0.6)

    assert scene.missed == 0
    assert scene.server.read == []


async def test_nothing_is_listed_while_no_attempt_is_under_way():
    scene = Scene(rollout("a", 5, is_under_way=False))
    async with scene.running():
        await asyncio.sleep(600)

        assert scene.rereader.age == 0
    assert scene.server.lists == 0


async def test_a_server_that_does_not_answer_is_asked_again_and_its_silence_shows():
    scene = Scene(rollout("a", 5))
    async with scene.running():
        await asyncio.sleep(1)
        scene.server.failure = Unavailable("503")
        await asyncio.sleep(60)

        assert 55 < scene.rereader.age < 66
        scene.server.failure = None
        await asyncio.sleep(5)
        assert scene.rereader.age < 5
