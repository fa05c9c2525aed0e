"""A steady load: `python -m local.load_generator --url U --host H --rate R --seconds S --control A --rows FILE`.

Open loop: requests leave at fixed times whether or not earlier ones have come back, as those of many users would.
GET /snapshot at the control address tells what users saw so far.
"""

import argparse
import asyncio
import json
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

from local.http import Request, Response, read_headers, serve

_WAIT_SECONDS = 15.0
_IN_FLIGHT_MAX = 512
CONTROL_PORT = 8090


@dataclass
class Seen:
    """What users saw; times are Unix seconds, of a request's departure and of its answer's arrival."""

    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """By `status version`."""
    failures: Counter[str] = field(default_factory=Counter)
    """Requests without an answer, by reason."""
    first_sent: dict[str, float] = field(default_factory=dict)
    last_sent: dict[str, float] = field(default_factory=dict)
    last_answered: dict[str, float] = field(default_factory=dict)

    def note(self, status: int, version: str, sent_at: float, answered_at: float) -> None:
        """Count one answer."""
        self.answers[f"{status} {version}"] += 1
        self.first_sent[version] = min(sent_at, self.first_sent.get(version, sent_at))
        self.last_sent[version] = max(sent_at, self.last_sent.get(version, sent_at))
        self.last_answered[version] = answered_at


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Generator:
    """Sends requests over as many kept connections as are needed."""

    def __init__(self, host: str, port: int, messages: list[bytes]) -> None:
        self._address = host, port
        self._messages = cycle(messages)
        self._idle: list[Stream] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen = Seen()

    async def run(self, requests_per_second: float, seconds: float) -> None:
        """Send at a steady rate for `seconds`."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number in range(int(requests_per_second * seconds)):
            await asyncio.sleep(max(0.0, started + number / requests_per_second - loop.time()))
            self.seen.sent += 1
            if len(self._tasks) >= _IN_FLIGHT_MAX:
                self.seen.failures["too many unanswered"] += 1
                continue
            task = asyncio.create_task(self._send(next(self._messages)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.gather(*self._tasks)

    async def _send(self, message: bytes) -> None:
        sent_at = time.time()
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                status, version = await self._exchange(message)
        except TimeoutError:
            self.seen.failures["no answer in time"] += 1
        except (OSError, EOFError, ValueError) as trouble:
            self.seen.failures[type(trouble).__name__] += 1
        else:
            self.seen.note(status, version, sent_at, time.time())

    async def _exchange(self, message: bytes) -> tuple[int, str]:
        while self._idle:
            stream = self._idle.pop()
            try:
                return await self._on(stream, message)
            except (ConnectionError, asyncio.IncompleteReadError) as trouble:
                if getattr(trouble, "partial", b""):
                    raise
                # The server closed a kept connection before it took the request: try another, as any client does.
        return await self._on(await asyncio.open_connection(*self._address), message)

    async def _on(self, stream: Stream, message: bytes) -> tuple[int, str]:
        reader, writer = stream
        try:
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = read_headers(lines)
            await reader.readexactly(int(headers["content-length"]))
        except BaseException:
            writer.close()
            raise
        self._idle.append(stream)
        return int(first.split(" ")[1]), headers.get("x-served-by", "nobody")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.load_generator")
    parser.add_argument("--url", required=True)
    parser.add_argument("--host", required=True, help="the Host header")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--control", required=True, help="the address to answer /snapshot on")
    parser.add_argument("--rows", required=True, help="a JSON file: a list of request bodies")
    return parser.parse_args()


async def _main(options: argparse.Namespace, bodies: list[object]) -> None:
    url = urlsplit(options.url)
    messages = [encode_request(options.host, url.path, body) for body in bodies]
    generator = Generator(str(url.hostname), url.port or 80, messages)

    async def answer(_: Request) -> Response:
        return Response(body=json.dumps({"at": time.time(), **vars(generator.seen)}).encode())

    server = await serve(answer, options.control, CONTROL_PORT)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    running = asyncio.create_task(generator.run(options.rate, options.seconds))
    await stopped.wait()
    running.cancel()
    server.close()


def encode_request(host: str, path: str, body: object) -> bytes:
    """Return a whole request: a POST of JSON, or a GET if there is no body."""
    content = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


if __name__ == "__main__":
    chosen = _options()
    asyncio.run(_main(chosen, json.loads(Path(chosen.rows).read_text())))
