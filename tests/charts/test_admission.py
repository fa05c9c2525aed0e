"""What people may write of a rollout's status, and in whose name: the chart's policies on the real API server."""

import json
from typing import Any

import pytest

from local.cluster import LocalCluster
from tests.api.manifests import good
from tests.core.builders import running
from tests.support.chart import render
from tests.support.people import People, Person

pytestmark = pytest.mark.cluster

NO_MUTATION = {"admission": {"mutating": False}}
ASKED = {"reason": "p99"}
FORGED = {"command": "hold", "handledAt": "2026-11-17T15:47:00Z", "result": "held", "verified": True}


def begin(cluster: LocalCluster, people: People, namespace: str) -> None:
    """Have a rollout in mid-canary, as the operator would have left it."""
    cluster.apply(good(namespace=namespace))
    people.operator.write(running().status.render())
    people.wait_until_bound()


@pytest.fixture(scope="module")
def named(cluster: LocalCluster) -> tuple[People, str]:
    """People of a cluster that refuses what is not in one's own name, and fills in nothing."""
    namespace = cluster.new_namespace("named")
    people = People(cluster, namespace, **NO_MUTATION)
    begin(cluster, people, namespace)
    return people, namespace


@pytest.fixture(scope="module")
def filled(cluster: LocalCluster) -> tuple[People, str]:
    """People of a cluster that fills in who asks as well."""
    namespace = cluster.new_namespace("filled")
    people = People(cluster, namespace)
    begin(cluster, people, namespace)
    people.wait_until_filled_in()
    return people, namespace


@pytest.fixture
def ana(named: tuple[People, str]) -> Person:
    """Somebody on call; what was in the inbox before has been taken out."""
    people, _ = named
    people.operator.write({"control": None, "phase": "Canary"})
    return people.new("ana", "oncall")


class TestInOnesOwnName:
    @pytest.mark.parametrize("command", ["rollback", "hold", "resume", "retry"])
    def test_each_command_is_taken(self, ana: Person, command: str):
        stands = ana.write({"control": {command: {**ASKED, "requestedBy": ana.user}}})

        assert stands["control"] == {command: {"reason": "p99", "requestedBy": ana.user}}

    @pytest.mark.parametrize(
        ("command", "name"),
        [
            *((command, {"requestedBy": "boss"}) for command in ("rollback", "hold", "resume", "retry")),
            *((command, {}) for command in ("resume", "retry")),
        ],
    )
    def test_a_command_without_it_is_refused_with_what_to_write(self, ana: Person, command: str, name: dict[str, str]):
        said = ana.refusal({"control": {command: {**ASKED, **name}}})

        assert f"write requestedBy: {ana.user} beside the reason in status.control.{command}" in said

    @pytest.mark.parametrize("command", ["rollback", "hold"])
    def test_what_only_makes_things_safer_is_taken_without_a_name(self, ana: Person, command: str):
        assert ana.write({"control": {command: ASKED}})["control"] == {command: ASKED}

    def test_of_two_commands_both_need_it(self, ana: Person):
        own = {**ASKED, "requestedBy": ana.user}

        assert "beside the reason in status.control.resume" in ana.refusal(
            {"control": {"rollback": own, "resume": ASKED}}
        )

    def test_a_command_of_somebody_else_stays_beside_ones_own(self, named: tuple[People, str], ana: Person):
        ben = named[0].new("ben", "oncall")
        ana.write({"control": {"hold": {**ASKED, "requestedBy": ana.user}}})

        stands = ben.write({"control": {"rollback": {"requestedBy": ben.user}}})

        assert {command: sent["requestedBy"] for command, sent in stands["control"].items()} == {
            "hold": ana.user,
            "rollback": ben.user,
        }

    def test_a_command_of_somebody_else_cannot_be_reworded_in_their_name(self, named: tuple[People, str], ana: Person):
        ben = named[0].new("ben", "oncall")
        ana.write({"control": {"hold": {**ASKED, "requestedBy": ana.user}}})

        assert "in one's own name" in ben.refusal({"control": {"hold": {"reason": "for fun"}}})

    def test_a_command_of_somebody_else_cannot_be_taken_out(self, named: tuple[People, str], ana: Person):
        ben = named[0].new("ben", "oncall")
        ana.write({"control": {"rollback": {**ASKED, "requestedBy": ana.user}}})

        assert "that the operator has not read yet" in ben.refusal({"control": {"rollback": None}})
        assert "that the operator has not read yet" in ben.refusal({"control": None})

    def test_ones_own_command_can_be_taken_out_again(self, ana: Person):
        ana.write({"control": {"hold": {**ASKED, "requestedBy": ana.user}}})

        assert "hold" not in ana.write({"control": {"hold": None}}).get("control", {})

    def test_an_administrator_is_a_person_too(self, named: tuple[People, str], ana: Person):
        admin = named[0].admin

        assert "write requestedBy: admin" in admin.refusal({"control": {"hold": {"requestedBy": ana.user}}})


class TestTheRestOfStatus:
    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"weight": "100%"}, id="a printed field"),
            pytest.param({"serving": {"version": "forged"}}, id="what serves"),
            pytest.param({"attempt": {"outcome": "Promoted"}}, id="a promotion"),
            pytest.param({"attempt": None}, id="nothing of it"),
            pytest.param({"conditions": []}, id="conditions"),
            pytest.param({"observedGeneration": 99}, id="the generation"),
            pytest.param({"commands": [FORGED]}, id="who has asked before"),
            pytest.param({"held": {"since": "2026-11-17T15:47:00Z"}}, id="a hold by hand"),
        ],
    )
    def test_is_the_operators(self, ana: Person, change: dict[str, Any]):
        assert "status is the operator's: people write commands into status.control" in ana.refusal(change)

    def test_the_phase_may_become_rolling_back(self, ana: Person):
        assert ana.write({"phase": "RollingBack"})["phase"] == "RollingBack"

    @pytest.mark.parametrize("phase", ["Promoted", "RolledBack", None])
    def test_the_phase_may_become_nothing_else(self, ana: Person, phase: str | None):
        assert "people may write RollingBack there, and nothing else" in ana.refusal({"phase": phase})

    def test_a_person_may_speak_before_the_operator_has(self, cluster: LocalCluster, named: tuple[People, str]):
        people, namespace = named
        fresh = good(namespace=namespace)
        fresh["metadata"]["name"] = "fresh"
        cluster.apply(fresh)
        carl = people.new("carl", "oncall")

        stands = carl.write({"control": {"hold": {"requestedBy": carl.user}}}, "fresh")

        assert stands["control"]["hold"]["requestedBy"] == carl.user


class TestTheOperator:
    def test_takes_commands_out_and_changes_the_rest(self, named: tuple[People, str], ana: Person):
        operator = named[0].operator
        ana.write({"control": {"hold": {"requestedBy": ana.user}, "resume": {"requestedBy": ana.user}}})

        assert "hold" not in operator.write({"control": {"hold": None}, "weight": "7%"})["control"]
        assert "control" not in operator.write({"control": None, "phase": "Held"})

    def test_puts_none_in(self, named: tuple[People, str], ana: Person):
        operator = named[0].operator
        ana.write({"control": {"hold": {**ASKED, "requestedBy": ana.user}}})

        forged: tuple[dict[str, Any], ...] = (
            {"rollback": {}},
            {"rollback": {"requestedBy": operator.user}},
            {"hold": {"reason": "other"}},
        )
        for control in forged:
            assert "puts none in" in operator.refusal({"control": control})

    def test_is_no_more_than_a_person_under_another_release(self, named: tuple[People, str]):
        people, _ = named
        stranger = people.new("modelrollout-elsewhere", "oncall")

        assert stranger.user != people.operator.user
        assert "status is the operator's" in stranger.refusal({"weight": "3%"})


class TestFilledIn:
    @pytest.fixture(autouse=True)
    def emptied(self, filled: tuple[People, str]) -> None:
        filled[0].operator.write({"control": None, "phase": "Canary"})

    def test_who_asks_is_filled_in(self, filled: tuple[People, str]):
        ana = filled[0].new("ana", "oncall")

        stands = ana.write({"control": {"rollback": ASKED, "hold": {}}})

        assert stands["control"] == {
            "rollback": {"reason": "p99", "requestedBy": ana.user},
            "hold": {"requestedBy": ana.user},
        }

    def test_a_command_merged_into_that_of_somebody_else_is_the_last_ones(self, filled: tuple[People, str]):
        ana, ben = (filled[0].new(name, "oncall") for name in ("ana", "ben"))
        ana.write({"control": {"hold": ASKED}})

        stands = ben.write({"control": {"hold": {"reason": "month end"}}})

        assert stands["control"]["hold"] == {"reason": "month end", "requestedBy": ben.user}

    def test_a_false_name_is_refused_all_the_same(self, filled: tuple[People, str]):
        ana = filled[0].new("ana", "oncall")

        assert "in one's own name" in ana.refusal({"control": {"hold": {"requestedBy": "boss"}}})

    def test_a_phase_that_is_written_becomes_a_command_with_a_name(self, filled: tuple[People, str]):
        ana = filled[0].new("ana", "oncall")

        stands = ana.write({"phase": "RollingBack"})

        assert stands["control"] == {"rollback": {"reason": "phase: RollingBack was written", "requestedBy": ana.user}}

    def test_nothing_is_filled_in_for_the_operator(self, filled: tuple[People, str]):
        people, _ = filled

        assert "control" not in people.operator.write({"phase": "RollingBack"})


def test_a_server_side_apply_of_a_command_is_a_command(filled: tuple[People, str]):
    people, namespace = filled
    people.operator.write({"control": None, "phase": "Canary"})
    ana = people.new("ana", "oncall")
    body = {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelRollout",
        "metadata": {"name": "fraud-scorer", "namespace": namespace},
        "status": {"control": {"hold": {"reason": "month end"}}},
    }

    answer = ana.api.call(
        "PATCH", f"{ana.path('fraud-scorer')}?fieldManager=pipeline", body, content_type="application/apply-patch+yaml"
    )

    assert answer["status"]["control"]["hold"]["requestedBy"] == ana.user


def test_an_exempt_user_may_restore_a_status(cluster: LocalCluster, namespace: str):
    user = f"system:serviceaccount:{namespace}:backup"
    people = People(cluster, namespace, admission={"exempt": [user]})
    begin(cluster, people, namespace)
    backup = people.new("backup", "oncall")

    assert backup.write({"weight": "5%", "control": {"hold": {"requestedBy": "boss"}}})["weight"] == "5%"


@pytest.mark.parametrize(
    ("version", "values", "kinds"),
    [
        pytest.param("1.30.0", {}, {"Validating"}, id="from 1.30"),
        pytest.param("1.35.4", {}, {"Validating"}, id="before 1.36"),
        pytest.param("1.36.0", {}, {"Validating", "Mutating"}, id="from 1.36"),
        pytest.param("1.36.3", {"validating": False, "mutating": False}, set(), id="switched off"),
        pytest.param("1.36.3", {"mutating": False}, {"Validating"}, id="one switched off"),
        pytest.param("1.35.4", {"mutating": True}, {"Validating", "Mutating"}, id="switched on"),
    ],
)
def test_policies_come_where_the_cluster_has_them(
    cluster: LocalCluster, version: str, values: dict[str, bool], kinds: set[str]
):
    objects = render(cluster, {"admission": values}, "ops", kubernetes=version)
    found = {one["kind"].partition("Admission")[0] for one in objects if "AdmissionPolicy" in one["kind"]}
    (deployment,) = (one for one in objects if one["kind"] == "Deployment")
    told = {one["name"]: one["value"] for one in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}

    assert found == kinds
    # The operator relies on names only where the policy is there to rely on.
    assert ("MODELROLLOUT_ADMISSION_POLICY" in told) == ("Validating" in kinds)
    assert ("admissionregistration.k8s.io" in json.dumps(objects)) == bool(kinds)


@pytest.mark.parametrize("retention", [False, True])
def test_records_are_written_by_the_operator_alone_and_deleted_by_retention_alone(
    cluster: LocalCluster, retention: bool
):
    objects = render(cluster, {"retention": {"enabled": retention}}, "ops")

    policy = next(one for one in objects if one["metadata"]["name"] == "modelrollout-records" and "spec" in one)

    written, deleted = policy["spec"]["matchConstraints"]["resourceRules"]
    assert written["resources"] == ["modelrolloutrecords", "modelrolloutrecords/status"]
    assert written["operations"] == ["CREATE", "UPDATE"]
    assert (deleted["resources"], deleted["operations"]) == (["modelrolloutrecords"], ["DELETE"])
    writing, deleting = (one["expression"] for one in policy["spec"]["validations"])
    assert (
        writing
        == "request.operation == 'DELETE' || request.userInfo.username in ['system:serviceaccount:ops:modelrollout']"
    )
    may = ["system:serviceaccount:ops:modelrollout-retention"] if retention else []
    assert deleting.endswith(f"|| request.userInfo.username in {may}")
