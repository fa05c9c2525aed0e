"""The rollouts of a soak: quick ones that come and go, and standing ones that stay in their canary."""

from collections.abc import Sequence
from typing import Any

NAMESPACE = "soak"
GROUP = "modelrollout.dev/v1alpha1"
VERSIONS = ("v1", "v2", "v3")
GATES: Sequence[dict[str, Any]] = ({"name": "errors", "errorRate": {"max": "5%", "maxIncrease": "50%"}},)
OTHER_GATES: Sequence[dict[str, Any]] = ({"name": "errors", "errorRate": {"max": "6%"}},)


def service_of(rollout: str, version: str) -> str:
    """Return the Service of a version; letters and digits only, as the scripted metrics need it."""
    return f"{rollout}{version}"


def quick(rollout: str, *, candidate: str = "v2", gates: Sequence[dict[str, Any]] = GATES) -> dict[str, Any]:
    """Return a rollout that goes through shadow, canary and bake in about half a minute."""
    stages = [
        {"name": "shadow", "shadow": {"percent": 100}, "minDuration": "2s"},
        {"name": "canary", "canary": {"weights": [10, 50]}, "minDuration": "3s"},
        {"name": "full", "full": {}, "minDuration": "2s"},
    ]
    return _rollout(rollout, candidate, stages, gates, interval="2s")


def standing(rollout: str) -> dict[str, Any]:
    """Return a rollout that stays in its canary for as long as a soak may take."""
    stages = [
        {"name": "canary", "canary": {"weights": [10]}, "minDuration": "96h"},
        {"name": "full", "full": {}, "minDuration": "1h"},
    ]
    return _rollout(rollout, "v2", stages, GATES, interval="30s")


def _rollout(
    name: str, candidate: str, stages: list[dict[str, Any]], gates: Sequence[dict[str, Any]], *, interval: str
) -> dict[str, Any]:
    def version(number: str) -> dict[str, Any]:
        return {"version": number, "service": {"name": service_of(name, number), "port": 8080}}

    return {
        "apiVersion": GROUP,
        "kind": "ModelRollout",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "owner": {"team": "soak"},
            "baseline": version("v1"),
            "candidate": version(candidate),
            "traffic": {"traefikService": {"name": name}},
            "metrics": {"preset": "traefik"},
            "stages": stages,
            "gates": list(gates),
            "analysis": {
                "interval": interval,
                "warmup": "0s",
                "ingestDelay": "1s",
                "minRequests": 20,
                "freshness": "10s",
            },
            "rollback": {"unreadyGrace": "2s"},
        },
    }
