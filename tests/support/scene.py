"""One rollout on the real parts, told from the outside: what people apply, ask for and see."""

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from local.api import ApiRefused
from local.cluster import LocalCluster
from local.load import Load
from local.process import Process, wait_until
from local.serving import ModelServer
from tests.support.people import People, Person

TOP = Path(__file__).parents[2]
GROUP = "modelrollout.dev/v1alpha1"
HOST = "fraud.{namespace}.local"
QUICK = {"interval": "1s", "warmup": "1s", "ingestDelay": "1s", "minRequests": 20, "freshness": "10s"}
ERRORS = {"name": "errors", "errorRate": {"max": "10%"}}
STAGES = [
    {"name": "shadow", "shadow": {"percent": 100}, "minDuration": "2s"},
    {"name": "canary", "canary": {"weights": [20, 50]}, "minDuration": "2s"},
    {"name": "full", "full": {}, "minDuration": "2s"},
]
PATIENCE = timedelta(seconds=60)


@dataclass
class Scene:
    """A namespace with models, a route, an operator under the chart's RBAC, and one rollout named fraud."""

    cluster: LocalCluster
    namespace: str
    source_url: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    """More of the metrics source's settings."""
    models: dict[str, ModelServer] = field(default_factory=dict)
    loads: list[Load] = field(default_factory=list)
    operator: Process = field(init=False)
    people: People = field(init=False)
    _backup: Person = field(init=False)
    seen: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return HOST.format(namespace=self.namespace)

    def serve(self, *versions: str) -> None:
        """Have models of these versions answer, each behind Service fraud-VERSION."""
        for version in versions:
            service = f"fraud-{version}"
            self.models[version] = self.cluster.model(self.namespace, service, version=version)

    def start_operator(self, *arguments: str, binds_names: bool = True) -> None:
        """Start the operator under the rights and policies that the chart renders for this namespace.

        Without `binds_names` as on a cluster that has no such policies; those of an earlier start are taken away.
        """
        backup = f"system:serviceaccount:{self.namespace}:backup"
        admission = {"exempt": [backup]} if binds_names else {"validating": False, "mutating": False}
        self.people = People(self.cluster, self.namespace, admission=admission)
        if not binds_names:
            self.people.wait_until_unbound("fraud")
        self._backup = self.people.new("backup", "oncall")
        url = self.source_url or self.cluster.prometheus.url
        environment = {
            "PYTHONPATH": str(TOP / "operator"),
            "MODELROLLOUT_NAMESPACES": json.dumps([self.namespace]),
            "MODELROLLOUT_METRICS_SOURCES": json.dumps({"default": {"url": url, "timeout": "2s", **self.source}}),
            "MODELROLLOUT_MIN_INTERVAL": "1s",
            "MODELROLLOUT_STATUS_REFRESH": "1s",
            "MODELROLLOUT_RAW_QUERIES": "true",
            "MODELROLLOUT_LISTEN": f"{self._address}:8080",
            "MODELROLLOUT_ADMISSION_POLICY": f"{self.people.release}-commands" if binds_names else "",
        }
        argv = [sys.executable, "-m", "modelrollout", f"--kubeconfig={self.people.operator.kubeconfig}", *arguments]
        self.operator = self.cluster.spawn(f"operator-{self.namespace}", argv, env=environment)

    @property
    def _address(self) -> str:
        number = int(self.namespace.rpartition("-")[2])
        return f"10.244.{110 + number // 250}.{number % 250 + 1}"

    def metric(self, path: str = "/metrics") -> str:
        """Return what the operator answers at its own address."""
        with urllib.request.urlopen(f"http://{self._address}:8080{path}", timeout=5) as answer:
            text: str = answer.read().decode()
        return text

    def route_by_leaf(self) -> dict[str, Any]:
        """Create the user's HTTPRoute with its one constant backend; return spec.traffic for it."""
        leaf = {"group": "traefik.io", "kind": "TraefikService", "name": "fraud"}
        self.cluster.apply(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": "users", "namespace": self.namespace},
                "spec": {
                    "parentRefs": [self.cluster.traefik.parent_ref],
                    "hostnames": [self.host],
                    "rules": [{"backendRefs": [leaf]}],
                },
            }
        )
        return {"traefikService": {"name": "fraud"}}

    def route_owned(self) -> dict[str, Any]:
        """Return spec.traffic for an HTTPRoute that the operator owns."""
        return {"httpRoute": {"parentRefs": [self.cluster.traefik.parent_ref], "hostnames": [self.host]}}

    def rollout(self, candidate: str = "v2", **changes: Any) -> dict[str, Any]:
        """Return a manifest: v1 serves, `candidate` should, quickly."""
        return {
            "apiVersion": GROUP,
            "kind": "ModelRollout",
            "metadata": {"name": "fraud", "namespace": self.namespace},
            "spec": {
                "owner": {"team": "risk-ml", "runbookURL": "https://runbooks.example/fraud"},
                "baseline": version("v1"),
                "candidate": version(candidate),
                "metrics": {"preset": "traefik"},
                "stages": STAGES,
                "gates": [ERRORS],
                "analysis": QUICK,
                **changes,
            },
        }

    def apply(self, manifest: dict[str, Any]) -> None:
        self.cluster.apply(manifest)

    def load(self, requests_per_second: float = 80) -> Load:
        """Start a steady load, once the gateway answers for the rollout."""
        self.until("routed", lambda status: "route" in status)
        wait_until(self.is_served, "the gateway to answer")
        load = self.cluster.load(self.host, "/v1/score", requests_per_second=requests_per_second)
        self.loads.append(load)
        return load

    def end(self) -> None:
        """End what was started for this scene; the cluster goes on."""
        self.operator.kill()
        for load in self.loads:
            load.process.stop()
        for model in self.models.values():
            model.stop()

    def is_served(self) -> bool:
        """Return whether a version of ours answers at the gateway."""
        return set(self.cluster.send(self.host)) <= set(self.models)

    @property
    def path(self) -> str:
        return f"/apis/{GROUP}/namespaces/{self.namespace}/modelrollouts/fraud"

    def get(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.api.call("GET", self.path)
        return found

    def delete(self) -> None:
        """Delete the rollout, as `kubectl delete` does."""
        self.cluster.api.call("DELETE", self.path)

    def is_listed(self) -> bool:
        """Return whether the operator has listed everything since its start."""
        try:
            return self.metric("/readyz") != ""
        except OSError:  # Not there yet, or it says what is missing.
            return False

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.get().get("status", {})
        return status

    def ask(self, **messages: dict[str, Any]) -> float:
        """Put messages into the inbox, as `kubectl patch --subresource=status` does; return the Unix time."""
        self.write_status({"control": messages})
        return time.time()

    def write_status(self, status: dict[str, Any]) -> None:
        """Merge something into status as a person may: with the policies, commands and `phase: RollingBack`."""
        self.patch(f"{self.path}/status", {"status": status})

    def forge_status(self, status: dict[str, Any], name: str = "fraud") -> None:
        """Merge something into status that no person may write: as a backup that brings an old one back may."""
        self._backup.write(status, name)

    def patch(self, path: str, body: dict[str, Any]) -> None:
        """Merge a body into an object, as the administrator.

        For seconds after its CRD came, the API server cannot fill names in and answers 503: then once more.
        """
        end = time.monotonic() + PATIENCE.total_seconds()
        while True:
            try:
                self.cluster.api.call("PATCH", path, body, content_type="application/merge-patch+json")
            except ApiRefused as error:
                if error.status != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return

    def until(self, what: str, holds: Callable[[dict[str, Any]], bool], within: timedelta = PATIENCE) -> dict[str, Any]:
        """Return status once `holds` says so of it, noting every step on the way; fail with the last one."""
        end = time.monotonic() + within.total_seconds()
        while True:
            status = self.status()
            self._note(status)
            if holds(status):
                return status
            if time.monotonic() > end:
                told = json.dumps(status, indent=1)[-3000:]
                raise AssertionError(f"not {what} in {within}: {told}\n{self.operator.last_lines()}")
            time.sleep(0.05)

    def until_phase(self, phase: str, within: timedelta = PATIENCE) -> dict[str, Any]:
        return self.until(f"in phase {phase}", lambda status: status.get("phase") == phase, within)

    def until_step(self, stage: str, step: int = 0) -> dict[str, Any]:
        """Return status once the shares of a step are applied."""

        def reached(status: dict[str, Any]) -> bool:
            attempt = status.get("attempt", {})
            return (attempt.get("stage"), attempt.get("step")) == (stage, step) and "appliedAt" in attempt

        return self.until(f"at {stage} {step}", reached)

    def until_condition(self, kind: str, status: str, reason: str | None = None) -> dict[str, Any]:
        def stands(found: dict[str, Any]) -> bool:
            state = condition(found, kind)
            return state[0] == status and reason in {None, state[1]}

        return self.until(f"{kind}={status} {reason}", stands)

    def _note(self, status: dict[str, Any]) -> None:
        attempt = status.get("attempt")
        if attempt:
            step = (attempt["candidate"]["version"], attempt["stage"], attempt["step"])
            if not self.seen or self.seen[-1] != step:
                self.seen.append(step)

    def leaf(self) -> dict[str, Any]:
        path = f"/apis/traefik.io/v1alpha1/namespaces/{self.namespace}/traefikservices/fraud"
        found: dict[str, Any] = self.cluster.api.call("GET", path)
        return found

    def events(self) -> list[tuple[str, str]]:
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        items = self.cluster.api.call("GET", path)["items"]
        return [(item["reason"], item["note"]) for item in sorted(items, key=lambda item: item["eventTime"])]


def version(name: str) -> dict[str, Any]:
    return {"version": name, "service": {"name": f"fraud-{name}", "port": 8080}}


def condition(status: dict[str, Any], kind: str) -> tuple[str, str, str]:
    """Return status, reason and message of a condition; empty where it is absent."""
    for found in status.get("conditions", []):
        if found["type"] == kind:
            return found["status"], found["reason"], found["message"]
    return "", "", ""
