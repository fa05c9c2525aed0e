"""`backtest` on a past that a real Prometheus remembers."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.cluster import LocalCluster
from tests.api.manifests import changed, good
from tests.cli.stage import call, said_by
from tests.metrics.exporter import Points, exporting, tell

pytestmark = pytest.mark.cluster

TEST = "backtest"
SCRAPE = 15
BEGIN, END = 3300, 60
"""Seconds ago: what is told lies within the last hour, as Prometheus takes nothing older."""


def counter(now: float, each: Callable[[float], float]) -> Points:
    """A counter that gets `each(seconds since the beginning)` a scrape."""
    points, value = [], 1000.0
    for n in range((BEGIN - END) // SCRAPE):
        value += each(n * SCRAPE)
        points.append((now - BEGIN + n * SCRAPE, value))
    return points


@pytest.fixture(scope="module")
def now() -> float:
    return float(int(time.time()))


@pytest.fixture(scope="module")
def prometheus(cluster: LocalCluster, now: float) -> Iterator[str]:
    """A past of three versions: one that serves, one like it, and one that breaks after 20 minutes."""
    series = {}
    errors: dict[str, Callable[[float], float]] = {
        "fraud-v1": lambda _: 0.2,
        "fraud-v2": lambda _: 0.2,
        "fraud-v3": lambda at: 60.0 if at > 1200 else 0.2,
    }
    for service, each in errors.items():
        series[f'requests_total{{service="{service}"}}'] = counter(now, lambda _: 150.0)
        series[f'errors_total{{service="{service}"}}'] = counter(now, each)
    with exporting(cluster) as exporter:
        tell(cluster, exporter, TEST, series)
        yield cluster.prometheus.url


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    own = [{"label": "test", "op": "=", "value": TEST}]
    custom = {
        "requests": {"metric": "requests_total", "matchers": own},
        "errors": {"metric": "errors_total", "matchers": own},
        "versionLabel": {"name": "service", "holds": "Service"},
    }
    content = changed(
        good("fraud", "models"),
        {
            "spec.metrics": {"preset": "custom", "custom": custom},
            "spec.stages": [
                {"name": "canary", "canary": {"weights": [10, 50]}, "minDuration": "10m"},
                {"name": "full", "full": {}, "minDuration": "10m"},
            ],
            "spec.gates": [{"name": "errors", "errorRate": {"max": "2%", "maxIncrease": "25%"}}],
        },
    )
    file = tmp_path / "rollout.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture
def begin(now: float) -> str:
    return datetime.fromtimestamp(now - BEGIN, UTC).isoformat()


def test_a_candidate_that_was_fine_would_have_been_promoted(manifest: Path, prometheus: str, begin: str):
    said = said_by(call("backtest", "-f", manifest, "--from", begin, "--prometheus", prometheus))

    assert "errors: Pass [canary at 10%]: " in said
    assert "errors: Pass [full (bake)]: " in said
    assert said.splitlines()[-1].startswith("It would have been promoted at ")


def test_a_candidate_that_broke_would_have_been_rolled_back_within_minutes_of_it(
    manifest: Path, prometheus: str, begin: str, now: float
):
    arguments = ("--from", begin, "--candidate", "fraud-v3", "--prometheus", prometheus, "-o", "json")

    found = json.loads(said_by(call("backtest", "-f", manifest, *arguments), 1))

    broke = now - BEGIN + 1200
    assert found["outcome"] == "RolledBack"
    assert 0 < datetime.fromisoformat(found["at"]).timestamp() - broke < 300
    assert "requests failed" in found["message"]


def test_the_baseline_against_itself_is_promoted_again_and_again(manifest: Path, prometheus: str, begin: str):
    arguments = ("--from", begin, "--against-itself", "--runs", "8", "--prometheus", prometheus, "-o", "json")

    found: dict[str, Any] = json.loads(said_by(call("backtest", "-f", manifest, *arguments)))

    assert found["attempts"] == 8
    assert found["promoted"] >= 6
    # The promise is 1 % at most, at the very limit: one of eight would be rare, two are a fault.
    assert found["rolledBack"] <= 1
    assert found["bounds"][0] <= found["falseRollbackRate"] <= found["bounds"][1]


def test_a_time_without_data_is_said(manifest: Path, prometheus: str, begin: str):
    arguments = ("--from", begin, "--candidate", "fraud-v9", "--prometheus", prometheus, "--to", "50m")

    assert "There is nothing to judge by" in said_by(call("backtest", "-f", manifest, *arguments), 3)


def test_a_prometheus_that_is_not_there_is_said(manifest: Path, begin: str):
    arguments = ("--from", begin, "--to", "50m", "--prometheus", "http://127.0.0.1:1")

    assert "cannot be reached" in said_by(call("backtest", "-f", manifest, *arguments), 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--from", "yesterday"], "write a time such as"),
        (["--from", "1h", "--to", "2h", "--prometheus", "http://x"], "--to is not after --from"),
        (["--from", "1h"], "--prometheus"),
        (["--from", "1h", "--prometheus", "x"], "write the source's base address"),
    ],
)
def test_a_wrong_request_is_said(manifest: Path, arguments: list[str], sentence: str):
    result = call("backtest", "-f", manifest, *arguments)

    said_by(result, 64)
    assert sentence in result.stderr
