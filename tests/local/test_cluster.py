"""The real stack does what its users count on."""

import os
import subprocess
import time
from collections import Counter
from datetime import timedelta
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from local.api import ApiRefused
from local.cluster import CommandFailed, LocalCluster
from local.process import wait_until

pytestmark = pytest.mark.cluster


def weighted_route(cluster: LocalCluster, namespace: str, weights: dict[str, int]) -> dict[str, object]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "model", "namespace": namespace},
        "spec": {
            "parentRefs": [cluster.traefik.parent_ref],
            "hostnames": [f"{namespace}.local"],
            "rules": [{"backendRefs": [{"name": name, "port": 8080, "weight": n} for name, n in weights.items()]}],
        },
    }


def serve_through(cluster: LocalCluster, namespace: str, weights: dict[str, int]) -> str:
    """Return the host of a route that answers, and has answered with nothing but the given versions."""
    cluster.apply(weighted_route(cluster, namespace, weights))
    host = f"{namespace}.local"
    wait_until(lambda: set(cluster.send(host, count=3)) <= set(weights), "the route serves")
    return host


def query(cluster: LocalCluster, text: str) -> list[dict[str, object]]:
    with urlopen(f"{cluster.prometheus.url}/api/v1/query?{urlencode({'query': text})}", timeout=5) as answer:
        result: list[dict[str, object]] = yaml.safe_load(answer.read())["data"]["result"]
    return result


def test_the_api_server_is_the_pinned_one_and_its_certificate_is_checked(cluster: LocalCluster) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]

    assert "Server Version: v1.36.3" in cluster.kubectl("version")
    assert "certificate-authority-data" in config
    assert "insecure-skip-tls-verify" not in config


def test_a_refused_object_raises_the_servers_own_sentence(cluster: LocalCluster, namespace: str) -> None:
    bad = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "UPPER", "namespace": namespace}}

    with pytest.raises(ApiRefused, match="a lowercase RFC 1123 label must consist of") as refusal:
        cluster.apply(bad)

    assert refusal.value.status == 422


def test_a_failed_kubectl_raises_what_it_said(cluster: LocalCluster, namespace: str) -> None:
    with pytest.raises(CommandFailed, match='services "nothing" not found'):
        cluster.kubectl("get", "service", "nothing", "-n", namespace)


def test_the_printed_command_gets_another_terminal_inside(cluster: LocalCluster) -> None:
    if os.getuid():
        pytest.skip("what this test starts is in the user namespace already, and cannot enter it again")
    asked = f"{cluster.enter_command} -c 'kubectl version'"
    outside = ["sh", "-c", asked]

    answer = subprocess.run(
        outside, capture_output=True, text=True, check=False, env={"PATH": os.defpath + ":/usr/sbin"}
    )

    assert "Server Version: v1.36.3" in answer.stdout, answer.stderr


def test_a_service_account_may_do_only_what_its_role_allows(cluster: LocalCluster, namespace: str) -> None:
    cluster.apply({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "somebody", "namespace": namespace},
    })  # fmt: skip
    config = cluster.kubeconfig_for(cluster.token(namespace, "somebody"), f"{namespace}-somebody")

    said = cluster.kubectl("get", "services", "-n", namespace, check=False, kubeconfig=config)

    assert f'User "system:serviceaccount:{namespace}:somebody" cannot list resource "services"' in said


def test_a_weighted_route_splits_exactly(cluster: LocalCluster, namespace: str) -> None:
    models = {name: cluster.model(namespace, name) for name in ("v1", "v2")}
    host = serve_through(cluster, namespace, {"v1": 90, "v2": 10})
    before = {name: model.requests["ok"] for name, model in models.items()}

    seen = cluster.send(host, "/v1/score", 200)

    assert seen == Counter(v1=180, v2=20)
    assert {name: model.requests["ok"] - before[name] for name, model in models.items()} == seen


def test_a_steady_load_tells_when_a_version_was_last_reached(cluster: LocalCluster, namespace: str) -> None:
    for name in ("v1", "v2"):
        cluster.model(namespace, name)
    host = serve_through(cluster, namespace, {"v1": 50, "v2": 50})
    load = cluster.load(host, "/v1/score", requests_per_second=200)
    wait_until(lambda: load.snapshot().versions["v2"] > 20, "both versions answer")

    edited_at = time.time()
    cluster.apply(weighted_route(cluster, namespace, {"v1": 100, "v2": 0}))
    wait_until(lambda: load.snapshot().at - load.snapshot().last_sent["v2"] > 0.5, "v2 is not reached any more")
    mark = load.snapshot()
    wait_until(lambda: load.since(mark).sent > 100, "some more requests")
    rest = load.since(mark)
    whole = load.stop()

    assert whole.last_sent["v2"] - edited_at < 5
    assert rest.share_of("v1") == 1
    assert whole.errors == 0


def test_a_model_server_misbehaves_as_asked_and_is_scraped(cluster: LocalCluster, namespace: str) -> None:
    model = cluster.model(namespace, "v1")
    host = serve_through(cluster, namespace, {"v1": 1})
    before = model.requests

    model.behave(error_share=0.25, delay=timedelta(milliseconds=20))
    started = time.monotonic()
    seen = cluster.send(host, "/v1/score", 40)

    assert seen == {"v1": 30, "status 500": 10}
    assert time.monotonic() - started > 40 * 0.020
    assert model.requests - before == Counter(ok=30, error=10)
    series = f'model_requests_total{{namespace="{namespace}",service="v1",pod="v1-0",version="v1",code="500"}}'
    wait_until(lambda: [one["value"][1] for one in query(cluster, series)] == ["10"], "the errors are scraped")  # type: ignore[index]


def test_a_model_that_is_not_ready_or_gone_gets_no_answer_through(cluster: LocalCluster, namespace: str) -> None:
    model = cluster.model(namespace, "v1")
    host = serve_through(cluster, namespace, {"v1": 1})

    model.set_ready(False)
    wait_until(lambda: cluster.send(host) == {"status 503": 1}, "no ready endpoint")
    model.set_ready(True)
    wait_until(lambda: cluster.send(host) == {"v1": 1}, "ready again")
    model.stop()
    assert cluster.send(host) == {"status 502": 1}
    model.start()
    assert cluster.send(host) == {"v1": 1}


def test_prometheus_keeps_its_data_over_a_restart(cluster: LocalCluster) -> None:
    wait_until(lambda: query(cluster, 'up{job="traefik"}'), "Traefik is scraped")
    first = time.time()

    cluster.prometheus.stop()
    with pytest.raises(OSError, match="refused"):
        urlopen(cluster.prometheus.url, timeout=1)
    cluster.prometheus.start()

    assert query(cluster, f'up{{job="traefik"}} @ {first:.3f}')


def test_helm_renders_with_the_versions_of_this_server(cluster: LocalCluster) -> None:
    assert cluster.helm("version", "--short").startswith("v3.")
