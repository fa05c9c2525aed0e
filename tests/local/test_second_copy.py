"""A whole cluster ends with its parent, and a second one runs beside the first at the same addresses."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from local.cluster import LocalCluster
from local.process import wait_until
from tests.local.test_processes import environment, marked

pytestmark = pytest.mark.cluster

SECOND_COPY = """
import signal
from local.cluster import LocalCluster
with LocalCluster() as cluster:
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "second-copy"}})
    print(cluster.server, cluster.logs.name, flush=True)
    signal.pause()
"""


def test_a_second_cluster_runs_beside_the_first_and_ends_with_its_parent(cluster: LocalCluster, tmp_path: Path) -> None:
    second = subprocess.Popen(
        [sys.executable, "-c", SECOND_COPY],
        stdout=subprocess.PIPE,
        text=True,
        env=environment() | {"MODELROLLOUT_LOGS": str(tmp_path), "TMPDIR": str(tmp_path)},
    )
    assert second.stdout is not None
    try:
        server, logs = second.stdout.readline().split()

        assert server == cluster.server
        assert "second-copy" not in cluster.kubectl("get", "namespaces")
        assert len(marked(logs)) == 2
    finally:
        second.send_signal(signal.SIGKILL)
        second.wait()
    second.stdout.close()

    wait_until(lambda: not marked(logs), "etcd and kube-apiserver have ended", within=timedelta(seconds=15))
    wait_until(
        lambda: [one.name for one in tmp_path.iterdir()] == [logs],
        "only its logs are left",
        within=timedelta(seconds=15),
    )
    assert {"etcd.log", "kube-apiserver.log"} <= {path.name for path in (tmp_path / logs).iterdir()}
    cluster.check()
