"""Something between one operator and the API server: it keeps what was written, and can stall like a broken network."""

import asyncio
import contextlib
import ssl
import threading
import time
from pathlib import Path
from typing import NamedTuple, Self

import aiohttp
import yaml
from aiohttp import web

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host", "content-encoding"})


class Written(NamedTuple):
    """A write that reached the API server: when its answer came (monotonic seconds), its path, and that answer's code."""

    at: float
    path: str
    code: int

    @property
    def is_accepted(self) -> bool:
        return self.code < 300

    @property
    def is_lease(self) -> bool:
        return "/leases" in self.path

    @property
    def is_event(self) -> bool:
        return "/events" in self.path


class ApiProxy:
    """A plain HTTP server on loopback, in a thread of its own, that passes everything on.

    While it stalls nothing goes either way; what came in meanwhile is passed on afterwards, as late as that is, even if
    its sender has gone: the worst that a network does.
    """

    def __init__(self, server: str, ca_file: Path) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._is_listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)
        self.writes: list[Written] = []

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def kubeconfig(self, path: Path, like: Path) -> Path:
        """Write a kubeconfig that is like another but comes by here."""
        config = yaml.safe_load(like.read_text("utf-8"))
        for one in config["clusters"]:
            one["cluster"] = {"server": self.url}
        path.write_text(yaml.safe_dump(config), "utf-8")
        return path

    def stall(self) -> None:
        """Pass nothing on from now."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def go_on(self) -> None:
        """Pass on what waits, and whatever comes."""
        self._loop.call_soon_threadsafe(self._open.set)

    def accepted(self) -> list[Written]:
        """The writes of anything but the Lease that the API server took."""
        return [one for one in list(self.writes) if one.is_accepted and not one.is_lease]

    def changes(self) -> list[Written]:
        """Those of them that moved something.

        An event has no guard: one that was under way arrives however late, and says what happened when it was sent.
        """
        return [one for one in self.accepted() if not one.is_event]

    async def _run(self) -> None:
        self._end = asyncio.Event()
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._session:
            app = web.Application()
            app.router.add_route("*", "/{tail:.*}", self._pass_on)
            # A handler outlives its client: what has arrived here gets there.
            runner = web.AppRunner(app, access_log=None, handler_cancellation=False, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._port = runner.addresses[0][1]
            self._is_listening.set()
            await self._end.wait()
            self._open.set()
            await runner.cleanup()
            under_way = asyncio.all_tasks() - {asyncio.current_task()}
            for task in under_way:
                task.cancel()
            await asyncio.wait(under_way or {asyncio.create_task(asyncio.sleep(0))}, timeout=2)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await self._open.wait()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = f"{self._server}{request.path_qs}"
        async with self._session.request(
            request.method, url, data=body or None, headers=headers, timeout=aiohttp.ClientTimeout()
        ) as answer:
            if request.method != "GET":
                self.writes.append(Written(time.monotonic(), request.path, answer.status))
            await self._open.wait()
            kept = {
                name: value for name, value in answer.headers.items() if name.lower() not in _HOP - {"content-encoding"}
            }
            response = web.StreamResponse(status=answer.status, headers=kept)
            with contextlib.suppress(ConnectionError):  # Its sender has gone meanwhile.
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await self._open.wait()
                    await response.write(chunk)
            return response
