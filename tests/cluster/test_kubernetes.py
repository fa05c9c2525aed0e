"""Calls over HTTP, to a scripted server on loopback: paths, bodies, time limits, and the copy that is kept."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration
from modelrollout.api.rollout import Owner
from modelrollout.api.versions import Workload
from modelrollout.cluster.kubernetes import Kubernetes, render_event
from modelrollout.cluster.server import ApiServer
from modelrollout.cluster.world import World
from modelrollout.core.events import Event
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable

ROUTE: dict[str, Any] = {
    "metadata": {"namespace": "models", "name": "fraud", "resourceVersion": "7"},
    "spec": {"rules": []},
}
ROLLOUT = {"metadata": {"namespace": "models", "name": "fraud", "uid": "u-1", "resourceVersion": "7"}}
NOW = datetime(2026, 11, 17, 15, 47, tzinfo=UTC)


class Script:
    """Answers every request with `reply`, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.content_types: list[str] = []
        self.reply: Callable[[web.Request], web.Response] = lambda _: web.json_response(ROUTE)
        self.stall: asyncio.Event | None = None

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.asked.append((request.method, request.path_qs, json.loads(body) if body else None))
        self.content_types.append(request.content_type)
        if self.stall:
            await self.stall.wait()
        return self.reply(request)

    def answer(self, code: int, message: str = "because", **headers: str) -> None:
        self.reply = lambda _: web.json_response({"kind": "Status", "message": message}, status=code, headers=headers)


class Noted(list[tuple[str, str]]):
    """The calls that telemetry was told of."""

    def __call__(self, verb: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.append((verb, outcome))


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def world() -> World:
    made = World()
    made.mark_synced("httproutes")
    return made


@pytest.fixture
async def kubernetes(script: Script, noted: Noted, world: World) -> AsyncIterator[Kubernetes]:
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", script.handle)
    async with TestServer(application) as listening:
        client = ApiClient(Configuration(host=str(listening.make_url("")).rstrip("/")))
        server = ApiServer(client, call_limit=timedelta(seconds=0.5), on_call=noted)
        yield Kubernetes(server, world, clock=lambda: NOW, identity="host-1")
        await server.close()


async def test_status_is_merged_under_the_guard(kubernetes: Kubernetes, script: Script) -> None:
    await kubernetes.patch_status("models", "fraud", "7", {"phase": "Canary", "control": None})

    path = "/apis/modelrollout.dev/v1alpha1/namespaces/models/modelrollouts/fraud/status?fieldManager=modelrollout-operator"
    body = {"metadata": {"resourceVersion": "7"}, "status": {"phase": "Canary", "control": None}}
    assert script.asked == [("PATCH", path, body)]
    assert script.content_types == ["application/merge-patch+json"]


async def test_a_route_is_written_strictly_so_that_no_field_is_dropped_in_silence(
    kubernetes: Kubernetes, script: Script
) -> None:
    await kubernetes.patch("httproutes", "models", "fraud", {"spec": {}})

    assert script.asked[0][1].endswith("/httproutes/fraud?fieldManager=modelrollout-operator&fieldValidation=Strict")


@pytest.mark.parametrize(
    ("code", "error", "outcome"),
    [(409, Conflict, "conflict"), (404, Gone, "gone"), (422, Refused, "refused"), (503, Unavailable, "unavailable")],
)
async def test_a_refusal_is_raised_and_counted(
    kubernetes: Kubernetes, script: Script, noted: Noted, code: int, error: type[Exception], outcome: str
) -> None:
    script.answer(code)

    with pytest.raises(error, match="because"):
        await kubernetes.get_rollout("models", "fraud")

    assert noted == [("get", outcome)]


async def test_a_refusal_is_not_tried_again_behind_the_callers_back(kubernetes: Kubernetes, script: Script) -> None:
    script.answer(429, **{"Retry-After": "7"})

    with pytest.raises(Unavailable) as caught:
        await kubernetes.get_rollout("models", "fraud")

    assert caught.value.retry_after == timedelta(seconds=7)
    assert len(script.asked) == 1


async def test_a_server_that_stalls_is_unavailable_within_the_limit(
    kubernetes: Kubernetes, script: Script, noted: Noted
) -> None:
    script.stall = asyncio.Event()

    with pytest.raises(Unavailable, match="cannot be reached"):
        await kubernetes.get_rollout("models", "fraud")

    script.stall.set()
    assert noted == [("get", "unavailable")]


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    client = ApiClient(Configuration(host="http://127.0.0.1:9"))
    server = ApiServer(client, call_limit=timedelta(seconds=1))

    with pytest.raises(Unavailable, match="cannot be reached"):
        await Kubernetes(server, World(), clock=lambda: NOW, identity="host-1").get_rollout("models", "fraud")

    await server.close()


async def test_a_login_page_is_not_taken_for_an_object(kubernetes: Kubernetes, script: Script) -> None:
    script.reply = lambda _: web.Response(text="<html>log in</html>", content_type="text/html")

    with pytest.raises(Unavailable, match="not JSON"):
        await kubernetes.get_rollout("models", "fraud")


async def test_a_read_uses_the_copy_and_a_live_read_asks(kubernetes: Kubernetes, script: Script, world: World) -> None:
    world.put("httproutes", ROUTE)

    await kubernetes.read("httproutes", "models", "fraud")
    assert script.asked == []

    await kubernetes.read("httproutes", "models", "fraud", live=True)
    assert len(script.asked) == 1


async def test_what_was_written_is_what_the_next_read_sees(kubernetes: Kubernetes, script: Script) -> None:
    script.reply = lambda _: web.json_response(ROUTE | {"spec": {"rules": [{"name": "rollout"}]}})
    await kubernetes.patch("httproutes", "models", "fraud", {"spec": {}})

    found = await kubernetes.read("httproutes", "models", "fraud")

    assert found["spec"] == {"rules": [{"name": "rollout"}]}
    assert len(script.asked) == 1


async def test_a_copy_that_met_a_conflict_is_asked_for_anew(
    kubernetes: Kubernetes, script: Script, world: World
) -> None:
    world.replace("httproutes", [ROUTE], 5)
    script.answer(409)
    with pytest.raises(Conflict):
        await kubernetes.patch("httproutes", "models", "fraud", {})
    script.reply = lambda _: web.json_response({**ROUTE, "metadata": {**ROUTE["metadata"], "resourceVersion": "9"}})

    assert (await kubernetes.read("httproutes", "models", "fraud"))["metadata"]["resourceVersion"] == "9"


async def test_an_object_that_turns_out_to_be_gone_is_forgotten(
    kubernetes: Kubernetes, script: Script, world: World
) -> None:
    world.put("httproutes", ROUTE)
    script.answer(404)

    with pytest.raises(Gone):
        await kubernetes.patch("httproutes", "models", "fraud", {"spec": {}})

    assert world.object("httproutes", "models", "fraud") is None


async def find_none(kubernetes: Kubernetes, resource: str = "httproutes") -> None:
    with pytest.raises(Gone):
        await kubernetes.read(resource, "models", "fraud")


async def test_what_is_not_there_is_asked_for_once(kubernetes: Kubernetes, script: Script) -> None:
    script.answer(404)

    for _ in range(3):
        await find_none(kubernetes)

    assert len(script.asked) == 1


async def test_what_is_not_there_is_asked_for_again_where_a_watch_has_spoken_meanwhile(
    kubernetes: Kubernetes, script: Script, world: World
) -> None:
    """The answer may be older than what the watch told of, which may be this very object."""

    def reply(_: web.Request) -> web.Response:
        world.put("httproutes", ROUTE)
        return web.json_response({"message": "not found"}, status=404)

    script.reply = reply
    await find_none(kubernetes)
    script.reply = lambda _: web.json_response(ROUTE)

    assert await kubernetes.read("httproutes", "models", "fraud")


async def test_what_was_not_there_is_read_once_a_watch_tells_of_it(
    kubernetes: Kubernetes, script: Script, world: World
) -> None:
    script.answer(404)
    await find_none(kubernetes)

    world.put("httproutes", ROUTE)

    assert (await kubernetes.read("httproutes", "models", "fraud"))["metadata"]["name"] == "fraud"
    assert len(script.asked) == 1


async def test_what_cannot_be_created_as_it_is_there_is_asked_for_again(kubernetes: Kubernetes, script: Script) -> None:
    script.answer(404)
    await find_none(kubernetes)
    script.answer(409)
    with pytest.raises(Conflict):
        await kubernetes.create("httproutes", "models", ROUTE)
    script.reply = lambda _: web.json_response(ROUTE)

    assert await kubernetes.read("httproutes", "models", "fraud")


async def test_a_complete_list_has_what_was_not_there_asked_for_again(
    kubernetes: Kubernetes, script: Script, world: World
) -> None:
    script.answer(404)
    await find_none(kubernetes)

    world.replace("httproutes", [], 9)
    await find_none(kubernetes)

    assert len(script.asked) == 2


async def test_what_is_not_watched_is_asked_for_each_time(kubernetes: Kubernetes, script: Script) -> None:
    script.answer(404)

    for _ in range(2):
        await find_none(kubernetes, "grpcroutes")

    assert len(script.asked) == 2


async def test_a_kind_without_a_namespace_has_none_in_its_path(kubernetes: Kubernetes, script: Script) -> None:
    await kubernetes.read("gatewayclasses", "", "traefik")

    assert script.asked[0][1] == "/apis/gateway.networking.k8s.io/v1/gatewayclasses/traefik"


async def test_a_group_that_the_server_lacks_serves_nothing(kubernetes: Kubernetes, script: Script) -> None:
    script.answer(404)
    assert not await kubernetes.serves("traefikservices")

    script.reply = lambda _: web.json_response({"resources": [{"name": "traefikservices"}]})
    assert await kubernetes.serves("traefikservices")


async def test_a_relist_reads_all_pages_of_all_namespaces(kubernetes: Kubernetes, script: Script, world: World) -> None:
    def reply(request: web.Request) -> web.Response:
        namespace = request.path.split("/")[-2]
        page = request.query.get("continue", "one")
        item = {"metadata": {"namespace": namespace, "name": page, "resourceVersion": "3"}, "spec": {}}
        proceed = {"continue": "two"} if page == "one" else {}
        return web.json_response({"metadata": {"resourceVersion": "9", **proceed}, "items": [item]})

    script.reply = reply

    concerned = await kubernetes.relist("httproutes", ["a", "b"])

    assert concerned == {("a", "one"), ("a", "two"), ("b", "one"), ("b", "two")}
    assert world.object("httproutes", "b", "two")


async def test_a_workload_that_does_not_exist_is_a_problem(kubernetes: Kubernetes, script: Script) -> None:
    script.answer(404)

    problem = await kubernetes.workload_problem("models", Workload(kind="StatefulSet", name="fraud"))

    assert problem == "StatefulSet fraud does not exist in namespace models"
    assert script.asked[0][1] == "/apis/apps/v1/namespaces/models/statefulsets/fraud"


async def test_an_event_posted_before_a_restart_is_not_an_error(kubernetes: Kubernetes, script: Script) -> None:
    script.answer(409)

    await kubernetes.post_event(ROLLOUT, Event("Normal", "Promoted", "Promote", "v2 serves"))

    assert script.asked[0][0:2] == (
        "POST",
        "/apis/events.k8s.io/v1/namespaces/models/events?fieldManager=modelrollout-operator",
    )


def test_an_events_name_follows_from_what_happened() -> None:
    def name(event: Event, version: str = "7") -> str:
        rollout = {"metadata": {**ROLLOUT["metadata"], "resourceVersion": version}}
        rendered = render_event(rollout, event, at=NOW, identity="host-1")
        return str(rendered["metadata"]["name"])

    event = Event("Normal", "StepStarted", "Advance", "5% for v2")

    assert name(event) == name(event)
    assert name(event) != name(event, version="8")
    assert name(event) != name(Event("Normal", "StepStarted", "Advance", "25% for v2"))


def test_an_event_says_who_answers_for_the_rollout() -> None:
    owner = Owner(team="risk-ml", contact="#risk-oncall")

    marks = render_event(ROLLOUT, Event("Normal", "Held", "Hold", "so", owner), at=NOW, identity="h")["metadata"]

    assert marks["annotations"] == {
        "modelrollout.dev/owner-team": "risk-ml",
        "modelrollout.dev/owner-contact": "#risk-oncall",
    }


def test_a_note_is_cut_by_bytes_as_the_api_server_counts() -> None:
    event = Event("Warning", "Held", "Hold", "ü" * 1000)

    note = render_event(ROLLOUT, event, at=NOW, identity="host-1")["note"]

    assert len(note.encode()) <= 1000
    assert note.endswith("ü…")
