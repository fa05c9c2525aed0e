"""The one local cluster of a test session, and a Kubernetes namespace for each test."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest

from local.build import find_definitions, find_programs
from local.cluster import LocalCluster, Parts, prepare
from local.envoy_gateway import EnvoyGateway
from local.namespace import Namespace
from local.python_tool import find_python_tool
from local.targets import PROMETHEUS_OPERATOR

# numpy's threads would keep an unprivileged process out of its network namespace.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The same examples at every run, and no limit on the time of one: a busy machine is no failure.
hypothesis.settings.register_profile("repeatable", max_examples=50, deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")

_NETWORK = pytest.StashKey[Namespace]()
_PARTS = Parts(traefik=True, prometheus=True, helm=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Move the session into its network namespace before any test can start a thread."""
    needed = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # a first build takes minutes and shows its progress
        _find_scanners(needed)
        if "cluster" in needed:
            parts = replace(_PARTS, envoy_gateway="envoy_gateway" in needed)
            session.config.stash[_NETWORK] = prepare(parts)


def _find_scanners(needed: set[str]) -> None:
    """Have what looks at manifests built: in the session's network nothing can be fetched."""
    if "kubeconform" in needed:
        find_programs(["kubeconform"])
        find_definitions(PROMETHEUS_OPERATOR)
    if "promtool" in needed:
        find_programs(["promtool"])
    if "checkov" in needed:
        find_python_tool("checkov")


@pytest.fixture(scope="session")
def kubeconform() -> Path:
    return find_programs(["kubeconform"])["kubeconform"]


@pytest.fixture(scope="session")
def promtool() -> Path:
    return find_programs(["promtool"])["promtool"]


@pytest.fixture(scope="session")
def checkov() -> Path:
    return find_python_tool("checkov")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with LocalCluster(
        traefik=_PARTS.traefik,
        prometheus=_PARTS.prometheus,
        helm=_PARTS.helm,
        namespace=request.config.stash.get(_NETWORK, None),
    ) as running:
        yield running


@pytest.fixture(scope="session")
def envoy_gateway(cluster: LocalCluster) -> EnvoyGateway:
    """The second gateway, which takes a few seconds to start and is there from the first test that needs it."""
    return cluster.start_envoy_gateway()


@pytest.fixture
def namespace(cluster: LocalCluster) -> str:
    return cluster.new_namespace("test")
