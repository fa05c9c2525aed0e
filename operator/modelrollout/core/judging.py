"""The rules on gates and on a step's time: what fails, holds, ends or promotes; `decide` has their order."""

from collections.abc import Iterable
from datetime import datetime

from modelrollout.api.fields import render_duration
from modelrollout.api.gates import Gate, OnFail
from modelrollout.api.options import GateEffect
from modelrollout.api.status import Attempt, Cause, GateStatus, Verdict
from modelrollout.core.case import Case
from modelrollout.core.consents import lacks_consent
from modelrollout.core.counts import CATASTROPHE
from modelrollout.core.drill import drill_before
from modelrollout.core.evidence import Unknown
from modelrollout.core.gates import is_lost
from modelrollout.core.looking import end_of_minimum
from modelrollout.core.plan import DEFAULT_GATES
from modelrollout.core.preconditions import hold_for_backends
from modelrollout.core.verbs import Go, Hold, Promote, Verb, Wait
from modelrollout.core.wording import back_to_baseline, span_text, stage_text, step_text

_OVERRIDDEN = "a person has overridden the gates"


def stop_catastrophe(case: Case) -> Verb | None:
    """Half of the candidate's requests failing needs no test, and no asking what the plan says of it."""
    if failed := next((g for g in _failed(case) if g.reason == CATASTROPHE), None):
        return _stop_on(case, failed, Cause.CATASTROPHE)
    return None


def stop_on_failed_gate(case: Case) -> Verb | None:
    """A failed gate rolls back, unless it says that it only holds; one of severity safety in any case."""
    for failed in _failed(case):
        if failed.effect is GateEffect.STOPS or _gate(case, failed.name).on_fail is OnFail.ROLLBACK:
            return _stop_on(case, failed, Cause.GATE_FAILED)
    return None


def hold_on_failed_gate(case: Case) -> Verb | None:
    """A failed gate of the kind that only holds."""
    failed = None if case.overrides_gates else next(iter(_failed(case)), None)
    return Hold("GateFailed", _gate_text(case, failed)) if failed else None


def start_evidence_again(case: Case) -> Verb | None:
    """Prometheus has lost data: what was counted before cannot be added to."""
    if case.step and case.seen.looked and any(g.reason == Unknown.COUNTS_SHRANK for g in case.acting):
        return Go(case.step, Cause.METRICS_LOST, "Prometheus has lost data: this step's clock and evidence start again")
    return None


def hold_on_unknown(case: Case) -> Verb | None:
    """Without usable metrics nothing is promoted and nothing rolled back, unless the plan says so after a while."""
    unknown = [g for g in case.acting if is_lost(g)]
    if not (case.attempt and unknown):
        return None
    ends = []
    for lost in unknown:
        since, until, then = _patience(case, case.attempt, lost)
        if case.now >= until and then is OnFail.ROLLBACK and case.attempt.baseline:
            text = f"gate {lost.name} does not know: {lost.message}, since {since:%H:%M:%S} UTC"
            return back_to_baseline(case, Cause.METRICS_LOST, text)
        ends += [until] if case.now < until else []
    first = unknown[0]
    if case.overrides_gates:
        return None
    return Hold(first.reason, f"gate {first.name} does not know: {first.message}", min(ends, default=None))


def _patience(case: Case, attempt: Attempt, lost: GateStatus) -> tuple[datetime, datetime, OnFail]:
    """Return since and until when a gate may not know, and what then: its own word, or the plan's for all gates."""
    gate, policy = _gate(case, lost.name), case.policy
    if gate.on_unknown is None and gate.unknown_timeout is None:
        since = min(attempt.metrics_lost_since or case.now, case.now)
        return since, since + policy.metrics_lost_timeout, policy.on_metrics_lost
    since = lost.unknown_since or case.now
    patience = policy.metrics_lost_timeout if gate.unknown_timeout is None else gate.unknown_timeout
    return since, since + patience, gate.on_unknown or policy.on_metrics_lost


def hold_at_deadline(case: Case) -> Verb | None:
    """A step that has not passed in time: evidence that is already there still counts, see `promote`."""
    attempt, due = case.attempt, _end_of_minimum(case)
    if attempt is None or due is None or _all_pass(case):
        return None
    deadline = max(due, attempt.resumed_at or due) + case.policy.deadline
    if case.now < deadline:
        return None
    missing = next((g for g in case.acting if g.verdict is not Verdict.PASS), None)
    text = f"{stage_text(case)} has not passed in {render_duration(case.policy.deadline)} after its minimum"
    text += f": gate {missing.name}: {missing.message}" if missing else ""
    if case.policy.on_deadline is OnFail.ROLLBACK and attempt.baseline:
        return back_to_baseline(case, Cause.DEADLINE, text)
    if case.overrides_gates:
        return None
    return Hold("DeadlineExceeded", f"{text}. control.resume gives it as much time again, control.rollback goes back")


def promote(case: Case) -> Verb | None:
    """All gates pass, the minimum time is over, and both versions can take it: the next step.

    At a person's word the minimum time is over now, and with `overrideGates` the gates need not pass.
    """
    due, passes = _earliest_end(case), case.seen.looked and _all_pass(case)
    if not (case.attempt and case.step and (passes or case.overrides_gates)) or due is None or case.now < due:
        return None
    if blocked := hold_for_backends(case):
        return blocked
    why, cause = (_gates_text(case), Cause.GATES_PASSED) if passes else (_OVERRIDDEN, Cause.GATES_OVERRIDDEN)
    after = case.plan.after(case.step)
    if after and (lacking := lacks_consent(case, after)):
        return lacking
    if after and (drill := drill_before(case, after, cause)):
        return drill
    if after:
        return Go(after, cause, f"{why}: goes on to {step_text(after)}")
    return Promote(f"{why}: version {case.attempt.candidate.version} now serves", cause)


def wait(case: Case) -> Verb:
    """Everything is well, it takes its time; a step that has passed may wait for its record alone."""
    if blocked := case.seen.unrecordable:
        return Hold(blocked.reason, blocked.message)
    due = _earliest_end(case)
    unknown = [g.name for g in case.acting if g.verdict is not Verdict.PASS]
    if due and case.now < due:
        blind = f", as nobody could look for {span_text(case.blind)} of it" if case.blind else ""
        return Wait("Progressing", f"{stage_text(case)} until {due:%Y-%m-%d %H:%M:%S} UTC at least{blind}", until=due)
    if unknown:
        return Wait("Progressing", f"{stage_text(case)} waits for evidence of gate {', '.join(unknown)}")
    return Wait("Progressing", f"{stage_text(case)} is being judged")


def _stop_on(case: Case, failed: GateStatus, cause: Cause) -> Verb:
    text = _gate_text(case, failed)
    if case.attempt and case.attempt.baseline is None:
        return Hold("GateFailed", f"{text}. This is the first deployment, there is no baseline to go back to")
    return back_to_baseline(case, cause, text)


def _failed(case: Case) -> Iterable[GateStatus]:
    return [g for g in case.acting if g.verdict is Verdict.FAIL] if case.attempt else []


def _gate(case: Case, name: str) -> Gate:
    gates = case.step.gates if case.step else DEFAULT_GATES
    return next((g for g in gates if g.name == name), DEFAULT_GATES[0])


def _gate_text(case: Case, failed: GateStatus) -> str:
    runbook = _gate(case, failed.name).runbook_url
    return f"gate {failed.name}: {failed.message}" + (f"; runbook {runbook}" if runbook else "")


def _all_pass(case: Case) -> bool:
    gates = case.acting
    return bool(case.step and gates) and all(g.verdict is Verdict.PASS for g in gates)


def _end_of_minimum(case: Case) -> datetime | None:
    return end_of_minimum(case.attempt, case.step, case.blind) if case.attempt and case.step else None


def _earliest_end(case: Case) -> datetime | None:
    due = _end_of_minimum(case)
    return min(due, case.now) if due and case.is_advanced else due


def _gates_text(case: Case) -> str:
    return f"{len(case.acting)} of {len(case.acting)} gates pass"
