"""What people attest before a stage begins: whose word counts, for which candidate, and for how long."""

from dataclasses import replace
from datetime import timedelta

import pytest
from modelrollout.api.status import Command
from modelrollout.core.traffic import Unmanaged
from modelrollout.core.verbs import Begin, Go, RollBack

from tests.core.builders import (
    asking,
    commands,
    conditions,
    decided,
    failing,
    looked,
    new,
    passing,
    running,
    spec,
    world,
)

DAY = timedelta(days=1)
V3 = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}
BIAS = {"id": "bias-review", "description": "Bias was reviewed", "evidenceURL": "https://reviews"}
STAGES = [{**stage, "requires": ["bias-review"]} if stage["name"] == "canary" else stage for stage in spec()["stages"]]


def shadow_is_over(**item):
    return running("shadow", 0, applied=DAY, stages=STAGES, readiness=[{**BIAS, **item}], analysis={"deadline": "900d"})


def attesting(rollout, **message):
    return asking(
        rollout, attest=[{"id": "bias-review", "requestedBy": "ada", "evidenceURL": "https://r/7", **message}]
    )


def after(rollout, decision):
    return replace(rollout, status=decision.status)


def test_the_stage_waits_and_says_what_is_missing_and_what_to_type():
    rollout = shadow_is_over()

    decision = decided(rollout, looked(rollout, passing()))

    assert conditions(decision)["Held"] == ("True", "ReadinessNeeded")
    assert decision.verb.message == (
        "stage canary requires bias-review (Bias was reviewed), and nobody has attested it. Its evidence belongs at"
        " https://reviews. Who can: kubectl patch mr fraud -n models --subresource=status --type=merge -p"
        ' \'{"status":{"control":{"attest":[{"id":"bias-review","requestedBy":"YOUR-USER-NAME","evidenceURL":"WHERE"}]}}}\''
    )


def test_attested_it_goes_on_and_who_said_so_is_kept():
    rollout = attesting(shadow_is_over(), reason="done")

    decision = decided(rollout, looked(rollout, passing()))

    assert isinstance(decision.verb, Go)
    assert commands(decision) == [(Command.ATTEST, "bias-review of version v2 is attested")]
    (kept,) = decision.status.readiness
    assert (kept.id, kept.requested_by, kept.evidence_url, kept.reason) == ("bias-review", "ada", "https://r/7", "done")
    assert decision.status.control is None


def test_what_runs_out_while_the_stage_runs_holds_before_the_next_weight():
    rollout = attesting(shadow_is_over(expires="3h"))
    begun = after(rollout, decided(rollout, looked(rollout, passing())))
    applied = after(begun, decided(begun))

    assert isinstance(decided(applied, looked(applied, passing()), after="2h59m").verb, Go)
    late = decided(applied, looked(applied, passing()), after="3h")
    assert late.verb.reason == "ReadinessNeeded"
    assert "what ada attested at 2026-11-17 15:47 UTC counted for 3h" in late.verb.message


@pytest.mark.parametrize(
    ("scope", "counts"),
    [pytest.param("Candidate", False, id="of a candidate"), pytest.param("Model", True, id="model")],
)
def test_for_another_candidate_it_counts_only_if_it_speaks_of_the_model(scope, counts):
    stages = [{**spec()["stages"][0], "requires": ["bias-review"]}, *spec()["stages"][1:]]
    changes = {"stages": stages, "readiness": [{**BIAS, "scope": scope}]}
    rollout = attesting(new(paused=True, **changes))
    bumped = replace(new(candidate=V3, **changes), status=decided(rollout).status)

    decision = decided(bumped)

    assert isinstance(decision.verb, Begin) == counts
    if not counts:
        assert "ada attested it for another candidate" in decision.verb.message


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        pytest.param({"id": "load"}, "refused: spec.readiness has no load; it has: bias-review", id="an unknown one"),
        pytest.param({"requestedBy": None}, "refused: an attestation is a person's", id="nobody"),
    ],
)
def test_what_cannot_be_filed_is_answered(message, answer):
    rollout = attesting(shadow_is_over(), **message)

    decision = decided(rollout, looked(rollout, passing()))

    assert commands(decision)[0][1].startswith(answer)
    assert decision.status.readiness == []


def test_a_later_word_replaces_the_earlier_one_and_what_spec_no_longer_lists_goes():
    rollout = attesting(shadow_is_over(expires="1d"))
    first = decided(rollout).status
    old = first.readiness[0].model_copy(update={"id": "gone"})
    again = replace(rollout, status=first.model_copy(update={"readiness": [old, *first.readiness]}))

    decision = decided(attesting(again, requestedBy="eve"), after="1m")

    assert [(one.id, one.requested_by) for one in decision.status.readiness] == [("bias-review", "eve")]


def test_a_first_deployment_requires_at_once_what_any_stage_does():
    rollout = new(baseline=None, stages=STAGES, readiness=[BIAS])

    decision = decided(rollout, world(rollout, route=Unmanaged(), baseline=None))

    assert decision.verb.reason == "ReadinessNeeded"


def test_a_failed_gate_rolls_back_while_it_is_waited_for():
    rollout = shadow_is_over()

    assert isinstance(decided(rollout, looked(rollout, failing())).verb, RollBack)


def test_an_advance_does_not_attest_it():
    rollout = asking(shadow_is_over(), advance={"overrideGates": True, "reason": "now"})

    assert decided(rollout, looked(rollout, passing())).verb.reason == "ReadinessNeeded"
