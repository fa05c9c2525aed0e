"""The policy: rules from the one that outranks all others to the one that always has an answer."""

from modelrollout.core.advance import file_advance
from modelrollout.core.case import Case
from modelrollout.core.drill import go_on_after_drill, rehearse_again, turn_back
from modelrollout.core.inbox import file_retry, take_commands
from modelrollout.core.judging import (
    hold_at_deadline,
    hold_on_failed_gate,
    hold_on_unknown,
    promote,
    start_evidence_again,
    stop_catastrophe,
    stop_on_failed_gate,
    wait,
)
from modelrollout.core.projection import Decision, project
from modelrollout.core.rules import (
    apply_target,
    begin,
    finish_rollback,
    follow_plan,
    hold_for_people,
    hold_lost_end,
    hold_lost_step,
    hold_on_clock_skew,
    hold_on_foreign_route,
    obey_people,
    refuse_bad_spec,
    rest,
    return_predecessor,
    return_superseded,
    stall_on_missing,
    start_clock_again,
    stop_unready,
)
from modelrollout.core.verbs import Begin

RULES = (
    obey_people,
    finish_rollback,
    refuse_bad_spec,
    return_superseded,
    return_predecessor,
    hold_lost_end,
    rest,
    begin,
    stop_unready,
    hold_lost_step,
    follow_plan,
    stop_catastrophe,
    stop_on_failed_gate,
    stall_on_missing,
    hold_on_foreign_route,
    apply_target,
    turn_back,
    hold_for_people,
    hold_on_clock_skew,
    go_on_after_drill,
    hold_on_failed_gate,
    start_clock_again,
    start_evidence_again,
    hold_on_unknown,
    hold_at_deadline,
    promote,
    rehearse_again,
    wait,
)


def decide(case: Case) -> Decision:
    """Return what to write, to tell and when to look again: what the first rule with an opinion says."""
    taken = take_commands(case)
    verb = next(verb for rule in RULES if (verb := rule(taken)) is not None)
    answered = file_advance(taken, verb)
    return project(case, file_retry(answered) if isinstance(verb, Begin) else answered, verb)
