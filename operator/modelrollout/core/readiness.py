"""Readiness: what people have to attest before a stage begins, and how long their word counts."""

import json
from datetime import datetime

from modelrollout.api.consent import Readiness, Scope
from modelrollout.api.fields import render_duration
from modelrollout.api.status import Attestation, AttestRequest, ModelRolloutStatus
from modelrollout.core.case import Case
from modelrollout.core.plan import Step
from modelrollout.core.verbs import Hold


def lacks_readiness(case: Case, step: Step) -> Hold | None:
    """Return the hold while something that the stage of this step requires is not attested, and how that is done."""
    items = {item.id: item for item in case.spec.readiness or ()} if step.requires else {}
    for name in step.requires:
        item = items.get(name)
        if item and (gap := _gap(case, item)):
            where = f" Its evidence belongs at {item.evidence_url}." if item.evidence_url else ""
            return Hold(
                "ReadinessNeeded",
                f"stage {step.stage} requires {name} ({item.description}), and {gap}.{where} {_command(case, item)}",
            )
    return None


def file_attestation(
    case: Case, status: ModelRolloutStatus, request: AttestRequest, *, verified: bool
) -> tuple[ModelRolloutStatus, str]:
    """Return status with the attestation filed, or as it is, and the answer to who attested."""
    if case.rollout.spec is None or case.wanted is None:
        return status, "refused: spec cannot be read; correct it and attest again"
    known = {item.id: item for item in case.spec.readiness or ()}
    item = known.get(request.id)
    if item is None:
        listed = ", ".join(known) or "none"
        return status, f"refused: spec.readiness has no {request.id}; it has: {listed}"
    if not request.requested_by:
        return status, "refused: an attestation is a person's: write your user name into requestedBy"
    attested = Attestation(
        id=item.id,
        requested_by=request.requested_by,
        verified=verified,
        evidence_url=request.evidence_url,
        reason=request.reason[:256] if request.reason else None,
        at=case.now,
        candidate=case.wanted.digest,
    )
    # What spec no longer lists goes with this write, so that there is room for all that it does.
    others = [one for one in status.readiness if one.id in known and one.id != item.id]
    until = f" until {_end(attested, item):%Y-%m-%d %H:%M} UTC" if item.expires is not None else ""
    whose = f"version {case.wanted.version}" if item.scope is Scope.CANDIDATE else "this model"
    return status.model_copy(update={"readiness": [*others, attested]}), f"{item.id} of {whose} is attested{until}"


def _gap(case: Case, item: Readiness) -> str | None:
    """Return why what was attested does not count, as the end of a sentence; `None` where it does."""
    attested = next((one for one in case.status.readiness if one.id == item.id), None)
    if attested is None:
        return "nobody has attested it"
    if item.scope is Scope.CANDIDATE and case.wanted and attested.candidate != case.wanted.digest:
        return f"{attested.requested_by} attested it for another candidate"
    if item.expires is not None and case.now >= _end(attested, item):
        age = render_duration(item.expires)
        return f"what {attested.requested_by} attested at {attested.at:%Y-%m-%d %H:%M} UTC counted for {age}"
    return None


def _end(attested: Attestation, item: Readiness) -> datetime:
    if item.expires is None:
        raise ValueError(f"readiness {item.id} does not expire")
    return attested.at + item.expires


def _command(case: Case, item: Readiness) -> str:
    """Return what to type."""
    message = {"id": item.id, "requestedBy": "YOUR-USER-NAME", "evidenceURL": "WHERE"}
    patch = json.dumps({"status": {"control": {"attest": [message]}}}, separators=(",", ":"))
    name = f"{case.rollout.name} -n {case.rollout.namespace}"
    return f"Who can: kubectl patch mr {name} --subresource=status --type=merge -p '{patch}'"
