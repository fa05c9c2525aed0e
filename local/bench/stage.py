"""The parts that a bench runs on: control plane, metrics that follow a script, and the operator."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from local.ask import ask, is_ok, is_served
from local.bench.fleet import NAMESPACE, Fleet, Standing, gives_candidate, standing_of
from local.bench.meters import Reading, read_operator
from local.bench.watch import Watch
from local.build import find_definitions
from local.cluster import LocalCluster
from local.process import Process, wait_until
from local.targets import GATEWAY_API, TRAEFIK
from local.traefik import install_definitions

TOP = Path(__file__).parents[2]
SOURCE, OPERATOR = "10.244.100.1", "10.244.100.2"
_SOURCE_PORT, _OPERATOR_PORT = 9090, 8080
_PATHS = (
    f"/apis/traefik.io/v1alpha1/namespaces/{NAMESPACE}/traefikservices",
    f"/apis/modelrollout.dev/v1alpha1/namespaces/{NAMESPACE}/modelrollouts",
)


@dataclass(frozen=True)
class Stage:
    """What runs."""

    cluster: LocalCluster
    source: Process
    operator: Process

    def check(self) -> None:
        """Raise ProcessFailed if a part has ended."""
        self.cluster.check()
        self.source.check()
        self.operator.check()

    def script(self, *, bad: Sequence[str] = (), hangs: bool = False) -> None:
        """Have the metrics answer so from now on, and forget what they have seen."""
        ask(SOURCE, _SOURCE_PORT, "POST", "/-/script", {"bad": list(bad), "hangs": hangs})

    def seen(self) -> dict[str, Any]:
        """Return what the metrics have seen since the last `script`."""
        answer: dict[str, Any] = json.loads(ask(SOURCE, _SOURCE_PORT, "GET", "/-/seen"))
        return answer

    def wait_ready(self) -> None:
        """Wait until the operator says that it is ready."""
        wait_until(lambda: is_ok(OPERATOR, _OPERATOR_PORT, "/readyz"), "the operator is ready", process=self.operator)

    def start_source_again(self) -> None:
        """Have the metrics answer again after they were ended."""
        self.source.start()
        wait_until(
            lambda: ask(SOURCE, _SOURCE_PORT, "GET", "/-/seen"), "the scripted metrics answer", process=self.source
        )

    def read_operator(self) -> Reading:
        """Return a reading of the operator."""
        return read_operator(self.operator.pid, f"http://{OPERATOR}:{_OPERATOR_PORT}/metrics")


@contextmanager
def set_up(gates: int, interval: timedelta) -> Iterator[tuple[Stage, Fleet]]:
    """Yield a running stage and an empty fleet on it, for rollouts with so many gates and this interval."""
    definitions = [find_definitions(GATEWAY_API), find_definitions(TRAEFIK)]  # From here on there is no network.
    with LocalCluster() as cluster:
        install_definitions(cluster.api, definitions)
        for definition in sorted((TOP / "crds").glob("*.yaml")):
            cluster.apply(definition.read_text("utf-8"))
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        wait_until(lambda: all(is_served(cluster.api, path) for path in _PATHS), "the definitions are served")
        stage = Stage(cluster, _start_source(cluster), _start_operator(cluster))
        stage.wait_ready()
        token = yaml.safe_load(cluster.kubeconfig.read_text())["users"][0]["user"]["token"]
        at = (cluster.server, cluster.ca_file, token)
        leaves: Watch[bool] = Watch(*at, _PATHS[0], gives_candidate)
        rollouts: Watch[Standing] = Watch(*at, _PATHS[1], standing_of)
        with leaves, rollouts:
            yield stage, Fleet(cluster.api, leaves=leaves, rollouts=rollouts, gates=gates, interval=interval)


def _start_source(cluster: LocalCluster) -> Process:
    argv = [sys.executable, "-m", "local.bench.source", f"--host={SOURCE}", f"--port={_SOURCE_PORT}"]
    source = cluster.spawn("metrics", argv, env={"PYTHONPATH": str(TOP)})
    wait_until(lambda: ask(SOURCE, _SOURCE_PORT, "GET", "/-/seen"), "the scripted metrics answer", process=source)
    return source


def _start_operator(cluster: LocalCluster) -> Process:
    sources = {"default": {"url": f"http://{SOURCE}:{_SOURCE_PORT}"}}
    argv = [sys.executable, "-m", "modelrollout", f"--kubeconfig={cluster.kubeconfig}", "--log-format=json"]
    environment = {
        "PYTHONPATH": str(TOP / "operator"),
        "MODELROLLOUT_METRICS_SOURCES": json.dumps(sources),
        "MODELROLLOUT_LISTEN": f"{OPERATOR}:{_OPERATOR_PORT}",
    }
    return cluster.spawn("operator", argv, env=environment)
