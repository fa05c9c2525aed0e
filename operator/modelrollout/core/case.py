"""Everything a decision is made of: one rollout, what was observed of the world, and the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from modelrollout.api.fields import NONE
from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.api.status import Attempt, Command, GateStatus, ModelRolloutStatus, Outcome, Phase, VersionStatus
from modelrollout.core.plan import Plan, Policy, Step, identity_of, policy_of
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    CANDIDATE_ONLY,
    Blocked,
    Capabilities,
    Endpoints,
    Foreign,
    Place,
    Route,
    Routed,
    Shares,
    WayBack,
    way_back_in,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the administrator allows.

    `status_refresh` is how old the gates' numbers in status may get while no verdict changes.
    """

    min_interval: timedelta
    status_refresh: timedelta


@dataclass(frozen=True, slots=True)
class Observed:
    """What one look at the world found.

    `capabilities` is `None` where nobody asked: they matter before an attempt starts. `gates` are the latest verdicts; `looked` says whether they were measured in this very pass: only then may
    anything be promoted on them.
    """

    route: Route
    route_kind: str
    route_name: str
    capabilities: Capabilities | Blocked | None
    baseline: Endpoints | None
    candidate: Endpoints
    workload: str | None = None
    metrics: Blocked | None = None
    gates: tuple[GateStatus, ...] = ()
    looked: bool = False


@dataclass(frozen=True)
class Case:
    """One rollout, the world, and the time; everything else is derived."""

    rollout: Rollout
    seen: Observed
    now: datetime
    limits: Limits
    taken: Mapping[Command, str | None] = field(default_factory=dict)

    @property
    def status(self) -> ModelRolloutStatus:
        """Status as it was read, commands taken out."""
        return self.rollout.status

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that is under way."""
        return self.status.attempt if is_under_way(self.rollout) else None

    @cached_property
    def spec(self) -> ModelRolloutSpec:
        """Spec, where it could be read; `refuse_bad_spec` sees to it that later rules have one."""
        if self.rollout.spec is None:
            raise ValueError(self.rollout.problem)
        return self.rollout.spec

    @cached_property
    def wanted(self) -> VersionStatus | None:
        """The candidate that spec asks for."""
        return identity_of(self.rollout.spec.candidate) if self.rollout.spec else None

    @cached_property
    def serving(self) -> VersionStatus | None:
        """The version that serves: the last promoted one, else spec's baseline."""
        return serving_of(self.rollout)

    @cached_property
    def plan(self) -> Plan:
        """The plan in effect."""
        baseline = self.attempt.baseline if self.attempt else self.serving
        return self.rollout.plan(has_baseline=baseline is not None)

    @cached_property
    def policy(self) -> Policy:
        """The policy in effect."""
        return policy_of(self.spec)

    @property
    def step(self) -> Step | None:
        """The step that the attempt is in, `None` where the plan has no such step (any more)."""
        return self.plan.step(self.attempt.stage, self.attempt.step) if self.attempt else None

    @cached_property
    def target(self) -> Shares:
        """The shares that the route should have now."""
        last = attempt_in_force(self.rollout)
        if last:
            return Shares(last.target.candidate, last.target.mirror)
        return BASELINE_ONLY if self.place and self.place.baseline else CANDIDATE_ONLY

    @cached_property
    def place(self) -> Place | None:
        """The routing object and the backends on it, `None` where spec does not even say that."""
        return place_of(self.rollout)

    @property
    def shares_seen(self) -> Shares | None:
        """The shares that the route has, `None` where it has none of ours."""
        return self.seen.route.shares if isinstance(self.seen.route, Routed | Foreign) else None

    @cached_property
    def way_back(self) -> WayBack | None:
        """The note that the route should carry, `None` where nothing has to be given back."""
        return way_back_of(self.rollout)

    @property
    def way_back_seen(self) -> WayBack | None:
        """The note that the route carries under this rollout's name, whoever's it is."""
        return way_back_in(self.seen.route)

    @property
    def has_traffic(self) -> bool:
        """Whether the candidate should have requests or copies."""
        return self.target.candidate > NONE or self.target.mirror > NONE

    @property
    def retained_until(self) -> datetime | None:
        """Until when a promoted candidate can still be rolled back."""
        last = self.status.attempt
        if last and last.outcome is Outcome.PROMOTED and last.ended_at and last.baseline and self.rollout.spec:
            return last.ended_at + self.policy.retain_baseline
        return None


def serving_of(rollout: Rollout) -> VersionStatus | None:
    """Return the version that serves: the last promoted one, else spec's baseline."""
    if rollout.status.serving:
        return rollout.status.serving
    return identity_of(rollout.spec.baseline) if rollout.spec and rollout.spec.baseline else None


def attempt_in_force(rollout: Rollout) -> Attempt | None:
    """Return the attempt that says what the route should be: one under way, or the last one of this candidate."""
    last = rollout.status.attempt
    if last is None or last.outcome is None or rollout.spec is None:
        return last
    return last if identity_of(rollout.spec.candidate).digest == last.candidate.digest else None


def place_of(rollout: Rollout) -> Place | None:
    """Return the routing object of a rollout and its two backends, as its attempt or else its spec has them."""
    if rollout.traffic is None:
        return None
    spec = rollout.spec
    if last := attempt_in_force(rollout):
        baseline, candidate = last.baseline, last.candidate
    elif spec:
        candidate = identity_of(spec.candidate)
        serving = serving_of(rollout)
        # It serves already: one backend has everything.
        baseline = None if serving and serving.digest == candidate.digest else serving
    else:
        return None
    return Place(
        rollout.namespace,
        rollout.name,
        rollout.traffic,
        baseline.service if baseline else None,
        candidate.service,
    )


def way_back_of(rollout: Rollout) -> WayBack | None:
    """Return the note for the route: while an attempt on top of a baseline gives its candidate anything."""
    last = rollout.status.attempt
    if last is None or last.outcome is not None or last.baseline is None:
        return None
    if Shares(last.target.candidate, last.target.mirror) == BASELINE_ONLY:
        return None
    return WayBack(rollout.uid, last.baseline.service, last.candidate.service)


def is_under_way(rollout: Rollout) -> bool:
    """Whether an attempt is under way."""
    last = rollout.status.attempt
    return last is not None and last.outcome is None


def is_urgent(rollout: Rollout) -> bool:
    """Whether a rollback is asked for or under way: such a pass waits for no metrics."""
    return _is_going_back(rollout) or asks_for_rollback(rollout)


def asks_for_rollback(rollout: Rollout) -> bool:
    """Whether a person asks for a rollback: by command, or by writing the phase that only we write otherwise."""
    status = rollout.status
    if status.control and status.control.rollback is not None:
        return True
    return status.phase is Phase.ROLLING_BACK and not _is_going_back(rollout)


def _is_going_back(rollout: Rollout) -> bool:
    last = rollout.status.attempt
    return last is not None and last.outcome is None and last.rollback is not None
