"""helm's own lint, in both modes."""

import json
from pathlib import Path

import pytest

from local.cluster import CommandFailed, LocalCluster
from tests.charts.test_chart import EVERYTHING
from tests.support.chart import CHART, Values

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="the whole cluster"),
        pytest.param({"namespaces": ["a", "b"]}, id="two namespaces"),
        pytest.param(EVERYTHING, id="everything"),
    ],
)
def test_lint_finds_nothing(cluster: LocalCluster, tmp_path: Path, values: Values):
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values), "utf-8")

    assert "0 chart(s) failed" in cluster.helm("lint", "--strict", str(CHART), "--values", str(file))


def test_lint_would_find_a_wrong_value(cluster: LocalCluster):
    with pytest.raises(CommandFailed, match="namespace"):
        cluster.helm("lint", "--strict", str(CHART), "--set", "namespace=a")
