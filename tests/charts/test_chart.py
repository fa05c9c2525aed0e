"""The chart: what helm makes of it, and what the API server and the operator make of that."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from modelrollout.metrics.config import SourceConfig
from modelrollout.wiring.settings import Settings
from pydantic_settings import CliApp

from local.cluster import CommandFailed, LocalCluster
from local.pods import environment_of
from tests.support.chart import CHART, Values, install_crds, render

pytestmark = pytest.mark.cluster

NAMESPACE = "ops"
EVERYTHING: Values = {
    "image": {"repository": "registry.example.com/modelrollout", "digest": f"sha256:{'0' * 64}"},
    "imagePullSecrets": [{"name": "registry"}],
    "namespaces": ["team-a", "team-b"],
    "metricsSources": {
        "default": {"url": "http://prometheus.monitoring:9090"},
        "team-a": {
            "url": "https://mimir.example.com/prometheus",
            "bearerTokenFile": "/etc/modelrollout/token",
            "caFile": "/etc/modelrollout/ca.crt",
            "clientCertificate": {"certFile": "/etc/modelrollout/tls.crt", "keyFile": "/etc/modelrollout/tls.key"},
            "headers": {"X-Scope-OrgID": "team-a|team-b", "X-Api-Key": {"file": "/etc/modelrollout/key"}},
            "namespaceLabel": "namespace",
            "enforceNamespace": True,
            "timeout": "3s",
        },
        "team-b": {
            "url": "https://thanos.example.com",
            "basicAuth": {"username": "rollouts", "passwordFile": "/etc/modelrollout/password"},
        },
    },
    "webhooks": {
        "judge.models.svc:8443": {"bearerTokenFile": "/etc/modelrollout/judge", "caFile": "/etc/modelrollout/j.crt"},
        "judge.example.com": {"timeout": "10s", "plain": False},
    },
    "notifications": {
        "oncall": {
            "type": "webhook",
            "urlFile": "/etc/modelrollout/notifications/oncall-chat/url",
            "severity": "warning",
            "body": {"text": "$title"},
            "giveUpAfter": "1h",
        },
        "bots": {"type": "cloudevents", "url": "http://broker.example/ops", "mode": "binary", "segments": True},
    },
    "notificationSecrets": ["oncall-chat"],
    "clusterName": "prod-eu",
    "settings": {
        "minInterval": "15s",
        "statusRefresh": "2m",
        "rawQueries": True,
        "gatewayMirror": {"example.com/gateway": "percent"},
        "workers": 8,
        "logFormat": "text",
        "logLevel": "debug",
    },
    "args": ["--identity=blue"],
    "serviceAccount": {"name": "rollouts", "annotations": {"example.com/role": "rollouts"}},
    "onCall": {"subjects": [{"kind": "Group", "name": "oncall", "apiGroup": "rbac.authorization.k8s.io"}]},
    "networkPolicy": {
        "scrapers": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "dns": {"to": [{"ipBlock": {"cidr": "10.96.0.10/32"}}], "ports": [53, 5353]},
        "apiServer": {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [6443]},
        "metricsSources": {"to": [{"podSelector": {}, "namespaceSelector": {}}], "ports": [9090, 8080]},
        "extraEgress": [{"ports": [{"port": 4317, "protocol": "TCP"}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "15s"},
    "retention": {"enabled": True, "days": 180, "keep": 50, "schedule": "0 4 * * 0", "dryRun": True},
    "podAnnotations": {"prometheus.io/scrape": "true"},
    "podLabels": {"team": "platform"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "infra", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
    "extraVolumes": [{"name": "metrics", "secret": {"secretName": "metrics"}}],
    "extraVolumeMounts": [{"name": "metrics", "mountPath": "/etc/modelrollout", "readOnly": True}],
}


def deployment(cluster: LocalCluster, values: Values) -> dict[str, Any]:
    (found,) = (one for one in render(cluster, values, NAMESPACE) if one["kind"] == "Deployment")
    return found


def container(cluster: LocalCluster, values: Values) -> dict[str, Any]:
    (found,) = deployment(cluster, values)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


TWO: Values = {**EVERYTHING, "replicas": 2, "settings": {"leaseDuration": "4s"}}


@pytest.mark.parametrize(
    "values",
    [pytest.param({}, id="defaults"), pytest.param(EVERYTHING, id="everything"), pytest.param(TWO, id="two replicas")],
)
def test_the_api_server_takes_every_object_as_it_stands(cluster: LocalCluster, values: Values) -> None:
    install_crds(cluster)
    for name in (NAMESPACE, "team-a", "team-b"):
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    for one in render(cluster, values, NAMESPACE):
        if one["apiVersion"].startswith("monitoring.coreos.com/"):
            continue  # this cluster has no Prometheus Operator
        path = f"{cluster.api.path_of(one)}?fieldManager=helm&dryRun=All&fieldValidation=Strict"
        cluster.api.call("PATCH", path, one, content_type="application/apply-patch+yaml")


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        pytest.param(
            {}, {"namespaces": [], "metrics_sources": {}, "log_format": "json", "listen": ":8080"}, id="defaults"
        ),
        pytest.param(
            EVERYTHING,
            {
                "namespaces": ["team-a", "team-b"],
                "min_interval": timedelta(seconds=15),
                "status_refresh": timedelta(minutes=2),
                "raw_queries": True,
                "gateway_mirror": {"example.com/gateway": "percent"},
                "workers": 8,
                "log_format": "text",
                "log_level": "debug",
                "identity": "blue",
                "leader_election": False,
            },
            id="everything",
        ),
        pytest.param(
            TWO,
            {
                "leader_election": True,
                "lease_name": "modelrollout",
                "lease_namespace": NAMESPACE,
                "lease_duration": timedelta(seconds=4),
            },
            id="two replicas",
        ),
    ],
)
def test_the_operator_reads_its_settings_as_they_were_given(
    cluster: LocalCluster,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    values: Values,
    settings: Mapping[str, object],
) -> None:
    objects = render(cluster, values, NAMESPACE)
    (pod,) = (one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Deployment")
    for name, value in environment_of(pod, objects, tmp_path).items():
        monkeypatch.setenv(name, value)

    read = CliApp.run(Settings, cli_args=pod["containers"][0].get("args", []))

    assert {name: getattr(read, name) for name in settings} == settings
    assert read.metrics_sources == {
        name: SourceConfig.model_validate(source) for name, source in values.get("metricsSources", {}).items()
    }


def test_other_metrics_sources_start_the_operator_anew_and_lie_where_it_cannot_write(cluster: LocalCluster) -> None:
    pods = [
        deployment(cluster, {"metricsSources": {"default": {"url": url}}})["spec"]["template"]
        for url in ("http://a", "http://b")
    ]

    before, after = (pod["metadata"]["annotations"] for pod in pods)
    (mount,) = (
        one for one in pods[0]["spec"]["containers"][0]["volumeMounts"] if one["mountPath"].endswith("-settings")
    )
    assert before.keys() == after.keys()
    assert before != after
    assert mount["readOnly"] is True


def test_one_operator_runs_at_a_time_under_its_own_account(cluster: LocalCluster) -> None:
    found = deployment(cluster, EVERYTHING)["spec"]

    assert (found["replicas"], found["strategy"]) == (1, {"type": "Recreate"})
    assert found["template"]["spec"]["serviceAccountName"] == "rollouts"
    assert container(cluster, EVERYTHING)["image"] == f"registry.example.com/modelrollout@sha256:{'0' * 64}"


def test_the_pod_meets_the_restricted_standard(cluster: LocalCluster) -> None:
    # The API server judges it: a namespace that enforces the standard warns about nothing and refuses nothing.
    namespace = cluster.new_namespace("restricted")
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": enforce}})
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "modelrollout", "namespace": namespace},
    }
    cluster.apply(account)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator", "namespace": namespace},
        "spec": deployment(cluster, {})["spec"]["template"]["spec"],
    }

    cluster.apply(pod)

    assert container(cluster, {})["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"namespace": ["a"]}, id="a misspelt value"),
        pytest.param({"namespaces": ["Not A Namespace"]}, id="a namespace that is none"),
        pytest.param(
            {"metricsSources": {"default": {"url": "http://user:secret@prometheus"}}}, id="a password in a URL"
        ),
        pytest.param({"metricsSources": {"default": {}}}, id="a source without address"),
        pytest.param(
            {"metricsSources": {"default": {"url": "http://a", "basicAuth": {"username": "a", "password": "b"}}}},
            id="a password",
        ),
        pytest.param(
            {"metricsSources": {"default": {"url": "http://a", "basicAuth": {"passwordFile": "/b"}}}},
            id="a password without user",
        ),
        pytest.param(
            {
                "metricsSources": {
                    "default": {
                        "url": "http://a",
                        "bearerTokenFile": "/a",
                        "basicAuth": {"username": "a", "passwordFile": "/b"},
                    }
                }
            },
            id="a token and a password",
        ),
        pytest.param(
            {"metricsSources": {"default": {"url": "http://a", "headers": {"Authorization": "Bearer x"}}}},
            id="a token as a header",
        ),
        pytest.param({"webhooks": {"https://judge": {}}}, id="a judge's address where its host is asked for"),
        pytest.param({"settings": {"minInterval": "10"}}, id="a duration without unit"),
        pytest.param({"image": {"repository": "x", "digest": "latest"}}, id="a digest that is none"),
        pytest.param({"replicas": 6}, id="more replicas than there may be"),
        pytest.param({"settings": {"leaseDuration": "1m"}}, id="a lease that is not in seconds"),
        pytest.param({"networkPolicy": {"apiServer": {"ports": ["https"]}}}, id="a port without number"),
        pytest.param({"networkPolicy": {"dns": {"to": [{"cidr": "10.0.0.1/32"}]}}}, id="a peer that is none"),
        pytest.param({"resources": {"limit": {"memory": "1Gi"}}}, id="misspelt limits"),
    ],
)
def test_a_wrong_value_is_refused(cluster: LocalCluster, values: Values) -> None:
    with pytest.raises(CommandFailed, match="values don't meet the specifications of the schema"):
        render(cluster, values, NAMESPACE)


def test_the_crds_are_part_of_the_chart(cluster: LocalCluster) -> None:
    assert "name: modelrollouts.modelrollout.dev" in cluster.helm("show", "crds", str(CHART))
