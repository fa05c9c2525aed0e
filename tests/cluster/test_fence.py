"""No write leaves the client without asking whether it may, and none outlasts the answer; reads are free."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration
from modelrollout.cluster.kubernetes import ROLLOUTS
from modelrollout.cluster.server import ApiServer
from modelrollout.engine.ports import Unavailable

BODY = {"metadata": {"name": "a"}}
WRITES: dict[str, Callable[[ApiServer], Awaitable[object]]] = {
    "create": lambda server: server.create(ROLLOUTS, "models", BODY),
    "patch": lambda server: server.patch(ROLLOUTS, "models", "a", BODY),
    "patch status": lambda server: server.patch(ROLLOUTS, "models", "a", BODY, subresource="status"),
}


@asynccontextmanager
async def fenced(fence: Callable[[], timedelta], asked: list[str], *, stalls: bool = False) -> AsyncIterator[ApiServer]:
    end = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.method)
        if stalls:
            await end.wait()
        return web.json_response(BODY)

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", handle)
    async with TestServer(application) as listening:
        client = ApiClient(Configuration(host=str(listening.make_url("")).rstrip("/")))
        server = ApiServer(client, call_limit=timedelta(seconds=30), fence=fence)
        try:
            yield server
        finally:
            end.set()
            await server.close()


def closed() -> timedelta:
    raise Unavailable("somebody else decides")


@pytest.mark.parametrize("write", WRITES)
async def test_a_closed_fence_lets_no_write_out(write: str):
    asked: list[str] = []
    async with fenced(closed, asked) as server:
        with pytest.raises(Unavailable, match="somebody else decides"):
            await WRITES[write](server)

        assert asked == []


async def test_a_closed_fence_lets_reads_pass():
    asked: list[str] = []
    async with fenced(closed, asked) as server:
        assert await server.get(ROLLOUTS, "models", "a") == BODY


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_does_not_outlast_the_right_to_send_it(write: str):
    asked: list[str] = []
    async with fenced(lambda: timedelta(seconds=0.2), asked, stalls=True) as server:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="cannot be reached"):
            await WRITES[write](server)

        assert time.monotonic() - began < 15  # of 30 that any other call may take
