"""What is wrong with a plan's gates, though each of them is well: found before traffic moves."""

from modelrollout.api.gates import Gate, OnFail
from modelrollout.api.options import GateClass
from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.core.effects import acting, effects_of
from modelrollout.core.panel import panel_of
from modelrollout.core.plan import Plan, Step
from modelrollout.core.traffic import Blocked


def flaw_of(spec: ModelRolloutSpec, plan: Plan) -> Blocked | None:
    """Return why nothing can be promoted by these gates, `None` where all is well. `plan` is the one on a baseline."""
    return _unknown_stage(spec, plan) or _bad_part(plan) or _stage_without_gate(plan)


def absent_classes(plan: Plan) -> tuple[GateClass, ...]:
    """Return the classes of which no gate of the plan acts."""
    present = {
        gate.gate_class or GateClass.INFRASTRUCTURE
        for step in plan.steps
        if step.index == 0
        for gate in acting(step.gates, effects_of(step.gates))
    }
    return tuple(each for each in GateClass if each not in present)


def _unknown_stage(spec: ModelRolloutSpec, plan: Plan) -> Blocked | None:
    known = list(dict.fromkeys(step.stage for step in plan.steps))
    for gate in spec.gates or ():
        for name in gate.stages or ():
            if name not in known:
                return Blocked(
                    "BadGates",
                    f"gate {gate.name} is for stage {name}, which the plan does not have; it has {', '.join(known)}:"
                    " correct the gate's stages",
                )
    return None


def _bad_part(plan: Plan) -> Blocked | None:
    for step in plan.steps:
        named = {gate.name: gate for gate in step.gates} if step.index == 0 else {}
        for gate in named.values():
            for name in gate.fails_when.parts if gate.fails_when else ():
                if problem := _problem_of_part(named.get(name), name, step):
                    return Blocked("BadGates", f"gate {gate.name} {problem}")
    return None


def _problem_of_part(part: Gate | None, name: str, step: Step) -> str | None:
    if part is None:
        return (
            f"fails when {name} does, which is not judged in stage {step.stage}: name gates of that stage, or give both"
            " gates the same stages"
        )
    if part.fails_when:
        return f"fails when {name} does, which has failsWhen itself: name the gates that measure something"
    options = {
        "onFail": part.on_fail is not OnFail.ROLLBACK,
        "severity": part.severity is not None,
        "dryRun": bool(part.dry_run),
        "onUnknown": part.on_unknown is not None,
        "unknownTimeout": part.unknown_timeout is not None,
    }
    if given := [option for option, is_given in options.items() if is_given]:
        return f"fails when {name} does, which then does nothing by itself: remove the {' and '.join(given)} of {name}"
    return None


def _stage_without_gate(plan: Plan) -> Blocked | None:
    for step in plan.steps:
        if step.index == 0 and not panel_of(step.gates).limits:
            return Blocked(
                "BadGates",
                f"in stage {step.stage} no gate could stop a bad version: give it one that is neither of severity warning"
                " nor a dry run",
            )
    return None
