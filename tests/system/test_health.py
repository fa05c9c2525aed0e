"""What the kubelet learns from the probes of a real operator."""

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import kopf
import pytest
import yaml

from local.cluster import LocalCluster
from local.process import Process, wait_until
from tests.support.chart import TOP, install_crds

pytestmark = pytest.mark.cluster

# The operator as it is, in a process that can be told to block: the handler runs where the event loop does.
BLOCKABLE = """
import signal, sys, time
from modelrollout.wiring.process import main
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(8))
sys.exit(main())
"""


@pytest.fixture
def operator(cluster: LocalCluster, namespace: str) -> Iterator[tuple[Process, str]]:
    install_crds(cluster)
    address = f"10.244.126.{int(namespace.rpartition('-')[2]) % 250 + 1}:8080"
    environment = {
        "PYTHONPATH": str(TOP / "operator"),
        "MODELROLLOUT_KUBECONFIG": str(cluster.kubeconfig),
        "MODELROLLOUT_NAMESPACES": f'["{namespace}"]',
        "MODELROLLOUT_LISTEN": address,
    }
    process = cluster.spawn(f"operator-{namespace}", [sys.executable, "-c", BLOCKABLE], env=environment)
    wait_until(lambda: answer_of(address, "/readyz") == 200, "the operator to be ready", process=process)
    yield process, address
    process.kill()


def answer_of(address: str, path: str, seconds: float = 2) -> int | None:
    """Return the code that a probe gets, `None` where it gets none in time."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=seconds) as answer:
            code: int = answer.status
            return code
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_a_blocked_loop_fails_the_probe_and_is_measured(operator: tuple[Process, str]):
    process, address = operator
    assert answer_of(address, "/healthz") == 200

    os.kill(process.pid, signal.SIGUSR1)
    time.sleep(0.5)

    assert answer_of(address, "/healthz") is None
    wait_until(lambda: answer_of(address, "/healthz") == 200, "the loop to turn again", process=process)
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))
    fast, all_of_them = (
        lines['modelrollout_loop_lag_seconds_bucket{le="5.0"}'],
        lines["modelrollout_loop_lag_seconds_count"],
    )
    assert float(all_of_them) - float(fast) == 1


def test_the_operator_knows_its_watches_by_name(operator: tuple[Process, str]):
    # /healthz misses a watch that ends by the name of kopf's task: this fails when kopf names them otherwise.
    process, address = operator
    kopf_says = Path(kopf.__file__).parent / "_core/reactor/orchestration.py"

    assert 'name=f"watcher for {what}"' in kopf_says.read_text("utf-8")
    assert answer_of(address, "/healthz") == 200
    assert process.running


def test_the_chart_restarts_a_blocked_operator_within_a_minute():
    text = (TOP / "charts/modelrollout/templates/deployment.yaml").read_text("utf-8")
    probe = yaml.safe_load(text[text.index("livenessProbe:") : text.index("readinessProbe:")])["livenessProbe"]

    assert probe["httpGet"]["path"] == "/healthz"
    assert probe["failureThreshold"] * (probe["periodSeconds"] + probe["timeoutSeconds"]) <= 60
