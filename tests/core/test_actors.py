"""Who asked: a name only where admission vouches for it, else what the client called itself."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from modelrollout.api.status import HandledCommand, Phase
from modelrollout.core.actors import Hand, hands_in
from modelrollout.core.rollout import Rollout, parse_rollout

from tests.core.builders import NOW, asking, decided, running, world

MINUTE = timedelta(minutes=1)


def filed(rollout: Rollout, *, bound_since: datetime | None) -> HandledCommand:
    decision = decided(rollout, world(rollout, names_bound_since=bound_since))
    return decision.status.commands[-1]


@pytest.mark.parametrize(
    ("bound_since", "is_verified"),
    [
        pytest.param(NOW - MINUTE, True, id="written while names were bound"),
        pytest.param(NOW, True, id="written in the second from which they are"),
        pytest.param(NOW + MINUTE, False, id="written before"),
        pytest.param(None, False, id="nothing binds names"),
    ],
)
def test_a_name_counts_only_if_it_was_written_while_admission_bound_it(bound_since: datetime | None, is_verified: bool):
    found = filed(asking(running("canary", 0), hold={"requestedBy": "ana"}), bound_since=bound_since)

    assert (found.requested_by, found.verified, found.manager) == ("ana", is_verified, "kubectl-patch")


def test_no_name_is_never_a_verified_one():
    found = filed(asking(running("canary", 0), rollback={"reason": "p99"}), bound_since=NOW - MINUTE)

    assert (found.requested_by, found.verified, found.manager) == (None, False, "kubectl-patch")


def test_a_message_of_unknown_hand_is_unverified():
    rollout = replace(asking(running("canary", 0), hold={"requestedBy": "ana"}), hands={})

    assert filed(rollout, bound_since=NOW - MINUTE).verified is False


def test_a_phase_that_a_person_wrote_has_the_hand_of_whoever_wrote_it():
    rollout = running("canary", 0)
    status = rollout.status.model_copy(update={"phase": Phase.ROLLING_BACK})
    rollout = replace(rollout, status=status, hands={"phase": Hand("kubectl-edit", NOW)})

    found = filed(rollout, bound_since=NOW - MINUTE)

    assert (found.command, found.verified, found.manager) == ("rollback", False, "kubectl-edit")


def test_a_rollback_that_admission_made_of_a_phase_has_that_hand():
    rollout = asking(running("canary", 0), rollback={"requestedBy": "ana"})
    rollout = replace(rollout, hands={"phase": Hand("kubectl-edit", NOW)})

    found = filed(rollout, bound_since=NOW - MINUTE)

    assert (found.requested_by, found.verified, found.manager) == ("ana", True, "kubectl-edit")


class TestWords:
    def test_a_verified_name_stands_alone(self):
        rollout = asking(running("canary", 0), rollback={"reason": "p99", "requestedBy": "ana"})
        decision = decided(rollout, world(rollout, names_bound_since=NOW - MINUTE))

        assert decision.status.attempt
        assert decision.status.attempt.rollback
        assert decision.status.attempt.rollback.message == "ana asked for it: p99"
        assert "control.rollback by ana (p99): rolling back" in [event.note for event in decision.events]

    @pytest.mark.parametrize(("name", "said"), [("ana", "ana"), (None, "somebody")])
    def test_any_other_is_said_to_be_unverified_with_the_client(self, name: str | None, said: str):
        rollout = asking(running("canary", 0), rollback={"requestedBy": name} if name else {})
        decision = decided(rollout)

        assert decision.status.attempt
        assert decision.status.attempt.rollback
        assert decision.status.attempt.rollback.message == (
            f"{said} (unverified, by way of kubectl-patch) asked for it"
        )

    def test_a_hold_says_so_for_as_long_as_it_lasts(self):
        held = asking(running("canary", 0), hold={"requestedBy": "ana", "reason": "month end"})
        after = replace(held, status=decided(held).status, hands={})

        message = decided(after, after="1h").verb.message

        assert message.startswith("held by ana (unverified, by way of kubectl-patch) since ")


def obj(status: dict[str, Any], *entries: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "fraud", "namespace": "models", "uid": "u1", "resourceVersion": "7"}
    return {"metadata": {**metadata, "managedFields": list(entries)}, "spec": {}, "status": status}


def entry(manager: str, time: str, **status: Any) -> dict[str, Any]:
    owned = {"f:status": {f"f:{field}": value for field, value in status.items()}}
    return {"manager": manager, "operation": "Update", "time": time, "subresource": "status", "fieldsV1": owned}


ASKS = {"control": {"rollback": {"reason": "p99"}, "hold": {}}}


class TestHands:
    def test_each_message_has_the_hand_that_wrote_it(self):
        found = hands_in(
            obj(
                ASKS,
                entry("modelrollout-operator", "2026-11-17T15:00:00Z", attempt={}),
                entry("kubectl-patch", "2026-11-17T15:46:00Z", control={"f:rollback": {"f:reason": {}}}),
                entry("pipeline", "2026-11-17T15:47:00Z", control={".": {}, "f:hold": {}}),
            )
        )

        assert found == {"rollback": Hand("kubectl-patch", NOW - MINUTE), "hold": Hand("pipeline", NOW)}

    @pytest.mark.parametrize("order", [1, -1])
    def test_of_several_hands_the_last_counts(self, order: int):
        entries = [
            entry("old", "2026-11-17T15:46:00Z", control={"f:hold": {"f:reason": {}}}),
            entry("new", "2026-11-17T15:47:00Z", control={"f:hold": {"f:requestedBy": {}}}),
        ]

        assert hands_in(obj(ASKS, *entries[::order]))["hold"].manager == "new"

    @pytest.mark.parametrize("time", [None, "", "yesterday", 7])
    def test_a_write_without_a_time_proves_nothing(self, time: Any):
        assert hands_in(obj(ASKS, entry("kubectl", time, control={"f:hold": {}}))) == {}

    @pytest.mark.parametrize("status", [{}, {"phase": "Canary"}, {"control": None}], ids=str)
    def test_nothing_is_looked_for_while_no_message_waits(self, status: dict[str, Any]):
        assert hands_in(obj(status, entry("kubectl", "2026-11-17T15:47:00Z", control={"f:hold": {}}, phase={}))) == {}

    def test_they_come_with_the_rollout(self):
        asks = obj({"phase": "RollingBack"}, entry("kubectl-edit", "2026-11-17T15:47:00Z", phase={}))

        first = parse_rollout(asks)
        again = parse_rollout(asks, known=first)

        assert first.hands == again.hands == {"phase": Hand("kubectl-edit", NOW)}
