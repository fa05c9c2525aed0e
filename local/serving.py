"""Model servers with a Service each, as if pods stood behind them."""

import http.client
import json
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.api import Api, Object
from local.process import Process, Processes, wait_until

PORT = 8080
_ROOT = Path(__file__).parent.parent
_ENVIRONMENT = {
    "PYTHONPATH": str(_ROOT),
    "PYTHONUNBUFFERED": "1",
    # One core each: more threads only wait for one another.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


class ModelServer:
    """One version of a model: a process at an address of its own, and a Service with one endpoint."""

    control_port = PORT

    def __init__(self, api: Api, namespace: str, service: str, version: str, address: str) -> None:
        self.namespace = namespace
        self.service = service
        self.version = version
        self.address = address
        self._api = api
        self._process: Process | None = None

    def launch(self, processes: Processes, model: Path | None) -> None:
        """Start the process for the first time, wait until it answers, and create Service and endpoint."""
        argv = [sys.executable, "-m", "local.model_server", f"--version={self.version}", f"--host={self.address}"]
        name = f"model-{self.namespace}-{self.service}"
        self._process = processes.spawn(
            name, [*argv, f"--port={PORT}", f"--model={model or 'none'}"], environment=_ENVIRONMENT
        )
        self._wait()
        self._api.apply(service_objects(self.namespace, self.service, self.address))

    @property
    def target(self) -> str:
        """Host and port, as Prometheus names it."""
        return f"{self.address}:{PORT}"

    @property
    def requests(self) -> Counter[str]:
        """How many requests arrived, copies included, by how they were answered: `ok` or `error` (500 and above)."""
        return Counter(self._control("GET", "/-/requests"))

    def behave(self, error_share: float = 0.0, delay: timedelta = timedelta()) -> None:
        """From now on answer `error_share` (a fraction) of requests with 500, and each one `delay` later."""
        self._control("POST", "/-/behave", {"error_share": error_share, "delay_seconds": delay.total_seconds()})

    def set_ready(self, is_ready: bool) -> None:  # noqa: FBT001
        """Make the endpoint ready or not, as a kubelet's probe would; the process goes on either way."""
        self._api.apply(endpoint_slice(self.namespace, self.service, self.address, is_ready=is_ready))

    def stop(self) -> None:
        """End the process: connections are refused, and the endpoint still says ready."""
        assert self._process
        self._process.stop()

    def start(self) -> None:
        """Start the process again at its address and wait until it answers."""
        assert self._process
        self._process.start()
        self._wait()

    def _wait(self) -> None:
        wait_until(
            lambda: self._control("GET", "/-/healthy"), f"model server {self.service} answers", process=self._process
        )

    def _control(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        connection = http.client.HTTPConnection(self.address, self.control_port, timeout=10)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def service_objects(namespace: str, service: str, address: str, port: int = PORT) -> list[Object]:
    """Return a Service without a selector and its one ready endpoint at `address`."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": service, "namespace": namespace},
            "spec": {"ports": [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]},
        },
        endpoint_slice(namespace, service, address, port=port),
    ]


def endpoint_slice(namespace: str, service: str, address: str, *, port: int = PORT, is_ready: bool = True) -> Object:
    """Return the EndpointSlice that makes `address` the one endpoint of a Service."""
    # `ready` is written out: Traefik takes a missing one for not ready. Addresses of 127.0.0.0/8 would be refused.
    conditions = {"ready": is_ready, "serving": is_ready, "terminating": False}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": conditions}],
    }
