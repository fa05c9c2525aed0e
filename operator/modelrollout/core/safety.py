"""A failed gate of severity safety keeps later candidates from beginning, until a person asks for a retry."""

from modelrollout.api.options import GateEffect
from modelrollout.api.status import SafetyStop, Verdict
from modelrollout.core.case import Case
from modelrollout.core.verbs import RollBack, Verb


def safety_stop_after(case: Case, verb: Verb) -> SafetyStop | None:
    """Return the stop as it is after `verb`: whatever rolls back, a safety gate that fails meanwhile counts.

    A first deployment has nothing to go back to and sets none: the next candidate is its cure.
    """
    failed = next((g for g in case.acting if g.effect is GateEffect.STOPS and g.verdict is Verdict.FAIL), None)
    if case.attempt is None or failed is None or not isinstance(verb, RollBack):
        return case.status.safety_stop
    return SafetyStop(
        since=case.now, version=case.attempt.candidate.version, gate=failed.name, message=failed.message[:1024]
    )
