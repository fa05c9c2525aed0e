"""What real model servers exposed, replayed to a real Prometheus: gates say of it what they said of the servers."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.sources import Sources

from local.cluster import LocalCluster
from local.process import wait_until
from tests.metrics import told
from tests.metrics.conftest import Calls, now
from tests.metrics.exporter import query
from tests.support.listening import listening

pytestmark = pytest.mark.cluster

KEPT = Path(__file__).parent / "expositions" / "real"
TEXTS = {text.stem: text.read_text("utf-8") for text in sorted(KEPT.glob("*.txt"))}
"""By preset and version, such as `kserve-v2`."""
REPLAYED = sorted({name.rpartition("-")[0] for name in TEXTS})


class Replay(ThreadingHTTPServer):
    """Serves each text at `/NAME`: half of everything that was counted until `is_whole`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.is_whole = False


class _Handler(BaseHTTPRequestHandler):
    server: Replay

    def do_GET(self) -> None:
        text = TEXTS[self.path.removeprefix("/")]
        body = (text if self.server.is_whole else halved(text)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def halved(text: str) -> str:
    """Return the text as it was when half of everything had been counted; gauges stay."""
    kind, lines = "", []
    for line in text.splitlines():
        if found := re.fullmatch(r"# TYPE \S+ (\w+)", line):
            kind = found[1]
        elif kind != "gauge":
            name, _, value = line.rpartition(" ")
            lines.append(f"{name} {float(value) // 2}")
            continue
        lines.append(line)
    return "\n".join([*lines, ""])


@pytest.fixture(scope="module")
def replay(cluster: LocalCluster) -> Iterator[Replay]:
    with listening(Replay()) as server:
        for name in TEXTS:
            preset, _, version = name.rpartition("-")
            labels = {"__metrics_path__": f"/{name}", **told.labels(preset, version)}
            cluster.prometheus.add_target(f"replay-{name}", server.address, labels)
        ups = 'count(up{job=~"replay-.*"} == 1)'
        wait_until(lambda: [one["value"][1] for one in query(cluster, ups)] == [str(len(TEXTS))], "all are scraped")
        yield server
        for name in TEXTS:
            cluster.prometheus.remove_target(f"replay-{name}", server.address)


@pytest.fixture
async def source(cluster: LocalCluster, calls: Calls) -> AsyncIterator[Sources]:
    made = Sources({"default": SourceConfig(url=cluster.prometheus.url)}, now, calls)
    yield made
    await made.close()


async def test_gates_say_of_each_replayed_server_what_they_said_of_the_server(replay: Replay, source: Sources) -> None:
    since = datetime.now(UTC) - timedelta(minutes=5)

    assert REPLAYED == ["bentoml", "fastapi", "kserve", "mlserver", "ray-serve"]
    for preset in REPLAYED:
        await told.check(source, preset, since, part=2)
    replay.is_whole = True
    for preset in REPLAYED:
        await told.check(source, preset, since)
