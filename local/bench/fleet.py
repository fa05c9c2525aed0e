"""Many rollouts in mid-canary, each with Services and a Traefik leaf of its own, and what people ask of them."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
"""Between two looks, unless said otherwise."""
PATIENCE = timedelta(seconds=120)
GATES = (
    {"name": "errors", "errorRate": {"max": "5%", "maxIncrease": "50%"}},
    {"name": "latency", "latency": {"threshold": "300ms", "maxAbove": "5%"}},
    {"name": "slowest", "latency": {"threshold": "1200ms", "maxAbove": "2%"}},
    {"name": "worse", "errorRate": {"maxIncrease": "25%"}},
)
_CONNECTIONS = 8
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

    def __init__(
        self, api: Api, *, leaves: Watch[bool], rollouts: Watch[Standing], gates: int, interval: timedelta
    ) -> None:
        self._api = api
        self._leaves = leaves
        self._rollouts = rollouts
        self.gates = gates
        self.interval = interval
        self.names: list[str] = []

    def grow(self, size: int, pause: float, tell: Callable[[str], None]) -> list[str]:
        """Create rollouts until there are `size`, one in `pause` seconds at most; return the new ones' names."""
        names = [f"r{number:04}" for number in range(len(self.names), size)]
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            began, made = time.monotonic(), []
            for number, name in enumerate(names):
                time.sleep(max(0.0, began + number * pause - time.monotonic()))
                made.append(threads.submit(self._create, name))
                tell(f"{number + 1} of {len(names)} rollouts asked for")
            for one in made:
                one.result()
        self.names += names
        return names

    def _create(self, name: str) -> None:
        for service in (f"{name}v1", candidate_of(name)):
            backend, endpoints = service_objects(NAMESPACE, service, BACKEND)
            # Nobody connects to it; the API server needs three writes more to find an address.
            backend["spec"]["clusterIP"] = "None"
            self._api.call("POST", f"/api/v1/namespaces/{NAMESPACE}/services", backend)
            self._api.call("POST", f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices", endpoints)
        self._api.call("POST", _ROLLOUTS, manifest(name, self.gates, self.interval))

    def settle(self, name: str, *, after: float, within: timedelta = PATIENCE) -> None:
        """Wait until the rollout is at its step, the route written and the gates looked at: nothing is under way."""
        self._rollouts.arrival(name, lambda s: s.phase == "Canary" and s.is_judged, after=after, within=within)

    def ask(self, name: str, command: str, reason: str) -> Asked:
        """Put a message into the inbox, as `kubectl patch` does."""
        sent = time.monotonic()
        body = {"status": {"control": {command: {"reason": reason}}}}
        self._api.call("PATCH", f"{_ROLLOUTS}/{name}/status", body, content_type="application/merge-patch+json")
        return Asked(sent, time.monotonic())

    def time_back(self, name: str, *, after: float) -> float:
        """Return when it was seen that the baseline has all requests again, in monotonic seconds."""
        return self._leaves.arrival(name, lambda gives: not gives, after=after, within=PATIENCE)

    def start_again(self, names: Sequence[str], *, after: float) -> None:
        """Once the rollbacks that began `after` are over, bring the rollouts back to where they were."""
        for name in names:
            self.end_of_rollback(name, after=after)
        began = time.monotonic()
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            list(threads.map(lambda name: self.ask(name, "retry", "bench"), names))
        for name in names:
            self.settle(name, after=began)

    def end_of_rollback(self, name: str, *, after: float) -> float:
        """Return when it was seen that a rollback is over, in monotonic seconds."""
        return self._rollouts.arrival(name, lambda s: s.phase == "RolledBack", after=after, within=PATIENCE)

    def phases(self) -> Counter[str]:
        """Return how many rollouts there are in each phase."""
        items = self._api.call("GET", _ROLLOUTS)["items"]
        return Counter(standing_of(item).phase for item in items)


def manifest(name: str, gates: int, interval: timedelta = INTERVAL) -> dict[str, Any]:
    """Return a rollout with one to four gates that stays in its canary for as long as a bench may take."""

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
            "gates": list(GATES[:gates]),
            "analysis": {
                "interval": f"{interval.total_seconds():.0f}s",
                "warmup": "0s",
                "ingestDelay": "1s",
                "minRequests": 100,
            },
        },
    }
