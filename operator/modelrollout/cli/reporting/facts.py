"""A report as JSON, for programs."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from modelrollout.api.fields import render_time
from modelrollout.cli.records import span_json
from modelrollout.cli.reporting.texts import outcome_text
from modelrollout.core.history import Span
from modelrollout.core.summary import Model, Period, Report, Totals, hands_of, remarks_of, totals_of
from modelrollout.core.tale import Act, Tale, WayBack


def facts(report: Report) -> Mapping[str, Any]:
    """Return all of a report. Times that something took are in seconds; `null` is what no record tells."""
    return {
        "since": render_time(report.period.since),
        "until": render_time(report.period.until),
        "totals": _totals(totals_of(report.tales, report.period)),
        "people": [
            {"who": hand.who, "verified": hand.verified, "did": dict(hand.counts)}
            for hand in hands_of(report.tales, report.period)
        ],
        "unread": list(report.unread),
        "models": [_model(model, report.period) for model in report.models],
    }


def _model(model: Model, period: Period) -> Mapping[str, Any]:
    return {
        "namespace": model.namespace,
        "name": model.name,
        "owner": model.owner.render() if model.owner else None,
        "totals": _totals(totals_of(model.tales, period)),
        "shares": [_span(span) for span in model.spans if span.since < period.until],
        "absent": [
            {"firstAttempt": one.first, "lastAttempt": one.last, "byRetention": one.by_retention}
            for one in model.absent
        ],
        "rollouts": [_tale(tale) for tale in model.tales],
    }


def _span(span: Span) -> Mapping[str, Any]:
    told = span_json(span)
    return {name: told[name] for name in ("record", "segment", "since", "possibleSince", "versions")}


def _tale(tale: Tale) -> Mapping[str, Any]:
    spec = tale.spec
    return {
        "records": [part.name for part in tale.parts],
        "hash": tale.end,
        "uid": spec.rollout.uid,
        "generation": spec.rollout.generation,
        "attempt": spec.attempt,
        "candidate": spec.candidate.render(),
        "baseline": spec.baseline.render() if spec.baseline else None,
        "risk": spec.risk.value if spec.risk else None,
        "trigger": spec.trigger.render(),
        "plan": spec.plan.render() if spec.plan else None,
        "decidedAt": render_time(spec.decided_at),
        "endedAt": render_time(tale.ended_at) if tale.ended_at else None,
        "outcome": tale.outcome.value if tale.outcome else None,
        "state": outcome_text(tale),
        "rollback": _back(tale.way_back) if tale.way_back else None,
        "acts": [_act(act) for act in tale.acts],
        "segments": [segment.render() for segment in tale.segments],
        "flaws": list(tale.flaws),
        "remarks": list(remarks_of(tale)),
    }


def _back(back: WayBack) -> Mapping[str, Any]:
    return {
        "cause": back.cause.value,
        "actor": back.actor,
        "verified": back.verified,
        "message": back.message,
        "decidedAt": render_time(back.decided_at) if back.decided_at else None,
        "doneAt": render_time(back.done_at),
        "seconds": _seconds(back.took),
        "failedGates": [gate.render() for gate in back.gates],
    }


def _act(act: Act) -> Mapping[str, Any]:
    return {
        "at": render_time(act.at),
        "what": act.what,
        "who": act.who,
        "verified": act.verified,
        "reason": act.reason or None,
        "result": act.result or None,
    }


def _totals(totals: Totals) -> Mapping[str, Any]:
    return {
        "rollouts": totals.attempts,
        "begun": totals.begun,
        "promoted": totals.promoted,
        "rolledBack": totals.rolled_back,
        "superseded": totals.superseded,
        "underWay": totals.open,
        "neverBegun": totals.never_begun,
        "causes": dict(totals.causes),
        "rollbackSeconds": {
            "median": _seconds(totals.median_back),
            "longest": _seconds(totals.longest_back),
            "known": len(totals.back),
            "unknown": totals.back_unknown,
        },
        "approvals": totals.approvals,
        "holds": totals.holds,
        "overrides": totals.overrides,
        "external": totals.external,
        "unverified": totals.unverified,
        "flaws": totals.flaws,
    }


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else round(length.total_seconds(), 3)
