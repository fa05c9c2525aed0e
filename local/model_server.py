"""A model server: `python -m local.model_server --version V --host H --port P --model none|FILE`.

POST /v1/score with `{"rows": [[…], …]}` answers `{"version": …, "scores": […]}`. With `--model none` every path answers
at once, for tests that care about who answers and not what. GET /metrics is for Prometheus, /-/… for whoever runs it.
"""

import argparse
import asyncio
import json
import math
import os
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as CounterMetric

from local.http import Request, Response, serve

_WAITING_MAX = 256
"""Requests that may wait for the model; more are turned away at once with 503, so that work cannot pile up without
bound."""
_WAIT_SECONDS_MAX = 4.0
"""A request that gets its turn later than this is turned away as well: a short stall of the machine costs nobody an
answer, and a slow model has a short queue all the same."""

_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)
_SCORES = tuple(tenth / 10 for tenth in range(1, 11))


class Overloaded(Exception):
    """The request has waited for its turn too long."""


class OutOfRange(Exception):
    """The model's answer is none that it could give for a row like those it was calibrated on."""


@dataclass
class Behaviour:
    """Faults that a test asks for at run time."""

    error_share: float = 0.0
    """Fraction of requests answered with 500, spread evenly."""
    delay_seconds: float = 0.0
    _owed: float = 0.0

    def is_error_due(self) -> bool:
        """Return whether the next answer is an error, so that exactly `error_share` of them are."""
        self._owed += self.error_share
        if self._owed < 1 - 1e-9:
            return False
        self._owed -= 1
        return True


class Metrics:
    """What the server tells Prometheus about itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = CounterMetric("model_requests", "Requests answered", ["code"], registry=self.registry)
        self.durations = Histogram(
            "model_request_duration_seconds", "Time to an answer", buckets=_DURATIONS, registry=self.registry
        )
        self.scores = Histogram("model_score", "Predicted scores", buckets=_SCORES, registry=self.registry)
        for code in ("200", "500", "503"):
            self.requests.labels(code)  # a series that exists at 0 shows its first increase


class Model:
    """A trained pipeline and the range of margins that it was calibrated on."""

    def __init__(self, path: Path) -> None:
        import joblib  # noqa: PLC0415  # takes a second: only servers of a real model pay it

        artifact = joblib.load(path)
        self._pipeline = artifact["pipeline"]
        self._largest_margin: float = artifact["largest_margin"]

    def score(self, rows: list[list[float]]) -> list[float]:
        """Return each row's probability of the positive class.

        Raises:
            OutOfRange: a margin lies far outside of those seen in calibration.
            ValueError: the rows are not what the model takes.
        """
        margins = [float(margin) for margin in self._pipeline.decision_function(rows)]
        if (worst := max(margins, key=abs)) and abs(worst) > self._largest_margin:
            raise OutOfRange(f"margin {worst:.0f} lies outside of the calibrated ±{self._largest_margin:.0f}")
        return [1 / (1 + math.exp(-margin)) for margin in margins]


class Server:
    """All that one server holds; `answer` handles every request."""

    def __init__(self, version: str, model: Model | None) -> None:
        self._version = version
        self._model = model
        self._behaviour = Behaviour()
        self._metrics = Metrics()
        self._received: Counter[str] = Counter()
        # One thread: one replica uses one core, and the control paths answer while the model works.
        self._worker = ThreadPoolExecutor(max_workers=1)
        self._waiting = 0
        self._reported: set[type[Exception]] = set()
        self._control: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/metrics": self._show_metrics,
            "/-/healthy": self._show_health,
            "/-/requests": self._show_requests,
            "/-/behave": self._take_behaviour,
        }

    async def answer(self, request: Request) -> Response:
        """Return the answer to any request."""
        if control := self._control.get(request.path):
            return await control(request)
        started = time.perf_counter()
        if self._behaviour.delay_seconds:
            await asyncio.sleep(self._behaviour.delay_seconds)
        if self._behaviour.is_error_due():
            response = Response(500, b'{"error": "asked to fail"}')
        else:
            response = await self._score(request)
        self._metrics.durations.observe(time.perf_counter() - started)
        self._metrics.requests.labels(str(response.status)).inc()
        self._received["error" if response.status >= 500 else "ok"] += 1
        return Response(response.status, response.body, {"x-served-by": self._version})

    async def _score(self, request: Request) -> Response:
        if self._model is None:
            return self._scores([])
        if self._waiting >= _WAITING_MAX:
            return _OVERLOADED
        self._waiting += 1
        try:
            rows = json.loads(request.body)["rows"]
            due = time.monotonic() + _WAIT_SECONDS_MAX
            loop = asyncio.get_running_loop()
            return self._scores(await loop.run_in_executor(self._worker, _score_in_time, self._model, rows, due))
        except Overloaded:
            return _OVERLOADED
        except OutOfRange as trouble:
            self._report(trouble)
            return Response(500, json.dumps({"error": str(trouble)}).encode())
        except (ValueError, KeyError, TypeError) as trouble:
            self._report(trouble)
            return Response(400, json.dumps({"error": f"not rows that this model takes: {trouble}"}).encode())
        finally:
            self._waiting -= 1

    def _scores(self, scores: list[float]) -> Response:
        for score in scores:
            self._metrics.scores.observe(score)
        return Response(200, json.dumps({"version": self._version, "scores": scores}).encode())

    def _report(self, trouble: Exception) -> None:
        """Log the first of its kind with where it came from; thousands more would say no more."""
        if type(trouble) not in self._reported:
            self._reported.add(type(trouble))
            traceback.print_exception(trouble)

    async def _show_metrics(self, _: Request) -> Response:
        return Response(body=generate_latest(self._metrics.registry), content_type="text/plain; version=0.0.4")

    async def _show_health(self, _: Request) -> Response:
        return _json({"version": self._version})

    async def _show_requests(self, _: Request) -> Response:
        return _json(self._received)

    async def _take_behaviour(self, request: Request) -> Response:
        wanted: dict[str, Any] = json.loads(request.body)
        self._behaviour = Behaviour(float(wanted["error_share"]), float(wanted["delay_seconds"]))
        return _json(wanted)


_OVERLOADED = Response(503, b'{"error": "overloaded"}')


def _score_in_time(model: Model, rows: list[list[float]], due: float) -> list[float]:
    """Return the rows' scores, unless the monotonic clock has passed `due` before it is their turn."""
    if time.monotonic() > due:
        raise Overloaded
    return model.score(rows)


def _json(value: object) -> Response:
    return Response(body=json.dumps(value).encode())


def _warn_once_of_a_kind() -> None:
    """Log the first warning of each category: a solver that does not converge says so in other words every time."""
    shown: set[type[Warning]] = set()
    show = warnings.showwarning

    def show_first(  # the signature is Python's
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if category not in shown:
            shown.add(category)
            show(message, category, filename, lineno, file, line)

    warnings.simplefilter("always")  # or Python would remember every text ever shown
    warnings.showwarning = show_first


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.model_server")
    parser.add_argument("--version", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True, help="a file that local.models wrote, or `none`")
    options = parser.parse_args()
    model = None if options.model == "none" else Model(Path(options.model))
    server = await serve(Server(options.version, model).answer, options.host, options.port)
    print(f"{options.version} serves on {options.host}:{options.port}", flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    server.close()
    sys.stdout.flush()
    os._exit(0)  # a model in mid-computation would hold the interpreter's end up


if __name__ == "__main__":
    _warn_once_of_a_kind()
    asyncio.run(_main())
