"""`ModelRolloutRecord`: the account of one attempt. Its spec never changes, its segments are only added to."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from modelrollout.api.fields import AnyPercent, Duration, Model, Time, rule, rules
from modelrollout.api.gates import MAX_GATES, MAX_STAGES
from modelrollout.api.rollout import MAX_WEIGHTS, Owner, Risk
from modelrollout.api.status import MAX_COMMANDS, Cause, Command, Outcome, Remark, UserName, Verdict
from modelrollout.api.versions import Artifact, ServiceRef

MAX_SEGMENTS = 128
"""Of one record; then another one goes on."""
MAX_GATES_TOLD = 2 * MAX_GATES
MAX_PLAN_GATES = 64

Word = Annotated[str, Field(max_length=128)]
LongName = Annotated[str, Field(max_length=253)]
Sentence = Annotated[str, Field(max_length=1024)]
Hash = Annotated[str, Field(max_length=64)]
Position = Annotated[int, Field(ge=0, le=MAX_SEGMENTS - 1)]
Natural = Annotated[int, Field(ge=0, le=10**15)]


class Trigger(StrEnum):
    """What made an attempt, or a record, begin."""

    NEW_CANDIDATE = "NewCandidate"
    FIRST_DEPLOYMENT = "FirstDeployment"
    RETRY = "Retry"
    REFUSED_UNSTARTED = "RefusedUnstarted"
    TAKEN_OVER = "TakenOver"
    CONTINUATION = "Continuation"


class Why(StrEnum):
    """Why the shares of a segment are what they are: what status calls a cause, and what no status decides."""

    STARTED = Cause.STARTED.value
    GATES_PASSED = Cause.GATES_PASSED.value
    GATES_OVERRIDDEN = Cause.GATES_OVERRIDDEN.value
    GATE_FAILED = Cause.GATE_FAILED.value
    CATASTROPHE = Cause.CATASTROPHE.value
    CANDIDATE_UNREADY = Cause.CANDIDATE_UNREADY.value
    DEADLINE = Cause.DEADLINE.value
    METRICS_LOST = Cause.METRICS_LOST.value
    CLOCK_SKEW = Cause.CLOCK_SKEW.value
    MANUAL = Cause.MANUAL.value
    SUPERSEDED = Cause.SUPERSEDED.value
    PLAN_CHANGED = Cause.PLAN_CHANGED.value
    DRILL = Cause.DRILL.value
    REHEARSED = Cause.REHEARSED.value
    PROMOTED = Cause.PROMOTED.value
    ENDED = "Ended"
    MENDED = "Mended"
    EXTERNAL = "External"
    DELETED = "Deleted"


class RecordedRollout(Model):
    """The rollout that a record speaks of; it may be gone."""

    name: Word = Field(description="Name of the ModelRollout.")
    uid: Word = Field(description="Its uid: one that was made again under the name is another.")
    generation: Natural = Field(description="Generation of its spec when the attempt was decided.")


class RecordedVersion(Model):
    """A version, with its lineage as far as spec named it."""

    version: Word = Field(description="Name of the version.")
    digest: Word = Field(description="Identity: hash of version, artifact and service.")
    service: ServiceRef = Field(description="The Service that serves it.")
    artifact: Artifact | None = Field(None, description="Where it comes from.")


class PlannedStage(Model):
    """A stage of the plan."""

    name: Word = Field(description="Name of the stage.")
    mirror: AnyPercent | None = Field(
        None, description="Percentage of live requests that is copied, in a shadow stage."
    )
    weights: list[AnyPercent] = Field([], max_length=MAX_WEIGHTS, description="The candidate's weights, one a step.")
    min_duration: Duration = Field(description="Shortest time in each of its steps.")


class PlannedGate(Model):
    """A gate of the plan."""

    name: Word = Field(description="Name of the gate.")
    rule: Annotated[str, Field(max_length=512)] = Field(
        description="The gate as JSON, its end cut off where it is longer."
    )


class RecordedPlan(Model):
    """The plan in effect when the attempt was decided."""

    digest: Word = Field(description="Digest of all stages and gates.")
    stages: list[PlannedStage] = Field([], max_length=MAX_STAGES, description="Its stages, in order.")
    gates: list[PlannedGate] = Field([], max_length=MAX_PLAN_GATES, description="Its gates, each once.")
    gates_left_out: Natural = Field(0, description="How many gates had no room here; the digest covers them.")


class RecordTrigger(Model):
    """What made the attempt begin, and who."""

    cause: Trigger = Field(description="What made it begin.")
    actor: Annotated[str, Field(max_length=256)] | None = Field(None, description="Who asked, or who edited spec.")
    verified: bool = Field(default=False, description="Whether the API server vouches for the actor.")
    reason: Sentence | None = Field(None, description="Why, in the words of who asked.")


class Continued(Model):
    """The record that this one goes on with."""

    record: LongName = Field(description="Name of the record before.")
    hash: Hash = Field(description="Hash of its last segment.")


class VersionShare(Model):
    """What one version had."""

    version: Word = Field(description="Name of the version.")
    digest: Word = Field(description="Its identity.")
    weight: AnyPercent = Field(description="Percentage of live requests that it answered.")
    mirror: AnyPercent | None = Field(None, description="Percentage of live requests copied to it, if any were.")


VersionShares = Annotated[list[VersionShare], Field(max_length=4)]


class RecordSpec(Model):
    """Who, what and how, as decided before any weight moved."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("self == oldSelf", "the spec of a record never changes: create another record to say more")
        )
    )

    rollout: RecordedRollout = Field(description="The rollout.")
    attempt: Natural = Field(description="Number of the attempt.")
    part: Annotated[int, Field(ge=1, le=10_000)] = Field(1, description="Counts the records of one attempt, from 1.")
    continues: Continued | None = Field(None, description="The record before, from the second on.")
    decided_at: Time = Field(description="When the attempt was decided, or this record became needed.")
    spec_digest: Word = Field(description="Digest of the rollout's spec.")
    owner: Owner | None = Field(None, description="The team that answers for the model.")
    risk: Risk | None = Field(None, description="How much harm a bad version could do.")
    baseline: RecordedVersion | None = Field(None, description="The version to go back to; none at a first deployment.")
    candidate: RecordedVersion = Field(description="The version that is tried.")
    plan: RecordedPlan | None = Field(None, description="The plan, where spec could be read.")
    trigger: RecordTrigger = Field(description="What made it begin.")
    found: VersionShares = Field(
        [], description="What the route gave when this was decided; none where there was no route."
    )


class RecordedRoute(Model):
    """The routing object as it was read back."""

    kind: Word = Field(description="Its kind.")
    name: LongName = Field(description="Its name.")
    uid: Word | None = Field(None, description="Its uid.")
    resource_version: Word | None = Field(None, description="Its resourceVersion when these shares were read there.")


class Evidence(Model):
    """A gate's verdict, and the numbers behind it."""

    name: Word = Field(description="Name of the gate.")
    verdict: Verdict = Field(description="Pass, Fail or Unknown.")
    reason: Word = Field(description="A CamelCase word for machines.")
    value: Word | None = Field(None, description="What was measured.")
    limit: Word | None = Field(None, description="What was allowed.")
    samples: Natural | None = Field(None, description="Requests of the candidate that were judged.")
    bad: Natural | None = Field(None, description="Bad ones among them.")
    baseline_samples: Natural | None = Field(None, description="Requests of the baseline in the same window.")
    baseline_bad: Natural | None = Field(None, description="Bad ones among them.")
    message: Annotated[str, Field(max_length=256)] = Field("", description="The numbers in a sentence.")


class RecordedCommand(Model):
    """What a person or a pipeline asked for, and what came of it."""

    command: Command = Field(description="What was asked.")
    actor: Annotated[str, Field(max_length=256)] = Field(description="Who asked, as far as is known.")
    verified: bool = Field(default=False, description="Whether the API server vouches for the actor.")
    reason: Remark | None = Field(None, description="Why, in the words of who asked, their beginning.")
    at: Time = Field(description="When the operator acted on it.")
    result: Remark = Field(description="What the operator did.")


class Intent(Model):
    """What was decided and written down before the route was written."""

    shares: VersionShares = Field(description="What each version should have.")
    stage: Word = Field(description="Stage of the plan.")
    step: Natural = Field(description="Step of the stage, from 0.")
    since: Time = Field(description="When it was decided.")
    cause: Why = Field(description="Why.")
    message: Sentence = Field("", description="A sentence for people.")
    gates: list[Evidence] = Field([], max_length=MAX_GATES_TOLD, description="The evidence that it was decided on.")


class RecordedHold(Model):
    """A person's hold: the last one of the attempt."""

    since: Time = Field(description="Since when.")
    until: Time | None = Field(None, description="Until when; none while it lasts.")
    reason: Sentence | None = Field(None, description="Why.")
    requested_by: UserName | None = Field(None, description="Who asked.")
    verified: bool = Field(default=False, description="Whether the API server vouches for the name.")
    manager: Word | None = Field(None, description="What the client that wrote it calls itself.")


class Segment(Model):
    """One span of unchanged shares, from `confirmedAt` to the next segment; it never changes."""

    model_config = ConfigDict(
        json_schema_extra=rules(rule("self == oldSelf", "a segment never changes: add another one to say more"))
    )

    seq: Position = Field(description="Number in this record, from 0.")
    shares: VersionShares = Field(description="What each version has; none: nobody, or versions of somebody else's.")
    intent_at: Time | None = Field(
        None, description="When it was decided: before that the shares were the ones before."
    )
    confirmed_at: Time = Field(description="When the shares were read there: from here on they are certain.")
    route: RecordedRoute = Field(description="Where they were read.")
    stage: Word = Field(description="Stage of the plan.")
    step: Natural = Field(description="Step of the stage, from 0.")
    cause: Why = Field(description="Why.")
    actor: Annotated[str, Field(max_length=256)] = Field(description="Who: the operator, or the name of somebody.")
    verified: bool = Field(
        default=False,
        description="Whether the API server vouches for the actor; else it is what a client called itself.",
    )
    message: Sentence = Field("", description="A sentence for people.")
    gates: list[Evidence] = Field([], max_length=MAX_GATES_TOLD, description="The evidence that it was decided on.")
    commands: list[RecordedCommand] = Field(
        [],
        max_length=MAX_COMMANDS,
        description="What people have asked for since the segment before: approvals, holds and all others; the last ones.",
    )
    outcome: Outcome | None = Field(None, description="How the attempt ended here, if it did.")
    previous: Hash = Field(
        description="Hash of the segment before, of the first one that of spec: SHA-256 of the JSON with sorted keys."
    )


_IN_ORDER = "self.all(s, s.seq < size(self) && self[s.seq].seq == s.seq)"
_IN_ORDER_SENTENCE = "segments stand in order: give each the number of its place, from 0"

Segments = Annotated[
    list[Segment],
    Field(
        max_length=MAX_SEGMENTS,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["seq"],
            **rules(
                rule(
                    "size(self) >= size(oldSelf)",
                    "segments are never taken away: add another one to say more",
                ),
                rule(_IN_ORDER, _IN_ORDER_SENTENCE),
                # The same once more as a rule on a change: a map whose items only change places counts as unchanged.
                rule(f"size(oldSelf) >= 0 && {_IN_ORDER}", _IN_ORDER_SENTENCE),
            ),
        },
    ),
]


class RecordStatus(Model):
    """What has been, span by span."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(oldSelf.segments) || has(self.segments)",
                "segments are never taken away: add another one to say more",
            )
        )
    )

    segments: Segments = Field([], description="Spans of unchanged shares, oldest first.")
    intent: Intent | None = Field(
        None, description="The last growth that was decided; where no segment has its time, it never reached the route."
    )
    held: RecordedHold | None = Field(None, description="The last hold that a person asked for.")
    outcome: Outcome | None = Field(None, description="How the attempt ended; none while it runs.")
    ended_at: Time | None = Field(None, description="When it ended.")


STATUS_STAYS_RULE = rule(
    "!has(oldSelf.status) || has(self.status)", "segments are never taken away: add another one to say more"
)


class ModelRolloutRecord(Model):
    """A stored record, as far as it is read here."""

    api_version: Literal["modelrollout.dev/v1alpha1"] = Field("modelrollout.dev/v1alpha1", description="Its API.")
    kind: Literal["ModelRolloutRecord"] = Field("ModelRolloutRecord", description="Its kind.")
    spec: RecordSpec = Field(description="Who, what and how.")
    status: RecordStatus = Field(RecordStatus(), description="What has been.")
