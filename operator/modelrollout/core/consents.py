"""Who and what has to agree before the candidate gets more than it has. None of it is asked before a rollback."""

from modelrollout.core.approvals import lacks_approval
from modelrollout.core.case import Case
from modelrollout.core.plan import Step
from modelrollout.core.verbs import Hold


def lacks_consent(case: Case, step: Step) -> Hold | None:
    """Return what keeps the candidate from this step, beside gates and backends; what a person can do comes first."""
    return lacks_approval(case, step)
