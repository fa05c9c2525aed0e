"""Questions that start valid and take only what matters."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from modelrollout.api.fields import NONE, Percent
from modelrollout.api.gates import Gate
from modelrollout.api.metrics import Metrics
from modelrollout.core.evidence import Question, Standing, Track
from modelrollout.core.traffic import Shares

TRAEFIK = Metrics(preset="traefik")
CUSTOM = Metrics.model_validate({
    "preset": "custom",
    "custom": {
        "requests": {"metric": "model_requests_total"},
        "errors": {"metric": "model_requests_total", "matchers": [{"label": "code", "op": "=~", "value": "5.."}]},
        "duration": {"metric": "model_request_duration_seconds"},
        "versionLabel": {"name": "service"},
    },
})  # fmt: skip
STANDING = Standing("fraud", 3, "canary", 1, Shares(Percent(500), NONE))
ERRORS: dict[str, Any] = {"name": "errors", "errorRate": {"max": "1%"}}
COMPARED: dict[str, Any] = {"name": "errors", "errorRate": {"max": "1%", "maxIncrease": "25%"}}
LATENCY: dict[str, Any] = {"name": "latency", "latency": {"threshold": "300ms", "maxAbove": "5%"}}
LOAD: dict[str, Any] = {"name": "load", "throughput": {"maxDecrease": "20%"}}
SCORES: dict[str, Any] = {"name": "scores", "drift": {"histogram": {"metric": "model_score"}}}
DISAGREEMENT: dict[str, Any] = {
    "name": "disagreement",
    "ratio": {
        "bad": {"metric": "answers_total", "matchers": [{"label": "code", "value": 'differs"}'}]},
        "total": {"metric": "answers_total"},
        "maxIncrease": "25%",
    },
}


def value(query: str) -> dict[str, Any]:
    return {"name": "score", "value": {"query": query, "max": "0.2"}}


def track(service: str = "fraud-v2", **changed: Any) -> Track:
    return replace(Track("models", "HTTPRoute", "fraud", service, 8080, "2026.11.2"), **changed)


def question(gate: Mapping[str, Any] = ERRORS, **changed: Any) -> Question:
    until = datetime.now(UTC) - timedelta(seconds=1)
    asked = Question(
        metrics=CUSTOM,
        gate=Gate.model_validate(gate),
        candidate=track(),
        baseline=None,
        since=until - timedelta(minutes=5),
        until=until,
        freshness=timedelta(minutes=1),
        at=STANDING,
    )
    return replace(asked, **changed)
