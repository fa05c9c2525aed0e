"""`ModelRollout.status`: written by the operator, `control` (and `phase: RollingBack`) aside."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from modelrollout.api.consent import MAX_READINESS
from modelrollout.api.evidence import GateEvidence
from modelrollout.api.fields import AnyPercent, Duration, Model, Time, rule, rules
from modelrollout.api.gates import MAX_GATES
from modelrollout.api.options import GateEffect
from modelrollout.api.rollout import MAX_WEIGHTS
from modelrollout.api.versions import ServiceRef

Word = Annotated[str, Field(max_length=128)]
Sentence = Annotated[str, Field(max_length=1024)]
Count = Annotated[int, Field(ge=0)]
UserName = Annotated[str, Field(max_length=512)]
"""As the API server has it: of a ServiceAccount it has up to 339 characters."""
MAX_COMMANDS = 15
MAX_CUTS, MAX_SPANS = 5, MAX_WEIGHTS + 5
MAX_OVERRIDES = 10
MAX_APPROVALS = 15
MAX_MESSAGES = 5
MAX_CLAIMED_GROUPS = 5
Remark = Annotated[str, Field(max_length=256)]
"""The beginning of what a person wrote: all of it for long would be more than etcd takes."""


class Phase(StrEnum):
    """A printed summary that no rule reads."""

    PENDING = "Pending"
    SHADOW = "Shadow"
    CANARY = "Canary"
    FULL = "Full"
    PROMOTED = "Promoted"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    HELD = "Held"
    INVALID = "Invalid"


class Verdict(StrEnum):
    """What a gate says of the candidate."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    FAIL = "Fail"
    UNKNOWN = "Unknown"


class Outcome(StrEnum):
    """How an attempt ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"


class Cause(StrEnum):
    """Why the target is what it is."""

    STARTED = "Started"
    GATES_PASSED = "GatesPassed"
    GATES_OVERRIDDEN = "GatesOverridden"
    GATE_FAILED = "GateFailed"
    CATASTROPHE = "Catastrophe"
    CANDIDATE_UNREADY = "CandidateUnready"
    DEADLINE = "Deadline"
    METRICS_LOST = "MetricsLost"
    CLOCK_SKEW = "ClockSkew"
    MANUAL = "Manual"
    SUPERSEDED = "Superseded"
    PLAN_CHANGED = "PlanChanged"
    DRILL = "Drill"
    REHEARSED = "Rehearsed"
    PROMOTED = "Promoted"


class Condition(Model):
    """One statement about the rollout, as `metav1.Condition` has it."""

    type: Word = Field(
        description="Ready, Reconciling, Stalled, Held, RollbackReady, MetricsAvailable, RouteInSync or Recorded."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the statement holds.")
    observed_generation: int | None = Field(None, description="Generation of spec that this speaks of.")
    last_transition_time: Time = Field(description="When status last changed.")
    reason: Word = Field(description="A CamelCase word for machines.")
    message: Annotated[str, Field(max_length=4096)] = Field(description="A sentence for people that says what to do.")


class Request(Model):
    """A message to the operator, put into the inbox by a person or a pipeline."""

    reason: Annotated[str, Field(max_length=1024)] | None = Field(
        None, description="Why; shown in status, events and logs."
    )
    requested_by: UserName | None = Field(
        None, description="Who asks: your user name. Filled in by admission where the cluster can do that."
    )


class AdvanceRequest(Request):
    """A message that ends the waiting of the present step."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.overrideGates) || !self.overrideGates || (has(self.reason) && self.reason.matches('[^ ]'))",
                "overrideGates goes on without the gates' evidence: write in reason why, it is kept",
            )
        )
    )

    override_gates: bool = Field(
        default=False,
        description="Also goes past gates that do not know, or that only hold; never past one that rolls back. At once or"
        " not at all.",
    )


class ApproveRequest(Request):
    """A person's approval of a stage."""

    stage: Annotated[str, Field(max_length=63)] | None = Field(
        None, description="The stage; the next one that lacks an approval when left out."
    )
    groups: list[Annotated[str, Field(max_length=256)]] = Field(
        [], max_length=MAX_CLAIMED_GROUPS, description="Groups that you are in, of those that the stage asks for."
    )
    independent: bool = Field(
        default=False,
        description="Your word that you did not edit spec last: for separationOfDuties where the cluster does not know that.",
    )


class AttestRequest(Request):
    """A person's word that something of spec.readiness is so."""

    id: Annotated[str, Field(max_length=63)] = Field(description="Which one of spec.readiness.")
    evidence_url: Annotated[str, Field(max_length=512)] | None = Field(
        None, alias="evidenceURL", description="Where the evidence can be seen."
    )


class Control(Model):
    """The inbox: write a message, the operator takes it out when it acts on it."""

    rollback: Request | None = Field(
        None, description="Baseline 100, mirror off, at once; in every phase, and after promotion."
    )
    hold: Request | None = Field(None, description="Stay at the present shares until resume.")
    resume: Request | None = Field(
        None, description="Go on after a hold, a missed deadline or a foreign change of the route."
    )
    advance: AdvanceRequest | None = Field(
        None, description="End this step's minimum duration: it goes on as soon as all gates pass."
    )
    approve: Annotated[list[ApproveRequest], Field(max_length=MAX_MESSAGES)] | None = Field(
        None, description="Approvals of this candidate under this plan."
    )
    attest: Annotated[list[AttestRequest], Field(max_length=MAX_MESSAGES)] | None = Field(
        None, description="Attestations of what spec.readiness lists."
    )
    retry: Request | None = Field(None, description="Try a candidate again that was rolled back.")


class Command(StrEnum):
    """A message of the inbox."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    RESUME = "resume"
    ADVANCE = "advance"
    APPROVE = "approve"
    ATTEST = "attest"
    RETRY = "retry"


class HandledCommand(Model):
    """A message that was taken out of the inbox, and what came of it."""

    command: Command = Field(description="What was asked.")
    reason: Sentence | None = Field(None, description="Why, in the words of who asked.")
    requested_by: UserName | None = Field(None, description="Who asked.")
    verified: bool = Field(
        default=False, description="Whether admission saw to it that nobody else could write that name."
    )
    manager: Word | None = Field(None, description="What the client that wrote it calls itself.")
    handled_at: Time = Field(description="When the operator acted on it.")
    result: Sentence = Field(description="What the operator did.")


class VersionStatus(Model):
    """A version as an attempt knows it, also after spec has moved on."""

    version: Word = Field(description="Name of the version.")
    digest: Word = Field(description="Identity: hash of version, artifact and service.")
    service: ServiceRef = Field(description="The Service that serves it.")


class Serving(VersionStatus):
    """The version that serves: the last promoted one, or the baseline before that."""

    since: Time = Field(description="Since when.")


class TargetStatus(Model):
    """The shares that the route should have now."""

    candidate: AnyPercent = Field(description="Percentage of live requests for the candidate.")
    mirror: AnyPercent = Field(description="Percentage of live requests copied to the candidate.")
    since: Time = Field(description="Since when the route should be so.")
    cause: Cause = Field(description="Why.")


class RouteStatus(Model):
    """What was last read back from the routing object."""

    kind: Word = Field(description="Kind of the routing object.")
    name: Annotated[str, Field(max_length=253)] = Field(description="Name of the routing object.")
    candidate: AnyPercent = Field(description="Percentage of live requests for the candidate.")
    mirror: AnyPercent = Field(description="Percentage of live requests copied to the candidate.")
    since: Time = Field(description="Since when these shares have been read there.")
    record: Annotated[str, Field(max_length=253)] | None = Field(
        None, description="The ModelRolloutRecord in which these shares are written down; none while they are not."
    )
    segment: Count | None = Field(
        None, description="Number of the segment there; none where the record began with these shares."
    )


class Tally(Model):
    """Requests of both versions in a step, and how many were bad."""

    total: Count = Field(description="Requests of the candidate.")
    bad: Count = Field(description="Bad ones among them.")
    baseline_total: Count = Field(0, description="Requests of the baseline in the same window.")
    baseline_bad: Count = Field(0, description="Bad ones among them.")
    replica_seconds: Count | None = Field(
        None, description="Ready replicas of the candidate, added up over the window."
    )
    baseline_replica_seconds: Count | None = Field(None, description="Ready replicas of the baseline, likewise.")


class GateStatus(Model):
    """A gate's last verdict, and the numbers behind it."""

    name: Word = Field(description="Name of the gate.")
    verdict: Verdict = Field(description="Pass, Fail or Unknown.")
    reason: Word = Field(description="A CamelCase word for machines.")
    message: Sentence = Field(description="The numbers in a sentence.")
    value: Word | None = Field(None, description="What was measured.")
    limit: Word | None = Field(None, description="What is allowed.")
    samples: Count | None = Field(None, description="Requests of the candidate that were judged.")
    evaluated_at: Time = Field(description="When these numbers were measured.")
    evidence: GateEvidence | None = Field(None, description="How far the gate is from its verdict.")
    tally: Tally | None = Field(None, description="Counts of the present step.")
    effect: GateEffect | None = Field(
        None,
        description="Warns: a failure is told and does nothing. Records: a dry run. Stops: a failure also keeps later"
        " candidates from beginning. Joins: a part of another gate. None: it does what onFail says.",
    )
    unknown_since: Time | None = Field(None, description="Since when it has had no usable metrics.")
    cuts: list[Tally] = Field(
        [],
        max_length=MAX_CUTS,
        description="Counts at which the candidate's share of the requests had drifted: before and after are compared apart.",
    )
    earlier: list[Tally] = Field(
        [],
        max_length=MAX_SPANS,
        description="Counts of the stage's earlier steps: evidence against is never forgotten.",
    )


class RollbackStatus(Model):
    """A rollback that was decided."""

    cause: Cause = Field(description="Why.")
    message: Sentence = Field(description="The sentence that goes with it.")
    since: Time = Field(description="When it was decided.")


class AdvanceStatus(Model):
    """A person's word that the present step has waited long enough."""

    at: Time = Field(description="Since when the step's minimum counts as over.")
    reason: Sentence | None = Field(None, description="Why.")
    requested_by: UserName | None = Field(None, description="Who asked.")


class OverrideStatus(AdvanceStatus):
    """A step that was left without the gates' evidence, at a person's word."""

    stage: Word = Field(description="The stage that was left, or ended.")
    step: Count = Field(description="Its step, from 0.")
    gates: Annotated[str, Field(max_length=512)] = Field(
        description="The gates that did not pass, and what each said: its beginning."
    )


class ApprovalStatus(Model):
    """An approval that was taken out of the inbox: of one stage, for one candidate under one plan."""

    stage: Word = Field(description="The stage that it is for.")
    requested_by: UserName = Field(description="Who approved.")
    verified: bool = Field(
        default=False, description="Whether admission saw to it that nobody else could write that name."
    )
    reason: Remark | None = Field(None, description="What the approver said, its beginning.")
    group: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="The group that the approver claimed to be in, of those that the stage asks for."
    )
    independent: bool = Field(default=False, description="Whether the approver stated not to have edited spec last.")
    at: Time = Field(description="When it was taken out of the inbox.")
    candidate: Word = Field(description="Digest of the candidate that it is for: void for any other.")
    plan: Word = Field(description="Digest of the plan that it is for: void under any other.")


class Attestation(Model):
    """A person's word that something of spec.readiness is so."""

    id: Word = Field(description="Which one of spec.readiness.")
    requested_by: UserName = Field(description="Who attested it.")
    verified: bool = Field(
        default=False, description="Whether admission saw to it that nobody else could write that name."
    )
    evidence_url: Annotated[str, Field(max_length=512)] | None = Field(
        None, alias="evidenceURL", description="Where the evidence can be seen."
    )
    reason: Remark | None = Field(None, description="What was said, its beginning.")
    at: Time = Field(description="When it was taken out of the inbox: it expires from here.")
    candidate: Word = Field(description="Digest of the candidate that spec asked for then.")


class DrillStatus(Model):
    """A rehearsal of the way back."""

    since: Time = Field(description="When the way back was last ordered; before that, when the rehearsal began.")
    at: Time | None = Field(
        None, description="When it was read back from an accepted route; none while it is under way."
    )
    took: Duration | None = Field(None, description="The time in between.")
    ok: bool | None = Field(None, description="Whether that was fast enough.")


class RecalledStatus(Model):
    """Status had lost the attempt, and has it from its record."""

    at: Time = Field(description="When it was taken from there: the step's clock and evidence began anew.")
    disagrees: Sentence | None = Field(
        None, description="Why nothing goes on before control.resume: the route was not as the record says."
    )


class DrainStatus(Model):
    """What the candidate may still be busy with after a rollback."""

    until: Time = Field(description="Until when requests that it had in flight may take.")
    idle_since: Time | None = Field(None, description="Since when it is idle: none before, and its pods must stay.")


class Attempt(Model):
    """One try of one candidate, from the first step to the end."""

    number: Count = Field(description="Counts the attempts of this rollout, from 1.")
    record: Annotated[str, Field(max_length=253)] | None = Field(
        None, description="The ModelRolloutRecord that tells of this attempt, its first part."
    )
    candidate: VersionStatus = Field(description="The version that is tried.")
    baseline: VersionStatus | None = Field(None, description="The version to go back to; none at a first deployment.")
    plan: Word = Field(
        description="Digest of the plan and gates: when it changes, the stage's clock and evidence restart."
    )
    stage: Word = Field(description="Name of the present stage.")
    step: Count = Field(description="Index of the present weight within the stage, from 0.")
    started_at: Time = Field(description="When the attempt started.")
    stage_started_at: Time = Field(description="When the stage started.")
    step_started_at: Time = Field(description="When the step was decided.")
    applied_at: Time | None = Field(
        None, description="When the step's shares were first read back: from here its clock and evidence run."
    )
    resumed_at: Time | None = Field(None, description="When a person last said resume: the deadline counts from here.")
    target: TargetStatus = Field(description="The shares that the route should have now.")
    gates: list[GateStatus] = Field([], max_length=2 * MAX_GATES, description="The gates' last verdicts.")
    unready_since: Time | None = Field(None, description="Since when the candidate has had no ready endpoint.")
    metrics_lost_since: Time | None = Field(None, description="Since when no gate has had usable metrics.")
    blind_for: Duration | None = Field(
        None,
        description="How much of the step nobody could look at, the operator or its metrics being away: added to the step's minimum.",
    )
    advanced: AdvanceStatus | None = Field(
        None, description="A person's word that ends this step's minimum; its gates still have to pass."
    )
    overrides: list[OverrideStatus] = Field(
        [], max_length=MAX_OVERRIDES, description="Steps that were left though not all gates passed; the last ones."
    )
    approvals: list[ApprovalStatus] = Field(
        [], max_length=MAX_APPROVALS, description="Approvals of this attempt's stages, void ones too; the last ones."
    )
    drill: DrillStatus | None = Field(None, description="The last rehearsal of the way back.")
    recalled: RecalledStatus | None = Field(
        None, description="Where status was wiped meanwhile: since when this is what the record says."
    )
    rollback: RollbackStatus | None = Field(None, description="The rollback that was decided, if any.")
    outcome: Outcome | None = Field(None, description="How it ended; none while it runs.")
    ended_at: Time | None = Field(None, description="When it ended.")
    drain: DrainStatus | None = Field(
        None,
        description="After a rollback: how long requests in flight may take; none while the candidate has traffic.",
    )


class HeldStatus(Model):
    """A hold that a person asked for; it lasts until resume."""

    since: Time = Field(description="Since when.")
    reason: Sentence | None = Field(None, description="Why.")
    requested_by: UserName | None = Field(None, description="Who asked.")
    verified: bool = Field(
        default=False, description="Whether admission saw to it that nobody else could write that name."
    )
    manager: Word | None = Field(None, description="What the client that wrote it calls itself.")


class SafetyStop(Model):
    """A gate of severity safety has failed: no candidate begins before somebody asks for control.retry."""

    since: Time = Field(description="Since when.")
    version: Word = Field(description="The version that failed it.")
    gate: Word = Field(description="Name of the gate.")
    message: Sentence = Field(description="What it found.")


class ModelRolloutStatus(Model):
    """Where the rollout stands."""

    observed_generation: int = Field(
        -1, ge=-1, description="Generation of spec that status speaks of; -1 before the first look."
    )
    phase: Phase | None = Field(
        None, description="A printed summary. Writing RollingBack here counts as control.rollback."
    )
    weight: Word | None = Field(
        None, description="The candidate's percentage of live requests, or of copies, for printing."
    )
    gates: Word | None = Field(None, description="Gates that pass of all, for printing.")
    conditions: list[Condition] = Field(
        [],
        max_length=10,
        description="The contract for machines.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    serving: Serving | None = Field(None, description="The version that serves.")
    attempt: Attempt | None = Field(None, description="The present attempt, or the last one.")
    route: RouteStatus | None = Field(None, description="What was last read back from the routing object.")
    next_window: Time | None = Field(
        None, description="When weights may grow next by spec.windows; none while they may, or nothing is under way."
    )
    held: HeldStatus | None = Field(None, description="A person's hold.")
    readiness: list[Attestation] = Field(
        [], max_length=MAX_READINESS, description="What was attested last, one for each id of spec.readiness."
    )
    approvals: list[ApprovalStatus] = Field(
        [], max_length=MAX_APPROVALS, description="Approvals for an attempt that has not begun; it takes them along."
    )
    safety_stop: SafetyStop | None = Field(
        None, description="Why no candidate begins before control.retry: a gate of severity safety has failed."
    )
    control: Control | None = Field(None, description="The inbox for people: the only part of status that is theirs.")
    commands: list[HandledCommand] = Field(
        [], max_length=MAX_COMMANDS, description="The last messages that were acted on."
    )
