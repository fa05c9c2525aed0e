"""Right after the warm-up the window that counts is too short to hold a sample: nobody is called for that."""

from datetime import timedelta

import pytest
from modelrollout.core.evidence import NoData, Unknown
from modelrollout.core.gates import is_lost
from modelrollout.core.looking import judge_all

from tests.core.builders import NOW, running

ANALYSIS = {"warmup": "2m", "ingestDelay": "30s", "freshness": "45s"}
NOTHING = {"errors": NoData(Unknown.NO_DATA, "no series")}


@pytest.mark.parametrize(
    ("counting", "lost"),
    [
        pytest.param(timedelta(seconds=1), False, id="a moment after the warm-up"),
        pytest.param(timedelta(seconds=44), False, id="while one sample may be missing"),
        pytest.param(timedelta(seconds=45), True, id="once a sample is overdue"),
    ],
)
def test_an_empty_window_is_held_against_the_metrics_once_it_is_longer_than_their_freshness(counting, lost):
    rollout = running("canary", 0, applied=timedelta(seconds=150) + counting, analysis=ANALYSIS)

    (gate,) = judge_all(rollout, NOTHING, NOW)

    assert is_lost(gate) is lost


def test_another_trouble_is_told_at_once():
    rollout = running("canary", 0, applied=timedelta(seconds=151), analysis=ANALYSIS)

    (gate,) = judge_all(rollout, {"errors": NoData(Unknown.UNREACHABLE, "refused")}, NOW)

    assert is_lost(gate)
