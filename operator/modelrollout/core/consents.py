"""Who and what has to agree before the candidate gets more than it has. None of it is asked before a rollback."""

from modelrollout.core.approvals import lacks_approval
from modelrollout.core.case import Case
from modelrollout.core.plan import Step
from modelrollout.core.preconditions import is_more
from modelrollout.core.verbs import Hold


def lacks_consent(case: Case, step: Step) -> Hold | None:
    """Return what keeps the candidate from this step, beside gates and backends; what a person can do comes first."""
    return lacks_approval(case, step) or (wrong_time(case) if is_more(step.shares, case.target) else None)


def wrong_time(case: Case) -> Hold | None:
    """Return the hold while no weight may grow: the administrator's freeze, or outside of the windows of spec."""
    if case.seen.frozen is not None:
        return Hold("Frozen", f"the administrator lets no weight grow: {case.seen.frozen}. control.rollback works")
    calendar = case.rollout.calendar
    opens_at = calendar.opens_at(case.now) if calendar else None
    if calendar is None or opens_at is None:
        return None
    return Hold(
        "OutsideWindow",
        f"weights grow only in spec.windows: the next one opens {calendar.place_of(opens_at)}"
        f" ({opens_at:%Y-%m-%d %H:%M} UTC). control.rollback works",
        opens_at,
    )
