"""A good manifest, changes to it, and what the API server says of the outcome."""

import copy
from collections.abc import Mapping
from typing import Any

from local.api import ApiRefused
from local.cluster import LocalCluster

REMOVED = object()
Changes = Mapping[str, object]


def good(name: str = "fraud-scorer", namespace: str = "default") -> dict[str, Any]:
    """Return a manifest with one of everything that can be wrong."""
    return {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelRollout",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "owner": {"team": "risk-ml"},
            "baseline": {"version": "2026.10.4", "service": {"name": "fraud-v1", "port": 8080}},
            "candidate": {"version": "2026.11.2", "service": {"name": "fraud-v2", "port": 8080}},
            "traffic": {"httpRoute": {"parentRefs": [{"name": "edge"}], "hostnames": ["fraud.example.com"]}},
            "metrics": {"preset": "traefik"},
            "stages": [
                {"name": "shadow", "shadow": {"percent": 100}, "minDuration": "30m"},
                {"name": "canary", "canary": {"weights": [1, 5, "12.5", 50]}, "minDuration": "10m"},
                {"name": "full", "full": {}, "minDuration": "1h"},
            ],
            "gates": [
                {"name": "errors", "errorRate": {"max": "1%", "maxIncrease": "25%"}},
                {"name": "latency", "latency": {"threshold": "300ms", "maxAbove": "5%"}},
                {"name": "approvals", "value": {"query": "vector(1)", "max": "0.2"}, "onFail": "Hold"},
            ],
            "analysis": {"interval": "30s", "minRequests": 300},
        },
    }


def changed(manifest: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """Return the manifest with other values at these dotted paths; a number in a path is an index, REMOVED removes."""
    result = copy.deepcopy(dict(manifest))
    for path, value in changes.items():
        place: Any = result
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in parents:
            place = place[part] if isinstance(part, int) else place.setdefault(part, {})
        if value is REMOVED:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    return result


def refusal_of(cluster: LocalCluster, manifest: Mapping[str, Any], *, old: Mapping[str, Any] | None = None) -> str:
    """Return the API server's sentence about a manifest, or about its replacement of `old`; empty when it is accepted.

    Nothing is stored but `old`.
    """
    how = "dryRun=All&fieldValidation=Strict"
    meta = manifest["metadata"]
    collection = f"/apis/modelrollout.dev/v1alpha1/namespaces/{meta['namespace']}/modelrollouts"
    try:
        if old is None:
            cluster.api.call("POST", f"{collection}?{how}", manifest)
        else:
            stored = cluster.api.call("POST", collection, old)
            version = stored["metadata"]["resourceVersion"]
            replacing = changed(manifest, {"metadata.resourceVersion": version})
            cluster.api.call("PUT", f"{collection}/{meta['name']}?{how}", replacing)
    except ApiRefused as error:
        return str(error)
    return ""
