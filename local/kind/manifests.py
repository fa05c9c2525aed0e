"""What is applied to the cluster besides the operator's chart: gateway, metrics, models and their users. Pure."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from local.demo.manifest import HOST, NAMESPACE
from local.traefik import GATEWAY_OBJECTS, METRICS_PORT, PORT, configuration

Object = dict[str, Any]

TRAEFIK_IMAGE = "docker.io/library/traefik:v3.7.13"
PROMETHEUS_IMAGE = "docker.io/prom/prometheus:v3.15.0"
"""By tag: digests are the registry's to tell, and none was in reach where this was written."""
GATEWAY_NODE_PORT, PROMETHEUS_NODE_PORT = 30080, 30090
"""kind-config.yaml maps them to the host's."""
HOME = "modelrollout-system"
VERSIONS = ("v1", "v2", "v3", "v4")
PROMETHEUS = "http://prometheus.monitoring:9090"

_LOCAL = Path(__file__).parents[1]
_MODULES = ("http.py", "load_generator.py", "model_server.py")
"""What runs in the pods of models and users; they need nothing that the operator's image does not have."""
_NOBODY = 65532
_TOP_LEVEL = "/sources"


def namespaces() -> list[Object]:
    """Return the namespaces; each enforces the restricted pod security standard."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    names = (HOME, "gateway", "monitoring", NAMESPACE)
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}} for name in names]


def gateway(roles: list[Object]) -> list[Object]:
    """Return Traefik and its Gateway; `roles` are the ClusterRoles that it comes with."""
    where = {"name": "traefik", "namespace": "gateway"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where}
    subject = {"kind": "ServiceAccount", **where}
    bindings = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role["metadata"]["name"]},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role["metadata"]["name"],
            },
            "subjects": [subject],
        }
        for role in roles
    ]
    files = _files(
        "traefik", "gateway", {"traefik.yaml": yaml.safe_dump(configuration(timedelta(milliseconds=100), ""))}
    )
    pod = _pod(TRAEFIK_IMAGE, ["--configfile=/files/traefik.yaml"], {"web": PORT, "metrics": METRICS_PORT}, "/ping")
    pod["serviceAccountName"], pod["automountServiceAccountToken"] = "traefik", True
    deployment = _deployment("traefik", "gateway", _with_files(pod, "traefik", "/files"))
    ports = [_port("web", PORT, GATEWAY_NODE_PORT)]
    services = [
        _service("traefik", "gateway", ports, kind="NodePort"),
        _service("traefik", "gateway", [_port("metrics", METRICS_PORT)], name="metrics"),
    ]
    return [account, *roles, *bindings, files, deployment, *services, *GATEWAY_OBJECTS[1:]]


def prometheus() -> list[Object]:
    """Return a Prometheus that asks gateway and models once a second."""
    targets = [f"metrics.gateway:{METRICS_PORT}", *(f"fraud-{version}.{NAMESPACE}:8080" for version in VERSIONS)]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "demo", "static_configs": [{"targets": targets}]}],
    }
    arguments = ["--config.file=/files/prometheus.yaml", "--storage.tsdb.path=/tmp", "--storage.tsdb.retention.time=6h"]
    pod = _with_files(_pod(PROMETHEUS_IMAGE, arguments, {"http": 9090}, "/-/ready"), "prometheus", "/files")
    return [
        _files("prometheus", "monitoring", {"prometheus.yaml": yaml.safe_dump(config)}),
        _deployment("prometheus", "monitoring", pod),
        _service("prometheus", "monitoring", [_port("http", 9090, PROMETHEUS_NODE_PORT)], kind="NodePort"),
    ]


def models(image: str) -> list[Object]:
    """Return four versions of a model, each behind its Service, and users who ask for scores all the time.

    They run on the operator's image, which has Python and prometheus_client. The models answer at once; that the third
    fails is asked of it at run time.
    """
    sources = {name: (_LOCAL / name).read_text("utf-8") for name in _MODULES}
    objects: list[Object] = [_files("sources", NAMESPACE, {**sources, "__init__.py": "", "rows.json": "[null]"})]
    for version in VERSIONS:
        name = f"fraud-{version}"
        command = ["python", "-m", "local.model_server", f"--version={version}", "--host=0.0.0.0", "--port=8080"]
        pod = _python_pod(image, [*command, "--model=none"], {"http": 8080}, "/-/healthy")
        objects += [_deployment(name, NAMESPACE, pod), _service(name, NAMESPACE, [_port("http", 8080)])]
    command = [
        "python",
        "-m",
        "local.load_generator",
        f"--url=http://traefik.gateway:{PORT}/v1/score",
        f"--host={HOST}",
    ]
    options = ["--rate=50", "--seconds=86400", "--control=0.0.0.0", f"--rows={_TOP_LEVEL}/local/rows.json"]
    users = _python_pod(image, [*command, *options], {"control": 8090}, "/snapshot")
    return [*objects, _deployment("users", NAMESPACE, users), _service("users", NAMESPACE, [_port("control", 8090)])]


def operator_values(image: str) -> dict[str, Any]:
    """Return the chart's values: a demo's minute stands for a day."""
    repository, _, tag = image.rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag},
        "namespaces": [NAMESPACE],
        "metricsSources": {"default": {"url": PROMETHEUS, "timeout": "2s"}},
        "settings": {"minInterval": "1s", "statusRefresh": "1s"},
    }


def _python_pod(image: str, command: list[str], ports: Mapping[str, int], path: str) -> Object:
    pod = _pod(image, [], ports, path)
    container = pod["containers"][0]
    container["command"] = command
    container["env"] = [{"name": "PYTHONPATH", "value": _TOP_LEVEL}]
    return _with_files(pod, "sources", f"{_TOP_LEVEL}/local")


def _pod(image: str, arguments: list[str], ports: Mapping[str, int], path: str) -> Object:
    *_, port = ports  # the last one answers probes
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "runAsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "main",
                "image": image,
                **({"args": arguments} if arguments else {}),
                "ports": [{"name": name, "containerPort": number} for name, number in ports.items()],
                "readinessProbe": {"httpGet": {"path": path, "port": port}, "periodSeconds": 2},
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _with_files(pod: Object, config_map: str, place: str) -> Object:
    pod["volumes"].append({"name": "files", "configMap": {"name": config_map}})
    pod["containers"][0]["volumeMounts"].append({"name": "files", "mountPath": place, "readOnly": True})
    return pod


def _files(name: str, namespace: str, files: Mapping[str, str]) -> Object:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(files)}


def _deployment(name: str, namespace: str, pod: Object) -> Object:
    labels = {"app.kubernetes.io/name": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _service(
    app: str, namespace: str, ports: list[Object], *, name: str | None = None, kind: str = "ClusterIP"
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name or app, "namespace": namespace},
        "spec": {"type": kind, "selector": {"app.kubernetes.io/name": app}, "ports": ports},
    }


def _port(name: str, number: int, node_port: int | None = None) -> Object:
    return {"name": name, "port": number, "targetPort": name} | ({"nodePort": node_port} if node_port else {})


def as_text(objects: list[Object]) -> str:
    """Return objects as YAML that kubectl reads, without aliases."""
    return "---\n".join(yaml.safe_dump(json.loads(json.dumps(one)), sort_keys=False) for one in objects)
