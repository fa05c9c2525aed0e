"""What a real Prometheus makes of our queries."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from modelrollout.api.gates import Gate
from modelrollout.api.metrics import Metrics
from modelrollout.core.evidence import (
    Answer,
    Before,
    Counted,
    Distributed,
    Gap,
    Measured,
    Minutes,
    NoData,
    Track,
    Unknown,
)
from modelrollout.core.stats import Counts
from modelrollout.metrics import queries
from modelrollout.metrics.answers import Found
from modelrollout.metrics.batches import Batches
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.prometheus import PrometheusSource
from modelrollout.metrics.queries import Matcher, PromQL, Selector
from modelrollout.metrics.sources import Sources
from modelrollout.metrics.tenancy import Confined

from local.cluster import LocalCluster
from local.process import wait_until
from tests.metrics.builders import ERRORS, LATENCY, LOAD, question, track, value
from tests.metrics.conftest import Calls, now
from tests.metrics.exporter import Exporter, Points, exporting, query, tell, told

pytestmark = pytest.mark.cluster

SCRAPE = 15
WINDOW = 300


@pytest.fixture
def end() -> float:
    """The end of the window: a past moment, so that nothing is waited for."""
    return float(int(time.time()) - 60)


@pytest.fixture
async def source(cluster: LocalCluster, calls: Calls) -> AsyncIterator[Sources]:
    made = Sources({"default": SourceConfig(url=cluster.prometheus.url, raw_queries=True)}, now, calls)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def exporter(cluster: LocalCluster) -> Iterator[Exporter]:
    with exporting(cluster) as running:
        yield running


@pytest.fixture
def test_name(request: pytest.FixtureRequest) -> str:
    """A name for this test's series alone; the session's Prometheus is shared."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", request.node.name)


def rising(start: float, until: float, first: float, each: float) -> Points:
    """A counter scraped every 15 s."""
    return [(start + n * SCRAPE, first + n * each) for n in range(int((until - start) // SCRAPE) + 1)]


def counted(cluster: LocalCluster, test_name: str, end: float) -> float:
    text = queries.count(Selector("events_total", (Matcher("test", "=", test_name),)), timedelta(seconds=WINDOW))
    (found,) = query(cluster, text, end)
    return float(found["value"][1])


def plain_increase(cluster: LocalCluster, test_name: str, end: float) -> float:
    (found,) = query(cluster, f'sum(increase(events_total{{test="{test_name}"}}[{WINDOW}s]))', end)
    return float(found["value"][1])


def test_a_newborn_series_counts_its_first_value_beside_an_old_one(
    cluster: LocalCluster, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {
        'events_total{pod="old"}': rising(end - 600, end, 5000, 8),
        'events_total{pod="new"}': [(end - 30, 300.0), (end - 15, 600.0), (end, 942.0)],
    })  # fmt: skip

    assert counted(cluster, test_name, end) == pytest.approx(1102, abs=1)
    assert plain_increase(cluster, test_name, end) < 1000  # why it is not used


def test_row_38_errors_that_are_born_at_their_last_value_are_seen(
    cluster: LocalCluster, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {"events_total": rising(end - 120, end, 5, 0)})

    assert counted(cluster, test_name, end) == 5
    assert plain_increase(cluster, test_name, end) == 0


def test_row_37_a_newborn_series_counts_after_its_death(
    cluster: LocalCluster, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {"events_total": rising(end - 270, end - 180, 7, 7)})

    assert counted(cluster, test_name, end) == 49


def test_an_old_series_that_died_in_the_window_counts_until_then(
    cluster: LocalCluster, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {"events_total": rising(end - 600, end - 150, 0, 15)})

    assert counted(cluster, test_name, end) == pytest.approx(150, abs=8)


def test_a_series_that_died_before_the_window_counts_nothing(
    cluster: LocalCluster, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {
        'events_total{pod="dead"}': rising(end - 900, end - 600, 100, 10),
        'events_total{pod="new"}': rising(end - 60, end, 4, 1),
    })  # fmt: skip

    assert counted(cluster, test_name, end) == 8


def test_row_37_a_restart_in_the_window_loses_nothing_that_was_scraped(
    cluster: LocalCluster, exporter: Exporter, test_name: str, end: float
) -> None:
    before = rising(end - 600, end - 165, 10_000, 10)
    after = rising(end - 150, end, 10, 10)
    tell(cluster, exporter, test_name, {"events_total": [*before, *after]})

    assert counted(cluster, test_name, end) == pytest.approx(200, abs=2)


def test_a_restart_of_a_newborn_series_does_not_forget_what_came_before(
    cluster: LocalCluster, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(
        cluster,
        exporter,
        test_name,
        {"events_total": [*rising(end - 240, end - 135, 10, 10), *rising(end - 120, end, 10, 10)]},
    )

    assert counted(cluster, test_name, end) == pytest.approx(80 - 10 + 90, abs=10)  # its first scrape alone is lost


def test_no_series_is_no_number(cluster: LocalCluster, end: float) -> None:
    assert query(cluster, queries.count(Selector("nobody_total"), timedelta(minutes=5)), end) == []


def test_a_failed_scrape_at_the_windows_start_brings_no_history_in(
    cluster: LocalCluster, exporter: Exporter, test_name: str
) -> None:
    exporter.text = told("events_total", test_name) + " 1000000\n"
    wait_until(lambda: is_there(cluster, test_name), "the series is there")
    exporter.status = 500
    wait_until(lambda: not is_there(cluster, test_name), "a failed scrape hides it")
    since = time.time()
    exporter.status, exporter.text = 200, told("events_total", test_name) + " 1000007\n"
    wait_until(lambda: is_there(cluster, test_name), "the series is back")
    until = time.time()

    selector = Selector("events_total", (Matcher("test", "=", test_name),))
    window = timedelta(seconds=round(until - since, 3))
    found = query(cluster, queries.count(selector, window), until)
    hidden = query(cluster, str(selector), until - window / timedelta(seconds=1))
    assert sum(float(one["value"][1]) for one in found) < 10  # not 1000007
    assert hidden == []  # so a look at that moment alone would take the series for a newborn


def is_there(cluster: LocalCluster, test_name: str) -> bool:
    return bool(query(cluster, f'events_total{{test="{test_name}"}}'))


async def ask(
    source: Sources, end: float, gate: Mapping[str, object], metrics: Metrics, baseline: Track | None = None
) -> Answer:
    until = datetime.fromtimestamp(end, UTC)
    since = until - timedelta(seconds=WINDOW)
    return await source.measure(
        question(gate, metrics=metrics, candidate=track("fraud-v2"), baseline=baseline, since=since, until=until)
    )


def metrics_of(test_name: str) -> Metrics:
    only = [{"label": "test", "value": test_name}]
    return Metrics.model_validate({
        "preset": "custom",
        "custom": {
            "requests": {"metric": "events_total", "matchers": only},
            "errors": {"metric": "events_total", "matchers": [*only, {"label": "code", "op": "=~", "value": "5.."}]},
            "duration": {"metric": "took_seconds", "matchers": only},
            "versionLabel": {"name": "service"},
        },
    })  # fmt: skip


async def test_errors_are_measured_over_newborn_series_of_the_version(
    cluster: LocalCluster, source: Sources, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {
        'events_total{service="fraud-v2",code="200"}': rising(end - 150, end, 100, 10),
        'events_total{service="fraud-v2",code="500"}': rising(end - 15, end, 3, 0),
        'events_total{service="fraud-v1",code="500"}': rising(end - 150, end, 900, 10),
    })  # fmt: skip

    assert await ask(source, end, ERRORS, metrics_of(test_name)) == Counted(Counts(203, 3), None)


async def test_slow_requests_are_found_whichever_way_a_bound_is_spelled(
    cluster: LocalCluster, source: Sources, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {
        'took_seconds_bucket{service="fraud-v2",le="1"}': rising(end - 60, end, 90, 0),
        'took_seconds_bucket{service="fraud-v2",le="+Inf"}': rising(end - 60, end, 100, 0),
        'took_seconds_count{service="fraud-v2"}': rising(end - 60, end, 100, 0),
    })  # fmt: skip
    second = {"name": "latency", "latency": {"threshold": "1s", "maxAbove": "5%"}}

    assert await ask(source, end, second, metrics_of(test_name)) == Counted(Counts(100, 10), None)
    answer = await ask(source, end, LATENCY, metrics_of(test_name))
    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.NO_BUCKET
    assert "it has 1s:" in answer.message


async def test_a_ratio_is_counted_from_two_counters_of_ones_own(
    cluster: LocalCluster, source: Sources, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {
        'answers_total{service="fraud-v2",agrees="true"}': rising(end - 150, end, 100, 10),
        'answers_total{service="fraud-v2",agrees="false"}': rising(end - 15, end, 3, 0),
        'answers_total{service="fraud-v1",agrees="true"}': rising(end - 150, end, 400, 10),
        'answers_total{service="fraud-v1",agrees="false"}': rising(end - 150, end, 20, 0),
    })  # fmt: skip
    mine = {"label": "test", "value": test_name}
    bad = {"metric": "answers_total", "matchers": [mine, {"label": "agrees", "op": "!=", "value": "true"}]}
    total = {"metric": "answers_total", "matchers": [mine]}
    gate = {"name": "disagreement", "ratio": {"bad": bad, "total": total, "maxIncrease": "25%"}}

    answer = await ask(source, end, gate, metrics_of(test_name), baseline=track("fraud-v1"))

    assert answer == Counted(Counts(203, 3), Counts(520, 20))


async def test_throughput_counts_the_requests_of_both_versions(
    cluster: LocalCluster, source: Sources, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {
        'events_total{service="fraud-v2",code="200"}': rising(end - 150, end, 100, 10),
        'events_total{service="fraud-v2",code="500"}': rising(end - 15, end, 3, 0),
        'events_total{service="fraud-v1",code="200"}': rising(end - 150, end, 400, 10),
    })  # fmt: skip

    answer = await ask(source, end, LOAD, metrics_of(test_name), track("fraud-v1"))

    assert answer == Counted(Counts(203, 0), Counts(500, 0))


async def test_the_buckets_of_a_histogram_are_counted_for_both_versions(
    cluster: LocalCluster, source: Sources, exporter: Exporter, test_name: str, end: float
) -> None:
    def version(service: str, *counts: int) -> dict[str, Points]:
        bounds = dict(zip(("0.1", "0.5", "+Inf"), counts, strict=True))
        series = {f'score_bucket{{service="{service}",le="{le}"}}': count for le, count in bounds.items()}
        series[f'score_count{{service="{service}"}}'] = counts[-1]
        return {name: rising(end - 60, end, count, 0) for name, count in series.items()}

    tell(cluster, exporter, test_name, {**version("fraud-v2", 10, 40, 100), **version("fraud-v1", 300, 500, 900)})
    only = {"metric": "score", "matchers": [{"label": "test", "value": test_name}]}

    answer = await ask(
        source, end, {"name": "scores", "drift": {"histogram": only}}, metrics_of(test_name), track("fraud-v1")
    )

    assert answer == Distributed((10, 30, 60), (300, 200, 400))


async def test_row_35_a_source_that_scrapes_no_more_is_stale(
    cluster: LocalCluster, source: Sources, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {'events_total{service="fraud-v2"}': rising(end - 285, end - 90, 10, 10)})

    answer = await ask(source, end, ERRORS, metrics_of(test_name))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.STALE
    assert "is 90 s old" in answer.message


async def test_row_30_no_series_of_the_version_is_no_data(source: Sources, test_name: str, end: float) -> None:
    answer = await ask(source, end, ERRORS, metrics_of(test_name))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.NO_DATA


async def test_a_query_in_a_batch_has_the_answer_that_it_has_alone(
    cluster: LocalCluster, calls: Calls, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {
        'events_total{pod="old"}': rising(end - 600, end, 5000, 8),
        'events_total{pod="new"}': [(end - 30, 300.0), (end - 15, 600.0), (end, 942.0)],
        'stale_total': rising(end - 285, end - 90, 10, 10),
        'gone_total': rising(end - 900, end - 600, 10, 10),
        'gauge{n="1"}': [(end, 0.25)],
        'gauge{n="2"}': [(end, 0.75)],
        "nan_gauge": [(end, float("nan"))],
    })  # fmt: skip
    mine = (Matcher("test", "=", test_name), Matcher("odd", "!=", '", "part", "0", "", "") or x\n\\'))
    window = timedelta(seconds=WINDOW)
    names = ("events_total", "stale_total", "gone_total", "nobody_total")
    asked = [make(Selector(name, mine)) for name in names for make in (queries.age, lambda s: queries.count(s, window))]
    asked += [PromQL(text.replace("J", f'test="{test_name}"')) for text in (
        "sum(nan_gauge{J})", "sum(gauge{J}) / 0", "gauge{J}", "sum(nobody{J})", "group by (n) (gauge{J})", "vector(1)",
    )]  # fmt: skip
    prometheus = PrometheusSource("default", SourceConfig(url=cluster.prometheus.url), calls)
    batches = Batches(prometheus, threads=4, time_limit=timedelta(seconds=5))
    at = datetime.fromtimestamp(end, UTC)

    together = await batches.ask("models/fraud", list(map(Confined, asked)), at)
    requests = len(calls)
    alone = [await prometheus.ask(query, at) for query in asked]

    assert together == alone
    assert requests == 1
    assert len({str(answer) for answer in alone}) > 8  # not all of them empty
    batches.close()
    await prometheus.close()


@pytest.mark.parametrize("odd", ["sum(x", 'sum(histogram_quantile(0.9, gauge{test="J"})) or vector(1)', "1"])
async def test_a_batch_that_a_real_prometheus_refuses_or_warns_of_is_answered_query_by_query(
    cluster: LocalCluster, calls: Calls, exporter: Exporter, test_name: str, end: float, odd: str
) -> None:
    tell(cluster, exporter, test_name, {"gauge": [(end, 0.25)]})
    prometheus = PrometheusSource("default", SourceConfig(url=cluster.prometheus.url), calls)
    batches = Batches(prometheus, threads=4, time_limit=timedelta(seconds=5))
    at = datetime.fromtimestamp(end, UTC)
    query = PromQL(odd.replace("J", test_name))

    good, bad = await asyncio.gather(
        batches.ask(
            "models/good", [Confined(PromQL(f'sum(gauge{{test="{test_name}"}})')), Confined(PromQL("vector(2)"))], at
        ),
        batches.ask("models/bad", [Confined(query)], at),
    )

    assert [sample.text for answer in good if isinstance(answer, Found) for sample in answer.samples] == ["0.25", "2"]
    assert bad == [await prometheus.ask(query, at)]
    batches.close()
    await prometheus.close()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("avg(gauge{J})", 0.5, id="one"),
        pytest.param("scalar(avg(gauge{J}))", 0.5, id="scalar"),
        pytest.param("gauge{J}", Unknown.MANY_SERIES, id="many"),
        pytest.param("nan_gauge{J}", Unknown.NOT_A_NUMBER, id="nan"),
        pytest.param("sum(gauge{J}) / 0", Unknown.INFINITE, id="infinite"),
        pytest.param("sum(nobody{J})", Unknown.NO_DATA, id="empty"),
        pytest.param("sum(histogram_quantile(0.9, gauge{J})) or vector(1)", Unknown.WARNINGS, id="warnings"),
        pytest.param("gauge{J}[5m]", Unknown.MALFORMED, id="range"),
        pytest.param('"text"', Unknown.MALFORMED, id="text"),
        pytest.param("sum(gauge{J}", Unknown.REFUSED, id="syntax"),
        pytest.param("gauge{J} * on (test) gauge{J}", Unknown.REFUSED, id="execution"),
    ],
)
async def test_a_value_is_one_number_or_unknown(
    cluster: LocalCluster,
    source: Sources,
    exporter: Exporter,
    test_name: str,
    end: float,
    text: str,
    found: float | Unknown,
) -> None:
    tell(cluster, exporter, test_name, {
        'gauge{n="1"}': [(end, 0.25)],
        'gauge{n="2"}': [(end, 0.75)],
        "nan_gauge": [(end, float("nan"))],
    })  # fmt: skip

    answer = await ask(source, end, value(text.replace("{J}", f'{{test="{test_name}"}}')), metrics_of(test_name))

    got = answer.value if isinstance(answer, Measured) else answer.reason if isinstance(answer, NoData) else None
    assert got == found


async def test_a_value_is_measured_for_both_versions(
    cluster: LocalCluster, source: Sources, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {
        'gauge{service="fraud-v1",version="2026.10.4+a"}': [(end, 0.25)],
        'gauge{service="fraud-v2",version="2026.11.2"}': [(end, 0.75)],
    })  # fmt: skip
    gate = value(f'avg(gauge{{test="{test_name}",service="$service",version=~"$version"}})')
    baseline = track("fraud-v1", version="2026.10.4+a")

    assert await ask(source, end, gate, metrics_of(test_name), baseline) == Measured(0.75, 0.25)


async def test_prometheus_down_is_unreachable_and_its_counts_are_there_when_it_is_back(
    cluster: LocalCluster, source: Sources, exporter: Exporter, test_name: str, end: float
) -> None:
    tell(cluster, exporter, test_name, {'events_total{service="fraud-v2",code="200"}': rising(end - 150, end, 100, 10)})
    before = await ask(source, end, ERRORS, metrics_of(test_name))

    cluster.prometheus.stop()
    try:
        down = await ask(source, end, ERRORS, metrics_of(test_name))
    finally:
        cluster.prometheus.start()
    after = await ask(source, end, ERRORS, metrics_of(test_name))

    assert before == after == Counted(Counts(200, 0), None)
    assert isinstance(down, NoData)
    assert down.reason is Unknown.UNREACHABLE


async def test_the_minutes_before_a_stage_tell_whether_errors_came_in_bursts(
    cluster: LocalCluster, source: Sources, exporter: Exporter, test_name: str
) -> None:
    end = float(int(time.time() - 60) // 60 * 60)
    start = end - 50 * 60
    bursts = [(at, 10.0 * ((at - start - 30) // 300)) for at, _ in rising(start, end, 0, 0)]  # ten at a time, each 5m
    tell(cluster, exporter, test_name, {
        'events_total{service="fraud-v1",code="200"}': rising(start, end, 7000, 25),
        'events_total{service="fraud-v1",code="500"}': [(at, bad) for at, bad in bursts if bad >= 10],
        'events_total{service="fraud-v2",code="200"}': rising(end - 150, end, 900, 10),
    })  # fmt: skip

    minutes = await history(source, test_name, end)

    assert (minutes.minutes, minutes.busy) == (50, 50)
    assert minutes.bad == 80  # The first ten are born with their series, the next ones are counted.
    assert minutes.total == pytest.approx(50 * 100 + 80)
    assert minutes.squares == pytest.approx(8 * 10**2 / 110)


async def test_a_restart_of_a_counter_costs_its_minute_and_no_more(
    cluster: LocalCluster, source: Sources, exporter: Exporter, test_name: str
) -> None:
    end = float(int(time.time() - 60) // 60 * 60)
    before = rising(end - 600, end - 315, 5000, 25)
    tell(cluster, exporter, test_name, {
        'events_total{service="fraud-v1",code="200"}': [*before, *rising(end - 300, end, 25, 25)],
        'events_total{service="fraud-v2",code="200"}': rising(end - 150, end, 900, 10),
    })  # fmt: skip

    minutes = await history(source, test_name, end)

    assert (minutes.minutes, minutes.bad) == (9, 0)
    assert minutes.total == pytest.approx(900)


async def history(source: Sources, test_name: str, end: float) -> Minutes:
    until = datetime.fromtimestamp(end, UTC)
    asked = question(ERRORS, metrics=metrics_of(test_name), candidate=track("fraud-v2"), until=until)
    before = Before(track("fraud-v1"), until)
    answer = await source.measure(replace(asked, since=until - timedelta(minutes=5), before=before))
    assert isinstance(answer, Counted)
    assert isinstance(answer.history, Minutes)
    return answer.history


@pytest.mark.parametrize(
    ("scraped", "share"),
    [
        pytest.param([(-600, 0)], 1.0, id="all of the time"),
        pytest.param([(-600, -300)], 0.5, id="the first half"),
        pytest.param([(-600, -420), (-180, 0)], 0.6, id="with a hole in the middle"),
    ],
)
async def test_row_07_prometheus_says_how_much_of_a_span_it_saw(
    cluster: LocalCluster,
    source: Sources,
    exporter: Exporter,
    test_name: str,
    end: float,
    scraped: list[tuple[int, int]],
    share: float,
) -> None:
    points = [point for start, until in scraped for point in rising(end + start, end + until, 10, 1)]
    tell(cluster, exporter, test_name, {'events_total{service="fraud-v2"}': points})

    covered = await source.covered(gap(test_name, end))

    assert covered == pytest.approx(share, abs=0.11)


async def test_row_07_what_has_no_series_was_not_seen(source: Sources, test_name: str, end: float) -> None:
    assert await source.covered(gap(test_name, end)) == 0


def gap(test_name: str, end: float) -> Gap:
    until = datetime.fromtimestamp(end, UTC)
    return Gap(
        metrics=metrics_of(test_name),
        gates=(Gate.model_validate(ERRORS),),
        candidate=track(),
        since=until - timedelta(minutes=10),
        until=until,
        freshness=timedelta(seconds=30),
    )
