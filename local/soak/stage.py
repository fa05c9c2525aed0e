"""The parts that a soak runs on: control plane, a relay before it, metrics that follow a script, and the operator."""

import http.client
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from local.api import Api, Object
from local.ask import ask, is_ok, is_served
from local.build import find_definitions
from local.cluster import LocalCluster
from local.process import Process, wait_until
from local.soak.actor import LEAVES, ROLLOUTS
from local.soak.manifest import NAMESPACE
from local.soak.samples import Sample, read_sample
from local.targets import GATEWAY_API, TRAEFIK
from local.traefik import install_definitions

TOP = Path(__file__).parents[2]
SOURCE, OPERATOR = "10.244.100.1", "10.244.100.2"
_SOURCE_PORT, _OPERATOR_PORT, _RELAY_PORT = 9090, 8080, 16443


@dataclass
class Stage:
    """What runs."""

    cluster: LocalCluster
    source: Process
    relay: Process
    operator: Process
    _bad: set[str] = field(default_factory=set)

    @property
    def api(self) -> Api:
        """The API server, past the relay."""
        return self.cluster.api

    def check(self) -> None:
        """Raise ProcessFailed if a part has ended."""
        for process in (self.source, self.relay, self.operator):
            process.check()
        self.cluster.check()

    def set_bad(self, service: str, bad: bool) -> None:  # noqa: FBT001 - as actors call it
        """Have most requests of the version behind a Service fail, or none."""
        changed = self._bad | {service} if bad else self._bad - {service}
        if changed != self._bad:
            self._bad = changed
            ask(SOURCE, _SOURCE_PORT, "POST", "/-/script", {"bad": sorted(changed)})

    def cut(self) -> None:
        """Cut all connections between the operator and the API server."""
        os.kill(self.relay.pid, signal.SIGUSR1)

    def sample(self) -> Sample:
        """Return a look at the operator."""
        return read_sample(self.operator.pid, f"http://{OPERATOR}:{_OPERATOR_PORT}/metrics")

    def look(self) -> tuple[dict[str, Object], dict[str, Object]]:
        """Return all rollouts and all leaves by name."""
        rollouts, leaves = (self.api.call("GET", path)["items"] for path in (ROLLOUTS, LEAVES))
        return _by_name(rollouts), _by_name(leaves)

    def tracebacks(self) -> int:
        """Return how many tracebacks stand in the operator's log."""
        with self.operator.log.open(errors="replace") as log:
            return sum("Traceback (most recent call last)" in line for line in log)


@contextmanager
def set_up() -> Iterator[Stage]:
    """Yield a running stage; everything ends with the block."""
    definitions = [find_definitions(GATEWAY_API), find_definitions(TRAEFIK)]  # From here on there is no network.
    with LocalCluster() as cluster:
        install_definitions(cluster.api, definitions)
        for definition in sorted((TOP / "crds").glob("*.yaml")):
            cluster.apply(definition.read_text("utf-8"))
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        wait_until(
            lambda: all(is_served(cluster.api, path) for path in (ROLLOUTS, LEAVES)), "the definitions are served"
        )
        source = _start_source(cluster)
        relay, kubeconfig = _start_relay(cluster)
        operator = _start_operator(cluster, kubeconfig)
        wait_until(lambda: is_ok(OPERATOR, _OPERATOR_PORT, "/readyz"), "the operator is ready", process=operator)
        yield Stage(cluster, source, relay, operator)


def _start_source(cluster: LocalCluster) -> Process:
    argv = [sys.executable, "-m", "local.bench.source", f"--host={SOURCE}", f"--port={_SOURCE_PORT}"]
    source = cluster.spawn("metrics", argv, env={"PYTHONPATH": str(TOP)})
    wait_until(lambda: ask(SOURCE, _SOURCE_PORT, "GET", "/-/seen"), "the scripted metrics answer", process=source)
    return source


def _start_relay(cluster: LocalCluster) -> tuple[Process, Path]:
    """Return the relay, and a kubeconfig that goes through it.

    It listens on the API server's own address, so that the server's certificate holds for it.
    """
    server = urlsplit(cluster.server)
    through = f"{server.hostname}:{_RELAY_PORT}"
    argv = [sys.executable, "-m", "local.soak.relay", f"--listen={through}", f"--target={server.netloc}"]
    relay = cluster.spawn("relay", argv, env={"PYTHONPATH": str(TOP)})
    kubeconfig = cluster.kubeconfig.with_name("relayed.kubeconfig")
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(cluster.kubeconfig.read_text().replace(server.netloc, through))
    wait_until(lambda: _is_listening(str(server.hostname), _RELAY_PORT), "the relay listens", process=relay)
    return relay, kubeconfig


def _start_operator(cluster: LocalCluster, kubeconfig: Path) -> Process:
    sources = {"default": {"url": f"http://{SOURCE}:{_SOURCE_PORT}"}}
    argv = [sys.executable, "-m", "modelrollout", f"--kubeconfig={kubeconfig}", "--log-format=json"]
    environment = {
        "PYTHONPATH": str(TOP / "operator"),
        "MODELROLLOUT_METRICS_SOURCES": json.dumps(sources),
        "MODELROLLOUT_MIN_INTERVAL": "1s",
        "MODELROLLOUT_LISTEN": f"{OPERATOR}:{_OPERATOR_PORT}",
    }
    return cluster.spawn("operator", argv, env=environment)


def _by_name(items: list[Object]) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in items}


def _is_listening(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.connect()
    connection.close()
    return True
