"""What several rules say in the same words."""

from datetime import timedelta

from modelrollout.api.fields import render_duration
from modelrollout.api.status import Attempt, Cause
from modelrollout.core.case import Case
from modelrollout.core.plan import StageKind, Step
from modelrollout.core.preconditions import baseline_can_serve
from modelrollout.core.traffic import Blocked
from modelrollout.core.verbs import RollBack


def back_to_baseline(case: Case, cause: Cause, message: str) -> RollBack:
    """Return the rollback; it does not write where going back would be an outage, or no route can be read."""
    return RollBack(cause, message, writes=baseline_can_serve(case) and not isinstance(case.seen.route, Blocked))


def span_text(span: timedelta) -> str:
    """Return a span in whole seconds."""
    return render_duration(timedelta(seconds=round(span.total_seconds())))


def stage_text(case: Case) -> str:
    """Return how the present step is called in a sentence."""
    return f"stage {step_text(case.step)}" if case.step else "the stage"


def step_text(step: Step) -> str:
    """Return how a step is called in a sentence."""
    match step.kind:
        case StageKind.SHADOW:
            return f"{step.stage} ({step.shares.mirror}% copied)"
        case StageKind.CANARY:
            return f"{step.stage} at {step.shares.candidate}%"
        case StageKind.FULL:
            return f"{step.stage} (bake)"


def version_text(attempt: Attempt) -> str:
    """Return what is tried, for whoever has to find it elsewhere: its digest, and the record of the attempt."""
    record = f", record {attempt.record}" if attempt.record else ""
    return f"version {attempt.candidate.version} (digest {attempt.candidate.digest}{record})"
