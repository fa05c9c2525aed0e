"""A pipeline and a person on call with `kubectl modelrollout`, on a real operator."""

import pytest

from tests.cli.stage import call, said_by
from tests.support.scene import Scene

pytestmark = pytest.mark.cluster


def test_a_pipeline_waits_for_a_promotion_and_a_person_takes_it_back(scene: Scene) -> None:
    place = ("--kubeconfig", scene.cluster.kubeconfig, "-n", scene.namespace)
    scene.apply(scene.rollout(traffic=scene.route_by_leaf()))
    scene.load()

    promoted = said_by(call("wait", "fraud", "--candidate", "v2", "--timeout", "90s", *place))
    back = said_by(call("rollback", "fraud", "--reason", "it lies", "--wait", *place))
    after = said_by(call("wait", "fraud", "--timeout", "20s", *place), 1)
    explained = said_by(call("explain", "fraud", "errors", "--prometheus", scene.cluster.prometheus.url, *place))

    assert "version v2 now serves" in promoted
    assert promoted.startswith("fraud: Promoted: ")
    assert back == "fraud: rolled back: v1 has all the traffic\n"
    assert "fraud: RolledBack: " in after
    assert "it lies" in after
    assert "as in status: this is what was asked, to the letter" in explained
