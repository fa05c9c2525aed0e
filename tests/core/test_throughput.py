"""Requests a second and ready replica: what is compared, over which time, and when nothing can be said."""

from datetime import timedelta
from typing import Any

import pytest
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.gates import Gate
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.bench import Bench
from modelrollout.core.evidence import Counted, NoData, Replicas, Unknown
from modelrollout.core.gates import judge
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import Shares

from tests.core.builders import NOW

SHADOW = Shares(NONE, ALL)
MINUTES = timedelta(minutes=10)


def bench(**changes: Any) -> Bench:
    values: dict[str, Any] = {
        "min_requests": 100,
        "limits": 1,
        "warming_until": None,
        "earlier": (),
        "stored": None,
        "now": NOW,
        "window": MINUTES,
        "shares": SHADOW,
        "replicas": Replicas(2, 2),
        **changes,
    }
    return Bench(**values)


def judged(candidate: int, baseline: int | None, *, autoscaled: bool = False, **changes: Any) -> GateStatus:
    gate = Gate.model_validate({"name": "load", "throughput": {"maxDecrease": "20%", "autoscaled": autoscaled}})
    compared = Counts(baseline, 0) if baseline is not None else None
    return judge(gate, Counted(Counts(candidate, 0), compared), bench(**changes))


def verdict(*counts: Any, **changes: Any) -> tuple[Verdict, str]:
    status = judged(*counts, **changes)
    return status.verdict, status.reason


@pytest.mark.parametrize(
    ("candidate", "replicas", "found"),
    [
        pytest.param(12_000, Replicas(2, 2), (Verdict.PASS, "NoWorseThanBaseline"), id="the same"),
        pytest.param(12_000, Replicas(1, 2), (Verdict.PASS, "NoWorseThanBaseline"), id="the same with fewer replicas"),
        pytest.param(10_200, Replicas(2, 2), (Verdict.PASS, "NoWorseThanBaseline"), id="a little less, as it may"),
        pytest.param(8_000, Replicas(2, 2), (Verdict.FAIL, "WorseThanBaseline"), id="a third less"),
        pytest.param(9_200, Replicas(2, 2), (Verdict.UNKNOWN, "NeedEvidence"), id="about as much less as it may"),
        pytest.param(99, Replicas(2, 2), (Verdict.FAIL, "WorseThanBaseline"), id="hardly any"),
    ],
)
def test_what_a_replica_serves_is_compared_in_a_shadow(candidate, replicas, found):
    assert verdict(candidate, 12_000, replicas=replicas) == found


def test_the_numbers_are_shown_for_each_replica():
    status = judged(6_000, 12_000, replicas=Replicas(2, 2))

    assert (status.value, status.limit) == ("5/s per ready replica", "at most 20% less than the baseline")
    assert "serves 5/s per ready replica, the baseline 10/s per ready replica; allowed is at most 20%" in status.message


def test_few_requests_say_nothing_either_way():
    assert verdict(90, 100) == (Verdict.UNKNOWN, "NeedRequests")
    assert verdict(110, 99) == (Verdict.UNKNOWN, "NeedRequests")


class TestLoad:
    FIVE = Shares(Percent(500), NONE)
    HALF = Shares(Percent(5000), NONE)

    def test_replicas_that_are_given_less_to_do_are_not_compared(self):
        status = judged(600, 11_400, shares=self.FIVE, replicas=Replicas(4, 4))

        assert (status.verdict, status.reason) == (Verdict.UNKNOWN, "UnequalLoad")
        assert "given 5% of the requests, the baseline's 95%" in status.message

    def test_replicas_by_the_weights_are(self):
        assert verdict(600, 11_400, shares=self.FIVE, replicas=Replicas(1, 19))[0] is Verdict.PASS
        assert verdict(300, 11_400, shares=self.FIVE, replicas=Replicas(1, 19))[0] is Verdict.FAIL

    def test_a_shadow_of_less_than_all_gives_less_to_do(self):
        half = Shares(NONE, Percent(5000))

        assert verdict(6_000, 12_000, shares=half) == (Verdict.UNKNOWN, "UnequalLoad")
        assert verdict(6_000, 12_000, shares=half, replicas=Replicas(1, 2))[0] is Verdict.PASS

    def test_a_little_less_to_do_is_within_what_is_allowed(self):
        assert verdict(6_000, 6_000, shares=self.HALF, replicas=Replicas(6, 5))[0] is Verdict.PASS

    def test_an_autoscaler_that_needs_more_replicas_is_the_finding(self):
        four_for_the_work_of_two = {"shares": self.HALF, "replicas": Replicas(4, 2), "autoscaled": True}

        assert verdict(6_000, 6_000, **four_for_the_work_of_two) == (Verdict.FAIL, "WorseThanBaseline")


class TestTime:
    def test_replicas_are_added_up_over_the_looks(self):
        first = judged(6_000, 12_000, replicas=Replicas(1, 2))

        second = judged(12_000, 18_000, replicas=Replicas(2, 2), stored=first, now=NOW + timedelta(minutes=5))

        assert first.tally == Tally(
            total=6_000, bad=0, baseline_total=12_000, replica_seconds=600, baseline_replica_seconds=1200
        )
        assert second.tally is not None
        assert (second.tally.replica_seconds, second.tally.baseline_replica_seconds) == (1200, 1800)

    def test_a_clock_that_was_set_back_takes_nothing_away(self):
        first = judged(6_000, 12_000)

        second = judged(6_000, 12_000, stored=first, now=NOW - timedelta(hours=1))

        assert second.tally == first.tally

    def test_counts_that_shrank_start_again(self):
        assert verdict(6_000, 6_000, stored=judged(12_000, 12_000)) == (Verdict.UNKNOWN, "CountsShrank")

    def test_later_steps_of_a_stage_have_to_be_surer(self):
        at_the_boundary = (8_750, 12_000)

        assert verdict(*at_the_boundary)[0] is Verdict.FAIL
        assert verdict(*at_the_boundary, earlier=(Tally(total=1, bad=0),) * 3) == (Verdict.UNKNOWN, "NeedEvidence")


@pytest.mark.parametrize("replicas", [Replicas(None, 2), Replicas(2, None), Replicas(0, 2), Replicas(2, 0)], ids=str)
def test_without_ready_replicas_there_is_no_rate(replicas):
    assert verdict(6_000, 12_000, replicas=replicas) == (Verdict.UNKNOWN, "NoReplicas")


def test_without_a_baseline_there_is_nothing_to_compare():
    assert verdict(6_000, None, replicas=Replicas(2, None)) == (Verdict.PASS, "NothingToCompare")


def test_nothing_is_judged_or_kept_while_the_candidate_warms_up():
    status = judged(99, 12_000, warming_until=NOW + timedelta(minutes=1), window=timedelta(0))

    assert (status.verdict, status.reason, status.tally) == (Verdict.UNKNOWN, "WarmingUp", None)


def test_what_the_source_does_not_know_is_not_judged():
    gate = Gate.model_validate({"name": "load", "throughput": {"maxDecrease": "20%"}})

    assert judge(gate, NoData(Unknown.STALE, "old"), bench()).reason == "Stale"
