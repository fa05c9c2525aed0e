"""A small HTTP/1.1 server with keep-alive, for the model servers and the load generator."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def encode(self) -> bytes:
        """Return what goes over the wire."""
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = (
            f"HTTP/1.1 {self.status} {'OK' if self.status < 400 else 'Error'}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n{extra}\r\n"
        )
        return head.encode("latin-1") + self.body


Handler = Callable[[Request], Awaitable[Response]]


async def serve(handler: Handler, host: str, port: int) -> asyncio.Server:
    """Return a server that answers on `host`:`port` until it is closed."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                writer.write((await handler(request)).encode())
                await writer.drain()
                if request.headers.get("connection", "").lower() == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass  # the client is gone, or does not speak HTTP
        finally:
            writer.close()

    return await asyncio.start_server(converse, host, port, backlog=1024)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Return the next request on a connection, None if the client closed it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = read_headers(lines)
    if headers.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


def read_headers(lines: list[str]) -> dict[str, str]:
    """Return header lines as a dictionary with names in lower case."""
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    while (await reader.readline()).strip():
        pass  # trailers
    return body
