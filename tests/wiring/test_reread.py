"""What a watch has kept back is found within seconds, and nothing else is read."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from modelrollout.cluster.server import Resource
from modelrollout.engine.ports import Gone, Unavailable
from modelrollout.engine.store import Store
from modelrollout.wiring.reread import EVERY, Rereader
from structlog.typing import EventDict

from tests.core.builders import running, spec


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def rollout(
    name: str, version: int, *, is_under_way: bool = True, uid: str = "", namespace: str = "models"
) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "generation": 1,
        },
        "spec": spec(),
        "status": running().status.render() if is_under_way else {},
    }


class Server:
    """The rollouts as they are, and their history; lists and tells their metadata, and counts."""

    def __init__(self, *objects: Mapping[str, Any]) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[int, dict[str, Any]]] = []
        self.oldest = 0
        self.lateness = 0.0
        self.lists = 0
        self.watches: list[int] = []
        self.read: list[str] = []
        self.failure: Exception | None = None
        self.unreadable = 0
        for obj in objects:
            self.change(obj)

    def change(self, obj: Mapping[str, Any]) -> None:
        self.objects[obj["metadata"]["name"]] = dict(obj)
        self._note("MODIFIED", dict(obj["metadata"]))

    def end(self, name: str, version: int) -> None:
        obj = self.objects.pop(name)
        self._note("DELETED", obj["metadata"] | {"resourceVersion": str(version)})

    def _note(self, kind: str, metadata: dict[str, Any]) -> None:
        now = asyncio.get_running_loop().time()
        self.history.append((int(now * 1000), {"type": kind, "object": {"metadata": metadata}}))

    def _newest(self) -> int:
        if self.failure:
            raise self.failure
        return max(version_of(event) for _, event in self.history)

    async def newest_version(self, resource: Resource, namespace: str | None) -> int:
        del resource, namespace
        return self._newest()

    async def metadata_pages(self, resource: Resource, namespace: str | None) -> AsyncIterator[dict[str, Any]]:
        del resource
        self.lists += 1
        newest = self._newest()
        items = [{"metadata": obj["metadata"]} for obj in self.objects.values()]
        items = [item for item in items if namespace in {None, item["metadata"]["namespace"]}]
        for half in (items[:1], items[1:]):
            yield {"metadata": {"resourceVersion": str(newest)}, "items": half}

    async def metadata_changes(
        self, resource: Resource, namespace: str | None, since: int, *, seconds: int
    ) -> AsyncGenerator[dict[str, Any], None]:
        del resource
        if since < self.oldest:
            raise Gone("too old resource version")
        self.watches.append(since)
        known = int((asyncio.get_running_loop().time() - self.lateness) * 1000)
        for at, event in tuple(self.history):
            is_in = namespace in {None, event["object"]["metadata"]["namespace"]}
            if at <= known and version_of(event) > since and is_in:
                yield event
        await asyncio.sleep(seconds)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        del resource, namespace
        self.read.append(name)
        if self.unreadable:
            self.unreadable -= 1
            raise Unavailable("503")
        if name not in self.objects:
            raise Gone
        return self.objects[name]


def version_of(event: Mapping[str, Any]) -> int:
    return int(event["object"]["metadata"]["resourceVersion"])


class Engine:
    """Takes note, as the real one does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def seen(self, obj: dict[str, Any]) -> None:
        self._store.put(obj)

    def dropped(self, obj: dict[str, Any]) -> None:
        self._store.drop(obj["metadata"]["uid"])


class Scene:
    """A rereader whose Store knows what was there at first; it is made in a running loop."""

    def __init__(self, *known: dict[str, Any], namespaces: Sequence[str] = ()) -> None:
        self.server = Server(*known)
        self.store = Store()
        for obj in known:
            self.store.put(obj)
        self.missed = 0
        self.rereader = Rereader(
            server=self.server,  # type: ignore[arg-type]  # as far as it is needed
            engine=Engine(self.store),  # type: ignore[arg-type]  # as far as it is needed
            store=self.store,
            namespaces=namespaces,
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
        scene.server.change(rollout("b", 9))
        await asyncio.sleep(5)

        assert scene.version("b") == 9
    assert scene.server.read == ["b"]
    assert scene.missed == 1


async def test_a_rollout_that_the_watch_never_told_of_is_found():
    scene = Scene(rollout("a", 5))
    async with scene.running():
        await asyncio.sleep(1)
        scene.server.change(rollout("b", 9))
        await asyncio.sleep(5)

        assert scene.version("b") == 9


@pytest.mark.parametrize("is_made_anew", [False, True])
async def test_an_end_that_the_watch_kept_back_is_known(is_made_anew: bool):
    scene = Scene(rollout("a", 5), rollout("b", 6))
    async with scene.running():
        await asyncio.sleep(1)
        scene.server.end("b", 8)
        if is_made_anew:
            scene.server.change(rollout("b", 9, uid="another"))
        await asyncio.sleep(5)

        assert {one.rollout.uid for one in scene.store.all()} == {"uid-a", *(["another"] if is_made_anew else [])}


async def test_a_change_that_the_watch_tells_a_moment_later_is_not_missed():
    scene = Scene(rollout("a", 5))
    async with scene.running():
        await asyncio.sleep(1)
        for version in range(6, 60):
            scene.server.change(rollout("a", version))
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
    assert (scene.server.lists, scene.server.watches) == (0, [])


async def test_all_rollouts_are_listed_once_and_then_only_changes_are_told():
    scene = Scene(rollout("a", 5))
    async with scene.running():
        await asyncio.sleep(600)

    assert scene.server.lists == 1
    assert len(scene.server.watches) > 600 / EVERY


async def test_what_was_kept_back_before_the_first_comparison_is_found_by_the_list():
    scene = Scene(rollout("a", 5), rollout("b", 6), rollout("c", 7))
    scene.server.end("b", 8)
    scene.server.change(rollout("c", 9))
    async with scene.running():
        await asyncio.sleep(1)

    assert {one.rollout.uid for one in scene.store.all()} == {"uid-a", "uid-c"}
    assert (scene.version("c"), scene.missed) == (9, 2)


async def test_all_rollouts_are_listed_again_where_the_history_does_not_go_back_far_enough():
    scene = Scene(rollout("a", 5), rollout("b", 6))
    async with scene.running():
        await asyncio.sleep(1)
        scene.server.change(rollout("b", 20))
        scene.server.oldest = 20
        await asyncio.sleep(5)

        assert scene.version("b") == 20
        await asyncio.sleep(30)
    assert scene.server.lists == 2


async def test_a_server_whose_own_history_is_late_is_given_time_to_tell():
    scene = Scene(rollout("a", 5), rollout("b", 6))
    async with scene.running():
        await asyncio.sleep(1)
        scene.server.lateness = 6
        scene.server.change(rollout("b", 9))
        await asyncio.sleep(12)

        assert scene.version("b") == 9


async def test_what_could_not_be_read_is_told_and_read_again():
    scene = Scene(rollout("a", 5), rollout("b", 6))
    async with scene.running():
        await asyncio.sleep(1)
        scene.server.change(rollout("b", 9))
        scene.server.unreadable = 8
        await asyncio.sleep(60)

        assert scene.version("b") == 9
    assert scene.server.read == ["b"] * 9


async def test_each_namespace_is_watched_by_itself():
    scene = Scene(rollout("a", 5), rollout("b", 6, namespace="others"), namespaces=["models", "others"])
    async with scene.running():
        await asyncio.sleep(1)
        scene.server.change(rollout("a", 8))
        scene.server.end("b", 9)
        await asyncio.sleep(5)

    assert {one.rollout.uid: one.rollout.guard for one in scene.store.all()} == {"uid-a": "8"}
    assert scene.server.lists == 2


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
