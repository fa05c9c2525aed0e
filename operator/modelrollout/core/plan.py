"""Stages and steps of a rollout, the defaults of its risk, and the identities that status remembers them by."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, assert_never

from modelrollout.api.consent import Approval
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.gates import ErrorRate, FailsWhen, Gate, Latency, OnFail, Saturation, Value
from modelrollout.api.kinds import Drift, Ratio, Throughput, Webhook
from modelrollout.api.options import PromoteOn
from modelrollout.api.rollout import Canary, Full, ModelRolloutSpec, Risk, Shadow, Stage
from modelrollout.api.status import VersionStatus
from modelrollout.api.versions import ModelVersion
from modelrollout.core.effects import longest_delay
from modelrollout.core.traffic import CANDIDATE_ONLY, Blocked, Capabilities, Shares

DEFAULT_STEP_DURATION = timedelta(minutes=5)
DRAIN = timedelta(minutes=5)
DEFAULT_GATES = (Gate(name="errors", error_rate=ErrorRate(max=0.02, max_increase=0.25)),)


class StageKind(StrEnum):
    """What a stage does with traffic."""

    SHADOW = "Shadow"
    CANARY = "Canary"
    FULL = "Full"


@dataclass(frozen=True, slots=True)
class Step:
    """One span of unchanged shares within a stage: `index` counts from 0."""

    stage: str
    kind: StageKind
    index: int
    shares: Shares
    min_duration: timedelta
    gates: tuple[Gate, ...]
    approval: Approval | None = None
    requires: tuple[str, ...] = ()


def limits_of(gate: Gate) -> tuple[str, ...]:
    """Return which limits a gate sets: `absolute`, `relative`, both, or `bounds`; none of its own if it has parts."""
    match gate.kind:
        case (
            ErrorRate(max=highest, max_increase=increase)
            | Latency(max_above=highest, max_increase=increase)
            | Ratio(max=highest, max_increase=increase)
        ):
            pass
        case Value() | Saturation() | Webhook():
            return ("bounds",)
        case Throughput() | Drift():
            return ("relative",)
        case FailsWhen():
            return ()
        case other:
            assert_never(other)
    return (*(("absolute",) if highest is not None else ()), *(("relative",) if increase is not None else ()))


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps of a rollout in order; never empty. `digest` changes when stages or gates do.

    `gates` are those of all steps, each once: there may be 8,000 mentions of 420 gates.
    """

    steps: tuple[Step, ...]
    digest: str
    gates: tuple[Gate, ...]

    def step(self, stage: str, index: int) -> Step | None:
        """Return the step of that stage and index, `None` if the plan has none."""
        return next((s for s in self.steps if s.stage == stage and s.index == index), None)

    def after(self, step: Step) -> Step | None:
        """Return the step that follows, `None` after the last."""
        following = self.steps.index(step) + 1
        return self.steps[following] if following < len(self.steps) else None

    def resume_at(self, stage: str, shares: Shares) -> Step:
        """Return where a changed plan goes on: in the stage of that name, at no more than these shares.

        A plan without such a stage starts again from its first step.
        """
        same = [s for s in self.steps if s.stage == stage]
        reached = [
            s
            for s in same
            if s.shares.candidate <= shares.candidate and (s.shares.mirror > NONE) == (shares.mirror > NONE)
        ]
        return reached[-1] if reached else self.steps[0]


@dataclass(frozen=True, slots=True)
class Policy:
    """How gates are judged and the way back is kept: `spec.analysis` and `spec.rollback`, defaults filled in."""

    interval: timedelta
    warmup: timedelta
    min_requests: int
    promote_on: PromoteOn
    ingest_delay: timedelta
    freshness: timedelta
    deadline: timedelta
    on_deadline: OnFail
    metrics_lost_timeout: timedelta
    on_metrics_lost: OnFail
    retain_baseline: timedelta
    unready_grace: timedelta
    drain: timedelta


def plan_of(spec: ModelRolloutSpec, *, has_baseline: bool) -> Plan:
    """Return the plan in effect; without a baseline there is nothing to compare with, so only the bake."""
    stages = spec.stages or _DEFAULT_STAGES[spec.risk]
    common = tuple(spec.gates or DEFAULT_GATES)
    steps = tuple(step for stage in stages for step in _steps_of(stage, common))
    identity = {
        "stages": [stage.render() for stage in stages],
        "gates": [gate.render() for gate in common],
    }
    approved = _with_least_approval(steps, spec.risk)
    in_effect = approved if has_baseline else (_all_at_once(approved),)
    # All steps of a stage share one tuple of gates. Gates of two stages may have one name and differ.
    lists = {id(step.gates): step.gates for step in in_effect}.values()
    gates = {id(gate): gate for one in lists for gate in one}
    return Plan(in_effect, digest_of(identity), tuple(gates.values()))


def policy_of(spec: ModelRolloutSpec) -> Policy:
    """Return the policy in effect. Source of the defaults: the sequential tests' error rates, see docs."""
    given, back = spec.analysis, spec.rollback

    def default(value: timedelta | None, otherwise: timedelta) -> timedelta:
        return otherwise if value is None else value

    return Policy(
        interval=default(given.interval, timedelta(seconds=30)),
        warmup=default(given.warmup, timedelta(minutes=2)),
        min_requests=given.min_requests or 300,
        promote_on=given.promote_on,
        ingest_delay=default(given.ingest_delay, timedelta(seconds=30)),
        freshness=default(given.freshness, timedelta(minutes=1)),
        deadline=default(given.deadline, timedelta(hours=1)),
        on_deadline=given.on_deadline,
        metrics_lost_timeout=default(given.metrics_lost_timeout, timedelta(minutes=15)),
        on_metrics_lost=given.on_metrics_lost,
        retain_baseline=default(back.retain_baseline, timedelta(hours=24)),
        unready_grace=default(back.unready_grace, timedelta(seconds=30)),
        drain=default(back.drain, DRAIN),
    )


def identity_of(version: ModelVersion) -> VersionStatus:
    """Return a version as status remembers it; its digest covers version, artifact and service."""
    parts = {
        "version": version.version,
        "service": version.service.render(),
        "artifact": version.artifact.render() if version.artifact else {},
    }
    return VersionStatus(version=version.version, digest=digest_of(parts), service=version.service)


def record_name(name: str, uid: str, generation: int, attempt: int) -> str:
    """Return the name of an attempt's record: it follows from what it speaks of, so making it twice makes one."""
    return f"{name}-{uid.replace('-', '')[:8]}-g{generation}-{attempt}"


def digest_of(parts: dict[str, Any]) -> str:
    """Return a short digest of a JSON value: the first 16 hex digits of its SHA-256, keys in order."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unmet_need(plan: Plan, capabilities: Capabilities) -> Blocked | None:
    """Return what the router cannot do for this plan, with the remedy."""
    mirrors = [s for s in plan.steps if s.shares.mirror > NONE]
    if mirrors and not capabilities.mirror:
        return Blocked("CannotMirror", f"stage {mirrors[0].stage!r} copies requests, and {capabilities.remedy}")
    broken = [s for s in mirrors if not (s.shares.mirror.is_whole or capabilities.fractional_mirror)]
    if broken:
        return Blocked(
            "CannotMirror",
            f"stage {broken[0].stage!r} copies {broken[0].shares.mirror}% of the requests, and this router copies whole"
            f" percents only: write a whole number",
        )
    percents = [s for s in mirrors if s.shares.mirror != ALL]
    if percents and not capabilities.mirror_percent:
        return Blocked(
            "CannotMirror",
            f"stage {percents[0].stage!r} copies {percents[0].shares.mirror}%, and {capabilities.remedy}",
        )
    return None


def _with_least_approval(steps: tuple[Step, ...], risk: Risk) -> tuple[Step, ...]:
    """Return the steps, at risk high with one approval at least before the first live requests."""
    first = next(step for step in steps if step.shares.candidate > NONE)
    before: Sequence[Step] = steps[: steps.index(first) + 1]
    if risk is not Risk.HIGH or any(step.approval for step in before):
        return steps
    least = Approval(required=1)
    return tuple(replace(step, approval=least) if step.stage == first.stage else step for step in steps)


def _all_at_once(steps: tuple[Step, ...]) -> Step:
    """Return the one step of a first deployment: it has live traffic at once, so all that any stage asks is asked before."""
    asked = [step.approval for step in steps if step.approval]
    required = dict.fromkeys(name for step in steps for name in step.requires)
    most = max(asked, key=lambda approval: approval.required, default=None)
    return replace(steps[-1], approval=most, requires=tuple(required))


def _steps_of(stage: Stage, common: tuple[Gate, ...]) -> tuple[Step, ...]:
    judged = tuple(gate for gate in common if gate.stages is None or stage.name in gate.stages)
    gates = judged + tuple(stage.gates or ())
    lasts = max(DEFAULT_STEP_DURATION if stage.min_duration is None else stage.min_duration, longest_delay(gates))
    match (stage.shadow, stage.canary, stage.full):
        case (Shadow() as shadow, None, None):
            kind, shares = StageKind.SHADOW, [Shares(NONE, shadow.percent)]
        case (None, Canary() as canary, None):
            kind, shares = StageKind.CANARY, [Shares(weight, NONE) for weight in canary.weights]
        case (None, None, Full()):
            kind, shares = StageKind.FULL, [CANDIDATE_ONLY]
        case _:
            raise ValueError(f"stage {stage.name!r}: give exactly one of shadow, canary and full")
    asked = stage.approval, tuple(stage.requires or ())
    return tuple(Step(stage.name, kind, index, each, lasts, gates, *asked) for index, each in enumerate(shares))


def _default_stages(shadow: timedelta, weights: tuple[int, ...], step: timedelta, bake: timedelta) -> tuple[Stage, ...]:
    return (
        Stage(name="shadow", shadow=Shadow(), min_duration=shadow),
        Stage(name="canary", canary=Canary(weights=[Percent(w * 100) for w in weights]), min_duration=step),
        Stage(name="full", full=Full(), min_duration=bake),
    )


_DEFAULT_STAGES = {
    Risk.LOW: _default_stages(timedelta(minutes=10), (5, 25, 50), timedelta(minutes=5), timedelta(minutes=30)),
    Risk.MEDIUM: _default_stages(timedelta(hours=1), (1, 5, 10, 25, 50), timedelta(minutes=15), timedelta(hours=4)),
    Risk.HIGH: _default_stages(timedelta(days=28), (1, 2, 5, 10, 25, 50), timedelta(hours=1), timedelta(hours=24)),
}
