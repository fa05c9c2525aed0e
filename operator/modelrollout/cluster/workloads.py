"""Whether a Deployment or StatefulSet has finished coming up, as `kubectl rollout status` would say."""

from collections.abc import Mapping
from typing import Any


def problem_of(workload: Mapping[str, Any]) -> str | None:
    """Return why not all replicas are up to date and available, `None` if they are."""
    spec, status = workload["spec"], workload.get("status") or {}
    name = f"{workload['kind']} {workload['metadata']['name']}"
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return f"{name} has a change that its controller has not seen yet"
    wanted = spec.get("replicas", 1)
    if wanted == 0:
        return f"{name} is scaled to 0 replicas: scale it up"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} replicas of {name} are up to date"
    if status.get("replicas", 0) > updated:
        return f"{status['replicas'] - updated} replicas of an older {name} are still there"
    if available < wanted:
        return f"{available} of {wanted} replicas of {name} are available"
    return None
