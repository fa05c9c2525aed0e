"""Approvals: who has agreed to a stage, who still may, and what an approval is worth.

An approval is for one stage, one candidate and one plan: when either of the last two changes it is void. What is filed
stays to be read; what counts is worked out anew at each look.
"""

import json
from collections.abc import Iterator

from modelrollout.api.consent import Approval
from modelrollout.api.status import MAX_APPROVALS, ApprovalStatus, ApproveRequest, ModelRolloutStatus, Outcome
from modelrollout.core.case import Case
from modelrollout.core.plan import Step
from modelrollout.core.verbs import Hold


def lacks_approval(case: Case, step: Step) -> Hold | None:
    """Return the hold while too few people have agreed to the stage of this step, with who may and how."""
    needed = step.approval
    if needed is None:
        return None
    people = _approvers(case, case.status, step)
    if len(people) >= needed.required:
        return None
    has = f", and has {len(people)} ({', '.join(people)})" if people else ""
    number = f"{needed.required} approvals" if needed.required > 1 else "an approval"
    return Hold(
        "ApprovalNeeded",
        f"stage {step.stage} of {case.wanted.version if case.wanted else '?'} needs {number}{has}. {_who_may(case, needed)}:"
        f" {_command(case, needed)}",
    )


def file_approval(
    case: Case, status: ModelRolloutStatus, request: ApproveRequest, *, verified: bool
) -> tuple[ModelRolloutStatus, str]:
    """Return status with the approval filed, or as it is, and the answer to who approved.

    `verified`: admission vouches for the approver's name.
    """
    if case.rollout.spec is None or case.wanted is None:
        return status, "refused: spec cannot be read; correct it and approve again"
    if _is_over(case):
        return status, "nothing to do: no stage waits for an approval"
    step = _step_meant(case, status, request)
    if isinstance(step, str):
        return status, step
    if refusal := _refusal(case, status, request, step):
        return status, refusal
    asked = (step.approval and step.approval.groups) or []
    approval = ApprovalStatus(
        stage=step.stage,
        requested_by=request.requested_by or "",
        verified=verified,
        reason=request.reason[:256] if request.reason else None,
        group=next((group for group in asked if group in request.groups), None),
        independent=request.independent,
        at=case.now,
        candidate=case.wanted.digest,
        plan=case.plan.digest,
    )
    status = _with(case, status, approval)
    required = step.approval.required if step.approval else 0
    return status, f"counts for stage {step.stage}: {len(_approvers(case, status, step))} of {required}"


def taken_along(case: Case) -> list[ApprovalStatus]:
    """Return the approvals that an attempt which begins now has already."""
    return [one for one in case.status.approvals if _is_of_this(case, one)]


def _is_over(case: Case) -> bool:
    """Whether nothing is to come for which somebody could approve."""
    last = case.status.attempt
    if case.attempt:
        return case.attempt.rollback is not None and _is_same(case)
    return bool(last and last.outcome is Outcome.PROMOTED and _is_same(case))


def _is_same(case: Case) -> bool:
    last = case.status.attempt
    return bool(last and case.wanted and last.candidate.digest == case.wanted.digest)


def _step_meant(case: Case, status: ModelRolloutStatus, request: ApproveRequest) -> Step | str:
    """Return the first step of the stage that an approval is for, or the sentence that refuses it."""
    ask = [step for step in _ahead(case) if step.approval]
    if request.stage is None:
        lacking = [step for step in ask if step.approval and _lacks(case, status, step, step.approval)]
        return lacking[0] if lacking else "nothing to do: no stage waits for an approval"
    if found := next((step for step in ask if step.stage == request.stage), None):
        return found
    names = ", ".join(dict.fromkeys(step.stage for step in ask)) or "none"
    return f"refused: stage {request.stage} needs no approval (any more); stages that do: {names}"


def _ahead(case: Case) -> Iterator[Step]:
    """Yield the steps from the present one on: within a stage the next weight asks again, if the plan has changed."""
    steps = case.plan.steps
    start = steps.index(case.step) if case.step and _is_same(case) else 0
    yield from steps[start:]


def _lacks(case: Case, status: ModelRolloutStatus, step: Step, needed: Approval) -> bool:
    return len(_approvers(case, status, step)) < needed.required


def _refusal(case: Case, status: ModelRolloutStatus, request: ApproveRequest, step: Step) -> str | None:
    """Return why this person's approval would not count."""
    who, needed = request.requested_by, step.approval
    if not who or needed is None:
        return "refused: an approval is a person's: write your user name into requestedBy"
    if who in _approvers(case, status, step):
        return f"nothing to do: {who} has approved stage {step.stage} already"
    if needed.groups and not set(needed.groups) & set(request.groups):
        return f"refused: stage {step.stage} asks for somebody of {_listed(needed.groups)}: write your groups of those"
    if not needed.separation_of_duties:
        return None
    if who == case.rollout.editor:
        return f"refused: {who} edited spec last, and stage {step.stage} wants somebody else"
    if case.rollout.editor is None and not request.independent:
        return "refused: nothing here says who edited spec last: with independent: true you state that it was not you"
    return None


def _approvers(case: Case, status: ModelRolloutStatus, step: Step) -> list[str]:
    """Return the different people whose approvals of this stage count now, in the order in which they came."""
    attempt = status.attempt
    filed = [*(attempt.approvals if attempt and attempt.outcome is None else ()), *status.approvals]
    needed = step.approval
    return list(
        dict.fromkeys(
            one.requested_by
            for one in filed
            if needed and one.stage == step.stage and _is_of_this(case, one) and _is_apt(case, one, needed)
        )
    )


def _is_of_this(case: Case, approval: ApprovalStatus) -> bool:
    return bool(case.wanted and (approval.candidate, approval.plan) == (case.wanted.digest, case.plan.digest))


def _is_apt(case: Case, approval: ApprovalStatus, needed: Approval) -> bool:
    """Whether it still comes from somebody who may: spec may have been edited since, by the approver."""
    if not needed.separation_of_duties:
        return True
    return approval.independent if case.rollout.editor is None else approval.requested_by != case.rollout.editor


def _with(case: Case, status: ModelRolloutStatus, approval: ApprovalStatus) -> ModelRolloutStatus:
    attempt = status.attempt
    if attempt and attempt.outcome is None and _is_same(case):
        approvals = [*attempt.approvals, approval][-MAX_APPROVALS:]
        return status.model_copy(update={"attempt": attempt.model_copy(update={"approvals": approvals})})
    valid = [one for one in status.approvals if _is_of_this(case, one)]
    return status.model_copy(update={"approvals": [*valid, approval][-MAX_APPROVALS:]})


def _who_may(case: Case, needed: Approval) -> str:
    who = f"Anybody of {_listed(needed.groups)}" if needed.groups else "Anybody who may write status.control"
    if not needed.separation_of_duties:
        return who
    editor = case.rollout.editor
    return f"{who} but {editor}, who edited spec last" if editor else f"{who} but the last to have edited spec"


def _command(case: Case, needed: Approval) -> str:
    """Return what to type."""
    message: dict[str, object] = {"requestedBy": "YOUR-USER-NAME", "reason": "WHY"}
    if needed.groups:
        message["groups"] = ["YOUR-GROUP"]
    if needed.separation_of_duties and case.rollout.editor is None:
        message["independent"] = True
    patch = json.dumps({"status": {"control": {"approve": [message]}}}, separators=(",", ":"))
    name = f"{case.rollout.name} -n {case.rollout.namespace}"
    return f"kubectl patch mr {name} --subresource=status --type=merge -p '{patch}'"


def _listed(groups: list[str]) -> str:
    return f"group {groups[0]}" if len(groups) == 1 else f"groups {', '.join(groups[:-1])} or {groups[-1]}"
