"""Many rollouts in mid-canary, each with Services and a Traefik leaf of its own, and what people ask of them."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from local.api import Api, Object
from local.bench.watch import Watch
from local.serving import service_objects

NAMESPACE = "bench"
BACKEND = "10.244.100.3"
"""Where every endpoint points; nobody listens there, because no request is sent."""
INTERVAL = timedelta(seconds=10)
PATIENCE = timedelta(seconds=60)
_GROUP = "modelrollout.dev/v1alpha1"
_ROLLOUTS = f"/apis/{_GROUP}/namespaces/{NAMESPACE}/modelrollouts"


@dataclass(frozen=True)
class Standing:
    """Where a rollout stands."""

    phase: str
    is_judged: bool
    """Whether the shares of its step are on the route and its gates have been looked at."""


def standing_of(rollout: Object) -> Standing:
    """Return where a rollout stands, by its status."""
    status = rollout.get("status", {})
    attempt = status.get("attempt") or {}
    return Standing(status.get("phase", ""), "appliedAt" in attempt and bool(attempt.get("gates")))


def gives_candidate(leaf: Object) -> bool:
    """Whether a TraefikService gives the candidate any request."""
    services = (leaf["spec"].get("weighted") or {}).get("services", ())
    return any(service["name"] == candidate_of(leaf["metadata"]["name"]) and service["weight"] for service in services)


def candidate_of(rollout: str) -> str:
    """Return the name of the Service behind which a rollout's candidate runs."""
    return f"{rollout}v2"


class Asked(NamedTuple):
    """When a message's request was sent, and when the API server had stored it; monotonic seconds."""

    sent: float
    answered: float


class Fleet:
    """Rollouts in progress. Every wait raises NothingSeen after a minute."""

    def __init__(self, api: Api, *, leaves: Watch[bool], rollouts: Watch[Standing]) -> None:
        self._api = api
        self._leaves = leaves
        self._rollouts = rollouts
        self.names: list[str] = []

    def add(self) -> str:
        """Create one more rollout with its Services; return its name. `settle` waits for it."""
        name = f"r{len(self.names):04}"
        for service in (f"{name}v1", candidate_of(name)):
            backend, endpoints = service_objects(NAMESPACE, service, BACKEND)
            self._api.call("POST", f"/api/v1/namespaces/{NAMESPACE}/services", backend)
            self._api.call("POST", f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices", endpoints)
        self._api.call("POST", _ROLLOUTS, manifest(name))
        self.names.append(name)
        return name

    def settle(self, name: str, *, after: float) -> None:
        """Wait until the rollout is at its step, the route written and the gates looked at: nothing is under way."""
        self._rollouts.arrival(name, lambda s: s.phase == "Canary" and s.is_judged, after=after, within=PATIENCE)

    def ask(self, name: str, command: str, reason: str) -> Asked:
        """Put a message into the inbox, as `kubectl patch` does."""
        sent = time.monotonic()
        body = {"status": {"control": {command: {"reason": reason}}}}
        self._api.call("PATCH", f"{_ROLLOUTS}/{name}/status", body, content_type="application/merge-patch+json")
        return Asked(sent, time.monotonic())

    def time_back(self, name: str, *, after: float) -> float:
        """Return when it was seen that the baseline has all requests again, in monotonic seconds."""
        return self._leaves.arrival(name, lambda gives: not gives, after=after, within=PATIENCE)

    def start_again(self, name: str, *, after: float) -> None:
        """Once the rollback that began `after` is over, bring the rollout back to where it was."""
        self._rollouts.arrival(name, lambda s: s.phase == "RolledBack", after=after, within=PATIENCE)
        self.settle(name, after=self.ask(name, "retry", "bench").sent)


def manifest(name: str) -> dict[str, Any]:
    """Return a rollout that stays in its canary for as long as a bench may take."""

    def version(number: str) -> dict[str, Any]:
        return {"version": number, "service": {"name": f"{name}{number}", "port": 8080}}

    return {
        "apiVersion": _GROUP,
        "kind": "ModelRollout",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "owner": {"team": "bench"},
            "baseline": version("v1"),
            "candidate": version("v2"),
            "traffic": {"traefikService": {"name": name}},
            "metrics": {"preset": "traefik"},
            "stages": [
                {"name": "canary", "canary": {"weights": [10]}, "minDuration": "24h"},
                {"name": "full", "full": {}, "minDuration": "1h"},
            ],
            "gates": [{"name": "errors", "errorRate": {"max": "5%", "maxIncrease": "50%"}}],
            "analysis": {
                "interval": f"{INTERVAL.total_seconds():.0f}s",
                "warmup": "0s",
                "ingestDelay": "1s",
                "minRequests": 100,
            },
        },
    }
