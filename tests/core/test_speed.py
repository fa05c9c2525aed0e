"""Gates on times: bounds that stand in for thresholds, and caches that are still cold."""

from datetime import timedelta
from typing import Any

import pytest
from modelrollout.api.gates import Gate
from modelrollout.api.status import Verdict
from modelrollout.core.caches import cold_cache
from modelrollout.core.evidence import Bound, Counted, Measured, NoData, Unknown
from modelrollout.core.gates import is_lost, judge
from modelrollout.core.stats import Counts

from tests.core.test_gates import SLOW, bench

LLM = {"timeToFirstToken": "had their first token later than", "interTokenLatency": "waited between tokens for longer than",
       "queueTime": "waited in the queue for longer than", "latency": "took longer than"}  # fmt: skip
LOWER, LAST = Bound(timedelta(milliseconds=250), is_last=False), Bound(timedelta(milliseconds=250), is_last=True)


def judged(gate: dict[str, Any], answer: Counted | Measured | NoData):
    return judge(Gate.model_validate(gate), answer, bench())


@pytest.mark.parametrize("kind", LLM)
@pytest.mark.parametrize(("bad", "verdict"), [(0, Verdict.PASS), (60, Verdict.FAIL), (5, Verdict.UNKNOWN)])
def test_times_are_judged_by_the_share_above_the_threshold(kind, bad, verdict):
    status = judged({"name": "it", kind: {"threshold": "300ms", "maxAbove": "2%"}}, Counted(Counts(400, bad), None))

    assert status.verdict is verdict
    assert status.limit == f"at most 2% {LLM[kind]} 0.3s"


@pytest.mark.parametrize("kind", LLM)
def test_times_are_compared_with_the_baselines(kind):
    gate = {"name": "it", kind: {"threshold": "300ms", "maxIncrease": "25%"}}

    assert judged(gate, Counted(Counts(400, 200), Counts(400, 10))).reason == "WorseThanBaseline"
    assert judged(gate, Counted(Counts(400, 10), Counts(400, 10))).verdict is Verdict.PASS


def test_a_bound_that_stands_in_for_the_threshold_is_said():
    status = judged(SLOW, Counted(Counts(400, 60), None, bound=LOWER))

    assert status.verdict is Verdict.FAIL
    assert status.limit == "at most 2% took longer than 0.25s, the bucket bound below 300ms"
    assert "took longer than 0.25s, the bucket bound below 300ms" in status.message


@pytest.mark.parametrize(
    ("counted", "verdict", "reason"),
    [
        pytest.param(Counted(Counts(400, 0), None, bound=LAST), Verdict.PASS, "BelowLimit", id="all are faster still"),
        pytest.param(Counted(Counts(400, 60), None, bound=LAST), Verdict.UNKNOWN, "AboveBuckets", id="some are slower"),
        pytest.param(Counted(Counts(30, 1), None, bound=LAST), Verdict.UNKNOWN, "NeedRequests", id="few requests"),
    ],
)
def test_a_histogram_that_ends_below_the_threshold_fails_nobody(counted, verdict, reason):
    status = judged(SLOW, counted)

    assert (status.verdict, status.reason) == (verdict, reason)
    assert reason != "AboveBuckets" or (is_lost(status) and "Set the threshold to 250ms" in status.message)


@pytest.mark.parametrize(("value", "verdict"), [(0.91, Verdict.FAIL), (0.9, Verdict.PASS)])
def test_a_full_server_fails_unless_the_baseline_is_as_full(value, verdict):
    gate = {"name": "full", "saturation": {"max": "0.9"}}

    assert judged(gate, Measured(value, 0.5)).verdict is verdict
    assert judged(gate, Measured(0.95, 0.95)).reason == "BaselineAlsoFailing"


@pytest.mark.parametrize(
    ("candidate", "baseline", "is_cold"),
    [
        pytest.param(0.0, 0.6, True, id="empty"),
        pytest.param(0.47, 0.6, True, id="not yet near"),
        pytest.param(0.48, 0.6, False, id="near"),
        pytest.param(0.9, 0.6, False, id="warmer than the baseline's"),
        pytest.param(0.0, 0.05, False, id="of no account"),
        pytest.param(0.0, 0.0, False, id="nobody uses it"),
    ],
)
def test_a_cache_is_cold_while_it_hits_far_less_than_the_baselines(candidate, baseline, is_cold):
    assert (cold_cache(candidate, baseline) is not None) is is_cold


def test_a_cold_cache_is_waited_for_and_no_loss_of_metrics():
    status = judged(SLOW, NoData(Unknown.COLD_CACHE, "cold"))

    assert (status.verdict, status.reason) == (Verdict.UNKNOWN, "ColdCache")
    assert not is_lost(status)
