"""Envoy Gateway as the Gateway API's data plane, the only one here that mirrors a percentage of an HTTPRoute.

It runs as it does in a cluster and writes a Deployment for its proxy, which `local` then starts in a kubelet's stead.
"""

import base64
import sys
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import yaml

from local import chrooted
from local.api import Api, Object
from local.attach import available, envoy_arguments
from local.namespace import PREFIX
from local.process import Processes, ProcessFailed, wait_until

_ADDRESS = f"{PREFIX}.2.3"
_PORT = 8030
_STATS_PORT, _READY_PORT = 19001, 19003
_NAME, _NAMESPACE, _SYSTEM = "envoy", "gateway", "envoy-gateway-system"
_CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"


class EnvoyGateway:
    """One gateway, Gateway `envoy` in the namespace `gateway`, that takes routes from every namespace.

    Not beside a kube-controller-manager, which would take the proxy's Deployment for one without pods.
    """

    url = f"http://{_ADDRESS}:{_PORT}"
    metrics_address = f"{_ADDRESS}:{_STATS_PORT}"
    metrics_path = "/stats/prometheus"
    metrics_url = f"http://{metrics_address}{metrics_path}"

    def __init__(self, processes: Processes, data: Path, api: Api) -> None:
        self._processes = processes
        self._data = data / "envoy-gateway"
        self._api = api
        self.parent_ref = {"name": _NAME, "namespace": _NAMESPACE}

    def start(self, program: Path, kubeconfig: Path) -> None:
        """Start the control plane; its custom resource definitions have to be served already."""
        self._api.apply(_OBJECTS)
        # It reads its certificates from /certs and writes below /var/lib, whatever its configuration says.
        root = self._data / "root"
        (root / "tmp").mkdir(parents=True)
        (root / "kubeconfig").write_text(kubeconfig.read_text())
        (root / "config.yaml").write_text(yaml.safe_dump(_CONFIGURATION))
        self._make_certificates(program, kubeconfig)
        self._write_secret("envoy-gateway", root / "certs")
        self._write_secret("envoy", self._data / "certs")
        self._process = self._processes.spawn("envoy-gateway", [
            sys.executable, "-I", "-S", chrooted.__file__, root,
            program, "server", "--config-path=/config.yaml",
        ], environment={"KUBECONFIG": "/kubeconfig", "HOME": "/", "TMPDIR": "/tmp"})  # fmt: skip

    def attach(self, envoy: Path) -> None:
        """Start the proxy that the control plane asks for, and return once routes attached to the Gateway are served."""
        deployment = self._wait_for_deployment()
        name = deployment["metadata"]["name"]
        config_map = self._api.call("GET", f"/api/v1/namespaces/{_SYSTEM}/configmaps/{name}")
        arguments = envoy_arguments(
            deployment,
            config_map["data"],
            control_plane="127.0.0.1",
            certificates=self._data / "certs",
            sds=self._data / "sds",
        )
        process = self._processes.spawn("envoy", [envoy, *arguments])
        ready = f"http://{_ADDRESS}:{_READY_PORT}/ready"
        wait_until(lambda: urlopen(ready, timeout=2), "Envoy has its configuration", process=process)
        self._api.call(
            "PATCH",
            f"{_DEPLOYMENTS}/{name}/status",
            available(deployment),
            content_type="application/merge-patch+json",
        )
        wait_until(self._is_programmed, "Envoy Gateway programs its Gateway", process=self._process)

    def _make_certificates(self, program: Path, kubeconfig: Path) -> None:
        """Have the Secrets made with which control plane and proxy know each other."""
        process = self._processes.spawn(
            "envoy-gateway-certgen",
            [program, "certgen", "--disable-topology-injector"],
            environment={"KUBECONFIG": str(kubeconfig)},
            is_watched=False,
        )
        wait_until(lambda: not process.running, "the certificates are made", within=timedelta(seconds=60))
        if process.exit_code:
            raise ProcessFailed(process.describe(f"ended with exit code {process.exit_code}"))

    def _write_secret(self, name: str, directory: Path) -> None:
        directory.mkdir(parents=True)
        secret = self._api.call("GET", f"/api/v1/namespaces/{_SYSTEM}/secrets/{name}")
        for key, value in secret["data"].items():
            file = directory / key
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(value))

    def _wait_for_deployment(self) -> Object:
        found: list[Object] = []
        labels = f"gateway.envoyproxy.io/owning-gateway-name={_NAME}"

        def is_written() -> bool:
            found[:] = self._api.call("GET", f"{_DEPLOYMENTS}?labelSelector={labels}")["items"]
            return bool(found)

        wait_until(is_written, "Envoy Gateway asks for its proxy", process=self._process)
        return found[0]

    def _is_programmed(self) -> bool:
        gateway = self._api.call("GET", self._api.path_of(_OBJECTS[-1]))
        conditions = gateway.get("status", {}).get("conditions", [])
        return any(one["type"] == "Programmed" and one["status"] == "True" for one in conditions)


_DEPLOYMENTS = f"/apis/apps/v1/namespaces/{_SYSTEM}/deployments"
_CONFIGURATION: Object = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "EnvoyGateway",
    "gateway": {"controllerName": _CONTROLLER},
    "provider": {
        "type": "Kubernetes",
        # The injector would tell Envoy its zone; with it, and no pod, Envoy waits 15 s for a cluster that never comes.
        "kubernetes": {"leaderElection": {"disable": True}, "proxyTopologyInjector": {"disabled": True}},
    },
    "logging": {"level": {"default": "info"}},
    # Its default, 19000, is Envoy's own.
    "admin": {"address": {"host": "127.0.0.1", "port": 19100}},
    "telemetry": {"metrics": {"prometheus": {"disable": True}}},
}
_OBJECTS: tuple[Object, ...] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _SYSTEM}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}},
    {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": _NAME, "namespace": _SYSTEM},
        "spec": {
            "concurrency": 1,
            "provider": {"type": "Kubernetes", "kubernetes": {"envoyService": {"type": "ClusterIP"}}},
            "logging": {"level": {"default": "warn"}},
            # One line for each request that went wrong, instead of one for each.
            "telemetry": {
                "accessLog": {
                    "settings": [
                        {
                            "matches": ["response.code >= 400"],
                            "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}],
                        }
                    ]
                }
            },
        },
    },
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": _NAME},
        "spec": {
            "controllerName": _CONTROLLER,
            "parametersRef": {
                "group": "gateway.envoyproxy.io",
                "kind": "EnvoyProxy",
                "name": _NAME,
                "namespace": _SYSTEM,
            },
        },
    },
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": _NAME, "namespace": _NAMESPACE},
        "spec": {
            "gatewayClassName": _NAME,
            "listeners": [
                {"name": "http", "protocol": "HTTP", "port": _PORT, "allowedRoutes": {"namespaces": {"from": "All"}}}
            ],
        },
    },
)
