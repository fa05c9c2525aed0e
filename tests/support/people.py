"""Users of a namespace at the real API server: each with an access of their own, and with roles of the chart."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.api import Api, ApiRefused
from local.cluster import LocalCluster
from local.process import wait_until
from tests.support.chart import Values, install_rbac

MERGE = "application/merge-patch+json"
GROUP = "modelrollout.dev/v1alpha1"


@dataclass(frozen=True)
class Person:
    """Somebody who writes the status of rollouts. `user` is their name at the API server."""

    user: str
    api: Api
    kubeconfig: Path
    namespace: str

    def path(self, name: str) -> str:
        return f"/apis/{GROUP}/namespaces/{self.namespace}/modelrollouts/{name}/status"

    def write(self, status: dict[str, Any], name: str = "fraud-scorer", query: str = "") -> dict[str, Any]:
        """Merge something into a rollout's status; return the status as it stands.

        Raises:
            ApiRefused: they may not.
        """
        answer = self.api.call("PATCH", self.path(name) + query, {"status": status}, content_type=MERGE)
        stands: dict[str, Any] = answer["status"]
        return stands

    def refusal(self, status: dict[str, Any]) -> str:
        """Return the sentence that refuses what `write` would write."""
        try:
            self.write(status)
        except ApiRefused as error:
            return str(error)
        raise AssertionError(f"{self.user} was let: {json.dumps(status)}")


class People:
    """The chart's rights and policies in a namespace, and people with them.

    `operator` has the operator's own account, `admin` every right and no exemption.
    """

    def __init__(self, cluster: LocalCluster, namespace: str, **values: Any) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._values: Values = {"namespaces": [namespace], **values}
        _, account = install_rbac(cluster, namespace, values=self._values)
        self.operator = self._access(f"system:serviceaccount:{namespace}:{account}", account)
        self.admin = Person("admin", cluster.api, cluster.kubeconfig, namespace)

    def new(self, name: str, *roles: str) -> Person:
        """Return a person with these roles of the chart (`oncall`, `approver`, …) in the namespace."""
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": self._namespace},
        }
        self._cluster.apply(account)
        for role in roles:
            self._cluster.apply(
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "RoleBinding",
                    "metadata": {"name": f"{name}-{role}", "namespace": self._namespace},
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": "ClusterRole",
                        "name": f"{self.release}-{role}",
                    },
                    "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self._namespace}],
                }
            )
        return self._access(f"system:serviceaccount:{self._namespace}:{name}", name)

    @property
    def release(self) -> str:
        """The name that begins those of the chart's cluster-wide objects."""
        return f"{self._namespace}-modelrollout"

    def wait_until_bound(self, name: str = "fraud-scorer") -> None:
        """Return once the API server enforces the policy: it takes a new one up after a second or so."""

        def is_refused() -> bool:
            try:
                self.admin.write({"weight": "1%"}, name, "?dryRun=All")
            except ApiRefused as error:
                return "status is the operator's" in str(error)
            return False

        wait_until(is_refused, "the policy to be enforced")

    def wait_until_unbound(self, name: str = "fraud-scorer") -> None:
        """Take the policies of an earlier installation away; return once the API server enforces them no more."""
        for kind in ("validating", "mutating"):
            for plural in (f"{kind}admissionpolicybindings", f"{kind}admissionpolicies"):
                path = f"/apis/admissionregistration.k8s.io/v1/{plural}/{self.release}-commands"
                with contextlib.suppress(ApiRefused):  # There was none.
                    self._cluster.api.call("DELETE", path)

        def is_taken() -> bool:
            try:
                status = self.admin.write({"control": {"hold": {"requestedBy": "boss"}}}, name, "?dryRun=All")
            except ApiRefused:
                return False
            return bool(status["control"]["hold"]["requestedBy"] == "boss")

        wait_until(is_taken, "the policies to be gone")

    def wait_until_filled_in(self, name: str = "fraud-scorer") -> None:
        """Return once the API server fills in who asks."""

        def is_filled_in() -> bool:
            try:
                status = self.admin.write({"control": {"hold": {"reason": "probe"}}}, name, "?dryRun=All")
            except ApiRefused:
                return False
            return "requestedBy" in status["control"]["hold"]

        wait_until(is_filled_in, "names to be filled in")

    def _access(self, user: str, account: str) -> Person:
        token = self._cluster.token(self._namespace, account)
        kubeconfig = self._cluster.kubeconfig_for(token, f"{account}-{self._namespace}")
        return Person(user, Api(self._cluster.server, self._cluster.ca_file, token), kubeconfig, self._namespace)
