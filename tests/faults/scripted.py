"""A Prometheus that makes its numbers up, one script for each case: errors by Service, or no answer at all."""

import time
from collections.abc import Callable, Mapping

from aiohttp import web

from local.bench.source import parts_of, render_answer, window_of
from tests.faults.loop import LoopThread

REQUESTS_PER_SECOND = 5000
"""So many that the shortest window holds enough of them."""


class Numbers:
    """What the metrics of one case say. `errors_now` is asked at each query: shares of requests by Service."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.errors_now: Callable[[], Mapping[str, float]] = dict
        self.queries = 0

    def value_of(self, query: str) -> float:
        """Return the number that a query has now."""
        self.queries += 1
        if query == "time()":
            return time.time()
        if query.startswith(("time() - ", "count_over_time(", "sum_over_time(")):
            return 1
        total = REQUESTS_PER_SECOND * window_of(query)
        if 'code=~"5' not in query:
            return round(total)
        plain = query.replace("\\", "")
        return round(total * next((share for name, share in self.errors_now().items() if name in plain), 0.0))


class ScriptedMetrics:
    """The server of all cases' numbers."""

    def __init__(self, thread: LoopThread) -> None:
        self._cases: dict[str, Numbers] = {}
        self._port = 0
        thread.closers.append(thread.run(self._start()).cleanup)

    def numbers(self, case: str) -> Numbers:
        """Return the numbers of a case, and from now on answer with them at their address."""
        return self._cases.setdefault(case, Numbers(f"http://127.0.0.1:{self._port}/{case}"))

    async def _start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{case}/api/v1/query", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._port = runner.addresses[0][1]
        return runner

    async def _answer(self, request: web.Request) -> web.Response:
        query = request.query.get("query") or str((await request.post())["query"])
        numbers = self._cases[request.match_info["case"]]
        values = [numbers.value_of(part) for part in parts_of(query)]
        return web.Response(body=render_answer(values), content_type="application/json")
