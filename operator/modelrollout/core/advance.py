"""What becomes of `control.advance`: a person's word that the present step has waited long enough."""

from modelrollout.api.status import (
    MAX_OVERRIDES,
    AdvanceRequest,
    AdvanceStatus,
    Attempt,
    Cause,
    Command,
    ModelRolloutStatus,
    OverrideStatus,
    Verdict,
)
from modelrollout.core.case import Case
from modelrollout.core.inbox import answered_later
from modelrollout.core.verbs import Go, Hold, Promote, Stall, Verb, Wait


def file_advance(case: Case, verb: Verb) -> Case:
    """Return the case with an advance taken out of the inbox and answered by what the rules have made of it.

    One that waits for gates is remembered until the step ends. An override is not: it was said of what was to be seen
    at that moment.
    """
    status, attempt = case.status, case.attempt
    request = status.control.advance if status.control else None
    if request is None or attempt is None or status.control is None:
        return case
    left = status.control.model_copy(update={"advance": None})
    status = status.model_copy(update={"control": left if left.retry else None})
    match verb:
        case Go(cause=Cause.GATES_PASSED | Cause.GATES_OVERRIDDEN as cause) | Promote(cause=cause):
            result = f"advanced: {verb.message}"
            if cause is Cause.GATES_OVERRIDDEN:
                status = _with(
                    status, attempt, overrides=[*attempt.overrides, _override(case, request)][-MAX_OVERRIDES:]
                )
        case Hold(reason, message) | Stall(reason, message) | Wait(reason, message) if not request.override_gates:
            status = _with(status, attempt, advanced=_advance(case, request))
            result = f"the minimum of this step of {attempt.stage} is over, all else still counts: {reason}: {message}"
        case Hold(reason, message) | Stall(reason, message) | Wait(reason, message):
            result = f"not advanced, ask again when that is over: {reason}: {message}"
        case _:
            result = f"not advanced: {getattr(verb, 'message', 'the attempt has ended')}"
    return answered_later(case, status, Command.ADVANCE, request, result)


def _with(status: ModelRolloutStatus, attempt: Attempt, **changes: object) -> ModelRolloutStatus:
    return status.model_copy(update={"attempt": attempt.model_copy(update=changes)})


def _advance(case: Case, request: AdvanceRequest) -> AdvanceStatus:
    return AdvanceStatus(at=case.now, reason=request.reason, requested_by=request.requested_by)


def _override(case: Case, request: AdvanceRequest) -> OverrideStatus:
    step = case.step
    open_ones = [gate for gate in case.acting if gate.verdict is not Verdict.PASS]
    said = "; ".join(f"{gate.name} {gate.verdict} ({gate.reason}): {gate.message}" for gate in open_ones)
    return OverrideStatus(
        at=case.now,
        reason=request.reason,
        requested_by=request.requested_by,
        stage=step.stage if step else "?",
        step=step.index if step else 0,
        gates=(said or "none was looked at")[:1024],
    )
