"""The operator as its chart installs it: its CRDs, its rights and its settings, the process beside the cluster."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml

from local.cluster import LocalCluster
from local.demo.manifest import NAMESPACE
from local.pods import environment_of
from local.process import Process, wait_until

_TOP = Path(__file__).parents[2]
_CHART = _TOP / "charts" / "modelrollout"
_HOME = "modelrollout-system"
_ON_CALL = "ada"
_ADDRESS = "10.244.100.1:8080"
_DAY_SECONDS = 86_400  # longer than anybody looks around with --keep


@dataclass(frozen=True)
class Installed:
    """A running operator, and the credentials of somebody on call."""

    process: Process
    url: str
    """Where it serves /healthz and /metrics."""
    on_call: Path
    """A kubeconfig of a person who has the chart's on-call role and no other."""


def install(cluster: LocalCluster) -> Installed:
    """Return the operator, ready, with no more rights than the chart gives it.

    Raises:
        CommandFailed: helm refuses the chart or the values.
        ProcessFailed: the operator does not become ready.
    """
    person = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _ON_CALL, "namespace": NAMESPACE}}
    cluster.apply([_namespace(_HOME), _namespace(NAMESPACE), person])
    objects = _render(cluster)
    deployment = next(one for one in objects if one["kind"] == "Deployment")
    definitions = [one for one in objects if one["kind"] == "CustomResourceDefinition"]
    cluster.apply(definitions)
    # There is no kubelet here: what the Deployment would run is started below.
    cluster.apply([one for one in objects if one not in definitions and one is not deployment])
    names = [f"crd/{one['metadata']['name']}" for one in definitions]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    process = _start(cluster, deployment["spec"]["template"]["spec"], objects)
    url = f"http://{_ADDRESS}"
    wait_until(lambda: urlopen(f"{url}/readyz", timeout=2), "the operator is ready", process=process)
    token = cluster.token(NAMESPACE, _ON_CALL, _DAY_SECONDS)
    return Installed(process, url, cluster.kubeconfig_for(token, _ON_CALL))


def _render(cluster: LocalCluster) -> list[dict[str, Any]]:
    values = {
        "namespaces": [NAMESPACE],
        "metricsSources": {"default": {"url": cluster.prometheus.url, "timeout": "2s"}},
        # Far quicker than the defaults: a demo's minute stands for a day.
        "settings": {"minInterval": "1s", "statusRefresh": "1s"},
        "onCall": {"subjects": [{"kind": "ServiceAccount", "name": _ON_CALL, "namespace": NAMESPACE}]},
    }
    file = cluster.logs / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    # A helm that was built from its Go module knows no version of Kubernetes by itself.
    version = cluster.api.call("GET", "/version")["gitVersion"]
    text = cluster.helm(
        "template", "modelrollout", str(_CHART), f"--namespace={_HOME}", f"--values={file}", "--include-crds",
        f"--kube-version={version}",
    )  # fmt: skip
    return [document for document in yaml.safe_load_all(text) if document]


def _start(cluster: LocalCluster, pod: dict[str, Any], objects: list[dict[str, Any]]) -> Process:
    kubeconfig = cluster.kubeconfig_for(cluster.token(_HOME, pod["serviceAccountName"], _DAY_SECONDS), "operator")
    container = pod["containers"][0]
    environment = environment_of(pod, objects, cluster.logs / "operator-files") | {
        "PYTHONPATH": str(_TOP / "operator"),
        "MODELROLLOUT_LISTEN": _ADDRESS,
    }
    argv = [sys.executable, "-m", "modelrollout", f"--kubeconfig={kubeconfig}", *container.get("args", [])]
    return cluster.spawn("operator", argv, env=environment)


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
