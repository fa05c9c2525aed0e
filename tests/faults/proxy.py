"""A proxy before the real API server that makes its calls go wrong, one operator behind each.

It hands on what it is sent, token included, and streams watches. What goes wrong is a list of faults: each is told of
every call before it is sent, when it was answered, and when its reply is out, and may answer itself, wait, or cut the
connection. A proxy may also live in the past, see `Past`.
"""

import asyncio
import json
import re
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.faults.loop import LoopThread

WRITES = frozenset(
    {
        "modelrollouts/status",
        "modelrolloutrecords",
        "modelrolloutrecords/status",
        "traefikservices",
        "httproutes",
        "grpcroutes",
        "events",
    }
)
"""What counts as a write of an operator, by resource and subresource."""

_PATH = re.compile(
    r"/(?:api/[^/]+|apis/(?P<group>[^/]+)/[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?(?:/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>.+))?)?)?"
)
_METHODS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
_SENT_ON = ("Authorization", "Content-Type", "Accept", "User-Agent")
_SENT_BACK = ("Content-Type", "Retry-After")


class Cut(Exception):
    """The connection breaks here, without a word."""


@dataclass(frozen=True)
class Answer:
    """An answer, the API server's or an invented one."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @property
    def object(self) -> dict[str, Any]:
        """The body, read."""
        found: dict[str, Any] = json.loads(self.body)
        return found


def refusal(status: int, message: str = "the proxy says so", *, retry_after: int | None = None) -> Answer:
    """Return an answer as the API server words it: a Status object."""
    reason = {403: "Forbidden", 409: "Conflict", 410: "Expired", 429: "TooManyRequests", 504: "Timeout"}.get(status, "")
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": status,
    }
    headers = {"Content-Type": "application/json"}
    return Answer(
        status,
        json.dumps(body).encode(),
        headers if retry_after is None else {**headers, "Retry-After": f"{retry_after}"},
    )


@dataclass(frozen=True)
class Call:
    """One call of the operator. `write` is its number among the writes, from 1 on; 0 for any other call.

    `verb` is get, list, watch, create, patch, update or delete; `resource` is empty where a group is asked for.
    """

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    verb: str
    resource: str
    namespace: str
    name: str
    write: int
    agent: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name}".rstrip()


class Fault:
    """What may go wrong. Each method runs in the proxy's loop and may wait, or raise Cut; here, nothing happens."""

    async def before(self, call: Call) -> Answer | None:
        """Return an answer to give instead of asking the API server."""
        del call
        return None

    async def sent(self, call: Call, answer: Answer) -> Answer | None:
        """Return an answer to give instead of the API server's; it has done by now what the call wanted."""
        del call, answer
        return None

    async def answered(self, call: Call) -> None:
        """Take note that the operator has been sent its answer."""
        del call

    async def event(self, call: Call, event: dict[str, Any]) -> bool:
        """Return whether an event of a watch may pass; bookmarks are asked for, too."""
        del call, event
        return True

    async def broken(self, call: Call, answer: Answer) -> int | None:
        """Return after how many bytes of an answer the connection breaks."""
        del call, answer
        return None


@dataclass(frozen=True)
class Past:
    """The world as of a resourceVersion: lists and gets say what stood then, and watches say no more.

    `resources` restricts it to some plural names; with `lists` alone, single objects are read as they are now.
    """

    version: int
    resources: frozenset[str] = frozenset()
    gets: bool = True

    def covers(self, call: Call) -> bool:
        """Whether a call is answered from the past."""
        if not call.namespace or (self.resources and call.resource not in self.resources):
            return False
        return call.verb in {"list", "watch"} or (self.gets and call.verb == "get")


class Proxy:
    """One address where an operator finds the API server, from `start` to `close`. Methods are for other threads."""

    def __init__(
        self,
        thread: LoopThread,
        server: str,
        ca_file: Path,
        *,
        counted: Iterable[str] = WRITES,
        host: str = "127.0.0.1",
    ) -> None:
        self._thread = thread
        self._server = server
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._counted = frozenset(counted)
        self._host = host
        self._port = 0
        self._present = asyncio.Event()
        self._streams: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self.faults: tuple[Fault, ...] = ()
        self.past: Past | None = None
        self.calls: list[Call] = []
        self.times: list[float] = []

    @property
    def url(self) -> str:
        """Where it listens; the same from its first start on."""
        return f"http://{self._host}:{self._port}"

    @property
    def writes(self) -> list[Call]:
        """The writes so far, those among them that were refused or never sent included."""
        return [call for call in tuple(self.calls) if call.write]

    def start(self) -> None:
        """Take connections: at a free port, and after `stop` at the same one."""
        self._thread.run(self._start())

    def stop(self) -> None:
        """Be an API server that is down: connections break, new ones are refused."""
        self._thread.run(self._stop())

    def close(self) -> None:
        """Stop for good."""
        self._thread.run(self._stop())

    def end_watches(self) -> None:
        """Break all watches; the operator opens new ones."""

        async def end() -> None:
            for stream in self._streams:
                stream.cancel()

        self._thread.run(end())

    def live_in(self, past: Past | None) -> None:
        """Answer from the past from now on, or (`None`) from the present: waiting events of watches then go out."""

        async def change() -> None:
            self.past = past
            if past is None:
                self._present.set()
            else:
                self._present.clear()

        self._thread.run(change())

    async def _start(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        headers = {"Accept-Encoding": "identity"}
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers, read_bufsize=2**22, auto_decompress=False
        )
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        for stream in tuple(self._streams):
            stream.cancel()
        await runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = await self._call_of(request)
        self.calls.append(call)
        self.times.append(time.monotonic())
        try:
            return await (self._watch(request, call) if call.verb == "watch" else self._exchange(request, call))
        except (Cut, aiohttp.ClientError):
            if request.transport:
                request.transport.abort()
            return web.Response(status=HTTPStatus.BAD_GATEWAY)

    async def _call_of(self, request: web.Request) -> Call:
        found = _PATH.fullmatch(request.path)
        parts = {name: value or "" for name, value in found.groupdict().items()} if found else {}
        resource, name, sub = parts.get("resource", ""), parts.get("name", ""), parts.get("subresource", "")
        full = f"{resource}/{sub}" if sub else resource
        verb = _METHODS.get(request.method, "get" if name or not resource else "list")
        if request.query.get("watch") in {"true", "1"}:
            verb = "watch"
        is_write = request.method != "GET" and full in self._counted
        write = sum(1 for call in self.calls if call.write) + 1 if is_write else 0
        return Call(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            body=await request.read(),
            verb=verb,
            resource=full,
            namespace=parts.get("namespace", ""),
            name=name,
            write=write,
            agent=request.headers.get("User-Agent", ""),
        )

    async def _exchange(self, request: web.Request, call: Call) -> web.StreamResponse:
        answer = await self._first(fault.before(call) for fault in self.faults)
        if answer is None:
            answer = await self._ask(request, call)
            changed = await self._first(fault.sent(call, answer) for fault in self.faults)
            answer = changed or answer
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(answer.body)
        await response.prepare(request)
        for fault in self.faults:
            if (length := await fault.broken(call, answer)) is not None:
                await response.write(answer.body[:length])
                raise Cut
        await response.write(answer.body)
        await response.write_eof()
        for fault in self.faults:
            await fault.answered(call)
        return response

    @staticmethod
    async def _first(opinions: Iterator[Any]) -> Answer | None:
        found: Answer | None = None
        for opinion in opinions:  # All are asked: a fault may only be counting.
            given = await opinion
            found = found or given
        return found

    async def _ask(self, request: web.Request, call: Call) -> Answer:
        if self.past and self.past.covers(call):
            return await self._ask_the_past(request, call, self.past)
        return await self._forward(request, call.path, request.query_string, call.body)

    async def _forward(self, request: web.Request, path: str, query: str, body: bytes = b"") -> Answer:
        headers = {name: request.headers[name] for name in _SENT_ON if name in request.headers}
        url = f"{self._server}{path}" + (f"?{query}" if query else "")
        async with self._session.request(request.method, url, headers=headers, data=body or None) as reply:
            kept = {name: reply.headers[name] for name in _SENT_BACK if name in reply.headers}
            return Answer(reply.status, await reply.read(), kept)

    async def _ask_the_past(self, request: web.Request, call: Call, past: Past) -> Answer:
        query = f"resourceVersion={past.version}&resourceVersionMatch=Exact"
        if call.verb == "list":
            return await self._forward(request, call.path, query)
        path = call.path.rpartition("/")[0]
        listed = await self._forward(request, path, f"{query}&fieldSelector=metadata.name%3D{call.name}")
        if listed.status != HTTPStatus.OK:
            return listed
        items = listed.object["items"]
        if not items:
            return refusal(404, f"{call.resource} {call.name} not found")
        kind = listed.object["kind"].removesuffix("List")
        whole = {"apiVersion": listed.object["apiVersion"], "kind": kind, **items[0]}
        return Answer(HTTPStatus.OK, json.dumps(whole).encode())

    async def _watch(self, request: web.Request, call: Call) -> web.StreamResponse:
        answer = await self._first(fault.before(call) for fault in self.faults)
        if answer:
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        headers = {name: request.headers[name] for name in _SENT_ON if name in request.headers}
        task = asyncio.current_task()
        assert task
        async with self._session.get(f"{self._server}{request.path_qs}", headers=headers) as upstream:
            response = web.StreamResponse(
                status=upstream.status, headers={"Content-Type": upstream.headers.get("Content-Type", "")}
            )
            await response.prepare(request)
            self._streams.add(task)
            try:
                async for line in upstream.content:
                    if await self._may_pass(call, line):
                        await response.write(line)
            except asyncio.CancelledError:
                if request.transport:
                    request.transport.abort()
                raise
            finally:
                self._streams.discard(task)
        return response

    async def _may_pass(self, call: Call, line: bytes) -> bool:
        event = json.loads(line)
        version = int(event["object"].get("metadata", {}).get("resourceVersion", 0))
        if self.past and self.past.covers(call) and version > self.past.version:
            await self._present.wait()
        for fault in self.faults:
            if not await fault.event(call, event):
                return False
        return True
