"""Two teams on one Prometheus: a rollout is judged by its own namespace's numbers, whatever it asks."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from local.cluster import LocalCluster
from tests.metrics.exporter import Exporter, exporting
from tests.support.scene import Scene

pytestmark = pytest.mark.cluster

HALF = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, {"name": "full", "full": {}}]


@pytest.fixture
def exporter(cluster: LocalCluster, namespace: str) -> Iterator[Exporter]:
    """Return an exporter with a low share of the team's own, and a high one of its neighbour's."""
    with exporting(cluster) as running:
        running.text = f'chargebacks{{namespace="{namespace}"}} 0.1\nchargebacks{{namespace="neighbour"}} 0.9\n'
        yield running


@pytest.fixture
def scene(cluster: LocalCluster, namespace: str) -> Iterator[Scene]:
    """Return a scene whose operator lets everybody ask what they like, of their own namespace."""
    found = Scene(cluster, namespace, source={"enforceNamespace": True, "rawQueries": True})
    found.serve("v1", "v2")
    found.start_operator()
    try:
        yield found
    finally:
        found.end()


def asking(query: str) -> list[dict[str, Any]]:
    return [{"name": "chargebacks", "value": {"query": query, "max": "0.2"}}]


@pytest.mark.usefixtures("exporter")
def test_a_team_is_judged_by_its_own_numbers_and_cannot_ask_for_its_neighbours(scene: Scene):
    def says(verdict: str, words: str) -> dict[str, Any]:
        def holds(status: dict[str, Any]) -> bool:
            gates = status.get("attempt", {}).get("gates", [])
            return any(gate["verdict"] == verdict and re.search(words, gate["message"]) for gate in gates)

        return scene.until(f"{verdict}: {words}", holds)

    scene.apply(scene.rollout(traffic=scene.route_owned(), stages=HALF, gates=asking("max(chargebacks)")))
    scene.load()
    says("Pass", "0.1")

    scene.apply(
        scene.rollout(traffic=scene.route_owned(), stages=HALF, gates=asking('max(chargebacks{namespace="neighbour"})'))
    )
    says("Unknown", f'allow namespace="{scene.namespace}" alone')
    scene.apply(
        scene.rollout(traffic=scene.route_owned(), stages=HALF, gates=asking('max(chargebacks{namespace=~".+"})'))
    )
    status = scene.until_condition("Stalled", "True", "BadMetrics")

    assert status["attempt"]["candidate"]["version"] == "v2"
    assert "outcome" not in status["attempt"]
