"""Since when the API server binds names to commands, told from policy and binding as they stand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelrollout.cluster.admission import TAKES_EFFECT, Admission, gap_in
from modelrollout.cluster.server import connect

from local.cluster import LocalCluster
from tests.support.people import People

NAME = "modelrollout-commands"
POLICY: dict[str, Any] = {"metadata": {"name": NAME}, "spec": {"failurePolicy": "Fail"}}
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


def binding(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": NAME}, "spec": {"policyName": NAME, "validationActions": ["Deny"], **spec}}


def only(*names: str) -> dict[str, Any]:
    wanted = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(names)}
    # The API server fills in the rest.
    return {"matchPolicy": "Equivalent", "objectSelector": {}, "namespaceSelector": {"matchExpressions": [wanted]}}


ALL = {"matchPolicy": "Equivalent", "objectSelector": {}, "namespaceSelector": {}}


@pytest.mark.parametrize(
    ("found", "namespaces"),
    [
        pytest.param(binding(), [], id="all of the cluster"),
        pytest.param(binding(matchResources=ALL), [], id="all, as the API server writes it"),
        pytest.param(binding(matchResources=ALL), ["a"], id="more than is watched"),
        pytest.param(binding(matchResources=only("a", "b")), ["b", "a"], id="what is watched"),
        pytest.param(binding(validationActions=["Audit", "Deny"]), [], id="refused and noted"),
    ],
)
def test_nothing_gets_through(found: dict[str, Any], namespaces: list[str]):
    assert gap_in(POLICY, found, namespaces) is None


@pytest.mark.parametrize(
    ("policy", "found", "namespaces", "why"),
    [
        pytest.param({**POLICY, "spec": {"failurePolicy": "Ignore"}}, binding(), [], "failurePolicy", id="ignored"),
        pytest.param(POLICY, binding(policyName="other"), [], "of policy other", id="of another policy"),
        pytest.param(POLICY, binding(validationActions=["Warn"]), [], "does not deny", id="warned only"),
        pytest.param(POLICY, binding(matchResources=only("a")), ["a", "b"], "leaves out", id="one namespace of two"),
        pytest.param(POLICY, binding(matchResources=only("a")), [], "leaves out", id="one namespace of all"),
        pytest.param(
            POLICY,
            binding(matchResources={"objectSelector": {"matchLabels": {"a": "b"}}}),
            [],
            "leaves out",
            id="some objects",
        ),
        pytest.param(
            POLICY,
            binding(matchResources={"namespaceSelector": {"matchLabels": {"a": "b"}}}),
            ["a"],
            "leaves out",
            id="by another label",
        ),
    ],
)
def test_what_lets_something_through_is_told(
    policy: dict[str, Any], found: dict[str, Any], namespaces: list[str], why: str
):
    assert why in (gap_in(policy, found, namespaces) or "")


@asynccontextmanager
async def looking(people: People, namespace: str) -> AsyncIterator[Admission]:
    server = await connect(people.operator.kubeconfig, call_limit=timedelta(seconds=5))
    try:
        yield Admission(server, f"{people.release}-commands", [namespace])
    finally:
        await server.close()


@pytest.mark.cluster
async def test_the_operators_own_rights_are_enough_to_see_it(cluster: LocalCluster, namespace: str):
    began = datetime.now(UTC)
    people = People(cluster, namespace)

    async with looking(people, namespace) as admission:
        await admission.look()

        since = admission.names_bound_since
        assert since
        assert timedelta(seconds=-2) < since - TAKES_EFFECT - began < timedelta(minutes=1)


@pytest.mark.cluster
async def test_a_binding_that_no_longer_denies_or_is_gone_binds_nothing(cluster: LocalCluster, namespace: str):
    people = People(cluster, namespace)
    path = f"{ADMISSION}/validatingadmissionpolicybindings/{people.release}-commands"

    async with looking(people, namespace) as admission:
        await admission.look()
        before = admission.names_bound_since
        body = {"spec": {"validationActions": ["Audit"]}}
        cluster.api.call("PATCH", path, body, content_type="application/merge-patch+json")
        await admission.look()
        while_it_only_notes = admission.names_bound_since
        cluster.api.call("DELETE", path)
        await admission.look()

        assert before
        assert while_it_only_notes is None
        assert admission.names_bound_since is None
