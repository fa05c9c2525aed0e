"""What a record says from its first moment on: versions, plan, and what began the attempt. It never changes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from modelrollout.api.record import (
    MAX_PLAN_GATES,
    Continued,
    PlannedGate,
    PlannedStage,
    RecordedPlan,
    RecordedRollout,
    RecordedVersion,
    RecordSpec,
    RecordTrigger,
    Trigger,
)
from modelrollout.api.status import Attempt, Cause, Outcome, VersionStatus
from modelrollout.api.versions import ModelVersion
from modelrollout.core.asked import asked_by, editor_of, name_of
from modelrollout.core.plan import Plan, StageKind, digest_of, identity_of
from modelrollout.core.record import Spans, Standing
from modelrollout.core.rollout import Rollout


def spec_of(
    rollout: Rollout,
    attempt: Attempt,
    found: Spans,
    now: datetime,
    *,
    continues: Standing | None = None,
    before: Attempt | None = None,
    bound_since: datetime | None = None,
) -> RecordSpec:
    """Return the spec of an attempt's record.

    `before` is the attempt that was in status when this one was decided; `bound_since` is since when admission has bound
    names to who writes.
    """
    spec = rollout.spec
    plan = rollout.plan(has_baseline=attempt.baseline is not None) if spec else None
    return RecordSpec(
        rollout=RecordedRollout(name=rollout.name, uid=rollout.uid, generation=rollout.generation),
        attempt=attempt.number,
        part=continues.part + 1 if continues else 1,
        continues=Continued(record=continues.name, hash=continues.end) if continues else None,
        decided_at=now,
        spec_digest=digest_of(spec.render()) if spec else "unreadable",
        owner=spec.owner if spec else None,
        risk=spec.risk if spec else None,
        baseline=_version(rollout, attempt.baseline) if attempt.baseline else None,
        candidate=_version(rollout, attempt.candidate),
        plan=_plan(plan) if plan else None,
        trigger=_trigger(rollout, attempt, before, bound_since, is_continuation=continues is not None),
        found=list(found),
    )


def _version(rollout: Rollout, version: VersionStatus) -> RecordedVersion:
    spec = rollout.spec
    named: Sequence[ModelVersion | None] = (spec.candidate, spec.baseline) if spec else ()
    artifact = next((one.artifact for one in named if one and identity_of(one).digest == version.digest), None)
    return RecordedVersion(version=version.version, digest=version.digest, service=version.service, artifact=artifact)


def _plan(plan: Plan) -> RecordedPlan:
    stages: dict[str, list[Any]] = {}
    for step in plan.steps:
        stages.setdefault(step.stage, []).append(step)
    planned = [
        PlannedStage(
            name=name,
            mirror=steps[0].shares.mirror if steps[0].kind is StageKind.SHADOW else None,
            weights=[step.shares.candidate for step in steps if step.kind is not StageKind.SHADOW],
            min_duration=steps[0].min_duration,
        )
        for name, steps in stages.items()
    ]
    gates = [PlannedGate(name=gate.name, rule=_rule_text(gate.render())) for gate in plan.gates[:MAX_PLAN_GATES]]
    left_out = max(0, len(plan.gates) - MAX_PLAN_GATES)
    return RecordedPlan(digest=plan.digest, stages=planned, gates=gates, gates_left_out=left_out)


def _rule_text(gate: dict[str, Any]) -> str:
    parts = ", ".join(f"{name}: {value}" for name, value in gate.items() if name != "name")
    return parts if len(parts) <= 512 else parts[:511] + "…"


def _trigger(
    rollout: Rollout, attempt: Attempt, before: Attempt | None, bound_since: datetime | None, *, is_continuation: bool
) -> RecordTrigger:
    if is_continuation:
        return RecordTrigger(cause=Trigger.CONTINUATION)
    if attempt.applied_at is not None or attempt.target.cause is not Cause.STARTED:
        unstarted = attempt.rollback is not None and attempt.applied_at is None
        return RecordTrigger(cause=Trigger.REFUSED_UNSTARTED if unstarted else Trigger.TAKEN_OVER)
    if before and before.outcome is Outcome.ROLLED_BACK and before.candidate.digest == attempt.candidate.digest:
        asked = asked_by(rollout.status.commands, ("retry",))
        if asked is None:
            return RecordTrigger(cause=Trigger.RETRY)
        return RecordTrigger(
            cause=Trigger.RETRY, actor=name_of(asked)[:256], verified=asked.verified, reason=asked.reason
        )
    editor = editor_of(rollout, bound_since)
    return RecordTrigger(
        cause=Trigger.NEW_CANDIDATE if attempt.baseline else Trigger.FIRST_DEPLOYMENT,
        actor=(editor.name or editor.manager or "")[:256] or None,
        verified=editor.verified,
    )
