"""Who may do what once the chart is installed: exactly this, and the real API server agrees."""

import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local.cluster import CommandFailed, LocalCluster
from tests.api.manifests import good
from tests.support.chart import Values, install_rbac, render
from tests.support.people import People

pytestmark = pytest.mark.cluster

READ = frozenset({"get", "list", "watch"})
WRITE = frozenset({"create", "patch"})
Granted = dict[tuple[str, str], AbstractSet[str]]
IN_A_NAMESPACE: Granted = {
    ("modelrollout.dev", "modelrollouts"): READ,
    ("modelrollout.dev", "modelrollouts/status"): {"patch"},
    ("modelrollout.dev", "modelrolloutrecords"): READ | {"create"},
    ("modelrollout.dev", "modelrolloutrecords/status"): {"patch"},
    ("gateway.networking.k8s.io", "httproutes"): READ | WRITE,
    ("gateway.networking.k8s.io", "grpcroutes"): READ | WRITE,
    ("gateway.networking.k8s.io", "gateways"): READ,
    ("traefik.io", "traefikservices"): READ | WRITE,
    ("", "services"): READ,
    ("discovery.k8s.io", "endpointslices"): READ,
    ("apps", "deployments"): {"get"},
    ("apps", "statefulsets"): {"get"},
    ("events.k8s.io", "events"): {"create"},
}
CLASSES: Granted = {("gateway.networking.k8s.io", "gatewayclasses"): READ}
GATEWAYS_ELSEWHERE: Granted = {("gateway.networking.k8s.io", "gateways"): {"get"}}
NAMES: Granted = {
    ("admissionregistration.k8s.io", f"{resource}/modelrollout-commands"): frozenset({"get"})
    for resource in ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
}
VIEW: Granted = {
    ("modelrollout.dev", "modelrollouts"): READ,
    ("modelrollout.dev", "modelrolloutrecords"): READ,
}
ON_CALL: Granted = VIEW | {("modelrollout.dev", "modelrollouts/status"): {"get", "patch"}}
PEOPLE: dict[tuple[str, str, str | None], Granted] = {
    ("ClusterRole", "modelrollout-viewer", None): VIEW,
    ("ClusterRole", "modelrollout-oncall", None): ON_CALL,
    ("ClusterRole", "modelrollout-approver", None): ON_CALL
    | {("modelrollout.dev", "modelrollouts"): READ | {"approve"}},
    ("ClusterRole", "modelrollout-editor", None): VIEW
    | {("modelrollout.dev", "modelrollouts"): READ | {"create", "update", "patch", "delete"}},
}
LEASE: Granted = {
    ("coordination.k8s.io", "leases"): {"create"},
    ("coordination.k8s.io", "leases/modelrollout"): {"get", "patch"},
}
RETENTION: Granted = {("modelrollout.dev", "modelrolloutrecords"): {"list", "delete"}}
FREEZE = {("", "configmaps/modelrollout-freeze"): {"get"}}
Grants = dict[tuple[str, str], set[str]]


def grants(role: Mapping[str, Any]) -> Grants:
    """What a role allows: verbs by API group and resource, and by name where it is bound to one."""
    found: Grants = {}
    for rule in role["rules"]:
        assert rule.keys() - {"resourceNames"} == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    found.setdefault((group, f"{resource}/{name}".rstrip("/")), set()).update(rule["verbs"])
    return found


def roles(objects: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str | None], Grants]:
    return {
        (one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")): grants(one)
        for one in objects
        if one["kind"] in {"Role", "ClusterRole"}
    }


def test_the_operator_of_a_whole_cluster_may_do_this_and_no_more(cluster: LocalCluster) -> None:
    assert roles(render(cluster, {}, "ops")) == {
        ("ClusterRole", "modelrollout", None): IN_A_NAMESPACE | CLASSES | NAMES,
        ("Role", "modelrollout-freeze", "ops"): FREEZE,
        **PEOPLE,
    }


def test_the_operator_of_two_namespaces_may_do_this_there_and_no_more(cluster: LocalCluster) -> None:
    found = roles(render(cluster, {"namespaces": ["a", "b"]}, "ops"))

    assert {key: found.pop(key) for key in PEOPLE} == PEOPLE
    assert found == {
        ("ClusterRole", "modelrollout", None): CLASSES | GATEWAYS_ELSEWHERE | NAMES,
        ("Role", "modelrollout", "a"): IN_A_NAMESPACE,
        ("Role", "modelrollout", "b"): IN_A_NAMESPACE,
        ("Role", "modelrollout-freeze", "ops"): FREEZE,
    }


@pytest.mark.parametrize("namespaces", [[], ["a", "b"]])
def test_retention_has_an_account_of_its_own_that_lists_and_deletes_records_and_no_more(
    cluster: LocalCluster, namespaces: list[str]
) -> None:
    values = {"namespaces": namespaces}
    without = roles(render(cluster, values, "ops"))
    objects = render(cluster, {**values, "retention": {"enabled": True}}, "ops")

    kind, places = ("Role", namespaces) if namespaces else ("ClusterRole", [None])
    assert roles(objects) == {**without, **{(kind, "modelrollout-retention", one): RETENTION for one in places}}
    bound = [one for one in objects if one.get("roleRef", {}).get("name") == "modelrollout-retention"]
    assert [one["metadata"].get("namespace") for one in bound] == places
    assert {(one["name"], one["namespace"]) for role in bound for one in role["subjects"]} == {
        ("modelrollout-retention", "ops")
    }


def test_where_no_policy_binds_names_there_is_none_to_read(cluster: LocalCluster) -> None:
    off = {"admission": {"validating": False, "mutating": False}}

    assert roles(render(cluster, off, "ops"))["ClusterRole", "modelrollout", None] == IN_A_NAMESPACE | CLASSES


@pytest.mark.parametrize(
    ("validating", "on_call"), [(True, {"edit"}), (False, set())], ids=["with the policy", "without it"]
)
def test_the_clusters_own_roles_get_what_fits_them(cluster: LocalCluster, validating: bool, on_call: set[str]) -> None:
    objects = render(cluster, {"admission": {"validating": validating}}, "ops")
    prefix = "rbac.authorization.k8s.io/aggregate-to-"

    found = {
        one["metadata"]["name"]: {label.removeprefix(prefix) for label in one["metadata"]["labels"] if prefix in label}
        for one in objects
        if one["kind"] == "ClusterRole"
    }

    # `view` is part of `edit` in every cluster, and `edit` of `admin`. Nobody is given approvals by the way.
    assert found == {
        "modelrollout": set(),
        "modelrollout-viewer": {"view"},
        "modelrollout-oncall": on_call,
        "modelrollout-approver": set(),
        "modelrollout-editor": {"edit"},
    }


@pytest.mark.parametrize("namespaces", [[], ["a"], ["ops"]])
def test_several_replicas_may_also_have_their_one_lease(cluster: LocalCluster, namespaces: list[str]) -> None:
    one = roles(render(cluster, {"namespaces": namespaces}, "ops"))
    two = roles(render(cluster, {"namespaces": namespaces, "replicas": 2}, "ops"))

    assert two == {**one, ("Role", "modelrollout-lease", "ops"): LEASE}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="the whole cluster"),
        pytest.param({"replicas": 2}, id="two replicas"),
        pytest.param({"namespaces": ["a"]}, id="one namespace"),
        pytest.param(
            {
                "onCall": {"subjects": [{"kind": "Group", "name": "oncall"}]},
                "approvers": {"subjects": [{"kind": "Group", "name": "oncall"}]},
                "serviceMonitor": {"enabled": True},
                "retention": {"enabled": True},
            },
            id="everything that can be switched on",
        ),
    ],
)
def test_nobody_is_given_wildcards_secrets_or_a_way_to_more_rights(cluster: LocalCluster, values: Values) -> None:
    objects = render(cluster, values, "ops")

    given = [grant for granted in roles(objects).values() for grant in granted.items()]
    resources = {resource for (_, resource), _ in given}
    verbs = set().union(*(verbs for _, verbs in given))
    subjects = [subject for one in objects for subject in one.get("subjects", [])]

    assert "*" not in json.dumps([one.get("rules") for one in objects])
    assert resources.isdisjoint({"secrets", "pods", "pods/exec", "serviceaccounts/token", "configmaps"})
    assert verbs <= READ | WRITE | {"approve", "update", "delete"}
    deleting = [
        (role, resource)
        for (_, role, _), grant in roles(objects).items()
        for (_, resource), verbs in grant.items()
        if "delete" in verbs
    ]
    on = values.get("retention", {}).get("enabled", False)
    assert sorted(deleting) == [
        ("modelrollout-editor", "modelrollouts"),
        *([("modelrollout-retention", "modelrolloutrecords")] if on else []),
    ]
    assert [one for one in subjects if one["name"] not in {"modelrollout", "modelrollout-retention", "oncall"}] == []
    assert {one["kind"] for one in objects}.isdisjoint({"Secret", "ValidatingWebhookConfiguration"})
    assert {one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"} <= {"modelrollout-settings"}


class Question(NamedTuple):
    """Whether somebody may do something, as a SubjectAccessReview asks."""

    verb: str
    resource: str
    namespace: str
    group: str = ""
    subresource: str = ""
    name: str = ""


def is_allowed(cluster: LocalCluster, user: str, question: Question) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": question._asdict()},
    }
    answer = cluster.api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def test_the_api_server_keeps_the_operator_to_its_namespaces(cluster: LocalCluster, namespace: str) -> None:
    watched, other = cluster.new_namespace("watched"), cluster.new_namespace("other")
    _, account = install_rbac(cluster, namespace, values={"namespaces": [watched]})
    user = f"system:serviceaccount:{namespace}:{account}"
    routes = "gateway.networking.k8s.io"

    answers = {
        question: is_allowed(cluster, user, question)
        for question in (
            Question("patch", "httproutes", watched, routes),
            Question("patch", "modelrollouts", watched, "modelrollout.dev", "status"),
            Question("get", "gateways", other, routes),
            Question("patch", "httproutes", other, routes),
            Question("list", "services", other),
            Question("patch", "modelrollouts", watched, "modelrollout.dev"),
            Question("delete", "modelrolloutrecords", watched, "modelrollout.dev"),
            Question("patch", "modelrolloutrecords", watched, "modelrollout.dev"),
            Question("delete", "httproutes", watched, routes),
            Question("get", "secrets", watched),
            Question("create", "pods", watched),
            Question("patch", "deployments", watched, "apps"),
        )
    }

    assert list(answers.values()) == [True] * 3 + [False] * 9


def test_the_api_server_keeps_the_operator_to_its_lease(cluster: LocalCluster, namespace: str) -> None:
    _, account = install_rbac(cluster, namespace, values={"namespaces": [namespace], "replicas": 2})
    lease = render(cluster, {"replicas": 2}, namespace, namespace)
    environment = next(one for one in lease if one["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    name = next(one["value"] for one in environment["env"] if one["name"] == "MODELROLLOUT_LEASE_NAME")
    user = f"system:serviceaccount:{namespace}:{account}"

    answers = [
        is_allowed(cluster, user, Question(verb, "leases", where, "coordination.k8s.io", name=which))
        for verb, where, which in (
            ("get", namespace, name),
            ("patch", namespace, name),
            ("create", namespace, ""),
            ("patch", namespace, "another"),
            ("delete", namespace, name),
            ("list", namespace, ""),
            ("patch", "kube-system", name),
        )
    ]

    assert answers == [True] * 3 + [False] * 4


@pytest.fixture
def on_call(cluster: LocalCluster, namespace: str) -> Path:
    """A kubeconfig of somebody who has the on-call role in the namespace, and nothing else."""
    person = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ana", "namespace": namespace}}
    cluster.apply(person)
    subject = {"kind": "ServiceAccount", "name": "ana", "namespace": namespace}
    install_rbac(cluster, namespace, values={"namespaces": [namespace], "onCall": {"subjects": [subject]}})
    return cluster.kubeconfig_for(cluster.token(namespace, "ana"), f"ana-{namespace}")


def test_on_call_can_roll_back_with_kubectl(cluster: LocalCluster, namespace: str, on_call: Path) -> None:
    cluster.apply(good(namespace=namespace))
    control = {"rollback": {"reason": "p99", "requestedBy": f"system:serviceaccount:{namespace}:ana"}}

    told = cluster.kubectl(
        "patch", "mr", "fraud-scorer", "-n", namespace, "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": {"control": control}}), "-o", "json", kubeconfig=on_call,
    )  # fmt: skip

    assert json.loads(told)["status"]["control"] == control
    assert "fraud-scorer" in cluster.kubectl("get", "mr", "-n", namespace, kubeconfig=on_call)


def test_on_call_can_roll_back_in_an_editor(
    cluster: LocalCluster, namespace: str, on_call: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.apply(good(namespace=namespace))
    # What an editor would do: the phase becomes RollingBack, a change of spec is dropped.
    monkeypatch.setenv(
        "KUBE_EDITOR",
        r"sed -i -e 's/observedGeneration: -1/observedGeneration: -1\n  phase: RollingBack/' -e s/2026[.]11[.]2/9/",
    )

    cluster.kubectl("edit", "mr", "fraud-scorer", "-n", namespace, "--subresource=status", kubeconfig=on_call)

    after = json.loads(cluster.kubectl("get", "mr", "fraud-scorer", "-n", namespace, "-o", "json", kubeconfig=on_call))
    assert after["status"]["phase"] == "RollingBack"
    assert after["spec"]["candidate"]["version"] != "9"


EDIT_SPEC = Question("patch", "modelrollouts", "", "modelrollout.dev")
WRITE_STATUS = Question("patch", "modelrollouts", "", "modelrollout.dev", "status")
APPROVE = Question("approve", "modelrollouts", "", "modelrollout.dev")
READ_ROLLOUTS = Question("list", "modelrollouts", "", "modelrollout.dev")
READ_RECORDS = Question("list", "modelrolloutrecords", "", "modelrollout.dev")
DELETE = Question("delete", "modelrollouts", "", "modelrollout.dev")
WRITE_RECORDS = Question("create", "modelrolloutrecords", "", "modelrollout.dev")
ASKED = (READ_ROLLOUTS, READ_RECORDS, WRITE_STATUS, APPROVE, EDIT_SPEC, DELETE, WRITE_RECORDS)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("viewer", {READ_ROLLOUTS, READ_RECORDS}),
        ("oncall", {READ_ROLLOUTS, READ_RECORDS, WRITE_STATUS}),
        ("approver", {READ_ROLLOUTS, READ_RECORDS, WRITE_STATUS, APPROVE}),
        ("editor", {READ_ROLLOUTS, READ_RECORDS, EDIT_SPEC, DELETE}),
    ],
)
def test_each_role_may_do_its_part(cluster: LocalCluster, namespace: str, role: str, may: set[Question]) -> None:
    person = People(cluster, namespace).new("pat", role)

    found = {question for question in ASKED if is_allowed(cluster, person.user, question._replace(namespace=namespace))}

    assert found == may


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(
            ["patch", "mr", "fraud-scorer", "--type=merge", "-p", '{"spec":{"paused":true}}'], id="change spec"
        ),
        pytest.param(["annotate", "mr", "fraud-scorer", "a=b"], id="annotate"),
        pytest.param(["delete", "mr", "fraud-scorer"], id="delete"),
        pytest.param(["get", "secrets"], id="read secrets"),
        pytest.param(["get", "services"], id="read services"),
        pytest.param(["create", "serviceaccount", "eve"], id="make an account"),
    ],
)
def test_on_call_can_do_nothing_else(
    cluster: LocalCluster, namespace: str, on_call: Path, arguments: list[str]
) -> None:
    cluster.apply(good(namespace=namespace))

    with pytest.raises(CommandFailed, match=r"(?i)forbidden"):
        cluster.kubectl(*arguments, "-n", namespace, kubeconfig=on_call)


def test_a_spec_written_through_the_status_of_a_rollout_is_dropped(
    cluster: LocalCluster, namespace: str, on_call: Path
) -> None:
    (before,) = cluster.apply(good(namespace=namespace))
    patch = {"spec": {"paused": True}, "metadata": {"labels": {"a": "b"}}, "status": {"control": {"rollback": {}}}}

    cluster.kubectl(
        "patch", "mr", "fraud-scorer", "-n", namespace, "--subresource=status", "--type=merge",
        "-p", json.dumps(patch), kubeconfig=on_call,
    )  # fmt: skip

    after = cluster.api.call("GET", cluster.api.path_of(before))
    assert after["spec"] == before["spec"]
    assert "labels" not in after["metadata"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
