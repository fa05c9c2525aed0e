"""When a workload counts as up."""

from typing import Any

import pytest
from modelrollout.cluster.workloads import problem_of

DONE = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}


def deployment(status: dict[str, Any], replicas: int = 3) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": "fraud", "generation": 2},
        "spec": {"replicas": replicas},
        "status": {**DONE, **status},
    }


def test_a_workload_that_has_finished_has_no_problem() -> None:
    assert problem_of(deployment({})) is None


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        pytest.param({"observedGeneration": 1}, "has a change that its controller has not seen yet", id="just changed"),
        pytest.param({"updatedReplicas": 1}, "1 of 3 replicas of Deployment fraud are up to date", id="half updated"),
        pytest.param({"replicas": 4}, "1 replicas of an older Deployment fraud are still there", id="old ones left"),
        pytest.param({"availableReplicas": 0}, "0 of 3 replicas of Deployment fraud are available", id="not available"),
    ],
)
def test_a_workload_on_its_way_says_how_far_it_is(status: dict[str, Any], problem: str) -> None:
    assert problem in str(problem_of(deployment(status)))


def test_a_workload_scaled_to_zero_says_what_to_do() -> None:
    assert problem_of(deployment({}, replicas=0)) == "Deployment fraud is scaled to 0 replicas: scale it up"


def test_a_workload_without_status_is_not_up() -> None:
    new = {"kind": "StatefulSet", "metadata": {"name": "fraud", "generation": 1}, "spec": {}}

    assert problem_of(new) == "StatefulSet fraud has a change that its controller has not seen yet"
