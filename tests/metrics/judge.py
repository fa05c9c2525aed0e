"""A judge outside, on loopback: it answers as it is told, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.metrics.scripted import Say
from tests.support.listening import listening

PASSES = Say({"verdict": "pass", "message": "all is well"})


class Judge(ThreadingHTTPServer):
    """Answers each POST with `say`, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.say = PASSES
        self.asked: list[Asking] = []
        self.heard = threading.Event()
        self.closing = threading.Event()


@dataclass
class Asking:
    path: str
    headers: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Judge

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(Asking(self.path, dict(self.headers), json.loads(text)))
        self.server.heard.set()
        say = self.server.say
        if say.hang:
            self.server.closing.wait()
            self.close_connection = True
            return
        body = say.encoded()
        self.send_response(say.status)
        for name, value in say.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(10_000 if say.drip else len(body)))
        self.end_headers()
        while say.drip and not self.server.closing.wait(0.02):
            try:
                self.wfile.write(b" ")
            except OSError:
                return
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.server.asked.append(Asking(self.path, dict(self.headers)))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def judging() -> Iterator[Judge]:
    """Have a judge listen."""
    with listening(Judge()) as server:
        try:
            yield server
        finally:
            server.closing.set()
