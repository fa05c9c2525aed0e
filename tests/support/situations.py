"""Every situation that a pipeline may meet a rollout in: the object as it stands, and what it has to be taken for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from modelrollout.api.status import Cause, Outcome, RollbackStatus
from modelrollout.core.case import Observed
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import BASELINE_ONLY, CANDIDATE_ONLY, Acceptance, Blocked, Endpoints, Foreign, Shares

from tests.core.builders import (
    NOW,
    asking,
    decided,
    ended,
    failing,
    looked,
    new,
    passing,
    percent,
    routed,
    running,
    spec,
    unknown,
    world,
)

SHADOW = Shares(percent(0), percent(100))
CANARY = Shares(percent(50), percent(0))
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Situation:
    """A rollout, and what it is to whom. `progress` is `Ready/Reconciling/Stalled/Held`, a dash where one is absent."""

    name: str
    obj: dict[str, Any]
    progress: str
    kstatus: str
    argo: str
    phase: str | None


def situations() -> Iterator[Situation]:
    """Yield them all."""
    unseen = {"observedGeneration": -1}
    yield _of("not seen yet", _object(unseen), "-/-/-/-", "InProgress", "Progressing")
    for name, make, progress, kstatus, argo in _TABLE:
        yield _of(name, _object(make()), progress, kstatus, argo)
    again = _object(_rolled_back_by_a_gate(), generation=2)
    yield _of("the revert of a rollback, not seen yet", again, "False/-/True/False", "InProgress", "Progressing")
    bumped = _object(_promoted(), generation=2)
    yield _of("the next candidate, not seen yet", bumped, "True/-/-/False", "InProgress", "Progressing")
    leaving = _object(_canary())
    leaving["metadata"]["deletionTimestamp"] = "2026-11-17T15:47:00Z"
    yield _of("in mid-attempt and deleted", leaving, "False/True/-/False", "Terminating", "Progressing")


def _of(name: str, obj: dict[str, Any], progress: str, kstatus: str, argo: str) -> Situation:
    return Situation(name, obj, progress, kstatus, argo, obj["status"].get("phase"))


def _object(status: dict[str, Any], generation: int = 1) -> dict[str, Any]:
    metadata = {"name": "fraud", "namespace": "models", "generation": generation}
    return {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelRollout",
        "metadata": metadata,
        "spec": spec(),
        "status": status,
    }


def _status(rollout: Rollout, seen: Observed | None = None, *, after: str = "0s") -> dict[str, Any]:
    return decided(rollout, seen, after=after).status.render()


def _canary() -> dict[str, Any]:
    return _status(running("canary", 0))


def _promoted() -> dict[str, Any]:
    return _status(ended(Outcome.PROMOTED))


def _rolled_back_by_a_gate() -> dict[str, Any]:
    rollout = _going_back("gate errors failed: 31 of 200 requests, allowed 1%", Cause.GATE_FAILED)
    return _status(rollout, world(rollout, shares=BASELINE_ONLY))


def _going_back(message: str, cause: Cause) -> Rollout:
    rollout = running("canary", 1)
    attempt = rollout.status.attempt
    assert attempt
    back = {"candidate": BASELINE_ONLY.candidate, "mirror": BASELINE_ONLY.mirror}
    update = {
        "rollback": RollbackStatus(cause=cause, message=message, since=NOW),
        "target": attempt.target.model_copy(update=back),
    }
    attempt = attempt.model_copy(update=update)
    return replace(rollout, status=rollout.status.model_copy(update={"attempt": attempt}))


def _seen(rollout: Rollout, **changes: Any) -> dict[str, Any]:
    return _status(rollout, world(rollout, **changes))


def _rests_rolled_back() -> dict[str, Any]:
    rollout = ended(Outcome.ROLLED_BACK)
    return _seen(rollout, shares=BASELINE_ONLY)


def _invalid() -> dict[str, Any]:
    return _status(replace(new(), spec=None, problem="spec.stages: a plan ends with a full stage", _of_spec=None))


def _held(**messages: Any) -> dict[str, Any]:
    return _status(asking(running("canary", 0), **messages))


def _foreign() -> dict[str, Any]:
    rollout = running("canary", 0)
    return _status(rollout, world(rollout, route=Foreign(Shares(percent(80), percent(0)), "9", "kubectl", "")))


def _superseded() -> dict[str, Any]:
    rollout = running("canary", 0)
    other = new(candidate={"version": "v3", "service": {"name": "fraud-v3", "port": 8080}})
    return _status(replace(other, status=rollout.status))


def _back_again() -> dict[str, Any]:
    rollout = _going_back("spec now asks for v3", Cause.SUPERSEDED)
    return _status(rollout, world(rollout, shares=BASELINE_ONLY))


def _rejected() -> dict[str, Any]:
    rollout = running("canary", 0)
    target = Shares(percent(5), percent(0))
    return _status(rollout, world(rollout, route=routed(rollout, target, Acceptance.REJECTED, "NoMatchingParent")))


_GOING, _HELD, _DONE = "False/True/-/False", "False/True/-/True", "True/-/-/False"
_STALLED = "False/-/True/False"
_TABLE: tuple[tuple[str, Callable[[], dict[str, Any]], str, str, str], ...] = (
    ("the first write", lambda: _seen(new(), shares=BASELINE_ONLY), "Unknown/True/-/False", "InProgress", "Progressing"),
    ("in shadow", lambda: _status(running("shadow")), _GOING, "InProgress", "Progressing"),
    ("in canary", _canary, _GOING, "InProgress", "Progressing"),
    ("collecting evidence", lambda: _seen_gate(unknown("NeedEvidence")), _GOING, "InProgress", "Progressing"),
    ("baking", lambda: _status(running("full")), _GOING, "InProgress", "Progressing"),
    ("its route is being written", lambda: _seen(running("canary", 0), shares=SHADOW), _GOING, "InProgress", "Progressing"),
    ("the next step", lambda: _seen_gate(passing(), after="11m"), _GOING, "InProgress", "Progressing"),
    ("held by a person", lambda: _held(hold={"reason": "month end"}), _HELD, "InProgress", "Suspended"),
    ("paused", lambda: _status(replace(new(paused=True), status=running("canary", 0).status)), _HELD, "InProgress", "Suspended"),
    ("without metrics", lambda: _seen_gate(unknown("Unreachable")), _HELD, "InProgress", "Suspended"),
    ("too little traffic", lambda: _seen_gate(unknown("NeedRequests"), after="30d"), _HELD, "InProgress", "Suspended"),
    ("its candidate is not ready", lambda: _seen(new(), shares=BASELINE_ONLY, candidate=Endpoints.NONE_READY), _HELD, "InProgress", "Suspended"),
    ("its route was changed", _foreign, _HELD, "InProgress", "Suspended"),
    ("its route is refused", _rejected, _HELD, "InProgress", "Suspended"),
    ("its baseline has gone", lambda: _seen(running("canary", 0), baseline=Endpoints.NONE_READY), _HELD, "InProgress", "Suspended"),
    ("a gate failed", lambda: _seen_gate(failing()), _GOING, "InProgress", "Progressing"),
    ("rolling back", lambda: _seen(_going_back("p99", Cause.MANUAL), shares=CANARY), _GOING, "InProgress", "Progressing"),
    ("rolling back to what is down", lambda: _seen(_going_back("p99", Cause.MANUAL), shares=CANARY, baseline=Endpoints.NONE_READY), _HELD, "InProgress", "Suspended"),
    ("just rolled back by a gate", _rolled_back_by_a_gate, _STALLED, "Failed", "Degraded"),
    ("rolled back", _rests_rolled_back, _STALLED, "Failed", "Degraded"),
    ("a new candidate in mid-attempt", _superseded, _GOING, "InProgress", "Progressing"),
    ("back for the new candidate", _back_again, _GOING, "InProgress", "Progressing"),
    ("just promoted", lambda: _seen_gate(passing(), stage="full", after="2h"), _DONE, "Current", "Healthy"),
    ("promoted", _promoted, _DONE, "Current", "Healthy"),
    ("serving already", lambda: _seen(new(), shares=CANDIDATE_ONLY), _DONE, "Current", "Healthy"),
    ("an invalid spec", _invalid, _STALLED, "Failed", "Degraded"),
    ("a Service is missing", lambda: _seen(new(), shares=BASELINE_ONLY, candidate=Endpoints.NO_SERVICE), _STALLED, "Failed", "Degraded"),
    ("its Service has gone", lambda: _seen(running("canary", 0, applied=HOUR), metrics=Blocked("UnknownMetricsSource", "no source")), _STALLED, "Failed", "Degraded"),
)  # fmt: skip


def _seen_gate(*gates: Any, stage: str = "canary", after: str = "0s") -> dict[str, Any]:
    rollout = running(stage, 0)
    return _status(rollout, looked(rollout, *gates), after=after)
