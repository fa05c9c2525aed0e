"""Series with a history of our choosing, in a real Prometheus."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from local.cluster import LocalCluster
from local.process import wait_until

Points = Iterable[tuple[float, float]]
"""Unix times, ascending, and values."""


class Exporter(ThreadingHTTPServer):
    """Serves `text` at any path; with `status` 500 the scrape fails."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.text = ""
        self.status = 200
        self.scrapes = 0


class _Handler(BaseHTTPRequestHandler):
    server: Exporter

    def do_GET(self) -> None:
        self.server.scrapes += 1
        body = self.server.text.encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def exporting(cluster: LocalCluster) -> Iterator[Exporter]:
    """Have an exporter scraped once a second."""
    exporter = Exporter()
    thread = threading.Thread(target=exporter.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    cluster.prometheus.add_target("told", exporter.address, {})
    try:
        yield exporter
    finally:
        cluster.prometheus.remove_target("told", exporter.address)
        exporter.shutdown()
        exporter.server_close()
        thread.join()


def told(name: str, test: str) -> str:
    """Return the name of a series, such as `x{a="b"}`, with the test's own label."""
    return f'{name.rstrip("}")}{"," if "{" in name else "{"}test="{test}"}}'


def tell(cluster: LocalCluster, exporter: Exporter, test: str, series: dict[str, Points]) -> None:
    """Put these series, labelled with `test`, into Prometheus with their times, which lie within the last hour."""
    lines = [
        (at, f"{told(name, test)} {value} {at * 1000:.0f}\n") for name, points in series.items() for at, value in points
    ]
    exporter.text = "".join(line for _, line in sorted(lines))
    for name, points in series.items():
        mine, newest = told(name, test), max(at for at, _ in points)
        wait_until(lambda mine=mine, at=newest: _holds(cluster, mine, at), f"Prometheus holds {mine}")  # type: ignore[misc]


def query(cluster: LocalCluster, text: str, at: float | None = None) -> list[Any]:
    """Return the result of an instant query, as plain JSON."""
    parameters = urlencode({"query": text, "time": f"{at or time.time():.3f}"})
    with urlopen(f"{cluster.prometheus.url}/api/v1/query?{parameters}", timeout=10) as reply:
        return list(json.load(reply)["data"]["result"])


def _holds(cluster: LocalCluster, selector: str, newest: float) -> bool:
    found = query(cluster, f"timestamp({selector})", newest)
    return bool(found) and abs(float(found[0]["value"][1]) - newest) < 0.01
