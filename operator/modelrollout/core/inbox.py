"""The inbox: messages of people are taken out, answered and filed, in the same write that acts on them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from modelrollout.api.status import (
    MAX_COMMANDS,
    ApproveRequest,
    Attempt,
    AttestRequest,
    Command,
    Control,
    HandledCommand,
    HeldStatus,
    ModelRolloutStatus,
    Outcome,
    Phase,
    Request,
)
from modelrollout.core.actors import PHASE, Actor, actor_of
from modelrollout.core.approvals import file_approval
from modelrollout.core.case import Case, asks_for_rollback
from modelrollout.core.readiness import file_attestation
from modelrollout.core.traffic import Endpoints

PHASE_EDIT = Request(reason=f"phase: {Phase.ROLLING_BACK} was written")


@dataclass(frozen=True, slots=True)
class RollbackAnswer:
    """Whether a rollback that a person asks for can be had now, and the sentence that answers it."""

    possible: bool
    sentence: str


def take_commands(case: Case) -> Case:
    """Return the case with its inbox emptied: holds set or lifted, each message filed with what came of it.

    `case.taken` then says what is asked for; `obey_people` acts on a rollback, `begin` on a retry. A retry stays in
    the inbox until its attempt begins, see `file_retry`: what it waits for may take longer than this pass. An advance is
    answered when the rules have spoken, see `core/advance.py`.
    """
    requests = list(_requests(case))
    if not requests:
        return case
    taken = {command: request.reason for command, request in requests}
    control = case.status.control or Control()
    ignored = Command.ROLLBACK in taken
    waiting = None if ignored or not can_retry(case) else control.retry
    asked = None if ignored or not can_advance(case) else control.advance
    left = Control(retry=waiting, advance=asked) if waiting or asked else None
    status = case.status.model_copy(update={"control": left})
    handled = []
    for command, request in requests:
        if request is not waiting and request is not asked:
            status, result = _handle(case, status, command, request, ignored=ignored)
            handled.append(_filed(case, command, request, result[:1024]))
    if ignored:
        taken.pop(Command.RETRY, None)
    if asked is None:
        taken.pop(Command.ADVANCE, None)
    return replace(case, rollout=replace(case.rollout, status=_with_filed(status, handled)), taken=taken)


def file_retry(case: Case) -> Case:
    """Return the case with a waiting retry taken out: its attempt begins."""
    request = case.status.control.retry if case.status.control else None
    if request is None:
        return case
    status = case.status.model_copy(update={"control": None, "safety_stop": None})
    filed = _filed(case, Command.RETRY, request, "trying again")
    return replace(case, rollout=replace(case.rollout, status=_with_filed(status, [filed])))


def answered_later(case: Case, status: ModelRolloutStatus, command: Command, request: Request, result: str) -> Case:
    """Return the case with this status, and with a message filed whose answer took more than the inbox to know."""
    filed = _filed(case, command, request, result[:1024])
    return replace(case, rollout=replace(case.rollout, status=_with_filed(status, [filed])))


def can_advance(case: Case) -> bool:
    """Whether a step is under way whose waiting could end."""
    return case.attempt is not None and case.attempt.rollback is None


def rollback_answer(case: Case) -> RollbackAnswer:
    """Return whether the way back is open, and why or why not."""
    attempt, last, serving = case.attempt, case.status.attempt, case.serving
    if attempt and attempt.rollback:
        return RollbackAnswer(possible=False, sentence="already rolling back")
    if attempt and attempt.baseline is None:
        return RollbackAnswer(possible=False, sentence="refused: this is the first deployment, there is no baseline")
    if attempt:
        return RollbackAnswer(possible=True, sentence="rolling back")
    if case.wanted and serving and serving.digest != case.wanted.digest:
        if last and last.outcome is Outcome.ROLLED_BACK and last.candidate.digest == case.wanted.digest:
            return RollbackAnswer(possible=False, sentence="nothing to do: the baseline has all the traffic")
        return RollbackAnswer(possible=True, sentence="the candidate is refused before it started")
    return _answer_after_promotion(case)


def _answer_after_promotion(case: Case) -> RollbackAnswer:
    last, until = case.status.attempt, case.retained_until
    if last is None or until is None or last.baseline is None:
        return RollbackAnswer(possible=False, sentence="refused: no earlier version is known to go back to")
    if case.now >= until:
        sentence = f"refused: {last.baseline.version} was kept until {until:%Y-%m-%d %H:%M} UTC; make it the candidate"
        return RollbackAnswer(possible=False, sentence=sentence)
    if case.seen.baseline not in {Endpoints.READY, Endpoints.UNKNOWN}:
        sentence = f"refused: Service {last.baseline.service.name} of {last.baseline.version} has no ready endpoint"
        return RollbackAnswer(possible=False, sentence=sentence)
    return RollbackAnswer(possible=True, sentence="rolling back")


def _requests(case: Case) -> Iterator[tuple[Command, Request]]:
    """Yield what is in the inbox, in the order of what outranks what."""
    control = case.status.control or Control()
    found = (
        (Command.ROLLBACK, control.rollback or (PHASE_EDIT if asks_for_rollback(case.rollout) else None)),
        (Command.HOLD, control.hold),
        (Command.RESUME, control.resume),
        (Command.ADVANCE, control.advance),
        *((Command.APPROVE, approval) for approval in control.approve or ()),
        *((Command.ATTEST, attestation) for attestation in control.attest or ()),
        (Command.RETRY, control.retry),
    )
    yield from ((command, request) for command, request in found if request is not None)


def _handle(
    case: Case,
    status: ModelRolloutStatus,
    command: Command,
    request: Request,
    *,
    ignored: bool,
) -> tuple[ModelRolloutStatus, str]:
    if command is Command.ROLLBACK:
        return status, rollback_answer(case).sentence
    if command is Command.HOLD:
        actor = _actor(case, command, request)
        held = HeldStatus(
            since=case.now,
            reason=request.reason,
            requested_by=actor.name,
            verified=actor.verified,
            manager=actor.manager,
        )
        return status.model_copy(update={"held": held}), "held until resume"
    if command is Command.RESUME:
        return status.model_copy(update={"held": None, "attempt": _resumed(case, status.attempt)}), "resumed"
    if isinstance(request, ApproveRequest):
        return file_approval(case, status, request, verified=_actor(case, command, request).verified)
    if isinstance(request, AttestRequest):
        return file_attestation(case, status, request, verified=_actor(case, command, request).verified)
    if ignored:
        return status, "ignored: a rollback was asked for at the same time"
    if command is Command.ADVANCE:
        return status, "nothing to do: no step is under way"
    if status.safety_stop:
        lifted = f"the stop of safety gate {status.safety_stop.gate} is lifted"
        return status.model_copy(update={"safety_stop": None}), lifted
    return status, _retry_answer(case)


def _resumed(case: Case, attempt: Attempt | None) -> Attempt | None:
    if attempt is None:
        return None
    update: dict[str, object] = {}
    if attempt.recalled:
        update["recalled"] = attempt.recalled.model_copy(update={"disagrees": None})
    if attempt.outcome is None:
        update["resumed_at"] = case.now
    return attempt.model_copy(update=update)


def _retry_answer(case: Case) -> str:
    last = case.status.attempt
    if last is None or last.outcome is not Outcome.ROLLED_BACK:
        return "nothing to do: no candidate was rolled back"
    return "nothing to do: spec names another candidate by now"


def can_retry(case: Case) -> bool:
    """Whether spec still asks for the candidate that was rolled back."""
    last = case.status.attempt
    return bool(
        last and last.outcome is Outcome.ROLLED_BACK and case.wanted and case.wanted.digest == last.candidate.digest
    )


def _with_filed(status: ModelRolloutStatus, handled: list[HandledCommand]) -> ModelRolloutStatus:
    return status.model_copy(update={"commands": [*status.commands, *handled][-MAX_COMMANDS:]})


def _actor(case: Case, command: Command, request: Request) -> Actor:
    # Where admission made a rollback of a phase that was written, nobody is noted as having written the rollback.
    hands = case.rollout.hands
    hand = hands.get(command) or (hands.get(PHASE) if command is Command.ROLLBACK else None)
    return actor_of(request.requested_by, hand, case.seen.names_bound_since)


def _filed(case: Case, command: Command, request: Request, result: str) -> HandledCommand:
    actor = _actor(case, command, request)
    return HandledCommand(
        command=command,
        reason=request.reason,
        requested_by=actor.name,
        verified=actor.verified,
        manager=actor.manager,
        handled_at=case.now,
        result=result,
    )
