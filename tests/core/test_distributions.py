"""Two histograms to a verdict: limit and chance, when a step is tested, and how often that is a false alarm."""

import random
from datetime import timedelta
from typing import Any

import pytest
from modelrollout.api.gates import Gate
from modelrollout.api.status import GateStatus, Tally, Verdict
from modelrollout.core.bench import ALPHA_ROLLBACK, Bench
from modelrollout.core.distributions import LEAST_SAMPLES
from modelrollout.core.evidence import Distributed, NoData, Unknown
from modelrollout.core.gates import fresh_tally, judge

from tests.core.builders import NOW

EVEN = (250, 250, 250, 250)
METHODS = pytest.mark.parametrize("method", ["PSI", "JensenShannon"])


def bench(**changes: Any) -> Bench:
    values: dict[str, Any] = {
        "min_requests": 100,
        "limits": 1,
        "warming_until": None,
        "earlier": (),
        "stored": None,
        "now": NOW,
        **changes,
    }
    return Bench(**values)


def judged(
    candidate: tuple[int, ...], baseline: tuple[int, ...] | None, drift: dict[str, Any] | None = None, **changes: Any
) -> GateStatus:
    gate = Gate.model_validate({"name": "scores", "drift": {"histogram": {"metric": "score"}, **(drift or {})}})
    return judge(gate, Distributed(candidate, baseline), bench(**changes))


def verdict(*args: Any, **changes: Any) -> tuple[Verdict, str]:
    status = judged(*args, **changes)
    return status.verdict, status.reason


def times(counts: tuple[int, ...], factor: int) -> tuple[int, ...]:
    return tuple(count * factor for count in counts)


class TestLimitAndChance:
    @METHODS
    def test_the_same_distribution_passes(self, method):
        assert verdict((240, 260, 255, 245), EVEN, {"method": method}) == (Verdict.PASS, "NotDrifted")

    @METHODS
    def test_another_distribution_fails(self, method):
        assert verdict((500, 250, 150, 100), EVEN, {"method": method}) == (Verdict.FAIL, "Drifted")

    @METHODS
    def test_a_difference_beyond_chance_but_within_the_limit_passes(self, method):
        candidate = times((270, 250, 240, 240), 1000)

        assert verdict(candidate, times(EVEN, 1000), {"method": method}) == (Verdict.PASS, "NotDrifted")

    @METHODS
    def test_a_distance_above_the_limit_that_chance_explains_is_not_known(self, method):
        status = judged((262, 247, 250, 241), EVEN, {"method": method, "max": "0.0001"})

        assert (status.verdict, status.reason) == (Verdict.UNKNOWN, "NeedEvidence")
        assert "looked at again when there are twice as many" in status.message

    def test_the_first_observations_where_there_were_none_are_drift(self):
        assert verdict((0, 0, 0, 1000), (400, 300, 300, 0)) == (Verdict.FAIL, "Drifted")

    def test_a_limit_of_ones_own_replaces_the_usual_one(self):
        apart = times((320, 260, 220, 200), 10)

        assert verdict(apart, times(EVEN, 10))[0] is Verdict.PASS
        assert verdict(apart, times(EVEN, 10), {"max": "0.02"})[0] is Verdict.FAIL

    def test_the_numbers_are_shown(self):
        status = judged((500, 250, 150, 100), EVEN)

        assert status.value == "0.360261"
        assert (status.limit, status.samples) == ("at most 0.25 (PSI)", 1000)
        assert status.message.startswith("PSI 0.360261 over 4 buckets, allowed is 0.25; ")
        assert "in 1000 observations of the candidate and 1000 of the baseline" in status.message

    def test_all_in_one_bucket_shows_nothing(self):
        assert verdict((2000, 0, 0, 1), (2000, 1, 0, 0)) == (Verdict.UNKNOWN, "OneBucket")


class TestSamples:
    @pytest.mark.parametrize(("candidate", "baseline"), [(LEAST_SAMPLES - 4, 4000), (4000, LEAST_SAMPLES - 4)])
    def test_too_few_of_either_say_nothing(self, candidate, baseline):
        far_apart = (candidate, 0, 0, 0), (0, 0, 0, baseline)

        assert verdict(*far_apart) == (Verdict.UNKNOWN, "NeedRequests")

    def test_how_many_are_enough_is_the_users(self):
        tenth = (50, 25, 15, 10)

        assert verdict(tenth, (25, 25, 25, 25), {"minSamples": 100, "max": "0.1"})[1] != "NeedRequests"

    def test_a_baseline_without_observations_is_waited_for(self):
        assert verdict(EVEN, (0, 0, 0, 0)) == (Verdict.UNKNOWN, "NeedRequests")

    def test_without_a_baseline_there_is_nothing_to_compare(self):
        assert verdict(EVEN, None) == (Verdict.PASS, "NothingToCompare")

    def test_nothing_is_judged_or_kept_while_the_candidate_warms_up(self):
        status = judged((1000, 0, 0, 0), EVEN, warming_until=NOW + timedelta(minutes=1))

        assert (status.verdict, status.reason, status.tally) == (Verdict.UNKNOWN, "WarmingUp", None)

    def test_observations_that_shrank_start_again(self):
        first = judged(times(EVEN, 4), times(EVEN, 4))

        assert verdict(EVEN, EVEN, stored=first) == (Verdict.UNKNOWN, "CountsShrank")

    def test_what_the_source_does_not_know_is_not_judged(self):
        gate = Gate.model_validate({"name": "scores", "drift": {"histogram": {"metric": "score"}}})

        assert judge(gate, NoData(Unknown.BUCKETS_DIFFER, "other bounds"), bench()).reason == "BucketsDiffer"


class TestLooks:
    FAR = (700, 100, 100, 100)

    def test_between_two_tests_the_last_verdict_stands(self):
        first = judged(EVEN, EVEN)
        later = NOW + timedelta(minutes=1)

        status = judged((1250, 250, 250, 249), times(EVEN, 2), stored=first, now=later)

        assert (status.verdict, status.reason, status.message) == (first.verdict, first.reason, first.message)
        assert (status.value, status.samples, status.tally) == (first.value, 1000, first.tally)
        assert status.evaluated_at == later

    def test_it_is_tested_again_when_the_smaller_sample_has_doubled(self):
        first = judged(EVEN, times(EVEN, 4))

        assert verdict((1250, 250, 250, 250), times(EVEN, 5), stored=first) == (Verdict.FAIL, "Drifted")

    def test_a_failure_that_only_holds_stands_until_then_too(self):
        first = judged(self.FAR, EVEN)

        assert verdict(EVEN, EVEN, stored=first)[0] is Verdict.FAIL
        assert verdict(times(EVEN, 2), times(EVEN, 2), stored=first)[0] is Verdict.PASS

    def test_a_step_that_waited_for_samples_is_tested_when_they_are_in(self):
        waiting = judged((200, 200, 200, 200), EVEN)

        assert waiting.reason == "NeedRequests"
        assert verdict(self.FAR, EVEN, stored=waiting)[0] is Verdict.FAIL

    def test_what_stands_is_what_status_gives_back(self):
        first = judged(EVEN, EVEN)
        stored = GateStatus.model_validate(first.render())

        again = judged((251, 250, 250, 250), EVEN, stored=stored)

        assert again.render() == first.render()

    @METHODS
    def test_more_limits_later_steps_and_later_tests_each_have_to_be_surer(self, method):
        beyond_chance = (320, 250, 240, 190)
        strict = {"method": method, "max": "0.0001"}

        assert verdict(beyond_chance, EVEN, strict)[0] is Verdict.FAIL
        assert verdict(beyond_chance, EVEN, strict, limits=20)[0] is Verdict.UNKNOWN
        assert verdict(beyond_chance, EVEN, strict, earlier=(Tally(total=1, bad=0),) * 8)[0] is Verdict.UNKNOWN
        assert verdict(beyond_chance, EVEN, {**strict, "minSamples": 100})[0] is Verdict.UNKNOWN

    def test_a_step_that_was_judged_carries_its_tally_into_the_next(self):
        assert len(fresh_tally(judged(EVEN, EVEN))) == 1


@METHODS
def test_a_healthy_candidate_is_rarely_taken_for_drifted_over_all_looks(method):
    """A step of 30 looks, from 1,000 to 30,000 observations each, with a limit that chance breaks at each of them."""
    picks = random.Random(f"drift-{method}")
    shares = (0.3, 0.2, 0.15, 0.1, 0.08, 0.07, 0.05, 0.05)
    alarms, runs = 0, 300
    for _ in range(runs):
        counts = [[0] * len(shares), [0] * len(shares)]
        stored = None
        for _ in range(30):
            for side in counts:
                for bucket, share in enumerate(shares):
                    mean = 1000 * share
                    side[bucket] += max(0, round(picks.gauss(mean, mean**0.5)))
            candidate, baseline = (tuple(side) for side in counts)
            stored = judged(candidate, baseline, {"method": method, "max": "0.0001"}, stored=stored)
            if stored.verdict is Verdict.FAIL:
                alarms += 1
                break
    assert alarms <= 3 * ALPHA_ROLLBACK * runs
