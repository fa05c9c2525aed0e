"""Whatever a metrics source may answer that is no evidence: it holds, with a reason of its own, and never promotes."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local.cluster import LocalCluster
from tests.support.scene import Scene, condition

pytestmark = pytest.mark.cluster

ADDRESS = "10.244.200.1"


def _success(result: list[object], **more: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more}).encode()


def _sample(value: str, **labels: str) -> dict[str, object]:
    return {"metric": labels, "value": [1.0, value]}


ODDITIES: dict[str, tuple[int, bytes, str]] = {
    "NaN": (200, _success([_sample("NaN")]), "NotANumber"),
    "no series": (200, _success([]), "NoData"),
    "several series": (200, _success([_sample("1", a="1"), _sample("2", a="2")]), "ManySeries"),
    "warnings": (200, _success([_sample("1")], warnings=["partial response"]), "Warnings"),
    "a login page": (200, b"<html><body>Please log in</body></html>", "Malformed"),
    "a refusal": (
        422,
        json.dumps({"status": "error", "errorType": "execution", "error": "too many"}).encode(),
        "Refused",
    ),
    "an error": (503, b"no healthy upstream", "Unreachable"),
}


@pytest.fixture
def source() -> Iterator[Callable[[int, bytes], None]]:
    """Serve whatever it was told last, for every query."""
    answer: list[tuple[int, bytes]] = [(200, _success([]))]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer[-1]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((ADDRESS, 9090), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def answers(status: int, body: bytes) -> None:
        answer.append((status, body))

    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()


def test_row_34_every_odd_answer_holds_with_a_reason_of_its_own(
    cluster: LocalCluster, namespace: str, source: Callable[[int, bytes], None]
):
    scene = Scene(cluster, namespace, source_url=f"http://{ADDRESS}:9090")
    scene.serve("v1", "v2")
    scene.start_operator()
    score = {"name": "score", "value": {"query": "score", "max": "10"}}
    scene.apply(scene.rollout(traffic=scene.route_by_leaf(), gates=[score]))
    scene.until_step("shadow")

    for name, (status, body, reason) in ODDITIES.items():
        source(status, body)
        found = scene.until_condition("MetricsAvailable", "False", reason)
        assert condition(found, "Held")[:2] == ("True", reason), name
        assert found["attempt"]["stage"] == "shadow", name

    scene.end()
