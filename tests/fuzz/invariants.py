"""What holds of every decision, whatever it was made of: the invariants of the design, and the CRD's own bounds."""

import json
from functools import cache

from modelrollout.api.fields import NONE
from modelrollout.api.gates import OnFail
from modelrollout.api.status import Cause, Verdict
from modelrollout.core.case import Case
from modelrollout.core.inbox import rollback_answer, take_commands
from modelrollout.core.projection import Decision
from modelrollout.core.traffic import BASELINE_ONLY, CANDIDATE_ONLY, Endpoints, Foreign, Routed
from modelrollout.core.verbs import Go, Promote, Recognize, Rest, RollBack

from local.hostile.check import problems
from local.hostile.schema import Schema, load

EVENT_BYTES = 1024
COMMANDS = ("rollback", "hold", "resume", "retry")


@cache
def _status_schema() -> Schema:
    schema: Schema = load()["properties"]["status"]
    return schema


def check(case: Case, decision: Decision) -> None:
    """Check all of them.

    Raises:
        AssertionError: one does not hold.
    """
    _can_be_stored(case, decision)
    _promotes_on_evidence_alone(case, decision)
    _rolls_back_on_no_unknown(case, decision)
    _obeys_a_rollback(case, decision)
    _gives_weight_to_the_ready_alone(case, decision)
    _answers_every_message(case, decision)
    _says_nothing_contradictory(decision)


def _can_be_stored(case: Case, decision: Decision) -> None:
    rendered = json.loads(json.dumps(decision.status.render()))
    found = list(problems(_status_schema(), rendered, "status"))
    # What a person wrote and no rule touches is stored already.
    assert not found, found[:3]
    assert all(len(event.note) <= 1000 for event in decision.events)
    assert decision.look_again_at is None or decision.look_again_at.tzinfo is not None
    del case


def _promotes_on_evidence_alone(case: Case, decision: Decision) -> None:
    verb = decision.verb
    if isinstance(verb, Promote) or (isinstance(verb, Go) and verb.cause is Cause.GATES_PASSED):
        assert case.seen.looked
        assert case.seen.gates
        assert all(gate.verdict is Verdict.PASS for gate in case.seen.gates)


def _rolls_back_on_no_unknown(case: Case, decision: Decision) -> None:
    verb = decision.verb
    if not isinstance(verb, RollBack):
        return
    if verb.cause in {Cause.GATE_FAILED, Cause.CATASTROPHE}:
        assert any(gate.verdict is Verdict.FAIL for gate in case.seen.gates)
    if verb.cause is Cause.METRICS_LOST:
        assert case.policy.on_metrics_lost is OnFail.ROLLBACK
    if verb.cause is Cause.DEADLINE:
        assert case.policy.on_deadline is OnFail.ROLLBACK


def _obeys_a_rollback(case: Case, decision: Decision) -> None:
    taken = take_commands(case)
    if "rollback" in taken.taken and rollback_answer(taken).possible:
        assert isinstance(decision.verb, RollBack)
        attempt = decision.status.attempt
        assert attempt
        assert attempt.target.candidate == attempt.target.mirror == NONE
    if isinstance(decision.verb, RollBack) and decision.write:
        assert decision.write.shares == BASELINE_ONLY
        assert decision.write.outranks


def _gives_weight_to_the_ready_alone(case: Case, decision: Decision) -> None:
    write = decision.write
    if write is None or write.shares is None:
        return
    assert write.place.baseline or write.shares == CANDIDATE_ONLY
    now = case.seen.route.shares if isinstance(case.seen.route, Routed | Foreign) else None
    now = now or BASELINE_ONLY
    grows = write.shares.candidate > now.candidate or write.shares.mirror > now.mirror
    # At rest a route that was deleted is made again for the version that serves, ready or not.
    if grows and not isinstance(decision.verb, Rest | Recognize):
        assert case.seen.candidate is Endpoints.READY
        assert case.seen.baseline in {Endpoints.READY, None} or write.shares == CANDIDATE_ONLY


def _answers_every_message(case: Case, decision: Decision) -> None:
    inbox, left = case.status.control, decision.status.control
    for name in COMMANDS:
        asked = getattr(inbox, name) if inbox else None
        still = getattr(left, name) if left else None
        filed = [c for c in decision.status.commands if c.command == name and c.handled_at == case.now]
        assert not asked or still == asked or filed, f"{name} got lost"


def _says_nothing_contradictory(decision: Decision) -> None:
    true = {c.type for c in decision.status.conditions if c.status == "True"}
    assert not {"Reconciling", "Stalled"} <= true
    assert not ("Ready" in true and true & {"Reconciling", "Stalled", "Held"})
    assert true & {"Ready", "Reconciling", "Stalled"}
