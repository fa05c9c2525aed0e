"""What can be said of a manifest without a cluster: what would be refused, and what would stall."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import promql_parser

from modelrollout.api.crd import custom_resource_definition
from modelrollout.cli.manifests import Manifest, version_fault
from modelrollout.cli.schema import Schema, faults_of
from modelrollout.cli.simulation import refusal_of
from modelrollout.core.case import Limits
from modelrollout.core.rollout import Rollout
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.sources import Sources

_USUAL = Limits(min_interval=timedelta(seconds=10), status_refresh=timedelta(hours=1))
"""What an administrator allows who has changed nothing."""

Severity = Literal["error", "warning"]


class Finding(NamedTuple):
    """One thing to mend, or to know."""

    file: str
    name: str
    field: str
    severity: Severity
    message: str


def lint(manifest: Manifest) -> list[Finding]:
    """Return what is wrong with a manifest; errors are what the API server refuses, or what no operator could do."""

    def found(field: str, message: str, severity: Severity = "error") -> Finding:
        return Finding(manifest.file, manifest.name, field, severity, message)

    if fault := version_fault(manifest):
        return [found("apiVersion", fault)]
    faults = faults_of(manifest.content, _schema())
    findings = [found(one.field, one.message, "error" if one.is_checked else "warning") for one in faults]
    if any(one.severity == "error" for one in findings):
        return findings
    rollout = manifest.parse("default")
    return [*findings, *(found(*one) for one in _beyond_the_schema(rollout))]


def _schema() -> Schema:
    schema: Schema = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    # What stands in metadata is everybody's business, and status the operator's: neither is looked into.
    anything = {"type": "object"}
    return {**schema, "properties": {**schema["properties"], "status": anything}}


def _beyond_the_schema(rollout: Rollout) -> Iterator[tuple[str, str, Severity]]:
    """Yield what only the operator would say, after the manifest is stored."""
    spec = rollout.spec
    if spec is None:
        return
    plan = rollout.plan(has_baseline=spec.baseline is not None)
    # A source of any address: what can be said of metrics without asking.
    source = SourceConfig(url="http://localhost", raw_queries=True)
    sources = Sources({spec.metrics.source: source}, clock=lambda: datetime.now(UTC), on_call=lambda *_: None)
    blocked = next(
        (found for gate in plan.gates if gate.webhook is None and (found := sources.check(spec.metrics, [gate]))), None
    )
    if stall := refusal_of(rollout, blocked, _USUAL):
        yield "spec", stall.message, "warning" if stall.reason == "IntervalTooShort" else "error"
    for gate in plan.gates:
        if gate.value and (problem := promql_problem(gate.value.query)):
            yield f"gate {gate.name}: value.query", f"is no PromQL: {problem}", "error"
    if spec.baseline is None:
        yield "spec.baseline", "is left out: this is a first deployment, which gets everything at once", "warning"


def promql_problem(query: str) -> str | None:
    """Return why Prometheus would not parse a query, `None` if it would."""
    try:
        promql_parser.parse(query)
    except ValueError as error:
        return str(error)
    return None
