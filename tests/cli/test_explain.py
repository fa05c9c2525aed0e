"""`explain`: what was asked, what came back, why, what to do; and that the queries are those that are really sent."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelrollout.cli.explain import question_of
from modelrollout.cli.recording import exchange
from modelrollout.cli.sourcing import Asking
from modelrollout.core.evidence import Counted
from modelrollout.core.rollout import parse_rollout
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.sources import Sources

from local.cluster import LocalCluster
from tests.api.manifests import changed, good
from tests.cli.stage import OnCall, canary_status, condition, on_call, said_by
from tests.metrics.exporter import Points, exporting, tell

NOWHERE = Asking(None, None)
CUSTOM = {
    "requests": {"metric": "explained_total"},
    "errors": {"metric": "explained_errors_total"},
    "versionLabel": {"name": "service", "holds": "Service"},
}


def status(at: datetime, **more: Any) -> dict[str, Any]:
    """A status of the second weight of a canary that was applied ten minutes before `at`, judged at that time."""

    def text(moment: datetime) -> str:
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    found = canary_status()
    plan = parse_rollout(stored({})).plan(has_baseline=True).digest
    baseline = {**found["attempt"]["baseline"], "service": {"name": "fraud-v1", "port": 8080}}
    applied = text(at - timedelta(minutes=10))
    gate = {
        "name": "errors",
        "verdict": "Unknown",
        "reason": "NeedEvidence",
        "message": "2 of 410 requests failed",
        "limit": "at most 1% failed",
        "samples": 410,
        "evaluatedAt": text(at),
        "tally": {"total": 410, "bad": 2, "baselineTotal": 7800, "baselineBad": 30},
        "evidence": {"towardsFail": 3, "towardsPass": 70, "needed": 250, "detectable": "4x"},
        **more,
    }
    clocks = dict.fromkeys(("startedAt", "stageStartedAt", "stepStartedAt", "appliedAt"), applied)
    return {**found, "attempt": {**found["attempt"], **clocks, "plan": plan, "baseline": baseline, "gates": [gate]}}


def stored(status: dict[str, Any], **changes: Any) -> dict[str, Any]:
    manifest = changed(good("fraud", "models"), {"spec.gates": GATES, "spec.metrics": METRICS, **changes})
    metadata = manifest["metadata"] | {"uid": "u", "resourceVersion": "1", "generation": 1}
    return manifest | {"metadata": metadata, "status": status}


GATES = [{"name": "errors", "errorRate": {"max": "1%", "maxIncrease": "25%"}, "runbookURL": "https://runbooks/errors"}]
METRICS = {"preset": "custom", "custom": CUSTOM}
AT = datetime(2026, 11, 17, 15, 57, tzinfo=UTC)


async def test_the_queries_are_those_of_the_window_that_was_judged():
    rollout = parse_rollout(stored(status(AT)))
    assert rollout.status.attempt
    question = question_of(rollout, rollout.status.attempt.gates[0])
    assert question
    found = await exchange(question, NOWHERE)

    # Ten minutes since the shares were applied, less 2m of warm-up and 30s of ingestion.
    assert question.until - question.since == timedelta(seconds=450)
    assert found.answer is None
    texts = [query for query, _ in found.asked]
    assert len(texts) == 5
    assert sum("fraud-v1" in text for text in texts) == 2
    assert sum("explained_errors_total" in text for text in texts) == 2
    assert all("[450s]" in text for text in texts[1:])


async def test_the_verdict_of_an_attempt_that_has_ended_can_still_be_explained():
    ended = status(AT)
    ended["attempt"] |= {
        "outcome": "RolledBack",
        "endedAt": "2026-11-17T16:00:00.000Z",
        "rollback": {"cause": "GateFailed", "message": "gate errors", "since": "2026-11-17T15:59:00.000Z"},
    }
    rollout = parse_rollout(stored(ended))

    assert rollout.status.attempt
    assert question_of(rollout, rollout.status.attempt.gates[0])


@pytest.fixture
def alice(cluster: LocalCluster, namespace: str) -> OnCall:
    made = on_call(cluster, namespace)
    made.create("fraud", status(AT), gates=GATES, metrics=METRICS)
    return made


@pytest.mark.cluster
def test_a_gate_is_explained_from_the_question_to_the_runbook(alice: OnCall):
    said = said_by(alice.call("explain", "fraud", "errors"), 2)

    for part in (
        "gate errors Unknown (NeedEvidence), allowed is at most 1% failed",
        "errorRate: max 1%, maxIncrease 25%; a failure rolls back",
        'explained_total{service="fraud-v2"}',
        "candidate 2 of 410 bad (0.4878%), baseline 30 of 7800",
        "2 of 410 requests failed",
        "3 % of what fails, 70 % of what passes; a regression of 4x would have been seen",
        "wait for about 250 more requests of the candidate",
        "https://runbooks/errors",
    ):
        assert part in said


@pytest.mark.cluster
def test_a_whole_rollout_is_explained_with_the_commands_that_fit(alice: OnCall):
    held = [condition("Ready", "False", "Paused", "spec.paused is true: set it to false to go on")]
    alice.write_status("fraud", {"phase": "Held", "conditions": held})

    said = said_by(alice.call("explain", "fraud"))

    assert f"{alice.namespace}/fraud  Held" in said
    assert "Paused: spec.paused is true: set it to false to go on" in said
    assert "kubectl modelrollout resume fraud" in said
    assert "kubectl modelrollout rollback fraud" in said
    assert "gate errors Unknown" in said


@pytest.mark.cluster
@pytest.mark.parametrize(("verdict", "code"), [("Pass", 0), ("Fail", 1), ("Unknown", 2)])
def test_a_script_gets_the_verdict_as_exit_code_and_json(alice: OnCall, verdict: str, code: int):
    alice.write_status("fraud", status(AT, verdict=verdict))

    found = json.loads(said_by(alice.call("explain", "fraud", "errors", "-o", "json"), code))

    assert found["gates"][0]["verdict"] == verdict
    assert len(found["gates"][0]["asked"]) == 5
    assert found["gates"][0]["do"]


@pytest.mark.cluster
def test_a_gate_that_has_no_verdict_is_said_with_those_that_have(alice: OnCall):
    result = alice.call("explain", "fraud", "latency")

    said_by(result, 3)
    assert "it has: errors" in result.stderr


@pytest.mark.cluster
async def test_what_is_shown_is_what_is_sent_to_the_letter(cluster: LocalCluster):
    """The digest that a real look leaves in status is that of the queries shown."""
    now = datetime.fromtimestamp(int(time.time()), UTC)
    rollout = parse_rollout(stored(status(now)))
    assert rollout.status.attempt
    question = question_of(rollout, rollout.status.attempt.gates[0])
    assert question
    times = [now.timestamp() - 1200 + n * 15 for n in range(80)]
    series: dict[str, Points] = {
        f'{metric}{{service="{service}"}}': [(at, each * n) for n, at in enumerate(times)]
        for metric, each in (("explained_total", 150.0), ("explained_errors_total", 1.0))
        for service in ("fraud-v1", "fraud-v2")
    }
    with exporting(cluster) as exporter:
        tell(cluster, exporter, "explain", series)
    config = SourceConfig(url=cluster.prometheus.url)
    sources = Sources({"default": config}, clock=lambda: datetime.now(UTC), on_call=lambda *_: None)
    live = await sources.measure(question)
    await sources.close()

    shown = await exchange(question, NOWHERE)
    asked = await exchange(question, Asking(cluster.prometheus.url, None))

    assert isinstance(live, Counted)
    assert live.asked
    assert shown.digest == asked.digest == live.asked.digest
    assert asked.answer == live
