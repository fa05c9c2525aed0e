"""What the chart adds around the operator: who reaches whom, disruption, scraping; and that its values are all described."""

import base64
import json
from typing import Any

import pytest
import yaml

from local.cluster import LocalCluster
from tests.support.chart import CHART, Values, render

pytestmark = pytest.mark.cluster

SOURCES = {
    "default": {"url": "http://prometheus.monitoring:9090"},
    "mimir": {"url": "https://mimir.example.com/prometheus"},
    "thanos": {"url": "http://thanos.monitoring/api"},
    "six": {"url": "http://[2001:db8::1]:10902"},
}
EVERYWHERE = None


def of_kind(cluster: LocalCluster, kind: str, values: Values) -> list[dict[str, Any]]:
    return [one for one in render(cluster, values, "ops") if one["kind"] == kind]


def policy(cluster: LocalCluster, values: Values) -> dict[str, Any]:
    (found,) = of_kind(cluster, "NetworkPolicy", values)
    spec = found["spec"]
    assert isinstance(spec, dict)
    return spec


def ways_out(spec: dict[str, Any]) -> list[tuple[set[tuple[str, int]], Any]]:
    """Return each egress rule as ports and peers."""
    return [
        ({(port["protocol"], port["port"]) for port in rule["ports"]}, rule.get("to", EVERYWHERE))
        for rule in spec["egress"]
    ]


def test_the_operator_reaches_names_the_api_server_and_its_metrics_sources(cluster: LocalCluster):
    found = ways_out(policy(cluster, {"metricsSources": SOURCES}))

    assert found == [
        ({("UDP", 53), ("TCP", 53)}, EVERYWHERE),
        ({("TCP", 443), ("TCP", 6443)}, EVERYWHERE),
        ({("TCP", 9090), ("TCP", 443), ("TCP", 80), ("TCP", 10902)}, EVERYWHERE),
    ]


def test_without_metrics_sources_there_is_no_way_to_any(cluster: LocalCluster):
    assert len(policy(cluster, {})["egress"]) == 2


def test_each_way_out_can_be_narrowed(cluster: LocalCluster):
    server, source = {"ipBlock": {"cidr": "192.0.2.7/32"}}, {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    narrowed = {
        "apiServer": {"to": [server], "ports": [16443]},
        "metricsSources": {"to": [source]},
        "extraEgress": [{"ports": [{"protocol": "TCP", "port": 8443}]}],
    }

    _, *found = ways_out(policy(cluster, {"metricsSources": {"a": {"url": "http://a:1"}}, "networkPolicy": narrowed}))

    assert found == [
        ({("TCP", 16443)}, [server]),
        ({("TCP", 9090), ("TCP", 1)}, [source]),
        ({("TCP", 8443)}, EVERYWHERE),
    ]


def test_the_token_is_mounted_in_the_operators_pod_alone_and_for_an_hour(cluster: LocalCluster):
    (deployment,), (account,) = (of_kind(cluster, kind, {}) for kind in ("Deployment", "ServiceAccount"))
    pod = deployment["spec"]["template"]["spec"]
    (token,) = (
        source["serviceAccountToken"]
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    )

    assert (account["automountServiceAccountToken"], pod["automountServiceAccountToken"]) == (False, False)
    # Of 3607 seconds, what the usual mount asks for, the API server makes a year.
    assert token == {"path": "token", "expirationSeconds": 3600}


@pytest.mark.parametrize(("seconds", "lasts"), [(3600, 3600), (3607, 365 * 24 * 3600)])
def test_the_api_server_makes_a_year_of_the_usual_mounts_token_and_not_of_ours(
    cluster: LocalCluster, namespace: str, seconds: int, lasts: int
):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "one", "namespace": namespace}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": namespace},
        "spec": {"serviceAccountName": "one", "containers": [{"name": "one", "image": "one:1"}]},
    }
    _, made = cluster.apply([account, pod])
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "one", "uid": made["metadata"]["uid"]}
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds, "boundObjectRef": bound},
    }

    answer = cluster.api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/one/token", request)

    claims = answer["status"]["token"].split(".")[1]
    content = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert content["exp"] - content["iat"] == pytest.approx(lasts, abs=60)


def test_nobody_reaches_anything_but_the_metrics(cluster: LocalCluster):
    (deployment,) = of_kind(cluster, "Deployment", {})
    spec = policy(cluster, {"networkPolicy": {"scrapers": [{"podSelector": {}}]}})

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}], "from": [{"podSelector": {}}]}]
    assert spec["podSelector"] == deployment["spec"]["selector"]


def test_a_network_without_policies_can_do_without(cluster: LocalCluster):
    assert of_kind(cluster, "NetworkPolicy", {"networkPolicy": {"enabled": False}}) == []


def test_a_budget_never_keeps_the_node_of_the_only_replica_from_being_drained(cluster: LocalCluster):
    assert of_kind(cluster, "PodDisruptionBudget", {}) == []


def test_two_replicas_have_a_budget_roll_and_prefer_two_nodes(cluster: LocalCluster):
    objects = {one["kind"]: one["spec"] for one in render(cluster, {"replicas": 2}, "ops") if "spec" in one}
    selector = objects["Deployment"]["selector"]

    assert objects["PodDisruptionBudget"] == {"maxUnavailable": 1, "selector": selector}
    assert objects["Deployment"]["strategy"] == {"type": "RollingUpdate"}
    assert objects["Deployment"]["template"]["spec"]["affinity"] == {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector},
                }
            ]
        }
    }


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        pytest.param({"affinity": {"nodeAffinity": {}}}, {"nodeAffinity"}, id="one replica"),
        pytest.param(
            {"replicas": 2, "affinity": {"nodeAffinity": {}}}, {"nodeAffinity", "podAntiAffinity"}, id="two replicas"
        ),
    ],
)
def test_a_given_affinity_is_kept(cluster: LocalCluster, values: Values, rules: set[str]):
    (deployment,) = of_kind(cluster, "Deployment", values)

    assert deployment["spec"]["template"]["spec"]["affinity"].keys() == rules


def test_the_operator_can_be_stopped_by_a_value(cluster: LocalCluster):
    (deployment,) = of_kind(cluster, "Deployment", {"replicas": 0})

    assert deployment["spec"]["replicas"] == 0


def test_a_service_monitor_finds_the_pod_by_way_of_its_service(cluster: LocalCluster):
    values = {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}
    (service,), (monitor,) = (of_kind(cluster, kind, values) for kind in ("Service", "ServiceMonitor"))
    (deployment,) = of_kind(cluster, "Deployment", values)

    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [one["port"] for one in monitor["spec"]["endpoints"]] == [one["name"] for one in service["spec"]["ports"]]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]


def test_nothing_asks_for_the_prometheus_operator_unless_told(cluster: LocalCluster):
    assert {one["apiVersion"].split("/")[0] for one in render(cluster, {}, "ops")} == {
        "v1",
        "admissionregistration.k8s.io",
        "apps",
        "networking.k8s.io",
        "rbac.authorization.k8s.io",
    }


def test_the_schema_describes_each_value_and_no_others():
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))

    assert_described(values, schema, schema["definitions"], path="")
    assert schema["properties"].keys() - values.keys() == {"global"}  # helm's own


def assert_described(values: dict[str, Any], schema: dict[str, Any], definitions: dict[str, Any], path: str) -> None:
    for name, value in values.items():
        here = f"{path}.{name}"
        assert name in schema["properties"], here
        described = schema["properties"][name]
        if reference := described.get("$ref"):
            described = definitions[reference.rpartition("/")[2]]
        if isinstance(value, dict) and "properties" in described:
            assert described["additionalProperties"] is False, here
            assert_described(value, described, definitions, here)


def test_who_installs_it_is_told_which_ports_are_open(cluster: LocalCluster, namespace: str):
    address = "metricsSources.default.url=http://prometheus.monitoring"

    told = cluster.helm(
        "install", namespace, str(CHART), "--dry-run=server", "--skip-crds", "-n", namespace, "--set", address
    )

    assert "it reaches metrics sources at ports 9090, 80 only" in told
