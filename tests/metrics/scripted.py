"""A loopback HTTP server that answers as it is told: what a Prometheus, or what stands before it, may say."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Say:
    """One answer. `hang` keeps silent until the server closes; `drip` sends one byte every 50 ms for ever."""

    body: bytes | str | Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    drip: bool = False

    def encoded(self) -> bytes:
        match self.body:
            case bytes():
                return self.body
            case str():
                return self.body.encode()
            case _:
                return json.dumps(self.body).encode()


def vector(*texts: str, **more: Any) -> Say:
    result = [{"metric": {"n": str(n)}, "value": [1.5, text]} for n, text in enumerate(texts)]
    return Say({"status": "success", "data": {"resultType": "vector", "result": result}, **more})


def scalar(text: str) -> Say:
    return Say({"status": "success", "data": {"resultType": "scalar", "result": [1.5, text]}})


def divided(query: str) -> list[str]:
    """Return the queries of a batch, or the only one."""
    return (
        [
            part.removeprefix("label_replace(")
            for part in re.split(r', "part", "[0-9]+", "", ""\)(?: or label_replace\(|$)', query)[:-1]
        ]
        if _is_batch(query)
        else [query]
    )


def _is_batch(query: str) -> bool:
    return query.startswith("label_replace(")


def together(says: list[Say]) -> Say:
    """Answer a batch as Prometheus does: with all series, each labelled by its part, or with what is wrong with one."""
    odd = next(
        (say for say in says if say.status != 200 or say.hang or say.drip or not isinstance(say.body, dict)), None
    )
    if odd is not None:
        return odd
    bodies: list[dict[str, Any]] = [say.body for say in says if isinstance(say.body, dict)]
    results = [body["data"]["result"] for body in bodies]
    series = [
        {**one, "metric": {**one["metric"], "part": str(part)}} for part, result in enumerate(results) for one in result
    ]
    warnings = [warning for body in bodies for warning in body.get("warnings", [])]
    more = {"warnings": warnings} if warnings else {}
    return Say({"status": "success", "data": {"resultType": "vector", "result": series}, **more})


class Scripted(ThreadingHTTPServer):
    """Answers each query by the first rule whose text is in it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.rules: list[tuple[str, Callable[[], Say]]] = []
        self.queries: list[str] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections: set[Any] = set()
        self.asked = threading.Event()
        self.closing = threading.Event()
        self.on("time() -", lambda: vector("2"))
        self.on("time()", lambda: scalar(f"{time.time()}"))
        self.on("code=", lambda: vector("3"))
        self.on("", lambda: vector("300"))

    def on(self, part: str, answer: Callable[[], Say]) -> None:
        """Answer queries that contain `part` so, before all rules given earlier, but after longer parts."""
        self.rules = [(part, answer), *((known, say) for known, say in self.rules if known != part)]
        self.rules.sort(key=lambda rule: -len(rule[0]))

    def always(self, answer: Say) -> None:
        self.rules = [("", lambda: answer)]

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_GET(self) -> None:
        self._answer(self.path)

    def do_POST(self) -> None:
        if urlsplit(self.path).query:
            raise AssertionError("a form has its parameters in the body alone")
        self._answer(f"{self.path}?{self.rfile.read(int(self.headers['Content-Length'])).decode()}")

    def _answer(self, path: str) -> None:
        self.server.requests.append((path, dict(self.headers)))
        self.server.connections.add(self.client_address)
        query = parse_qs(urlsplit(path).query).get("query", [""])[0]
        parts = divided(query)
        self.server.queries += parts
        self.server.asked.set()
        says = [next(answer for part, answer in self.server.rules if part in query)() for query in parts]
        say = says[0] if parts == [query] else together(says)
        if say.hang:
            self.server.closing.wait()
            self.close_connection = True
            return
        body = say.encoded()
        self.send_response(say.status)
        for name, text in say.headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(10_000 if say.drip else len(body)))
        self.end_headers()
        while say.drip and not self.server.closing.wait(0.05):
            try:
                self.wfile.write(b" ")
            except OSError:
                return
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
