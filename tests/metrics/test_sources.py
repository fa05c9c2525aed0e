"""A gate's question, and what becomes of it when the source answers well, oddly or not at all."""

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelrollout.api.gates import Gate
from modelrollout.api.metrics import Metrics
from modelrollout.core.evidence import (
    Asked,
    Before,
    Bound,
    Counted,
    Measured,
    Minutes,
    NoData,
    Unknown,
    digest_of_queries,
)
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import Blocked
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.sources import Sources

from tests.metrics.builders import (
    COMPARED,
    CUSTOM,
    DISAGREEMENT,
    ERRORS,
    LATENCY,
    LOAD,
    TRAEFIK,
    question,
    track,
    value,
)
from tests.metrics.conftest import Calls, now
from tests.metrics.scripted import Say, Scripted, scalar, vector

BASELINE = track("fraud-v1", version="2026.10.4")


async def test_errors_are_counted_for_both_versions_under_an_absolute_limit_too(
    sources: Sources, scripted: Scripted, calls: Calls
) -> None:
    answer = await sources.measure(question(ERRORS, baseline=BASELINE))

    assert answer == Counted(Counts(300, 3), Counts(300, 3))
    assert calls == ["ok"] * 2  # the clock, and the rest in one batch
    assert len(scripted.queries) == 6
    assert any("fraud-v1" in query for query in scripted.queries)


async def test_a_relative_limit_counts_the_baseline_in_the_same_window(sources: Sources, scripted: Scripted) -> None:
    scripted.on('service="fraud-v1"', lambda: vector("4000"))
    scripted.on('service="fraud-v1",code=', lambda: vector("40"))

    answer = await sources.measure(question(COMPARED, baseline=BASELINE))

    assert answer == Counted(Counts(300, 3), Counts(4000, 40))
    assert len({path.split("&time=")[1] for path, _ in scripted.requests if "&time=" in path}) == 1


async def test_a_first_deployment_has_no_baseline_to_count(sources: Sources) -> None:
    assert await sources.measure(question(COMPARED)) == Counted(Counts(300, 3), None)


async def test_a_baseline_without_series_has_no_requests(sources: Sources, scripted: Scripted) -> None:
    scripted.on('service="fraud-v1"', vector)

    answer = await sources.measure(question(COMPARED, baseline=BASELINE))

    assert answer == Counted(Counts(300, 3), Counts(0, 0))


async def test_requests_without_error_series_are_all_good(sources: Sources, scripted: Scripted) -> None:
    scripted.on("code=", vector)

    assert await sources.measure(question()) == Counted(Counts(300, 0), None)


async def test_row_36_no_request_series_is_no_data_and_says_what_to_ask_for(
    sources: Sources, scripted: Scripted
) -> None:
    scripted.on("", vector)
    scripted.on("code=", vector)

    answer = await sources.measure(question())

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.NO_DATA
    assert 'model_requests_total{service="fraud-v2"}' in answer.message


@pytest.mark.parametrize(
    ("total", "bad", "counts"),
    [
        pytest.param("299.6", "2.5001", Counts(300, 3), id="increase gives fractions: they are rounded"),
        pytest.param("0", "0", Counts(0, 0), id="series without requests"),
        pytest.param("97.2", "100", Counts(97, 97), id="all failed, and each series was extrapolated by itself"),
        pytest.param("10", "12", Unknown.MALFORMED, id="more errors than requests"),
        pytest.param("-1", "0", Unknown.MALFORMED, id="less than none"),
        pytest.param("1e300", "0", Unknown.MALFORMED, id="more than can be counted"),
        pytest.param("NaN", "0", Unknown.NOT_A_NUMBER, id="NaN requests"),
        pytest.param("300", "NaN", Unknown.NOT_A_NUMBER, id="NaN errors are not 0"),
        pytest.param("300", "+Inf", Unknown.INFINITE, id="infinite errors"),
    ],
)
async def test_counts_are_whole_and_plausible_or_unknown(
    sources: Sources, scripted: Scripted, total: str, bad: str, counts: Counts | Unknown
) -> None:
    scripted.on("", lambda: vector(total))
    scripted.on("code=", lambda: vector(bad))

    answer = await sources.measure(question())

    assert (
        answer.candidate if isinstance(answer, Counted) else answer.reason if isinstance(answer, NoData) else 0
    ) == counts


async def test_slow_requests_are_those_above_the_threshold(sources: Sources, scripted: Scripted) -> None:
    scripted.on("_bucket", lambda: vector("290"))

    answer = await sources.measure(question(LATENCY))

    assert answer == Counted(Counts(300, 10), None)
    assert any('le=~"0\\\\.3"' in query for query in scripted.queries)


def has_bounds(scripted: Scripted, *bounds: str, fast: str = "290") -> None:
    """Let the histogram have these bounds, and so many requests within each."""
    found = [{"metric": {"le": le}, "value": [1, "1"]} for le in bounds]
    scripted.on("_bucket", vector)
    for bound in bounds:
        scripted.on('le=~"' + bound.replace(".", "\\\\."), lambda: vector(fast))
    scripted.on("group by", lambda: Say({"status": "success", "data": {"resultType": "vector", "result": found}}))


async def test_the_bound_below_stands_in_for_a_threshold_between_two_and_is_remembered(
    sources: Sources, scripted: Scripted
) -> None:
    has_bounds(scripted, "0.1", "0.25", "1.2", "5.0", "0.0005", "1e+06", "odd", "+Inf")

    first = await sources.measure(question(LATENCY, baseline=BASELINE))
    scripted.queries.clear()
    again = await sources.measure(question(LATENCY, baseline=BASELINE))

    bound = Bound(timedelta(milliseconds=250), is_last=False)
    assert first == again == Counted(Counts(300, 10), Counts(300, 10), bound=bound)
    assert not any("group by" in query or "0\\\\.3" in query for query in scripted.queries)


async def test_a_threshold_above_all_bounds_is_judged_by_the_last_and_says_so(
    sources: Sources, scripted: Scripted
) -> None:
    has_bounds(scripted, "0.1", "0.25", "+Inf")

    answer = await sources.measure(question(LATENCY))

    assert answer == Counted(Counts(300, 10), None, bound=Bound(timedelta(milliseconds=250), is_last=True))


async def test_a_threshold_below_all_bounds_names_the_bounds_there_are(sources: Sources, scripted: Scripted) -> None:
    has_bounds(scripted, "1.2", "5.0", "+Inf")

    answer = await sources.measure(question(LATENCY))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.NO_BUCKET
    assert "no bucket bound at 300ms or below; it has 1s200ms, 5s: set the gate's threshold" in answer.message


VLLM = Metrics(preset="vllm")


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("latency", "vllm:e2e_request_latency_seconds"),
        ("timeToFirstToken", "vllm:time_to_first_token_seconds"),
        ("queueTime", "vllm:request_queue_time_seconds"),
    ],
)
async def test_each_time_has_its_own_histogram(sources: Sources, scripted: Scripted, kind: str, metric: str) -> None:
    scripted.on("_bucket", lambda: vector("290"))

    answer = await sources.measure(
        question({"name": "it", kind: {"threshold": "500ms", "maxAbove": "5%"}}, metrics=VLLM)
    )

    assert answer == Counted(Counts(300, 10), None)
    assert any(f"{metric}_bucket" in query for query in scripted.queries)


async def test_a_request_weighs_as_one_however_many_tokens_it_has(sources: Sources, scripted: Scripted) -> None:
    scripted.on("time() - max(timestamp(vllm:inter_token_latency_seconds", lambda: vector("2"))
    scripted.on("inter_token_latency_seconds_count", lambda: vector("90000"))
    scripted.on("inter_token_latency_seconds_bucket", lambda: vector("81000"))
    gate = {"name": "it", "interTokenLatency": {"threshold": "50ms", "maxAbove": "5%"}}

    answer = await sources.measure(question(gate, metrics=VLLM))

    assert answer == Counted(Counts(300, 30), None)


@pytest.mark.parametrize(
    ("gate", "rates", "reason"),
    [
        pytest.param("latency", ("0.1", "0.6"), Unknown.COLD_CACHE, id="cold"),
        pytest.param("timeToFirstToken", ("0.1", "0.6"), Unknown.COLD_CACHE, id="cold for the first token"),
        pytest.param("latency", ("0.5", "0.6"), None, id="near"),
        pytest.param("latency", ("NaN", "0.6"), None, id="nothing was looked up"),
        pytest.param("latency", (None, "0.6"), None, id="not exported"),
        pytest.param("errorRate", ("0.1", "0.6"), None, id="errors do not depend on it"),
    ],
)
async def test_speed_is_compared_only_while_the_prefix_caches_hit_alike(
    sources: Sources, scripted: Scripted, gate: str, rates: tuple[str | None, str], reason: Unknown | None
) -> None:
    scripted.on("_bucket", lambda: vector("290"))
    scripted.on("finished_reason", lambda: vector("10"))
    candidate, baseline = rates
    scripted.on(
        'prefix_cache_hits_total{namespace="models",service="fraud-v2"',
        lambda: vector(*([candidate] if candidate else [])),
    )
    scripted.on('prefix_cache_hits_total{namespace="models",service="fraud-v1"', lambda: vector(baseline))
    limits = {"max": "5%"} if gate == "errorRate" else {"threshold": "500ms", "maxAbove": "5%"}

    answer = await sources.measure(question({"name": "it", gate: limits}, metrics=VLLM, baseline=BASELINE))

    assert (answer.reason if isinstance(answer, NoData) else None) is reason
    assert any("prefix_cache" in query for query in scripted.queries) is (gate != "errorRate")


async def test_saturation_is_the_mean_of_some_minutes_of_both_versions(sources: Sources, scripted: Scripted) -> None:
    scripted.on("kv_cache_usage_perc", lambda: vector("0.5"))
    scripted.on("time() - max(timestamp(vllm:kv", lambda: vector("2"))
    gate = {"name": "room", "saturation": {"max": "0.9"}}

    answer = await sources.measure(question(gate, metrics=VLLM, baseline=BASELINE))

    assert answer == Measured(0.5, 0.5)
    assert any(
        query.startswith("avg(avg_over_time(vllm:kv_cache_usage_perc{") and "[300s]" in query
        for query in scripted.queries
    )


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        pytest.param(vector("61"), "is 61 s old, where 1m is allowed", id="old"),
        pytest.param(vector(), "is gone", id="gone"),
    ],
)
async def test_stale_samples_are_not_judged(sources: Sources, scripted: Scripted, answer: Say, sentence: str) -> None:
    scripted.on("time() -", lambda: answer)

    found = await sources.measure(question())

    assert isinstance(found, NoData)
    assert found.reason is Unknown.STALE
    assert sentence in found.message


async def test_throughput_counts_the_requests_of_both_versions_once(sources: Sources, scripted: Scripted) -> None:
    scripted.on('service="fraud-v1"', lambda: vector("4000"))

    answer = await sources.measure(question(LOAD, baseline=BASELINE))

    assert answer == Counted(Counts(300, 0), Counts(4000, 0))
    assert len(scripted.queries) == 4  # the clock, the age, and one count each


async def test_throughput_without_requests_of_the_candidate_is_no_data(sources: Sources, scripted: Scripted) -> None:
    scripted.on("", vector)

    answer = await sources.measure(question(LOAD))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.NO_DATA


async def test_a_ratio_counts_two_counters_of_ones_own_for_both_versions(sources: Sources, scripted: Scripted) -> None:
    scripted.on('answers_total{service="fraud-v1"', lambda: vector("4000"))
    scripted.on('answers_total{service="fraud-v1",code=', lambda: vector("40"))

    answer = await sources.measure(question(DISAGREEMENT, baseline=BASELINE))

    assert answer == Counted(Counts(300, 3), Counts(4000, 40))
    assert not any("model_requests_total" in query for query in scripted.queries)
    assert any('answers_total{service="fraud-v2",code="differs\\"}"}' in query for query in scripted.queries)


async def test_a_ratio_tells_versions_apart_by_a_label_of_its_own(sources: Sources, scripted: Scripted) -> None:
    gate = {"name": "r", "ratio": {**DISAGREEMENT["ratio"], "versionLabel": {"name": "model", "holds": "Version"}}}

    await sources.measure(question(gate, metrics=TRAEFIK))

    assert any('answers_total{model="2026.11.2"}' in query for query in scripted.queries)


async def test_a_ratio_is_read_from_the_rollouts_own_namespace(scripted: Scripted, calls: Calls) -> None:
    sources = Sources({"default": SourceConfig(url=scripted.url, namespace_label="namespace")}, now, calls)

    await sources.measure(question(DISAGREEMENT, baseline=BASELINE))

    asked = [query for query in scripted.queries if "answers_total" in query]
    assert asked
    assert all(query.count("answers_total{") == query.count('answers_total{namespace="models",') for query in asked)
    await sources.close()


async def test_more_bad_events_than_events_are_no_ratio(sources: Sources, scripted: Scripted) -> None:
    scripted.on("code=", lambda: vector("400"))

    answer = await sources.measure(question(DISAGREEMENT))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.MALFORMED
    assert "counts 400 bad events of the candidate among 300 requests" in answer.message


@pytest.mark.parametrize(("skew", "side"), [(31, "ahead of"), (-31, "behind")])
async def test_row_45_clocks_that_differ_make_windows_that_do_not_meet(
    sources: Sources, scripted: Scripted, skew: int, side: str
) -> None:
    scripted.on("time()", lambda: scalar(f"{time.time() + skew}"))

    answer = await sources.measure(question())

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.CLOCK_SKEW
    assert f"s {side} the operator's" in answer.message


async def test_a_small_skew_is_fine(sources: Sources, scripted: Scripted) -> None:
    scripted.on("time()", lambda: scalar(f"{time.time() + 25}"))

    assert isinstance(await sources.measure(question()), Counted)


@pytest.mark.parametrize(
    ("say", "found"),
    [
        pytest.param(vector("0.25"), 0.25, id="one series"),
        pytest.param(scalar("-3"), -3.0, id="a scalar"),
        pytest.param(vector(), Unknown.NO_DATA, id="empty"),
        pytest.param(vector("NaN"), Unknown.NOT_A_NUMBER, id="NaN"),
        pytest.param(vector("1", "2"), Unknown.MANY_SERIES, id="many"),
        pytest.param(vector("1", warnings=["partial"]), Unknown.WARNINGS, id="warnings"),
        pytest.param(Say("<html>"), Unknown.MALFORMED, id="a login page"),
        pytest.param(Say({"status": "error", "error": "parse error"}, status=400), Unknown.REFUSED, id="refused"),
    ],
)
async def test_a_value_is_the_one_number_of_its_query(
    sources: Sources, scripted: Scripted, say: Say, found: float | Unknown
) -> None:
    scripted.on("avg(score)", lambda: say)

    answer = await sources.measure(question(value("avg(score)")))

    assert (
        answer.value if isinstance(answer, Measured) else answer.reason if isinstance(answer, NoData) else 0
    ) == found
    assert sorted(scripted.queries) == ["avg(score)", "time()"]


async def test_a_query_that_names_the_version_is_asked_for_both(sources: Sources, scripted: Scripted) -> None:
    scripted.on('score{service="fraud-v1"}', lambda: vector("0.5"))
    scripted.on('score{service="fraud-v2"}', lambda: vector("0.75"))

    answer = await sources.measure(question(value('score{service="$service"}'), baseline=BASELINE))

    assert answer == Measured(0.75, 0.5)


async def test_a_query_that_names_no_version_is_asked_once(sources: Sources, scripted: Scripted) -> None:
    scripted.on("score", lambda: vector("0.75"))

    answer = await sources.measure(question(value('score{namespace="$namespace"}'), baseline=BASELINE))

    assert answer == Measured(0.75)
    assert sorted(scripted.queries) == ['score{namespace="models"}', "time()"]


async def test_a_baseline_without_a_value_is_said_beside_the_candidates(sources: Sources, scripted: Scripted) -> None:
    scripted.on('score{service="fraud-v1"}', vector)
    scripted.on('score{service="fraud-v2"}', lambda: vector("0.75"))

    answer = await sources.measure(question(value('score{service="$service"}'), baseline=BASELINE))

    assert isinstance(answer, Measured)
    assert isinstance(answer.baseline, NoData)
    assert answer.baseline.reason is Unknown.NO_DATA


@pytest.mark.parametrize("gate", [ERRORS, LATENCY, value("avg(score)")])
async def test_an_answer_tells_its_window_and_the_digest_of_what_was_asked(
    sources: Sources, scripted: Scripted, gate: dict[str, Any]
) -> None:
    scripted.on("avg(score)", lambda: vector("0.25"))
    asked = question(gate)

    answers = [await sources.measure(asked) for _ in range(2)]
    other = await sources.measure(replace(asked, since=asked.since - timedelta(seconds=1), gate=asked.gate))

    first = answers[0].asked
    assert first
    texts = list(dict.fromkeys(text for text in scripted.queries if text != "time()"))
    own = texts if gate["name"] == "score" else texts[:3]
    assert first == answers[1].asked == Asked(asked.since, asked.until, digest_of_queries(own))
    assert other.asked
    assert (other.asked.digest == first.digest) is (gate["name"] == "score")


async def test_the_hour_before_is_asked_of_the_baseline_beside_the_counts(sources: Sources, scripted: Scripted) -> None:
    scripted.on("sum_over_time", lambda: vector("600"))
    scripted.on("count_over_time", lambda: vector("60"))
    end = datetime(2026, 11, 17, 12, tzinfo=UTC)

    answer = await sources.measure(question(before=Before(BASELINE, end)))

    assert answer == Counted(Counts(300, 3), None, Minutes(60, 60, 600, 600, 600))
    asked = [query for query in scripted.queries if "_over_time((" in query]
    assert len(asked) == 5
    assert all("fraud-v1" in query and "[3900s:1m]" in query for query in asked)
    assert sum(f"{end.timestamp():.3f}" in path for path, _ in scripted.requests) == 1


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        pytest.param(vector(), Unknown.NO_DATA, id="no series"),
        pytest.param(vector("-1"), Unknown.MALFORMED, id="no count"),
        pytest.param(Say("<html>"), Unknown.MALFORMED, id="no answer"),
    ],
)
async def test_a_source_that_cannot_tell_of_the_hour_before_still_counts(
    sources: Sources, scripted: Scripted, say: Say, reason: Unknown
) -> None:
    scripted.on("_over_time((", lambda: say)

    answer = await sources.measure(question(before=Before(BASELINE, datetime(2026, 11, 17, 12, tzinfo=UTC))))

    assert isinstance(answer, Counted)
    assert answer.candidate == Counts(300, 3)
    assert isinstance(answer.history, NoData)
    assert answer.history.reason is reason


async def test_an_hour_that_takes_too_long_to_look_at_keeps_no_verdict_waiting(
    scripted: Scripted, calls: Calls
) -> None:
    sources = Sources({"default": SourceConfig(url=scripted.url, timeout=timedelta(seconds=1))}, now, calls)
    scripted.on("_over_time((", lambda: Say(hang=True))

    answer = await sources.measure(question(before=Before(BASELINE, datetime(2026, 11, 17, 12, tzinfo=UTC))))

    assert answer == Counted(
        Counts(300, 3), None, NoData(Unknown.TIMED_OUT, "source default did not tell of the hour before in 500ms")
    )
    await sources.close()


async def test_who_cannot_say_tells_what_was_asked_all_the_same(sources: Sources, scripted: Scripted) -> None:
    scripted.on("", vector)

    answer = await sources.measure(question())

    assert isinstance(answer, NoData)
    assert answer.asked
    assert len(answer.asked.digest) == 16


async def test_a_measure_has_one_time_limit_however_many_queries_wait(scripted: Scripted, calls: Calls) -> None:
    config = SourceConfig(url=scripted.url, timeout=timedelta(milliseconds=300), concurrency=1)
    sources = Sources({"default": config}, now, calls)
    scripted.always(Say(hang=True))
    started = time.monotonic()

    answer = await sources.measure(question(COMPARED, baseline=BASELINE))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.TIMED_OUT
    assert time.monotonic() - started < 3
    await sources.close()
    assert set(calls) == {"TimedOut"}


async def test_a_fault_of_our_own_is_unknown_and_stops_nobody(scripted: Scripted, calls: Calls) -> None:
    def broken() -> datetime:
        raise RuntimeError("a bug")

    sources = Sources({"default": SourceConfig(url=scripted.url)}, broken, calls)

    answer = await sources.measure(question())

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.MALFORMED
    await sources.close()


async def test_an_empty_window_is_refused_rather_than_raised(sources: Sources) -> None:
    moment = datetime(2026, 11, 17, tzinfo=UTC)

    answer = await sources.measure(question(since=moment, until=moment))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.REFUSED


async def test_closing_leaves_no_thread(scripted: Scripted, calls: Calls) -> None:
    sources = Sources({"ending": SourceConfig(url=scripted.url)}, now, calls)
    await sources.measure(question(metrics=Metrics(source="ending", preset="traefik")))

    await sources.close()

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("metrics-ending")]


def custom(**changed: Any) -> Metrics:
    given = CUSTOM.render()
    return Metrics.model_validate({**given, "custom": {**given["custom"], **changed}})


def test_what_can_be_judged_is_not_blocked(sources: Sources) -> None:
    gates = [Gate.model_validate(gate) for gate in (ERRORS, LATENCY, value("avg(x)"))]

    assert sources.check(TRAEFIK, gates) is None
    assert sources.check(CUSTOM, gates) is None


@pytest.mark.parametrize(
    ("metrics", "gate", "reason", "remedy"),
    [
        pytest.param(Metrics(source="other", preset="traefik"), ERRORS, "UnknownMetricsSource",
                     "this operator knows: closed, default.", id="an unknown source"),
        pytest.param(custom(errors=None), ERRORS, "MetricNotNamed", "spec.metrics.custom.errors", id="no error counter"),
        pytest.param(custom(duration=None), LATENCY, "MetricNotNamed", "spec.metrics.custom.duration", id="no histogram"),
        pytest.param(Metrics(source="closed", preset="traefik"), value("x"), "RawQueriesOff", "ask the administrator",
                     id="a query where none is allowed"),
        pytest.param(Metrics(preset="kserve"), ERRORS, "MetricNotExported", "which preset kserve does not have. KServe's Python"
                     " server has no counter of errors. Take", id="a server without errors"),
        pytest.param(Metrics(preset="triton"), LATENCY, "MetricNotExported", "a histogram of request durations, which preset"
                     " triton does not have. Triton exports sums", id="a server without a histogram"),
        pytest.param(Metrics.model_validate({"preset": "vllm", "versionLabel": {"name": "engine"}}), ERRORS,
                     "VersionsNotToldApart", "name another as versionLabel", id="a label that both versions share"),
        pytest.param(TRAEFIK, DISAGREEMENT, "BadMetrics", "give the gate a versionLabel", id="a ratio that tells nothing apart"),
        pytest.param(TRAEFIK, value("x{a=$service}"), "BadMetrics", "in quotes", id="a placeholder that is no text"),
        pytest.param(TRAEFIK, {"name": "s", "value": {"query": "x # $service", "maxIncrease": "1%"}}, "BadMetrics",
                     "names no version", id="a comparison of a query with itself"),
        pytest.param(custom(requests={"metric": "sum(x)"}), ERRORS, "BadMetrics", "no metric name", id="a metric's name"),
        pytest.param(custom(versionLabel={"name": "__name__"}), ERRORS, "BadMetrics", "no label", id="a label's name"),
    ],
)  # fmt: skip
async def test_what_cannot_be_judged_is_blocked_with_its_remedy_and_never_asked(
    scripted: Scripted, calls: Calls, metrics: Metrics, gate: dict[str, Any], reason: str, remedy: str
) -> None:
    open_, closed = SourceConfig(url=scripted.url, raw_queries=True), SourceConfig(url=scripted.url)
    sources = Sources({"default": open_, "closed": closed}, now, calls)

    blocked = sources.check(metrics, [Gate.model_validate(gate)])
    answer = await sources.measure(question(gate, metrics=metrics))

    assert isinstance(blocked, Blocked)
    assert blocked.reason == reason
    assert remedy in blocked.message
    assert answer == NoData(Unknown.REFUSED, blocked.message)
    assert scripted.requests == []
    await sources.close()
