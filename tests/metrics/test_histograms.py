"""A histogram of the user's own: which counts come of which series, and which pairs are no pair."""

from datetime import timedelta
from typing import Any

import pytest
from modelrollout.api.gates import Gate
from modelrollout.core.evidence import Distributed, NoData, Unknown
from modelrollout.core.traffic import Blocked
from modelrollout.metrics.sources import Sources

from tests.metrics.builders import SCORES, TRAEFIK, question, track
from tests.metrics.scripted import Say, Scripted, vector

BASELINE = track("fraud-v1", version="2026.10.4")
CANDIDATE_HAS, BASELINE_HAS = '_bucket{service="fraud-v2"}', '_bucket{service="fraud-v1"}'


def buckets(**more: Any) -> Say:
    """Return what Prometheus says of these buckets: values by bound."""
    result = [{"metric": {"le": bound}, "value": [1.5, value]} for bound, value in more.items()]
    return Say({"status": "success", "data": {"resultType": "vector", "result": result}})


def says(scripted: Scripted, candidate: dict[str, str], baseline: dict[str, str] | None = None) -> None:
    scripted.on(CANDIDATE_HAS, lambda: buckets(**candidate))
    scripted.on(BASELINE_HAS, lambda: buckets(**(candidate if baseline is None else baseline)))


async def test_the_buckets_of_both_versions_are_counted_in_the_same_window(
    sources: Sources, scripted: Scripted
) -> None:
    says(scripted, {"0.5": "40", "+Inf": "100", "0.25": "10.4"}, {"0.25": "20", "0.5": "50", "+Inf": "900"})

    answer = await sources.measure(question(SCORES, baseline=BASELINE))

    assert answer == Distributed((10, 30, 60), (20, 30, 850))
    assert any(
        "sum by (le) (" in query and 'model_score_bucket{service="fraud-v2"}' in query for query in scripted.queries
    )
    assert len({path.split("&time=")[1] for path, _ in scripted.requests if "&time=" in path}) == 1


async def test_a_first_deployment_has_no_baseline_to_count(sources: Sources, scripted: Scripted) -> None:
    says(scripted, {"0.5": "40", "+Inf": "100"})

    assert await sources.measure(question(SCORES)) == Distributed((40, 60), None)


async def test_a_baseline_without_series_has_no_observations(sources: Sources, scripted: Scripted) -> None:
    says(scripted, {"0.5": "40", "+Inf": "100"}, {})

    assert await sources.measure(question(SCORES, baseline=BASELINE)) == Distributed((40, 60), (0, 0))


async def test_a_bound_may_be_spelled_in_two_ways(sources: Sources, scripted: Scripted) -> None:
    says(scripted, {"1": "10", "1.0": "5", "+Inf": "20"}, {"1.0": "7", "+Inf": "20"})

    assert await sources.measure(question(SCORES, baseline=BASELINE)) == Distributed((15, 5), (7, 13))


async def test_negative_bounds_are_bounds(sources: Sources, scripted: Scripted) -> None:
    says(scripted, {"-1.0": "10", "0.0": "25", "1e+06": "30", "+Inf": "30"})

    assert await sources.measure(question(SCORES, baseline=BASELINE)) == Distributed((10, 15, 5, 0), (10, 15, 5, 0))


async def test_other_bounds_are_named(sources: Sources, scripted: Scripted) -> None:
    says(scripted, {"0.5": "40", "0.75": "50", "+Inf": "100"}, {"0.5": "40", "0.8": "50", "+Inf": "100"})

    answer = await sources.measure(question(SCORES, baseline=BASELINE))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.BUCKETS_DIFFER
    assert "the candidate's alone has 0.75 and the baseline's alone has 0.8" in answer.message


@pytest.mark.parametrize(
    ("series", "found"),
    [
        pytest.param({"0.5": "40.6", "1": "40.2", "+Inf": "41"}, (41, 0, 0), id="each bucket was extrapolated by itself"),
        pytest.param({"0.5": "90", "1": "40", "+Inf": "100"}, Unknown.MALFORMED, id="falling"),
        pytest.param({"0.5": "40"}, Unknown.MALFORMED, id="without its last bucket"),
        pytest.param({"0.5": "400", "+Inf": "100"}, Unknown.MALFORMED, id="more in a bucket than in all"),
        pytest.param({"odd": "40", "+Inf": "100"}, Unknown.MALFORMED, id="a bound that is no number"),
        pytest.param({"NaN": "40", "+Inf": "100"}, Unknown.MALFORMED, id="a bound that is NaN"),
        pytest.param({"0.5": "-1", "+Inf": "100"}, Unknown.MALFORMED, id="less than none"),
        pytest.param({"0.5": "NaN", "+Inf": "100"}, Unknown.NOT_A_NUMBER, id="NaN"),
        pytest.param({"0.5": "1e300", "+Inf": "1e300"}, Unknown.MALFORMED, id="more than can be counted"),
        pytest.param({**{str(n): "1" for n in range(250)}, "+Inf": "1"}, Unknown.MALFORMED, id="too many buckets"),
        pytest.param({}, Unknown.NO_DATA, id="no series"),
    ],
)  # fmt: skip
async def test_buckets_are_plausible_or_unknown(
    sources: Sources, scripted: Scripted, series: dict[str, str], found: tuple[int, ...] | Unknown
) -> None:
    says(scripted, series)

    answer = await sources.measure(question(SCORES))

    assert (
        answer.candidate if isinstance(answer, Distributed) else answer.reason if isinstance(answer, NoData) else 0
    ) == found


async def test_stale_samples_are_not_judged(sources: Sources, scripted: Scripted) -> None:
    says(scripted, {"0.5": "40", "+Inf": "100"})
    scripted.on("time() -", lambda: vector("61"))

    answer = await sources.measure(question(SCORES, freshness=timedelta(minutes=1)))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.STALE
    assert "model_score_count" in answer.message


def test_a_histogram_that_tells_nothing_apart_is_blocked_with_its_remedy(sources: Sources) -> None:
    blocked = sources.check(TRAEFIK, [Gate.model_validate(SCORES)])

    assert isinstance(blocked, Blocked)
    assert blocked.reason == "BadMetrics"
    assert "give the gate a versionLabel" in blocked.message
