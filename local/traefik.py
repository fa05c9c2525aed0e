"""Traefik as the Gateway API's data plane, with its custom resources."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import yaml

from local.api import Api, ApiRefused, Object
from local.namespace import PREFIX
from local.process import Processes, wait_until

BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the duration histograms; a latency gate's threshold should be one of them."""

_ADDRESS = f"{PREFIX}.2.1"
PORT, METRICS_PORT = 8000, 9100
_NAME, _NAMESPACE = "traefik", "gateway"


class Traefik:
    """One gateway, Gateway `traefik` in the namespace `gateway`, that takes routes from every namespace."""

    url = f"http://{_ADDRESS}:{PORT}"
    metrics_address = f"{_ADDRESS}:{METRICS_PORT}"
    metrics_url = f"http://{metrics_address}/metrics"

    def __init__(self, processes: Processes, data: Path, api: Api) -> None:
        self._processes = processes
        self._data = data
        self._api = api
        self.parent_ref = {"name": _NAME, "namespace": _NAMESPACE}

    def start(self, program: Path, kubeconfig: Path, throttle: timedelta) -> None:
        """Start it; changes of routes are taken up at most once every `throttle`."""
        config = self._data / "traefik.yaml"
        config.write_text(yaml.safe_dump(configuration(throttle, _ADDRESS)))
        self._api.apply(GATEWAY_OBJECTS)
        environment = {"KUBECONFIG": str(kubeconfig)}
        self._process = self._processes.spawn("traefik", [program, f"--configfile={config}"], environment=environment)

    def wait(self) -> None:
        """Return once the Gateway is programmed, so that routes attached to it will be served."""
        gateway = self._api.path_of(GATEWAY_OBJECTS[-1])

        def is_programmed() -> bool:
            conditions = self._api.call("GET", gateway).get("status", {}).get("conditions", [])
            return any(one["type"] == "Programmed" and one["status"] == "True" for one in conditions)

        wait_until(is_programmed, "Traefik programs its Gateway", process=self._process)
        wait_until(lambda: urlopen(f"http://{self.metrics_address}/ping", timeout=2), "ping", process=self._process)


def install_definitions(api: Api, files: Sequence[Path]) -> None:
    """Create the custom resource definitions in `files` and wait until they are served."""
    definitions: list[Object] = [one for file in files for one in json.loads(file.read_text())]
    for one in definitions:
        api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", one)
    for one in definitions:
        wait_until(lambda one=one: is_served(api, one), f"{one['metadata']['name']} is served")  # type: ignore[misc]


def is_served(api: Api, definition: Object) -> bool:
    """Whether it is established and, which comes a moment later, all its versions are in discovery."""
    # Right after the creation there are no conditions, or null.
    conditions = api.call("GET", api.path_of(definition)).get("status", {}).get("conditions") or []
    if not any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
        return False
    spec = definition["spec"]
    versions = [version["name"] for version in spec["versions"] if version["served"]]
    return all(spec["names"]["plural"] in _discovered(api, f"/apis/{spec['group']}/{version}") for version in versions)


def _discovered(api: Api, path: str) -> set[str]:
    try:
        return {resource["name"] for resource in api.call("GET", path)["resources"]}
    except ApiRefused:
        return set()


def configuration(throttle: timedelta, address: str) -> Object:
    """Return the static configuration of a Traefik that listens on an address, or on every one when empty."""
    return {
        "entryPoints": {"web": {"address": f"{address}:{PORT}"}, "metrics": {"address": f"{address}:{METRICS_PORT}"}},
        "providers": {
            "providersThrottleDuration": f"{throttle / timedelta(milliseconds=1):.0f}ms",
            "kubernetesGateway": {"throttleDuration": "0s"},
            "kubernetesCRD": {"allowCrossNamespace": False, "throttleDuration": "0s"},
        },
        "metrics": {
            "prometheus": {
                "entryPoint": "metrics",
                "addRoutersLabels": True,
                "addServicesLabels": True,
                "buckets": list(BUCKETS_SECONDS),
            }
        },
        "ping": {"entryPoint": "metrics"},
        "log": {"level": "INFO"},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }


GATEWAY_OBJECTS: tuple[Object, ...] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}},
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "traefik"},
        "spec": {"controllerName": "traefik.io/gateway-controller"},
    },
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": _NAME, "namespace": _NAMESPACE},
        "spec": {
            "gatewayClassName": "traefik",
            # Traefik serves a listener on the entry point of the same port.
            "listeners": [
                {"name": "http", "protocol": "HTTP", "port": PORT, "allowedRoutes": {"namespaces": {"from": "All"}}}
            ],
        },
    },
)
