"""What a short watch tells of metadata, from a scripted server on loopback, and how it fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration
from modelrollout.cluster.kubernetes import ROLLOUTS
from modelrollout.cluster.server import LONGEST_EVENT, ApiServer
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable

EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (290)"}


def event(version: int, kind: str = "MODIFIED") -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": {"uid": "u-1", "resourceVersion": str(version)}}}


class Script:
    """Answers a watch with these lines, and ends it or lets it hang."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.code = 200
        self.lines: list[bytes] = []
        self.hangs = False

    def tell(self, *events: dict[str, Any]) -> None:
        self.lines = [json.dumps(one).encode() + b"\n" for one in events]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path_qs, request.headers["Accept"]))
        response = web.StreamResponse(status=self.code)
        await response.prepare(request)
        for line in self.lines:
            await response.write(line)
        if self.hangs:
            await asyncio.Event().wait()
        return response


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def noted() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def server(script: Script, noted: list[tuple[str, str]]) -> AsyncIterator[ApiServer]:
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", script.handle)
    async with TestServer(application, handler_cancellation=True) as listening:
        client = ApiClient(Configuration(host=str(listening.make_url("")).rstrip("/")))
        made = ApiServer(
            client,
            call_limit=timedelta(seconds=0.3),
            on_call=lambda verb, outcome, _: noted.append((verb, outcome)),
        )
        yield made
        await made.close()


async def told(server: ApiServer) -> list[dict[str, Any]]:
    return [one async for one in server.metadata_changes(ROLLOUTS, "models", 5, seconds=0)]


async def test_only_metadata_is_asked_for_and_only_what_changed(
    server: ApiServer, script: Script, noted: list[tuple[str, str]]
) -> None:
    script.tell(event(6), event(7, "DELETED"))

    assert await told(server) == [event(6), event(7, "DELETED")]
    path = "/apis/modelrollout.dev/v1alpha1/namespaces/models/modelrollouts"
    query = "watch=true&resourceVersion=5&timeoutSeconds=0"
    assert script.asked == [(f"{path}?{query}", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")]
    assert noted == [("watch", "ok")]


@pytest.mark.parametrize("code", [200, 410])
async def test_a_history_that_does_not_go_back_far_enough_is_gone(server: ApiServer, script: Script, code: int) -> None:
    script.code = code
    script.tell(EXPIRED if code == 410 else {"type": "ERROR", "object": EXPIRED})

    with pytest.raises(Gone, match="too old"):
        await told(server)


@pytest.mark.parametrize(("code", "error"), [(403, Refused), (409, Conflict), (429, Unavailable), (500, Unavailable)])
@pytest.mark.parametrize("is_event", [False, True])
async def test_other_refusals_are_what_they_are_for_any_call(
    server: ApiServer,
    script: Script,
    noted: list[tuple[str, str]],
    code: int,
    error: type[Exception],
    is_event: bool,
) -> None:
    refused = {"kind": "Status", "code": code, "message": "because"}
    script.code = 200 if is_event else code
    script.tell({"type": "ERROR", "object": refused} if is_event else refused)

    with pytest.raises(error, match="because"):
        await told(server)
    assert noted[0][1] != "ok"


async def test_a_watch_that_the_server_does_not_end_ends(server: ApiServer, script: Script) -> None:
    script.tell(event(6))
    script.hangs = True

    with pytest.raises(Unavailable):
        await told(server)


@pytest.mark.parametrize("line", [b"<html>\n", b"[]\n", b'{"type": "ERR'], ids=["HTML", "list", "half"])
async def test_lines_that_are_no_events_are_no_answer(server: ApiServer, script: Script, line: bytes) -> None:
    script.lines = [line]

    with pytest.raises(Unavailable):
        await told(server)


async def test_whoever_has_heard_enough_may_stop(
    server: ApiServer, script: Script, noted: list[tuple[str, str]]
) -> None:
    script.tell(event(6), event(7))
    script.hangs = True

    async with aclosing(server.metadata_changes(ROLLOUTS, "models", 5, seconds=0)) as events:
        first = await anext(events)

    assert first == event(6)
    assert noted == [("watch", "ok")]


async def test_whole_objects_are_told_however_large_they_are(server: ApiServer, script: Script) -> None:
    large = event(6) | {"object": {"metadata": {"resourceVersion": "6"}, "status": "x" * 500_000}}
    script.tell(large, event(7))

    assert [one async for one in server.changes(ROLLOUTS, "models", "5", seconds=0, name="fraud")] == [large, event(7)]
    (asked, accept), *_ = script.asked
    assert asked.endswith("&allowWatchBookmarks=true&fieldSelector=metadata.name%3Dfraud")
    assert accept == "application/json"


async def test_an_event_that_never_ends_is_no_answer(server: ApiServer, script: Script) -> None:
    script.lines = [b"x" * (LONGEST_EVENT + 1)]

    with pytest.raises(Unavailable, match="more than"):
        await told(server)
