"""One rollout's name and what people, pipelines and kubelets do with it, as the API server last showed it."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from local.api import Api, ApiRefused, Object
from local.serving import endpoint_slice, service_objects
from local.soak.manifest import GATES, GROUP, NAMESPACE, VERSIONS, quick, service_of

BACKEND = "10.244.100.3"
"""Where every endpoint points; nobody listens there, because no request is sent."""
ROLLOUTS = f"/apis/{GROUP}/namespaces/{NAMESPACE}/modelrollouts"
LEAVES = f"/apis/traefik.io/v1alpha1/namespaces/{NAMESPACE}/traefikservices"
MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Asked:
    """A message to the operator; the number makes its reason one of a kind."""

    command: str
    reason: str


class Actor:
    """Acts on one rollout. `rollout` and `leaf` are what the last look found, `None` where there was nothing."""

    def __init__(self, api: Api, name: str, set_bad: Callable[[str, bool], None]) -> None:
        self.name = name
        self.rollout: Object | None = None
        self.leaf: Object | None = None
        self.asked: list[Asked] = []
        self.answered: set[str] = set()
        self._api = api
        self._set_bad = set_bad
        self._numbers = itertools.count(1)

    def set_up(self) -> None:
        """Create the Services of all versions, each with a ready endpoint."""
        for version in VERSIONS:
            service, endpoints = service_objects(NAMESPACE, service_of(self.name, version), BACKEND)
            self._api.call("POST", f"/api/v1/namespaces/{NAMESPACE}/services", service)
            self._api.call("POST", f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices", endpoints)

    def create(self, manifest: Object | None = None) -> None:
        """Create the rollout."""
        self._api.call("POST", ROLLOUTS, manifest or quick(self.name))

    def apply(self, *, candidate: str = "v2", gates: Sequence[dict[str, Any]] = GATES) -> None:
        """Change spec, as a pipeline does."""
        spec = quick(self.name, candidate=candidate, gates=gates)["spec"]
        self._api.call("PATCH", f"{ROLLOUTS}/{self.name}", {"spec": spec}, content_type=MERGE)

    def ask(self, command: str) -> Asked:
        """Put a message into the inbox, as `kubectl patch --subresource=status` does."""
        asked = Asked(command, f"soak {next(self._numbers)}")
        body = {"status": {"control": {command: {"reason": asked.reason}}}}
        self._api.call("PATCH", f"{ROLLOUTS}/{self.name}/status", body, content_type=MERGE)
        self.asked.append(asked)
        return asked

    def delete(self) -> None:
        """Delete the rollout, if it is there."""
        _delete(self._api, f"{ROLLOUTS}/{self.name}")

    def clear(self) -> None:
        """Delete the rollout and its leaf, and have all versions healthy and ready again."""
        self.delete()
        _delete(self._api, f"{LEAVES}/{self.name}")
        for version in VERSIONS:
            self.set_bad(version, bad=False)
            self.set_ready(version, is_ready=True)

    def set_bad(self, version: str, *, bad: bool) -> None:
        """Have most requests of a version fail, or none."""
        self._set_bad(service_of(self.name, version), bad)

    def set_ready(self, version: str, *, is_ready: bool) -> None:
        """Make a version's endpoint ready or not, as a kubelet's probe would."""
        self._api.apply(endpoint_slice(NAMESPACE, service_of(self.name, version), BACKEND, is_ready=is_ready))

    def edit_leaf(self, candidate_weight: int) -> None:
        """Change the weights behind the operator's back."""
        weights = {"v1": 100 - candidate_weight, "v2": candidate_weight}
        services = [
            {"kind": "Service", "name": service_of(self.name, version), "port": 8080, "weight": weight}
            for version, weight in weights.items()
        ]
        body = {"spec": {"weighted": {"services": services}, "mirroring": None}}
        self._api.call("PATCH", f"{LEAVES}/{self.name}?fieldManager=somebody", body, content_type=MERGE)

    def look(self, rollout: Object | None, leaf: Object | None) -> None:
        """Take note of what there is now."""
        self.rollout, self.leaf = rollout, leaf
        self.answered |= {command.get("reason", "") for command in self.status.get("commands", [])}

    @property
    def status(self) -> dict[str, Any]:
        """The rollout's status; empty where there is none."""
        found: dict[str, Any] = (self.rollout or {}).get("status", {})
        return found

    @property
    def phase(self) -> str:
        """The printed phase."""
        return str(self.status.get("phase", ""))

    @property
    def serving(self) -> str:
        """The version that serves, as status says."""
        return str(self.status.get("serving", {}).get("version", ""))

    @property
    def is_at_rest(self) -> bool:
        """Whether the candidate of spec was promoted or rolled back."""
        return self.phase in {"Promoted", "RolledBack"}

    def is_in(self, stage: str) -> bool:
        """Whether an attempt is in this stage, its shares on the route."""
        attempt = self.status.get("attempt", {})
        return attempt.get("stage") == stage and "appliedAt" in attempt and "outcome" not in attempt

    def is_held_for(self, reason: str) -> bool:
        """Whether it is held for this reason."""
        conditions = self.status.get("conditions", [])
        return any(c["type"] == "Held" and c["status"] == "True" and c["reason"] == reason for c in conditions)

    def gives(self, version: str) -> int:
        """Return the weight that a version has on the leaf."""
        services = ((self.leaf or {}).get("spec", {}).get("weighted") or {}).get("services", ())
        return next((s["weight"] for s in services if s["name"] == service_of(self.name, version)), 0)


def _delete(api: Api, path: str) -> None:
    try:
        api.call("DELETE", path)
    except ApiRefused as refused:
        if refused.status != 404:
            raise
