"""The bench's own arithmetic, and one short run of it on the real parts."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from modelrollout.metrics import queries
from modelrollout.metrics.queries import Matcher, Selector

from local.bench import gates as bench_gates
from local.bench.__main__ import main
from local.bench.figures import Report, quantile, spread
from local.bench.fleet import gives_candidate, manifest, standing_of
from local.bench.gates import HEALTHY, LOOKS, UNDECIDED, evaluations
from local.bench.meters import Reading, read_metrics
from local.bench.runs import levels_between
from local.bench.source import Script, service_of, window_of
from local.bench.targets import bad_at_once_target, look_target, loop_target, request_target
from local.http import Request
from tests.local.test_processes import environment

WINDOW = timedelta(seconds=40)
TEN_SECONDS, THIRTY_SECONDS = timedelta(seconds=10), timedelta(seconds=30)


def requests_of(service: str) -> Selector:
    return Selector(
        "traefik_service_requests_total", (Matcher("service", "=~", rf"bench\-{service}\-8080@kubernetescrd"),)
    )


def errors_of(service: str) -> str:
    return queries.count(requests_of(service).where(Matcher("code", "=~", "5..")), WINDOW)


async def told(script: Script, path: str, body: object = None) -> dict[str, Any]:
    answer = await script.handle(Request("POST", path, {}, json.dumps(body).encode()))
    found: dict[str, Any] = json.loads(answer.body or b"{}")
    return found


def test_the_scripted_metrics_understand_the_queries_that_gates_send():
    query = queries.count(requests_of("r0001v2"), WINDOW)

    assert service_of(query) == "r0001v2"
    assert window_of(query) == 40
    assert window_of("x[1500ms]") == 1.5
    assert Script().value_of(query) == 2000
    assert Script().value_of(errors_of("r0001v2")) == 2
    assert Script().value_of(queries.age(requests_of("r0001v2"))) == 1


async def test_the_scripted_metrics_call_one_version_bad_and_note_when_they_first_said_so():
    script = Script()

    await told(script, "/-/script", {"bad": ["r0001v2"]})
    counts = [script.value_of(errors_of(service)) for service in ("r0001v2", "r0002v2")]

    assert counts == [1200, 2]
    assert list((await told(script, "/-/seen"))["answered_bad"]) == ["r0001v2"]


async def test_the_scripted_metrics_answer_each_part_of_a_batch():
    batch = queries.side_by_side([queries.age(requests_of("r0001v2")), queries.count(requests_of("r0001v2"), WINDOW)])

    answer = await told(Script(), f"/api/v1/query?{urlencode({'query': batch})}")

    assert [(one["metric"], one["value"][1]) for one in answer["data"]["result"]] == [
        ({"part": "0"}, "1.000"),
        ({"part": "1"}, "2000.000"),
    ]


def test_a_report_goes_on_where_it_was_kept(tmp_path):
    report = Report({"cores": "2"}, 10.0)
    report.add("edits", 10, 1, [spread("edit", 10, [0.1])], load=1.5)
    report.keep(tmp_path / "kept.json")

    assert Report.read(tmp_path / "kept.json") == report


async def test_metrics_that_hang_never_answer_a_query():
    script = Script()
    await told(script, "/-/script", {"hangs": True})

    query = Request("GET", "/api/v1/query?query=time()", {}, b"")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(script.handle(query), 0.01)


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        pytest.param([3.0, 1.0, 2.0], 0.5, 2.0, id="the middle"),
        pytest.param([1.0, 2.0], 0.5, 1.0, id="the lower one of two"),
        pytest.param([float(n) for n in range(1, 101)], 0.99, 99.0, id="all but the largest of a hundred"),
        pytest.param([4.0], 0.99, 4.0, id="the only one"),
    ],
)
def test_a_quantile_is_a_value_that_was_measured(values, share, found):
    assert quantile(values, share) == found


def test_the_operators_metrics_are_added_up_over_outcomes():
    text = """
# TYPE modelrollout_api_call_seconds histogram
modelrollout_api_call_seconds_count{outcome="ok",verb="patch"} 3
modelrollout_api_call_seconds_count{outcome="conflict",verb="patch"} 1
modelrollout_api_call_seconds_count{outcome="ok",verb="list"} 7
# TYPE modelrollout_metrics_query_seconds histogram
modelrollout_metrics_query_seconds_count{outcome="ok"} 40
# TYPE modelrollout_queue_lateness_seconds gauge
modelrollout_queue_lateness_seconds 0.5
"""

    assert read_metrics(text) == (Counter(patch=4, list=7), 40, 0.5)


def test_costs_are_differences_over_time():
    first = Reading(at=10, cpu=1.0, cpu_of_loop=0.5, rss_bytes=0, calls=Counter(patch=5), queries=100, lateness=0)
    last = Reading(
        at=20, cpu=2.5, cpu_of_loop=1.5, rss_bytes=2**20, calls=Counter(patch=25, get=10), queries=300, lateness=0
    )

    levels = {level.what: level.value for level in levels_between(first, last, [0.0, 0.5], 200, 1, TEN_SECONDS)}

    assert levels["CPU"] == 15
    assert levels["CPU beside the Prometheus calls"] == 10
    assert levels["RSS"] == 1
    assert levels["API requests (get 1.00, patch 2.00)"] == 3
    assert levels["PATCH alone"] == 2
    assert levels["Prometheus requests"] == 20
    assert levels["queue lateness, longest seen"] == 0.5


def test_a_leaf_gives_the_candidate_requests_only_by_a_weight():
    def leaf(spec: dict[str, object]) -> dict[str, object]:
        return {"metadata": {"name": "r0001"}, "spec": spec}

    both = [{"name": "r0001v1", "weight": 9}, {"name": "r0001v2", "weight": 1}]
    assert gives_candidate(leaf({"weighted": {"services": both}}))
    assert not gives_candidate(leaf({"weighted": {"services": both[:1]}}))
    assert not gives_candidate(leaf({"mirroring": {"name": "r0001v1"}}))
    assert standing_of({}).phase == ""


def test_the_table_names_the_machine_and_the_targets():
    report = Report({"cores": "2"}, 10.0, [spread("edit", 200, [0.010, 0.020, 2.5], "p99 < 50 ms")])

    first, *_, last = report.as_text().splitlines()

    assert first == "cores 2, interval 10 s"
    assert last.split("  ")[0] == "edit"
    assert "10 ms" not in last
    assert "20 ms" in last
    assert "2.50 s" in last
    assert last.endswith("p99 < 50 ms")


def test_what_an_evaluation_costs_is_measured_without_a_server(capsys, monkeypatch):
    monkeypatch.setattr(bench_gates, "BATCHES", 2)

    assert main(["--only", "gates", "--output", "json"]) == 0

    levels = json.loads(capsys.readouterr().out)["levels"]
    assert [(level["gates"], level["unit"], level["target"]) for level in levels] == [
        *[(1, "ms", "")] * 4,
        *[(4, "ms", target) for target in ("< 1 ms", "", "< 1 ms", "")],
    ]
    assert all(level["value"] > 0 for level in levels)
    assert all(least["value"] <= median["value"] for median, least in zip(levels[::2], levels[1::2], strict=True))


def test_parts_of_no_rollouts_are_left_out(capsys):
    assert main(["--only", "gates", "--rollouts", "none", "--four-gates", "none", "--output", "json"]) == 0

    assert json.loads(capsys.readouterr().out)["levels"] == []


@pytest.mark.parametrize(
    ("answers", "verdicts"),
    [
        pytest.param(HEALTHY, ["Pass", "Pass", "Pass", "Pass"], id="a healthy candidate passes"),
        pytest.param(UNDECIDED, ["Unknown", "Unknown", "Unknown", "Pass"], id="at the limit nobody knows"),
    ],
)
def test_what_is_evaluated_are_the_looks_at_a_candidate_in_its_canary(answers, verdicts):
    looks = list(evaluations(4, answers, 50))

    windows = [gates[0].evidence.until - gates[0].evidence.since for _, gates in looks]
    assert len(windows) == LOOKS
    assert windows == sorted(set(windows)), "each look counts more than the one before"
    for _, gates in (looks[1], looks[-1]):
        assert [str(gate.verdict) for gate in gates] == verdicts


def test_rollouts_look_as_often_as_they_are_told():
    assert manifest("r0001", 4, THIRTY_SECONDS)["spec"]["analysis"]["interval"] == "30s"


def test_a_target_is_for_its_interval_alone():
    at_ten = [look_target(TEN_SECONDS), bad_at_once_target(TEN_SECONDS), loop_target(TEN_SECONDS)]
    at_thirty = [look_target(THIRTY_SECONDS), bad_at_once_target(THIRTY_SECONDS), loop_target(THIRTY_SECONDS)]

    assert all(at_ten)
    assert not any(at_thirty)
    assert request_target(1000, 4, THIRTY_SECONDS) == "<= 40 /s"
    assert not any(
        request_target(*load) for load in [(1000, 4, TEN_SECONDS), (1000, 1, THIRTY_SECONDS), (200, 4, THIRTY_SECONDS)]
    )


def test_figures_of_two_intervals_are_not_kept_in_one_file(tmp_path, capsys):
    kept = tmp_path / "kept.json"
    Report({"cores": "2"}, 10.0).keep(kept)

    assert main(["--only", "gates", "--interval", "30", "--keep", str(kept)]) == 1
    assert "of an interval of 10 s, not 30 s: give another file to --keep" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["9", "61"])
def test_an_interval_that_the_operator_would_not_keep_is_refused(given, capsys):
    with pytest.raises(SystemExit):
        main(["--interval", given])

    assert "give seconds from 10" in capsys.readouterr().err


@pytest.mark.cluster
def test_a_short_bench_measures_everything(tmp_path):
    kept = tmp_path / "kept.json"
    extent = [
        "--rollouts",
        "4",
        "--four-gates",
        "none",
        "--edits",
        "3",
        "--breaches",
        "1",
        "--steady",
        "2",
        "--outage",
        "4",
        "--neighbours",
        "6",
    ]
    parts = ["--only", "edits,breach,steady,restart,outage,hostile", "--output", "json", "--keep", str(kept)]

    run = subprocess.run(
        [sys.executable, "-m", "local.bench", *extent, *parts],
        capture_output=True,
        text=True,
        check=False,
        env=environment() | {"MODELROLLOUT_LOGS": str(tmp_path), "PYTHONPATH": "operator:."},
        timeout=300,
    )

    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert [s["what"] for s in found["spreads"]] == [
        "status edit to route write",
        "of which the edit's own request",
        "bad sample to route write",
        "one look at the metrics to the next",
        "SIGKILL to the route write of an edit made while down",
        "SIGKILL to the first look at metrics",
        "SIGKILL to every rollout looked at",
        "status edit to route write, Prometheus refusing",
        "status edit to route write, Prometheus hanging",
        "status edit to route write, no neighbours",
        "status edit to route write, beside 6 hostile",
    ]
    levels = {level["what"]: level["value"] for level in found["levels"]}
    assert levels["RSS"] > 0
    assert levels["p99 beside hostile ones, as a multiple"] > 0
    assert levels["rolled back by Prometheus refusing"] == levels["rolled back by Prometheus hanging"] == 0
    assert next(value for what, value in levels.items() if what.startswith("API requests of one rollback")) <= 10
    assert json.loads(kept.read_text()) == found
    assert set(found["machine"]) >= {"cores", "processor", "load before"}
