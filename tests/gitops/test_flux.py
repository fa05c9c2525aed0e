"""The health expressions for Flux, evaluated by the API server's CEL on every situation."""

import re
from typing import Any

import pytest
import yaml

from local.api import ApiRefused
from local.cluster import LocalCluster
from local.process import wait_until
from tests.api.manifests import good
from tests.gitops.argocd_cm import TOP
from tests.support.chart import install_crds
from tests.support.situations import Situation, situations

pytestmark = pytest.mark.cluster

HOME = TOP / "gitops" / "flux"
EXPRESSIONS = ("inProgress", "failed", "current")
UNTIL_PROMOTED = {"Current": "current", "Failed": "failed", "InProgress": "inProgress"}
# An object that is being deleted is judged as it stands: Flux' expressions do not look at that.
ALL = [pytest.param(one, id=one.name) for one in situations() if one.kstatus != "Terminating"]


def expressions(file: str) -> dict[str, str]:
    manifest = yaml.safe_load((HOME / file).read_text("utf-8"))
    (found,) = manifest["spec"]["healthCheckExprs"]
    assert (found["apiVersion"], found["kind"]) == ("modelrollout.dev/v1alpha1", "ModelRollout")
    return {name: found[name] for name in EXPRESSIONS}


class Judge:
    """A policy that refuses every write of status, and says in its refusal which expressions hold of what was written."""

    def __init__(self, cluster: LocalCluster, file: str) -> None:
        self._cluster = cluster
        self._namespace = cluster.new_namespace("flux")
        install_crds(cluster)
        self._stored: dict[str, Any] = cluster.apply(good(namespace=self._namespace))[0]
        cluster.apply(policy(self._namespace, expressions(file)))
        wait_until(lambda: self.holds({"observedGeneration": -1}), "the policy to be enforced")

    def holds(self, status: dict[str, Any]) -> set[str]:
        """Return the names of the expressions that hold."""
        path = f"{self._cluster.api.path_of(self._stored)}/status?dryRun=All"
        try:
            self._cluster.api.call("PUT", path, {**self._stored, "status": status})
        except ApiRefused as error:
            said = str(error).partition("holds:")[2]
            return set(said.split())
        return set()

    def verdict(self, situation: Situation) -> set[str]:
        status = dict(situation.obj["status"])
        is_seen = status["observedGeneration"] == situation.obj["metadata"]["generation"]
        # The API server counts generations itself: what matters is whether they are the same.
        return self.holds(status | {"observedGeneration": self._stored["metadata"]["generation"] if is_seen else -1})


def policy(namespace: str, of: dict[str, str]) -> list[dict[str, Any]]:
    """Return a policy for rollouts of the namespace. Flux calls `status` what policies call `object.status`."""
    heard = {name: re.sub(r"(?<![.\w])(status|metadata)\.", r"object.\1.", text) for name, text in of.items()}
    told = " + ".join(f"(({text}) ? ' {name}' : '')" for name, text in heard.items())
    rule = {
        "apiGroups": ["modelrollout.dev"],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["modelrollouts/status"],
    }
    admission = "admissionregistration.k8s.io/v1"
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    return [
        {
            "apiVersion": admission,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": f"judge-{namespace}"},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "false", "messageExpression": f"'holds:' + {told}"}],
            },
        },
        {
            "apiVersion": admission,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": f"judge-{namespace}"},
            "spec": {"policyName": f"judge-{namespace}", "validationActions": ["Deny"], "matchResources": where},
        },
    ]


@pytest.fixture(scope="module")
def until_promoted(cluster: LocalCluster) -> Judge:
    return Judge(cluster, "kustomization.yaml")


@pytest.fixture(scope="module")
def until_accepted(cluster: LocalCluster) -> Judge:
    return Judge(cluster, "kustomization-accepted.yaml")


@pytest.mark.parametrize("situation", ALL)
def test_until_promoted_flux_takes_it_for_what_kstatus_does(until_promoted: Judge, situation: Situation):
    assert until_promoted.verdict(situation) == {UNTIL_PROMOTED[situation.kstatus]}


@pytest.mark.parametrize("situation", ALL)
def test_until_accepted_what_is_under_way_or_held_is_done(until_accepted: Judge, situation: Situation):
    is_unseen = situation.name.endswith("not seen yet")
    wanted = "inProgress" if is_unseen else "failed" if situation.kstatus == "Failed" else "current"

    assert until_accepted.verdict(situation) == {wanted}


def test_the_application_ignores_what_the_page_says():
    page = (TOP / "docs" / "gitops-routes.md").read_text("utf-8")
    application = yaml.safe_load((TOP / "gitops" / "argocd" / "application.yaml").read_text("utf-8"))
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)]
    told = next(one for one in blocks if one["kind"] == "Application")

    assert application["spec"]["ignoreDifferences"] == told["spec"]["ignoreDifferences"]
    assert application["spec"]["syncPolicy"] == told["spec"]["syncPolicy"]
