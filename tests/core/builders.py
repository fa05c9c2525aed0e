"""Rollouts and worlds that start valid; a test names only what matters to it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from modelrollout.api.fields import NONE, Percent, parse_duration
from modelrollout.api.status import Command, Control, GateStatus, Outcome, Verdict, VersionStatus
from modelrollout.api.versions import ServiceRef
from modelrollout.core.actors import Hand
from modelrollout.core.case import Case, Limits, Observed, way_back_of
from modelrollout.core.decide import decide
from modelrollout.core.plan import identity_of, plan_of
from modelrollout.core.projection import Decision
from modelrollout.core.rollout import Rollout, parse_rollout
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    Acceptance,
    Capabilities,
    Endpoints,
    Route,
    Routed,
    Shares,
)

NOW = datetime(2026, 11, 17, 15, 47, tzinfo=UTC)
LIMITS = Limits(min_interval=timedelta(seconds=10), status_refresh=timedelta(seconds=60))
CAN_MIRROR = Capabilities(mirror=True, mirror_percent=True, fractional_mirror=True)
CANNOT_MIRROR = Capabilities(
    mirror=False,
    mirror_percent=False,
    fractional_mirror=False,
    remedy="Gateway web cannot copy requests: remove the stage, or route through a TraefikService",
)


OF_EACH_CLASS = [
    {"name": kind, "errorRate": {"max": "1%"}, "class": kind} for kind in ("infrastructure", "model", "business")
]
"""What risk high asks for at least."""


def spec(**changes: Any) -> dict[str, Any]:
    """Return a valid spec: v1 serves, v2 should, by way of a shadow, two weights and a bake."""
    return {
        "owner": {"team": "risk-ml", "runbookURL": "https://runbooks/fraud"},
        "baseline": {"version": "v1", "service": {"name": "fraud-v1", "port": 8080}},
        "candidate": {"version": "v2", "service": {"name": "fraud-v2", "port": 8080}},
        "traffic": {"traefikService": {"name": "fraud"}},
        "metrics": {"preset": "traefik"},
        "stages": [
            {"name": "shadow", "shadow": {"percent": 100}, "minDuration": "30m"},
            {"name": "canary", "canary": {"weights": [5, 50]}, "minDuration": "10m"},
            {"name": "full", "full": {}, "minDuration": "1h"},
        ],
        "gates": [{"name": "errors", "errorRate": {"max": "1%"}}],
        **changes,
    }


def new(**changes: Any) -> Rollout:
    """Return a rollout that the operator has not seen yet."""
    return parse_rollout(
        {
            "metadata": {
                "name": "fraud",
                "namespace": "models",
                "uid": "u1",
                "generation": 1,
                "resourceVersion": "7",
            },
            "spec": spec(**changes),
        }
    )


def running(
    stage: str = "canary", step: int = 0, *, applied: timedelta | None = timedelta(0), **changes: Any
) -> Rollout:
    """Return a rollout in mid-attempt; the step's shares were applied that long ago, or (`None`) not yet."""
    rollout = new(**changes)
    assert rollout.spec
    # Begun before anything kept it from that.
    free = new(**{**changes, "paused": False, "windows": None, "stages": None, "risk": "low"})
    begun = _after(free, world(free, shares=BASELINE_ONLY)).status
    attempt = begun.attempt
    assert attempt
    plan = plan_of(rollout.spec, has_baseline=attempt.baseline is not None)
    found = plan.step(stage, step)
    assert found
    since = NOW - (applied or timedelta(0))
    attempt = attempt.model_copy(
        update={
            "plan": plan.digest,
            "stage": stage,
            "step": step,
            "stage_started_at": since,
            "step_started_at": since,
            "applied_at": since if applied is not None else None,
            "target": attempt.target.model_copy(
                update={"candidate": found.shares.candidate, "mirror": found.shares.mirror, "since": since}
            ),
        }
    )
    return replace(rollout, status=begun.model_copy(update={"attempt": attempt}))


def ended(outcome: Outcome, ago: timedelta = timedelta(minutes=1), **changes: Any) -> Rollout:
    """Return a rollout whose attempt of v2 has ended that long ago."""
    rollout = running("full", **changes)
    attempt = rollout.status.attempt
    assert attempt
    serving = rollout.status.serving
    update: dict[str, Any] = {"outcome": outcome, "ended_at": NOW - ago}
    if outcome is Outcome.PROMOTED:
        assert serving
        serving = serving.model_copy(update=_identity(attempt.candidate))
    else:
        none = {"candidate": NONE, "mirror": NONE}
        update["target"] = attempt.target.model_copy(update=none)
    attempt = attempt.model_copy(update=update)
    return replace(rollout, status=rollout.status.model_copy(update={"attempt": attempt, "serving": serving}))


def asking(rollout: Rollout, **messages: dict[str, Any]) -> Rollout:
    """Return the rollout with messages in its inbox, just written by kubectl-patch."""
    control = Control.model_validate(messages)
    hands = dict.fromkeys(messages, Hand("kubectl-patch", NOW))
    return replace(rollout, status=rollout.status.model_copy(update={"control": control}), hands=hands)


def world(rollout: Rollout, *, shares: Shares | None = None, route: Route | None = None, **changes: Any) -> Observed:
    """Return a world in which all is well: the route is as the target says, all endpoints are ready."""
    target = rollout.status.attempt.target if rollout.status.attempt else None
    in_force = Shares(target.candidate, target.mirror) if target else BASELINE_ONLY
    values: dict[str, Any] = {
        "route": route or routed(rollout, shares or in_force),
        "route_kind": "TraefikService",
        "route_name": "fraud",
        "capabilities": CAN_MIRROR,
        "baseline": Endpoints.READY,
        "candidate": Endpoints.READY,
        **changes,
    }
    return Observed(**values)


def routed(rollout: Rollout, shares: Shares, acceptance: Acceptance = Acceptance.ACCEPTED, detail: str = "") -> Routed:
    """Return a route of ours with these shares and the note that it should carry, and what the gateway says of it."""
    return Routed(shares, "1", acceptance, detail, way_back_of(rollout))


def passing(name: str = "errors") -> GateStatus:
    return gate(Verdict.PASS, "BelowLimit", name)


def failing(reason: str = "AboveLimit", name: str = "errors") -> GateStatus:
    return gate(Verdict.FAIL, reason, name)


def unknown(reason: str, name: str = "errors") -> GateStatus:
    return gate(Verdict.UNKNOWN, reason, name)


def gate(verdict: Verdict, reason: str, name: str) -> GateStatus:
    return GateStatus(name=name, verdict=verdict, reason=reason, message=f"{reason} it is", evaluated_at=NOW)


def decided(rollout: Rollout, seen: Observed | None = None, *, after: str = "0s") -> Decision:
    """Return what is decided `after` some time, in a world in which all is well unless one is given."""
    return decide(Case(rollout, seen or world(rollout), NOW + parse_duration(after), LIMITS))


def looked(rollout: Rollout, *gates: GateStatus, **changes: Any) -> Observed:
    """Return a world in which these verdicts have just been measured."""
    return world(rollout, gates=gates, looked=True, **changes)


def percent(value: float) -> Percent:
    return Percent(round(value * 100))


def service(name: str) -> ServiceRef:
    return ServiceRef(name=name, port=8080)


def version_of(rollout: Rollout) -> VersionStatus:
    assert rollout.spec
    return identity_of(rollout.spec.candidate)


def commands(decision: Decision) -> list[tuple[Command, str]]:
    return [(handled.command, handled.result) for handled in decision.status.commands]


def conditions(decision: Decision) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in decision.status.conditions}


def _after(rollout: Rollout, seen: Observed) -> Rollout:
    decision = decide(Case(rollout, seen, NOW - timedelta(days=1), LIMITS))
    return replace(rollout, status=decision.status)


def _identity(version: VersionStatus) -> dict[str, Any]:
    return {"version": version.version, "digest": version.digest, "service": version.service}
