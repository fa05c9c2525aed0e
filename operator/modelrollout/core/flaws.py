"""What is wrong with a plan's gates, though each of them is well: found before traffic moves."""

from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.core.panel import panel_of
from modelrollout.core.plan import Plan
from modelrollout.core.traffic import Blocked


def flaw_of(spec: ModelRolloutSpec, plan: Plan) -> Blocked | None:
    """Return why nothing can be promoted by these gates, `None` where all is well. `plan` is the one on a baseline."""
    return _unknown_stage(spec, plan) or _stage_without_gate(plan)


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


def _stage_without_gate(plan: Plan) -> Blocked | None:
    for step in plan.steps:
        if step.index == 0 and not panel_of(step.gates).limits:
            return Blocked(
                "BadGates",
                f"in stage {step.stage} no gate could stop a bad version: give it one that is neither of severity warning"
                " nor a dry run",
            )
    return None
