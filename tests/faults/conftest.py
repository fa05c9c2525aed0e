"""Operators behind proxies that make things go wrong, many cases side by side on the session's one cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from local.cluster import LocalCluster
from tests.faults.case import Case, Ground
from tests.faults.loop import LoopThread
from tests.faults.operators import WarmParent
from tests.faults.scripted import ScriptedMetrics
from tests.faults.witness import Witness
from tests.support.chart import install_rbac


@pytest.fixture(scope="session")
def ground(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Return what all cases share: a warm parent of operators, metrics, and a watch of what really happens."""
    account = install_rbac(cluster, cluster.new_namespace("faults-operator"))
    token = yaml.safe_load(Path(cluster.kubeconfig).read_text())["users"][0]["user"]["token"]
    with LoopThread() as thread:
        yield Ground(
            cluster=cluster,
            thread=thread,
            warm=WarmParent(cluster, tmp_path_factory.mktemp("warm") / "socket"),
            metrics=ScriptedMetrics(thread),
            witness=Witness(thread, cluster, token),
            token=cluster.token(*account, seconds=7200),
        )


@pytest.fixture
def case(ground: Ground) -> Iterator[Case]:
    """Return one case; its operator is not running yet."""
    found = ground.case()
    try:
        yield found
    finally:
        found.end()
