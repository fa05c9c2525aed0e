"""Everything a decision is made of: one rollout, what was observed of the world, and the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from modelrollout.api.fields import NONE
from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.api.status import Attempt, Command, GateStatus, ModelRolloutStatus, Outcome, Phase, VersionStatus
from modelrollout.api.traffic import Traffic
from modelrollout.core.effects import acts
from modelrollout.core.gates import is_lost
from modelrollout.core.plan import Plan, Policy, Step
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

LARGEST_SKEW = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the administrator allows.

    `status_refresh` is how old the gates' numbers in status may get while no verdict changes and none grows much.
    `gate_classes`: risk high demands a gate of each class.
    """

    min_interval: timedelta
    status_refresh: timedelta
    gate_classes: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the shares that a route has are written down: record and segment, `None` for what the record began with."""

    record: str
    segment: int | None


@dataclass(frozen=True, slots=True)
class Observed:
    """What one look at the world found.

    `capabilities` is `None` where nobody asked: they matter before an attempt starts. `gates` are the latest verdicts; `looked` says whether they were measured in this very pass: only then may
    anything be promoted on them. `unseen` is time of the step that nobody looked at, not yet in status. `skew` is how
    far this clock is ahead of the API server's, `None` where that is not known. `contested`: another process undoes
    what is written, under the operator's own name. `frozen`: why the administrator lets no weight grow, `None` where
    weights may. `names_bound_since`: since when admission has kept messages to their
    writers' names, `None` where it does not. `recorded` is where the route's shares are written down, `None` where they
    are not; `unrecordable` is why nothing may grow, where its record cannot be written; `unwritten` is what people are
    told where the record lacks something that has been. `lost` is why it is not known whether status has lost an attempt,
    where it says nothing of any. `neighbours` is how many rollouts the namespace has.
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
    unseen: timedelta = timedelta(0)
    skew: timedelta | None = None
    contested: bool = False
    frozen: str | None = None
    names_bound_since: datetime | None = None
    recorded: Mark | None = None
    unrecordable: Blocked | None = None
    neighbours: int = 0
    unwritten: Blocked | None = None
    lost: Blocked | None = None


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

    @cached_property
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
        return self.rollout.wanted

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
        return self.rollout.policy

    @cached_property
    def step(self) -> Step | None:
        """The step that the attempt is in, `None` where the plan has no such step (any more)."""
        return self.plan.step(self.attempt.stage, self.attempt.step) if self.attempt else None

    @cached_property
    def target(self) -> Shares:
        """The shares that the route should have now."""
        if target := target_of(self.rollout):
            return target
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

    @cached_property
    def acting(self) -> tuple[GateStatus, ...]:
        """The verdicts that matter to the rollout: warnings and dry runs are only written down."""
        return tuple(gate for gate in self.seen.gates if acts(gate))

    @property
    def has_traffic(self) -> bool:
        """Whether the candidate should have requests or copies."""
        return self.target.candidate > NONE or self.target.mirror > NONE

    @property
    def is_clock_wrong(self) -> bool:
        """Whether this clock is known to be another than the cluster's."""
        return self.seen.skew is not None and abs(self.seen.skew) > LARGEST_SKEW

    @cached_property
    def blind(self) -> timedelta:
        """How much of the step nobody could look at until now; an outage counts when it is over."""
        if self.attempt is None:
            return timedelta(0)
        known = (self.attempt.blind_for or timedelta(0)) + self.seen.unseen
        lost, gates = self.attempt.metrics_lost_since, self.acting
        if lost is None or not gates or any(is_lost(gate) for gate in gates):
            return known
        return known + max(timedelta(0), self.now - lost)

    @property
    def is_advanced(self) -> bool:
        """Whether a person has ended the present step's minimum, now or in an earlier pass."""
        return Command.ADVANCE in self.taken or bool(self.attempt and self.attempt.advanced)

    @property
    def overrides_gates(self) -> bool:
        """Whether a person asks in this very pass to go on without the gates' evidence."""
        asked = self.status.control.advance if self.status.control else None
        return Command.ADVANCE in self.taken and asked is not None and asked.override_gates

    @property
    def retained_until(self) -> datetime | None:
        """Until when a promoted candidate can still be rolled back."""
        last = self.status.attempt
        if last and last.outcome is Outcome.PROMOTED and last.ended_at and last.baseline and self.rollout.spec:
            return last.ended_at + self.policy.retain_baseline
        return None


def serving_of(rollout: Rollout) -> VersionStatus | None:
    """Return the version that serves: the last promoted one, else spec's baseline."""
    return rollout.status.serving or rollout.given_baseline


def attempt_in_force(rollout: Rollout) -> Attempt | None:
    """Return the attempt that says what the route should be: one under way, or the last one of this candidate."""
    last = rollout.status.attempt
    if last is None or last.outcome is None or rollout.wanted is None:
        return last
    return last if rollout.wanted.digest == last.candidate.digest else None


def target_of(rollout: Rollout) -> Shares | None:
    """Return the shares that the attempt in force wants, `None` without one."""
    last = attempt_in_force(rollout)
    return Shares(last.target.candidate, last.target.mirror) if last else None


def place_of(rollout: Rollout) -> Place | None:
    """Return the routing object of a rollout and its two backends, as its attempt or else its spec has them."""
    if rollout.traffic is None:
        return None
    if last := attempt_in_force(rollout):
        return _place(rollout, rollout.traffic, last.baseline, last.candidate)
    if rollout.wanted is None:
        return None
    serving = serving_of(rollout)
    # It serves already: one backend has everything.
    serves = serving is not None and serving.digest == rollout.wanted.digest
    return _place(rollout, rollout.traffic, None if serves else serving, rollout.wanted)


def _place(rollout: Rollout, traffic: Traffic, baseline: VersionStatus | None, candidate: VersionStatus) -> Place:
    return Place(rollout.namespace, rollout.name, traffic, baseline.service if baseline else None, candidate.service)


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
    return is_going_back(rollout) or asks_for_rollback(rollout)


def asks_for_rollback(rollout: Rollout) -> bool:
    """Whether a person asks for a rollback: by command, or by writing the phase that only we write otherwise."""
    status = rollout.status
    if status.control and status.control.rollback is not None:
        return True
    return status.phase is Phase.ROLLING_BACK and not is_going_back(rollout)


def is_going_back(rollout: Rollout) -> bool:
    """Whether a rollback has been decided and its route write not been read back yet."""
    last = rollout.status.attempt
    return last is not None and last.outcome is None and last.rollback is not None
