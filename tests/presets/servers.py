"""Real model servers, each in an environment of its own, that answer as the request says."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from local.paths import TOOLS
from local.process import wait_until
from local.python_tool import find_environment


@dataclass(frozen=True)
class Server:
    """How a server is started, asked and scraped; `{port}` and `{bin}` stand in its command."""

    preset: str
    lock: str
    command: tuple[str, ...]
    path: str
    ready: str
    """Answers 200 once the model is loaded, and is no request of the model's."""
    metrics_port: int = 0
    keeps: str = ""
    """What of its exposition is kept: the names begin so."""
    instances: int = 2

    def body(self, delay: float, fail: int) -> dict[str, Any]:
        """Return a request that takes so long, and fails or not."""
        match self.preset:
            case "kserve":
                return {"instances": [[delay, fail]]}
            case _:
                return {"delay": delay, "fail": fail}


SERVERS = (
    Server("fastapi", "fastapi", ("{bin}/python", "server.py", "{port}"), "/score", "/healthz", keeps="http_"),
    Server("kserve", "kserve", ("{bin}/python", "server.py", "--http_port", "{port}", "--enable_grpc", "false"),
           "/v1/models/fraud:predict", "/v2/models/fraud/ready", keeps="request_"),
)  # fmt: skip


@dataclass
class Instance:
    """One running server."""

    server: Server
    port: int
    process: subprocess.Popen[bytes]

    @property
    def metrics(self) -> str:
        """Where it is scraped."""
        return f"127.0.0.1:{self.port + self.server.metrics_port}"

    def ask(self, *, delay: float = 0.01, fail: bool = False) -> int:
        """Return the status of one request's answer."""
        data = json.dumps(self.server.body(delay, int(fail))).encode()
        request = Request(f"http://127.0.0.1:{self.port}{self.server.path}", data, {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=20) as reply:
                return int(reply.status)
        except HTTPError as error:
            return error.code

    def exposition(self) -> str:
        """Return what it exposes now."""
        with urlopen(f"http://{self.metrics}/metrics", timeout=10) as reply:
            return str(reply.read().decode())


@contextmanager
def running(server: Server, port: int, logs: Path) -> Iterator[Instance]:
    """Have one instance running that answers."""
    home = find_environment(f"presets/{server.lock}")
    command = [part.format(bin=home / "bin", port=port) for part in server.command]
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PATH": path}
    with (logs / f"{server.preset}-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=TOOLS / "presets" / server.lock,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        instance = Instance(server, port, process)
        wait_until(
            lambda: _answers(instance), f"{server.preset} answers (see {log.name})", within=timedelta(seconds=120)
        )
        yield instance
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(instance: Instance) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{instance.port}{instance.server.ready}", timeout=5) as reply:
            return bool(reply.status == 200)
    except (HTTPError, URLError, ConnectionError, TimeoutError):
        return False
