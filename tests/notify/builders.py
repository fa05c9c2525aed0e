"""Notices as the core makes them; a test names only what matters to it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from modelrollout.api.status import GateStatus, Verdict
from modelrollout.core.notices import Level, Notice, Recorded, Transition

from tests.core.builders import NOW, asking, decided, looked, running

OWNER = {"team": "risk-ml", "contact": "#risk-oncall", "runbookURL": "https://runbooks/fraud"}
FAILED = GateStatus(
    name="errors",
    verdict=Verdict.FAIL,
    reason="AboveLimit",
    message="120 of 4000 requests failed (3%), allowed is 1%",
    value="3%",
    limit="1%",
    samples=4000,
    evaluated_at=NOW,
)


def notice_of_a_rollback(**changes: Any) -> Notice:
    """Return what is told when a gate of a canary at 50 % fails."""
    rollout = running("canary", 1, applied=timedelta(minutes=5), owner=OWNER)
    (notice,) = [event.notice for event in decided(rollout, looked(rollout, FAILED)).events if event.notice]
    return replace(notice, **changes)


def notice_of_a_hold() -> Notice:
    """Return what is told when a person holds a rollout."""
    rollout = asking(running(owner=OWNER), hold={"reason": "let me look", "requestedBy": "kim"})
    return next(e.notice for e in decided(rollout).events if e.notice and e.reason == "Held")


def numbered(number: int, level: Level = Level.INFO, **changes: Any) -> Notice:
    """Return one of many notices."""
    return notice_of_a_rollback(id=f"n{number}", level=level, transition=Transition.STEP, **changes)


def recorded() -> Recorded:
    """Return what is told of a segment."""
    segment = {"seq": 3, "cause": "GateFailed", "confirmedAt": "2026-11-17T15:47:00.000Z", "gates": []}
    return Recorded("fraud-u1-g1-1", "f" * 64, NOW, "models", "fraud", "u1", segment)
