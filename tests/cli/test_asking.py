"""rollback, hold, resume, retry: put into the inbox by somebody on call, answered by an operator or not."""

import json
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest

from local.cluster import LocalCluster
from tests.cli.stage import OnCall, call, canary_status, kubeconfig, on_call, said_by, until

pytestmark = pytest.mark.cluster


@pytest.fixture
def alice(cluster: LocalCluster, namespace: str) -> OnCall:
    made = on_call(cluster, namespace)
    made.create("fraud", canary_status(commands=[filed("rollback", "nothing to do: of an earlier day")]))
    return made


def filed(command: str, result: str, **more: Any) -> dict[str, Any]:
    return {"command": command, "result": result, "handledAt": "2026-11-17T15:47:00.000Z", **more}


@pytest.fixture
def answering(alice: OnCall) -> Iterator[Callable[..., None]]:
    """Have somebody play the operator: once a message is there, it is taken out, and status becomes so."""
    threads = []

    def answer(command: str, *statuses: dict[str, Any]) -> None:
        def play() -> None:
            until(lambda: command in (alice.get()["status"].get("control") or {}), f"{command} in the inbox")
            for status in statuses:
                alice.write_status("fraud", status)

        threads.append(Thread(target=play))
        threads[-1].start()

    yield answer
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("command", ["rollback", "hold", "resume", "retry", "advance"])
def test_a_message_is_in_the_inbox_with_its_reason_and_its_author(alice: OnCall, command: str):
    said = said_by(alice.call(command, "fraud", "--reason", "p99 is 3 s"))

    assert f"{command} of fraud is asked for" in said
    assert alice.get()["status"]["control"] == {
        command: {"reason": "p99 is 3 s", "requestedBy": f"system:serviceaccount:{alice.namespace}:alice"}
    }
    managers = {one["manager"] for one in alice.get()["metadata"]["managedFields"]}
    assert "kubectl-modelrollout" in managers


def test_a_message_leaves_those_of_others_in_place(alice: OnCall):
    said_by(alice.call("hold", "fraud"))
    said_by(alice.call("rollback", "fraud"))

    assert alice.get()["status"]["control"].keys() == {"hold", "rollback"}


def test_an_approval_is_put_beside_those_of_others(alice: OnCall):
    alice.write_status("fraud", {"control": {"approve": [{"requestedBy": "bob"}]}})

    said_by(alice.call("approve", "fraud", "--stage", "canary", "--group", "risk", "--reason", "read the evaluation"))

    mine = {
        "requestedBy": f"system:serviceaccount:{alice.namespace}:alice",
        "reason": "read the evaluation",
        "stage": "canary",
        "groups": ["risk"],
    }
    assert alice.get()["status"]["control"]["approve"] == [{"requestedBy": "bob"}, mine]


def test_the_answer_to_ones_own_approval_is_waited_for(alice: OnCall, answering: Callable[..., None]):
    me = f"system:serviceaccount:{alice.namespace}:alice"
    of_bob = filed("approve", "counts for stage canary: 1 of 2", requestedBy="bob")
    of_mine = filed("approve", "refused: alice edited spec last", requestedBy=me)
    answering("approve", {"commands": [of_bob]}, {"control": None, "commands": [of_bob, of_mine]})

    assert "refused: alice edited spec last" in said_by(alice.call("approve", "fraud", "--wait"), 1)


def test_gates_are_overridden_with_a_reason_or_not_at_all(alice: OnCall):
    without = alice.call("advance", "fraud", "--override-gates")
    said_by(alice.call("advance", "fraud", "--override-gates", "-r", "the labels come tomorrow"))

    said_by(without, 64)
    assert "give --reason" in without.stderr
    assert alice.get()["status"]["control"]["advance"]["overrideGates"] is True


def test_with_wait_the_operators_answer_is_printed(alice: OnCall, answering: Callable[..., None]):
    answering("hold", {"control": None, "commands": [filed("hold", "held until resume")]})

    said = said_by(alice.call("hold", "fraud", "--wait"))

    assert said == "fraud: held until resume\n"


def test_a_refusal_of_the_operators_is_a_no(alice: OnCall, answering: Callable[..., None]):
    answering("retry", {"control": None, "commands": [filed("retry", "nothing to do: no candidate was rolled back")]})

    result = alice.call("retry", "fraud", "--wait", "-o", "json")

    assert json.loads(said_by(result, 1)) == {
        "rollout": "fraud",
        "command": "retry",
        "answered": True,
        "result": "nothing to do: no candidate was rolled back",
    }


def test_a_rollback_is_waited_for_until_the_traffic_is_back(alice: OnCall, answering: Callable[..., None]):
    taken = {"control": None, "commands": [filed("rollback", "rolling back")], "phase": "RollingBack"}
    answering("rollback", taken, {"phase": "RolledBack", "attempt": {"outcome": "RolledBack"}})

    said = said_by(alice.call("rollback", "fraud", "--wait", "-r", "it lies"))

    assert said == "fraud: rolled back: 2026.10.4 has all the traffic\n"


def test_an_operator_that_does_not_answer_is_said_with_what_to_look_at(alice: OnCall):
    result = alice.call("resume", "fraud", "--wait", "--timeout", "300ms")

    said_by(result, 3)
    assert "the operator has not answered within 300ms" in result.stderr
    assert "resume" in alice.get()["status"]["control"]


def test_a_rollout_that_is_not_there_is_said(alice: OnCall):
    result = alice.call("rollback", "nothing")

    said_by(result, 3)
    assert '"nothing" not found' in result.stderr


def test_somebody_without_the_role_is_told_whom_to_ask(alice: OnCall):
    eve = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "eve", "namespace": alice.namespace}}
    alice.cluster.apply(eve)
    file = kubeconfig(alice.cluster, alice.namespace, "eve")

    result = call("rollback", "fraud", "--kubeconfig", file, "-n", alice.namespace)

    said_by(result, 3)
    assert "you may not patch modelrollouts/status: ask the administrator" in result.stderr
