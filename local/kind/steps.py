"""What `make kind` does, as data: sentences, commands, and the files that they read. Pure."""

import json
from dataclasses import dataclass

import yaml

from local.demo.manifest import NAME, NAMESPACE, TO_LEAF, TO_VERSION_1, manifest, users_route
from local.kind.manifests import HOME, Object, as_text, gateway, models, namespaces, operator_values, prometheus

CLUSTER = "modelrollout"
_CONTEXT = f"kind-{CLUSTER}"
_PARENT = {"name": "traefik", "namespace": "gateway"}
_PATIENCE = "--timeout=300s"
_PROXY = f"/api/v1/namespaces/{NAMESPACE}/services"


@dataclass(frozen=True)
class Step:
    """One command, after a sentence that says what it is for."""

    says: str
    command: tuple[str, ...]
    needs_pods: bool = False
    """Whether the command speaks to a pod by way of the API server."""
    unless: tuple[str, ...] = ()
    """A command whose output, if it has the cluster's name as a line, makes this one needless."""


def files(image: str, definitions: list[Object], roles: list[Object]) -> dict[str, str]:
    """Return what the commands read, by name: manifests, values and messages."""
    return {
        "definitions.yaml": as_text(definitions),
        "parts.yaml": as_text([*namespaces(), *gateway(roles), *prometheus(), *models(image)]),
        "values.yaml": yaml.safe_dump(operator_values(image)),
        "route-to-v1.yaml": as_text([users_route(_PARENT, TO_VERSION_1)]),
        "route-to-leaf.yaml": as_text([users_route(_PARENT, TO_LEAF)]),
        **{f"rollout-{version}.yaml": manifest(version) for version in ("v2", "v3", "v4")},
        "fail.json": json.dumps({"error_share": 0.5, "delay_seconds": 0}),
    }


def cluster_steps(image: str, place: str) -> list[Step]:
    """Return what makes the cluster with all its parts; `place` is where the files lie."""
    kubectl = ("kubectl", f"--context={_CONTEXT}")
    return [
        Step("build the operator's image", ("make", "image")),
        Step(
            "make the cluster",
            ("kind", "create", "cluster", "--config=kind-config.yaml", "--wait=120s"),
            unless=("kind", "get", "clusters"),
        ),
        Step("bring the image into it", ("kind", "load", "docker-image", image, f"--name={CLUSTER}")),
        Step(
            "install the kinds of the Gateway API and of Traefik",
            (*kubectl, "apply", "--server-side", f"--filename={place}/definitions.yaml"),
        ),
        Step(
            "wait until they are served",
            (*kubectl, "wait", "--for=condition=Established", _PATIENCE, f"--filename={place}/definitions.yaml"),
        ),
        Step(
            "install Traefik, Prometheus, four versions of a model and their users",
            (*kubectl, "apply", "--server-side", f"--filename={place}/parts.yaml"),
        ),
        Step(
            "install the operator by its chart",
            (
                "helm", f"--kube-context={_CONTEXT}", "upgrade", "--install", "modelrollout", "charts/modelrollout",
                f"--namespace={HOME}", f"--values={place}/values.yaml",
            ),
        ),
        *(
            Step(
                f"wait for what runs in {namespace}",
                (*kubectl, "wait", "--for=condition=Available", _PATIENCE, "deployment", "--all", f"--namespace={namespace}"),
            )
            for namespace in ("gateway", "monitoring", HOME, NAMESPACE)
        ),
    ]  # fmt: skip


def demo_steps(place: str, *, context: str = f"--context={_CONTEXT}") -> list[Step]:
    """Return the three acts; each command is one that people type."""
    kubectl = ("kubectl", context, f"--namespace={NAMESPACE}") if context else ("kubectl", f"--namespace={NAMESPACE}")
    rollback = json.dumps({"status": {"control": {"rollback": {"reason": "p99"}}}}, separators=(",", ":"))

    def until(what: str) -> tuple[str, ...]:
        return (*kubectl, "wait", f"modelrollout/{NAME}", f"--for=jsonpath={what}", _PATIENCE)

    def apply(name: str) -> tuple[str, ...]:
        return (*kubectl, "apply", f"--filename={place}/{name}")

    return [
        Step("v1 serves: the team's route points to it", apply("route-to-v1.yaml")),
        Step("act 1: v2 should serve, says the team", apply("rollout-v2.yaml")),
        Step(
            "the operator makes the object that holds the shares",
            (*kubectl, "wait", "--for=create", f"traefikservice/{NAME}", _PATIENCE),
        ),
        Step("the team's route points to it from now on", apply("route-to-leaf.yaml")),
        Step("v2 goes shadow, canary, full, and is promoted", until("{.status.phase}=Promoted")),
        Step(
            "act 2: half of v3's answers are errors",
            (*kubectl, "create", f"--raw={_PROXY}/fraud-v3:8080/proxy/-/behave", f"--filename={place}/fail.json"),
            needs_pods=True,
        ),
        Step("v3 should serve", apply("rollout-v3.yaml")),
        Step("its gates stop it while it gets copies only", until("{.status.phase}=RolledBack")),
        Step("act 3: v4 is well", apply("rollout-v4.yaml")),
        Step("half of all users get it", until("{.status.weight}=50%")),
        Step(
            "somebody on call wants it back all the same",
            (*kubectl, "patch", f"modelrollout/{NAME}", "--subresource=status", "--type=merge", f"--patch={rollback}"),
        ),
        Step("v2 serves everybody again", until("{.status.phase}=RolledBack")),
        Step("what has happened", (*kubectl, "get", f"modelrollout/{NAME}", "--output=wide")),
        Step(
            "and what users saw of it", (*kubectl, "get", f"--raw={_PROXY}/users:8090/proxy/snapshot"), needs_pods=True
        ),
    ]
