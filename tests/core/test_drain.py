"""After a rollback: how long the candidate counts as busy, and that it is called idle only then."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from modelrollout.api.fields import NONE, Percent
from modelrollout.api.status import DrainStatus, ModelRolloutStatus, Outcome
from modelrollout.core.projection import Decision
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import BASELINE_ONLY, Blocked, Foreign, Route, Shares, Unmanaged
from modelrollout.core.verbs import Begin, Finish, Rest

from tests.core.builders import NOW, asking, decided, new, running, world

MINUTE = timedelta(minutes=1)
HALF = Shares(Percent(5_000), NONE)
V3 = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}


def rolled_back(**changes: Any) -> Rollout:
    """Return a rollout whose rollback has reached the route just now."""
    rollout = asking(running("canary", 1, **changes), rollback={"reason": "p99"})
    rollout = replace(rollout, status=decided(rollout, world(rollout, shares=HALF)).status)
    finished = decided(rollout, world(rollout, shares=BASELINE_ONLY))
    assert isinstance(finished.verb, Finish)
    return replace(rollout, status=finished.status)


def drain(decision: Decision) -> DrainStatus | None:
    assert decision.status.attempt
    return decision.status.attempt.drain


def _drain(rollout: Rollout) -> DrainStatus | None:
    assert rollout.status.attempt
    return rollout.status.attempt.drain


def idle_since(decision: Decision) -> datetime | None:
    found = drain(decision)
    assert found
    return found.idle_since


def message(status: ModelRolloutStatus, kind: str = "Ready") -> str:
    return next(c.message for c in status.conditions if c.type == kind)


def later(rollout: Rollout, after: str, route: Route | None = None) -> Decision:
    return decided(rollout, world(rollout, route=route) if route else world(rollout, shares=BASELINE_ONLY), after=after)


@pytest.mark.parametrize(
    ("spec", "until"),
    [
        pytest.param({}, NOW + 5 * MINUTE, id="five minutes when left out"),
        pytest.param({"drain": "90s"}, NOW + 1.5 * MINUTE, id="as spec says"),
    ],
)
def test_from_the_rollback_on_status_says_until_when_requests_may_take(spec: dict[str, str], until: datetime):
    rollout = rolled_back(rollback=spec)

    assert _drain(rollout) == DrainStatus(until=until)
    assert f"may take until {until:%Y-%m-%d %H:%M:%S} UTC" in message(rollout.status)


def test_until_then_the_candidate_is_not_called_idle_and_it_is_looked_at_when_that_is_over():
    decision = later(rolled_back(), "4m")

    assert isinstance(decision.verb, Rest)
    assert drain(decision) == DrainStatus(until=NOW + 5 * MINUTE)
    assert decision.look_again_at == NOW + 5 * MINUTE
    assert decision.events == ()


def test_after_it_the_candidate_is_called_idle_once():
    rollout = rolled_back()

    decision = later(rollout, "5m")

    assert drain(decision) == DrainStatus(until=NOW + 5 * MINUTE, idle_since=NOW + 5 * MINUTE)
    assert [event.reason for event in decision.events] == ["CandidateIdle"]
    assert "has been idle since 2026-11-17 15:52:00 UTC" in message(decision.status)
    assert decision.look_again_at is None
    again = later(replace(rollout, status=decision.status), "6m")
    assert (again.status, again.events) == (decision.status, ())


def test_time_without_an_operator_counts():
    decision = later(rolled_back(), "3h")

    assert idle_since(decision) == NOW + 5 * MINUTE


def test_a_drain_of_nothing_is_idle_at_once():
    rollout = rolled_back(rollback={"drain": "0s"})

    assert _drain(rollout) == DrainStatus(until=NOW, idle_since=NOW)


def test_a_candidate_that_never_had_a_request_is_idle_as_soon_as_that_is_known():
    rollout = new()
    rollout = replace(rollout, status=decided(rollout, world(rollout, metrics=Blocked("X", "mend it"))).status)
    refused = decided(asking(rollout, rollback={}), world(rollout, shares=BASELINE_ONLY), after="10m")
    rollout = replace(rollout, status=refused.status)

    assert idle_since(later(rollout, "10m")) == NOW + 5 * MINUTE


def test_a_candidate_that_somebody_gives_traffic_is_not_idle_and_drains_anew_afterwards():
    rollout = rolled_back()
    given = later(rollout, "3m", Foreign(HALF, "kubectl", "9"))
    assert drain(given) is None
    rollout = replace(rollout, status=given.status)

    taken = later(rollout, "20m", Foreign(BASELINE_ONLY, "kubectl", "10"))

    assert drain(taken) == DrainStatus(until=NOW + 25 * MINUTE)


@pytest.mark.parametrize("route", [Unmanaged(), Blocked("RouteMissing", "create it")])
def test_a_route_that_cannot_be_read_is_taken_to_be_as_it_was(route: Route):
    assert idle_since(later(rolled_back(), "5m", route)) == NOW + 5 * MINUTE


def test_a_retry_clears_it():
    decision = later(asking(rolled_back(), retry={}), "1m")

    assert isinstance(decision.verb, Begin)
    assert drain(decision) is None


def test_a_superseded_candidate_drains_while_the_next_one_is_held():
    rollout = running("canary", 1)
    superseded = replace(new(candidate=V3, paused=True), status=rollout.status)
    superseded = replace(superseded, status=decided(superseded, world(rollout, shares=HALF)).status)
    superseded = replace(superseded, status=decided(superseded, world(rollout, shares=BASELINE_ONLY)).status)
    assert superseded.status.attempt
    assert superseded.status.attempt.outcome is Outcome.SUPERSEDED

    decision = later(superseded, "5m")

    assert idle_since(decision) == NOW + 5 * MINUTE
    assert "CandidateIdle" in [event.reason for event in decision.events]
