"""A Prometheus that makes its numbers up, as a process: what is measured beside it is the operator's own work.

It knows the queries that gates send, by themselves and in batches: its clock, the age of a series, how much of a gap it
saw, and counts that grow with the window. Versions called bad answer with most requests failed. It is part of the
measured machine, so it looks at a query once and remembers nothing of it.
"""

import argparse
import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local.http import Request, Response, serve

REQUESTS_PER_SECOND = 50
GOOD_ERROR_SHARE, BAD_ERROR_SHARE = 0.001, 0.6
GOOD_FAST_SHARE = 0.99
_PART = re.compile(r', "part", "[0-9]+", "", ""\)(?: or label_replace\(|$)')
_SERVICE = re.compile(r'service=~"[^"]*?([a-z0-9]+)-[0-9]+@')
_WINDOW = re.compile(r"\[([0-9]+)(ms|s)\]")


class Script:
    """What is answered, and when the interesting questions came. Times are monotonic seconds, system-wide."""

    def __init__(self) -> None:
        self._bad: frozenset[str] = frozenset()
        self._hangs = False
        self._queries = 0
        self._answered_bad: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._gaps: list[float] = []

    async def handle(self, request: Request) -> Response:
        """Return the answer to a query, or to a command of the bench's."""
        path = urlsplit(request.path)
        if path.path == "/-/script":
            self._follow(json.loads(request.body))
            return Response()
        if path.path == "/-/seen":
            return Response(body=json.dumps(self._seen()).encode())
        if self._hangs:
            await asyncio.Event().wait()
        self._queries += 1
        asked = parse_qs(path.query) or parse_qs(request.body.decode())
        queries = parts_of(asked["query"][0])
        return Response(body=render_answer([self.value_of(query) for query in queries]))

    def value_of(self, query: str) -> float:
        """Return the number that a query has now."""
        if query == "time()":
            return time.time()
        if query.startswith(("time() - ", "count_over_time(", "sum_over_time(")):
            return 1
        total = REQUESTS_PER_SECOND * window_of(query)
        if "_bucket{" in query:
            return round(total * GOOD_FAST_SHARE)
        if 'code=~"5' not in query:
            return round(total)
        service = service_of(query)
        self._note(service)
        return round(total * (BAD_ERROR_SHARE if service in self._bad else GOOD_ERROR_SHARE))

    def _follow(self, script: Mapping[str, Any]) -> None:
        self._bad = frozenset(script.get("bad", ()))
        self._hangs = bool(script.get("hangs"))
        self._queries = 0
        self._answered_bad, self._asked, self._gaps = {}, {}, []

    def _note(self, service: str) -> None:
        now = time.monotonic()
        if service in self._bad:
            self._answered_bad.setdefault(service, now)
        if service in self._asked:
            self._gaps.append(now - self._asked[service])
        self._asked[service] = now

    def _seen(self) -> dict[str, Any]:
        candidates = sum(service.endswith("v2") for service in self._asked)
        return {
            "queries": self._queries,
            "answered_bad": self._answered_bad,
            "gaps": self._gaps,
            "candidates": candidates,
        }


def window_of(query: str) -> float:
    """Return the seconds of the first window in a query."""
    found = _WINDOW.search(query)
    return int(found[1]) / (1000 if found[2] == "ms" else 1) if found else 0.0


def service_of(query: str) -> str:
    """Return the Service that a query of preset traefik is about; its name has letters and digits only."""
    found = _SERVICE.search(query.replace("\\", ""))
    return found[1] if found else ""


def parts_of(query: str) -> list[str]:
    """Return the queries of a batch, or the only one."""
    if not query.startswith("label_replace("):
        return [query]
    return _PART.split(query.removeprefix("label_replace("))[:-1]


def render_answer(values: Sequence[float]) -> bytes:
    """Return the body of an instant query's answer: one series for each part, or one without labels."""
    now = round(time.time(), 3)
    result = [
        {"metric": {"part": str(part)} if len(values) > 1 else {}, "value": [now, f"{value:.3f}"]}
        for part, value in enumerate(values)
    ]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


async def _run(host: str, port: int) -> None:
    server = await serve(Script().handle, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m local.bench.source")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    asyncio.run(_run(given.host, given.port))
