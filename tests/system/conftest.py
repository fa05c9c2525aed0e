"""Each story has a namespace, models and an operator of its own."""

from collections.abc import Iterator

import pytest

from local.cluster import LocalCluster
from tests.support.scene import Scene


@pytest.fixture
def scene(cluster: LocalCluster, namespace: str) -> Iterator[Scene]:
    """Return a scene with v1 and v2 answering and an operator that watches."""
    found = Scene(cluster, namespace)
    found.serve("v1", "v2")
    found.start_operator()
    try:
        yield found
    finally:
        found.end()
