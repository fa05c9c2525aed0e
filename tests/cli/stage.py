"""The command line as a test calls it, and rollouts with a status for it to read."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from modelrollout.cli.commands import modelrollout

from local.cluster import LocalCluster
from tests.api.manifests import good
from tests.support.chart import install_crds, render

SUBJECT = "alice"
_ANY = "any-namespace"


def call(*arguments: str | Path, input: str | None = None, env: dict[str, str] | None = None) -> Result:  # noqa: A002
    """Run the command line; `exit_code`, `stdout` and `stderr` are what came of it."""
    return CliRunner().invoke(modelrollout, [str(one) for one in arguments], input=input, env=env)


def said_by(result: Result, code: int = 0) -> str:
    """Return what was printed, if the command ended with this code; else fail with all it said."""
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


@dataclass(frozen=True)
class OnCall:
    """A person with the chart's on-call role in one namespace, and nothing else."""

    cluster: LocalCluster
    namespace: str
    kubeconfig: Path

    def call(self, *arguments: str, **more: Any) -> Result:
        return call(*arguments, "--kubeconfig", self.kubeconfig, "-n", self.namespace, **more)

    def create(self, name: str = "fraud", status: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """Have a rollout stored, with this status as if the operator had written it."""
        manifest = good(name, self.namespace)
        manifest["spec"] |= changes
        (stored,) = self.cluster.apply(manifest)
        return self.write_status(name, status) if status else stored

    def path(self, name: str) -> str:
        return f"/apis/modelrollout.dev/v1alpha1/namespaces/{self.namespace}/modelrollouts/{name}"

    def get(self, name: str = "fraud") -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.api.call("GET", self.path(name))
        return found

    def write_status(self, name: str, status: dict[str, Any]) -> dict[str, Any]:
        """Merge something into a status as the operator may."""
        changed: dict[str, Any] = self.cluster.api.call(
            "PATCH", f"{self.path(name)}/status", {"status": status}, content_type="application/merge-patch+json"
        )
        return changed


def on_call(cluster: LocalCluster, namespace: str) -> OnCall:
    """Return somebody who has the chart's on-call role in this namespace."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": SUBJECT, "namespace": namespace}}
    cluster.apply([account, *json.loads(_roles(cluster).replace(_ANY, namespace))])
    return OnCall(cluster, namespace, kubeconfig(cluster, namespace, SUBJECT))


@lru_cache(maxsize=1)
def _roles(cluster: LocalCluster) -> str:
    """Return what the chart grants in a namespace, as JSON; helm takes half a second, and there are many namespaces."""
    install_crds(cluster)
    subject = {"kind": "ServiceAccount", "name": SUBJECT, "namespace": _ANY}
    rendered = render(cluster, {"namespaces": [_ANY], "onCall": {"subjects": [subject]}}, _ANY, _ANY)
    return json.dumps([one for one in rendered if one["kind"] in {"ClusterRole", "RoleBinding"}])


def kubeconfig(cluster: LocalCluster, namespace: str, account: str) -> Path:
    return cluster.kubeconfig_for(cluster.token(namespace, account), f"{account}-{namespace}")


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-17T15:47:00Z",
    }


def canary_status(**changes: Any) -> dict[str, Any]:
    """Return a status as the operator writes it at the second weight of a canary."""
    time = "2026-11-17T15:47:00.000Z"
    version = {"digest": "0123456789abcdef", "service": {"name": "fraud-v2", "port": 8080}}
    return {
        "observedGeneration": 1,
        "phase": "Canary",
        "weight": "5%",
        "gates": "1/2",
        "conditions": [condition("Ready", "False", "Progressing", "gate latency: 120 of 300 requests")],
        "serving": {"version": "2026.10.4", **version, "since": time},
        "attempt": {
            "number": 3,
            "candidate": {"version": "2026.11.2", **version},
            "baseline": {"version": "2026.10.4", **version},
            "plan": "0123456789abcdef",
            "stage": "canary",
            "step": 1,
            "startedAt": time,
            "stageStartedAt": time,
            "stepStartedAt": time,
            "appliedAt": time,
            "target": {"candidate": 5, "mirror": 0, "since": time, "cause": "GatesPassed"},
        },
        "route": {"kind": "HTTPRoute", "name": "fraud", "candidate": 5, "mirror": 0, "since": time},
        **changes,
    }


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until it holds; for what another process or thread does."""
    from local.process import wait_until  # noqa: PLC0415  # its imports are heavy for tests without a cluster

    wait_until(lambda: bool(holds()), what)
