"""What a team writes: the rollout in its versions, and the route that it had before."""

from dataclasses import dataclass
from typing import Any

import yaml

NAMESPACE = "models"
NAME = "fraud"
HOST = "fraud.example"
PATH = f"/apis/modelrollout.dev/v1alpha1/namespaces/{NAMESPACE}/modelrollouts/{NAME}"

# The names of real plans, the patience of a demo: seconds where a team writes minutes or hours.
_SHADOW = "  - {name: shadow, shadow: {percent: 100}, minDuration: 6s}\n"
_TEXT = """\
apiVersion: modelrollout.dev/v1alpha1
kind: ModelRollout
metadata: {name: fraud, namespace: models}
spec:
  owner: {team: risk-ml, contact: "#risk-ml-oncall"}
  baseline: {version: v1, service: {name: fraud-v1, port: 8080}}
  candidate: {version: CANDIDATE, service: {name: fraud-CANDIDATE, port: 8080}}
  traffic: {traefikService: {name: fraud}}
  metrics: {preset: traefik}
  stages:
SHADOW  - {name: canary, canary: {weights: [10, 50]}, minDuration: 8s}
  - {name: full, full: {}, minDuration: 6s}
  gates:
  - {name: errors, errorRate: {max: "5%"}}
  - {name: latency, latency: {threshold: 1s, maxAbove: "20%"}}
  analysis: {interval: 1s, warmup: 2s, ingestDelay: 1s, minRequests: 30}
"""


@dataclass(frozen=True)
class Mark:
    """One step of a plan, as the view names it."""

    stage: str
    step: int
    label: str


def manifest(candidate: str, *, has_shadow: bool = True) -> str:
    """Return the rollout as YAML; only its candidate changes, and in one act the shadow stage is left out."""
    return _TEXT.replace("CANDIDATE", candidate).replace("SHADOW", _SHADOW if has_shadow else "")


def changed_lines(before: str, after: str) -> list[str]:
    """Return the lines that differ, those gone with `-` before them and the new ones with `+`."""
    old, new = before.splitlines(), after.splitlines()
    return [f"- {line}" for line in old if line not in new] + [f"+ {line}" for line in new if line not in old]


def track(text: str) -> list[Mark]:
    """Return the steps of a rollout's plan in order."""
    marks = []
    for stage in yaml.safe_load(text)["spec"]["stages"]:
        name = stage["name"]
        if "shadow" in stage:
            marks.append(Mark(name, 0, f"{name} {stage['shadow']['percent']}% copied"))
        elif "canary" in stage:
            marks += [Mark(name, step, f"{name} {weight}%") for step, weight in enumerate(stage["canary"]["weights"])]
        else:
            marks.append(Mark(name, 0, name))
    return marks


def users_route(parent: dict[str, str], backend: dict[str, Any]) -> dict[str, Any]:
    """Return the team's own HTTPRoute with one backend."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"parentRefs": [parent], "hostnames": [HOST], "rules": [{"backendRefs": [backend]}]},
    }


TO_VERSION_1 = {"name": "fraud-v1", "port": 8080}
"""Where the team's route points before it has rollouts."""
TO_LEAF = {"group": "traefik.io", "kind": "TraefikService", "name": NAME}
"""Where it points from then on: the operator makes this object and keeps the shares in it."""
