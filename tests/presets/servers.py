"""Real model servers, each in an environment of its own, that answer as the request says."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from local.paths import TOOLS
from local.process import ProcessFailed, wait_until
from local.python_tool import find_environment

_START = timedelta(seconds=120)


@dataclass(frozen=True)
class Server:
    """How a server is started, asked and scraped.

    In its command and environment stand `{bin}`, `{home}` (a copy of its folder, where it runs), `{port}`, and
    `{grpc}` and `{metrics}`, the two ports after it.
    """

    preset: str
    command: tuple[str, ...]
    path: str
    probe: str
    """What a kubelet would ask for: it is no request of the model's."""
    keeps: tuple[str, ...]
    """What of its exposition is kept: the names begin so."""
    ready: str = ""
    """A series that is exposed once the model is loaded, where the probe says so too early."""
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics_port: int = 0
    """How far its metrics are from its port."""

    def body(self, delay: float, fail: int) -> dict[str, Any]:
        """Return a request that takes so long, and fails or not."""
        match self.preset:
            case "kserve":
                return {"instances": [[delay, fail]]}
            case "mlserver":
                return {"inputs": [{"name": "row", "shape": [1, 2], "datatype": "FP64", "data": [delay, fail]}]}
            case _:
                return {"delay": delay, "fail": fail}


# MLServer's and BentoML's counts lie in files, so each instance has a home: those that share one count wrong.
SERVERS = (
    Server("fastapi", ("{bin}/python", "server.py", "{port}"), "/score", "/healthz", keeps=("http_",)),
    Server("kserve", ("{bin}/python", "server.py", "--http_port", "{port}", "--enable_grpc", "false"),
           "/v1/models/fraud:predict", "/v2/models/fraud/ready", keeps=("request_",)),
    Server("mlserver", ("{bin}/mlserver", "start", "."), "/v2/models/fraud/infer", "/v2/models/fraud/ready",
           keeps=("model_infer_", "rest_server_", "parallel_"), metrics_port=2,
           environment={"MLSERVER_HTTP_PORT": "{port}", "MLSERVER_GRPC_PORT": "{grpc}",
                        "MLSERVER_METRICS_PORT": "{metrics}"}),
    Server("bentoml", ("{bin}/bentoml", "serve", "server:Fraud", "--host", "127.0.0.1", "--port", "{port}"),
           "/predict", "/readyz", keeps=("bentoml_service_request_",),
           environment={"BENTOML_HOME": "{home}", "BENTOML_DO_NOT_TRACK": "True"}),
    Server("ray-serve", ("{bin}/python", "server.py", "{port}", "{metrics}", "{home}"), "/score", "/-/healthz",
           keeps=("ray_serve_num_http_", "ray_serve_num_deployment_http_", "ray_serve_http_", "ray_serve_deployment_request_",
                  "ray_serve_deployment_error_", "ray_serve_deployment_queued_"), metrics_port=2,
           ready="ray_serve_replica_initialization_latency_ms_count",
           environment={"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}),
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

    def probe(self) -> int:
        """Return the status that a kubelet would see."""
        with urlopen(f"http://127.0.0.1:{self.port}{self.server.probe}", timeout=5) as reply:
            return int(reply.status)

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
def running(server: Server, port: int, scratch: Path, tick: Callable[[], None]) -> Iterator[Instance]:
    """Have one instance running that answers; its log is in `scratch`. `tick` is called while it starts."""
    binaries = find_environment(f"presets/{server.preset}") / "bin"
    # Not in `scratch`: a path of Ray's sockets may have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="preset-", ignore_cleanup_errors=True) as home:
        shutil.copytree(TOOLS / "presets" / server.preset, home, dirs_exist_ok=True)
        values = {"bin": binaries, "home": home, "port": port, "grpc": port + 1, "metrics": port + 2}
        log = scratch / f"{server.preset}-{port}.log"
        process = _start(server, values, log)
        try:
            instance = Instance(server, port, process)
            wait_until(lambda: _answers(instance, log, tick), f"{server.preset} answers (see {log})", within=_START)
            yield instance
        finally:
            _stop(process)


def _start(server: Server, values: Mapping[str, object], log: Path) -> subprocess.Popen[bytes]:
    own = {key: value.format(**values) for key, value in server.environment.items()}
    path = {"PATH": f"{values['bin']}:{os.environ['PATH']}"}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | path | own
    command = [part.format(**values) for part in server.command]
    with log.open("wb") as out:
        return subprocess.Popen(
            command, cwd=str(values["home"]), env=environment, stdout=out, stderr=out, start_new_session=True
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(instance: Instance, log: Path, tick: Callable[[], None]) -> bool:
    tick()
    if instance.process.poll() is not None:
        raise ProcessFailed(f"{instance.server.preset} ended with {instance.process.returncode}: see {log}")
    try:
        return instance.probe() == 200 and instance.server.ready in instance.exposition()
    except (HTTPError, URLError, ConnectionError, TimeoutError):
        return False
