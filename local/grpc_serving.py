"""gRPC model servers and calls to them, through a gateway that takes them."""

import sys
from datetime import timedelta
from pathlib import Path

from local.api import Api
from local.load import Load
from local.process import Processes, wait_until
from local.serving import PORT, ModelServer, service_objects

METHOD = "/fraud.v1.Scorer/Score"
_CONTROL_PORT = 8081
_ROOT = Path(__file__).parent.parent


class GrpcServer(ModelServer):
    """One version of a model that is called by gRPC: a process at an address of its own, and a Service."""

    control_port = _CONTROL_PORT

    def launch(self, processes: Processes, model: Path | None = None) -> None:
        """Start the process for the first time, wait until it answers, and create Service and endpoint."""
        del model
        argv = [sys.executable, "-m", "local.grpc_server", f"--version={self.version}", f"--host={self.address}"]
        self._process = processes.spawn(
            f"grpc-{self.namespace}-{self.service}",
            [*argv, f"--port={PORT}", f"--control-port={_CONTROL_PORT}"],
            environment={"PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"},
        )
        self._wait()
        self._api.apply(service_objects(self.namespace, self.service, self.address))


def new_grpc_server(processes: Processes, api: Api, namespace: str, service: str, address: str) -> GrpcServer:
    """Return a server of version `service` that answers."""
    server = GrpcServer(api, namespace, service, service, address)
    server.launch(processes)
    return server


def start_calls(
    processes: Processes, target: str, *, host: str, control: str, rate: float, calls: int, method: str = METHOD
) -> Load:
    """Return a load of so many calls that has begun, `rate` a second; the statuses that it sees are gRPC's."""
    argv = [sys.executable, "-m", "local.grpc_load", f"--target={target}", f"--host={host}", f"--method={method}"]
    process = processes.spawn(
        "calls",
        [*argv, f"--rate={rate}", f"--calls={calls}", f"--control={control}"],
        environment={"PYTHONPATH": str(_ROOT)},
    )
    load = Load(process, control)
    wait_until(load.snapshot, "the caller answers", within=timedelta(seconds=30), process=process)
    return load
