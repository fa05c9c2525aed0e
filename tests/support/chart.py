"""The chart as tests use it: rendered by helm, and its CRDs and RBAC installed for an operator beside the cluster."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from local.api import ApiRefused, Object, parse_objects
from local.cluster import LocalCluster
from local.process import wait_until
from local.traefik import is_served

TOP = Path(__file__).parents[2]
CHART = TOP / "charts" / "modelrollout"
RBAC_KINDS = frozenset({"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"})
POLICY_KINDS = frozenset(
    f"{kind}AdmissionPolicy{part}" for kind in ("Validating", "Mutating") for part in ("", "Binding")
)
Values = Mapping[str, Any]


def render(
    cluster: LocalCluster, values: Values, namespace: str, release: str = "modelrollout", *, kubernetes: str = ""
) -> list[dict[str, Any]]:
    """Return the chart's objects, CRDs aside, as helm renders them with these values.

    They are for this cluster's version of Kubernetes, unless another is given.

    Raises:
        CommandFailed: the values' schema or a template refuses them.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        # A helm that was built from its Go module knows no version of Kubernetes by itself.
        version = kubernetes or cluster.api.call("GET", "/version")["gitVersion"]
        text = cluster.helm(
            "template", release, str(CHART), "--namespace", namespace, "--values", file.name, "--kube-version", version
        )
    return [document for document in yaml.safe_load_all(text) if document]


def install_crds(cluster: LocalCluster) -> None:
    """Apply the chart's CRDs; they are served when it returns."""
    for file in sorted((CHART / "crds").glob("*.yaml")):
        for crd in parse_objects(file.read_text("utf-8")):
            cluster.apply(crd)
            _wait_until_served(cluster, crd)


def install_rbac(
    cluster: LocalCluster, namespace: str, release: str | None = None, values: Values | None = None
) -> tuple[str, str]:
    """Apply the chart's rights and policies; return namespace and name of the operator's ServiceAccount.

    The release is called as the namespace by default, so that cluster-wide names of two tests do not meet. Policies are
    left out where the values name no namespaces: those of the whole cluster would bind other tests' operators.
    """
    install_crds(cluster)
    values = values or {}
    kinds = RBAC_KINDS | (POLICY_KINDS if values.get("namespaces") else frozenset())
    objects = render(cluster, values, namespace, release or namespace)
    cluster.apply([one for one in objects if one["kind"] in kinds])
    deployment = next(one for one in objects if one["kind"] == "Deployment")
    return namespace, deployment["spec"]["template"]["spec"]["serviceAccountName"]


def _wait_until_served(cluster: LocalCluster, crd: Object) -> None:
    spec = crd["spec"]
    path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}?limit=1"

    def is_answered() -> bool:
        try:
            cluster.api.call("GET", path)
        except ApiRefused as error:
            if error.status == 404:
                return False
            raise
        # Discovery comes a moment later than the objects' own path.
        return is_served(cluster.api, crd)

    wait_until(is_answered, f"{path} to be served")
