"""Which new status is worth a write: a change at once, numbers when they have grown much, a hold's words now and then."""

from collections.abc import Sequence
from datetime import timedelta

from pydantic import BaseModel

from modelrollout.api.status import Attempt, Condition, GateStatus, ModelRolloutStatus, Verdict
from modelrollout.core.case import Case

WORDS_KEPT = timedelta(minutes=1)
"""How old the words may be by which a person is called: the age of the newest sample moves in them, for example."""
VALUES_KEPT = timedelta(minutes=5)
"""How old the value of a query of the user's own may be: after a restart nothing but status says until when it was seen."""
NUMBERS_A_SECOND = 2
"""How often the numbers in the statuses of a namespace are renewed, all its rollouts together, while they grow: each
time costs the API server ten milliseconds of CPU, and fifty where a rollout has twenty gates."""
_CALLS = frozenset({"Held", "Stalled"})
_JUDGED, _GATES = frozenset({"attempt", "conditions"}), frozenset({"gates"})


def is_old_news(before: Case, status: ModelRolloutStatus) -> bool:
    """Whether status says nothing that the present one does not say, but for numbers that have moved a little."""
    old = before.status
    if not _say_the_same(old, status):
        return False
    gates, written = _gates(status), _gates(old)
    age = before.now - min((gate.evaluated_at for gate in written), default=before.now)
    # Numbers of the future are of a clock that has been set back since.
    is_young, its_turn = timedelta(0) <= age < _longest_age(before, gates), _turn(before)
    if not is_young or (age >= its_turn and _have_grown(written, gates)):
        return old == status
    if age >= max(WORDS_KEPT, its_turn) and _calls(old) != _calls(status):
        return False
    return bool(written) or old == status


def _turn(case: Case) -> timedelta:
    """Return how old numbers have to be: a namespace full of rollouts writes no more of them than one with a few."""
    return min(timedelta(seconds=case.seen.neighbours / NUMBERS_A_SECOND), case.limits.status_refresh)


def _say_the_same(old: ModelRolloutStatus, new: ModelRolloutStatus) -> bool:
    """Whether both say the same but for numbers, and the words of conditions."""
    if not (_agree(old, new, but=_JUDGED) and len(old.conditions) == len(new.conditions)):
        return False
    if not all(a is b or _condition(a) == _condition(b) for a, b in zip(old.conditions, new.conditions, strict=True)):
        return False
    if old.attempt is None or new.attempt is None:
        return old.attempt is new.attempt
    return _agree(old.attempt, new.attempt, but=_GATES) and _verdicts(old.attempt) == _verdicts(new.attempt)


def _agree(old: BaseModel, new: BaseModel, *, but: frozenset[str]) -> bool:
    """Whether all fields but these are equal: most are the very same object, and none is made into something else first."""
    now = new.__dict__
    return all(value is now[name] or value == now[name] for name, value in old.__dict__.items() if name not in but)


def _verdicts(attempt: Attempt) -> list[tuple[object, ...]]:
    return [(gate.name, gate.verdict, gate.reason, len(gate.cuts)) for gate in attempt.gates]


def _condition(condition: Condition) -> tuple[object, ...]:
    since = condition.last_transition_time
    return condition.type, condition.status, condition.reason, condition.observed_generation, since


def _have_grown(old: Sequence[GateStatus], new: Sequence[GateStatus]) -> bool:
    """Whether a gate has judged twice the requests, or bad ones, that were written down; ten times while it passes.

    So a step costs few writes however long it takes, and who waits for evidence sees it grow.
    """
    for before, now in zip(old, new, strict=True):
        if now.tally and before.tally is None:
            return True
        if now.tally and before.tally:
            times = 10 if now.verdict is Verdict.PASS else 2
            counts = ((before.tally.total, now.tally.total), (before.tally.bad, now.tally.bad))
            if any(found >= times * max(known, 0.5) for known, found in counts):
                return True
    return False


def _longest_age(case: Case, gates: Sequence[GateStatus]) -> timedelta:
    is_any_value = any(gate.value is not None and gate.samples is None for gate in gates)
    return min(case.limits.status_refresh, VALUES_KEPT) if is_any_value else case.limits.status_refresh


def _calls(status: ModelRolloutStatus) -> list[Condition]:
    return [condition for condition in status.conditions if condition.type in _CALLS and condition.status == "True"]


def _gates(status: ModelRolloutStatus) -> Sequence[GateStatus]:
    return status.attempt.gates if status.attempt else ()
