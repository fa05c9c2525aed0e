import pytest

from local.cluster import LocalCluster
from tests.support.chart import install_crds


@pytest.fixture(scope="session")
def contract(cluster: LocalCluster) -> LocalCluster:
    """The cluster, with the CRDs served."""
    install_crds(cluster)
    return cluster
