"""What pipelines take a rollout for, in every situation: by kstatus' rules, and by the conditions that are the contract."""

import pytest

from tests.support.kstatus import kstatus_of
from tests.support.situations import Situation, situations

ALL = [pytest.param(one, id=one.name) for one in situations()]
SEEN = [pytest.param(one, id=one.name) for one in situations() if one.obj["status"].get("conditions")]


def progress(situation: Situation) -> str:
    found = {one["type"]: one["status"] for one in situation.obj["status"].get("conditions", [])}
    return "/".join(found.get(kind, "-") for kind in ("Ready", "Reconciling", "Stalled", "Held"))


@pytest.mark.parametrize("situation", ALL)
def test_conditions_are_those_of_the_contract(situation: Situation):
    assert progress(situation) == situation.progress


@pytest.mark.parametrize("situation", ALL)
def test_kstatus_takes_it_for_what_it_is(situation: Situation):
    assert kstatus_of(situation.obj) == situation.kstatus


@pytest.mark.parametrize("situation", SEEN)
def test_generation_phase_and_every_condition_are_there_from_the_first_write_on(situation: Situation):
    status = situation.obj["status"]
    kinds = [one["type"] for one in status["conditions"]]

    assert status["observedGeneration"] == 1
    assert status["phase"]
    assert {"Ready", "Held", "RollbackReady", "MetricsAvailable", "RouteInSync"} <= set(kinds)
    assert len(kinds) == len(set(kinds))


@pytest.mark.parametrize("situation", SEEN)
def test_a_condition_says_of_which_generation_since_when_and_why(situation: Situation):
    for condition in situation.obj["status"]["conditions"]:
        assert condition["observedGeneration"] == 1
        assert condition["lastTransitionTime"].endswith("Z")
        assert condition["reason"].isalpha()


def test_there_are_as_many_situations_as_there_are_names():
    names = [one.name for one in situations()]

    assert len(names) == len(set(names)) >= 15
