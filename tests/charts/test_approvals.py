"""Who may approve, on the real API server: the verb, the name and the groups are the approver's own."""

import pytest

from local.cluster import LocalCluster
from tests.charts.test_admission import NO_MUTATION, begin
from tests.support.people import People

pytestmark = pytest.mark.cluster


@pytest.fixture
def people(cluster: LocalCluster, namespace: str) -> People:
    found = People(cluster, namespace, **NO_MUTATION)
    begin(cluster, found, namespace)
    return found


def test_an_approval_takes_the_verb_and_ones_own_name(people: People):
    ana, ben = people.new("ana", "oncall"), people.new("ben", "approver")
    approvals = [{"reason": "good", "requestedBy": person.user} for person in (ana, ben)]

    assert "approvals need the verb approve" in ana.refusal({"control": {"approve": [approvals[0]]}})
    assert "in one's own name" in ben.refusal({"control": {"approve": [approvals[0]]}})
    assert "in one's own name" in ben.refusal({"control": {"approve": [{"reason": "good"}]}})
    assert ben.write({"control": {"approve": [approvals[1]]}})["control"]["approve"][0]["requestedBy"] == ben.user


def test_an_approval_stays_beside_that_of_somebody_else(people: People):
    ben, eve = people.new("ben", "approver"), people.new("eve", "approver")
    first, second = ({"reason": "good", "requestedBy": person.user} for person in (ben, eve))
    stood = ben.write({"control": {"approve": [first]}})["control"]["approve"]

    assert "that the operator has not read yet" in eve.refusal({"control": {"approve": [second]}})
    assert len(eve.write({"control": {"approve": [*stood, second]}})["control"]["approve"]) == 2


def test_groups_that_one_is_not_in_cannot_be_claimed(people: People):
    ben = people.new("ben", "approver")
    own = f"system:serviceaccounts:{ben.namespace}"

    assert "write only groups that you are in" in ben.refusal(
        {"control": {"approve": [{"requestedBy": ben.user, "groups": ["sre"]}]}}
    )
    stands = ben.write({"control": {"approve": [{"requestedBy": ben.user, "groups": [own]}]}})
    assert stands["control"]["approve"][0]["groups"] == [own]


def test_an_attestation_and_an_advance_take_ones_own_name(people: People):
    ana = people.new("ana", "oncall")

    for command, message in (("attest", [{"id": "card"}]), ("advance", {"reason": "seen enough"})):
        assert f"status.control.{command}" in ana.refusal({"control": {command: message}})


def test_names_are_filled_in_in_lists_too(cluster: LocalCluster, namespace: str):
    people = People(cluster, namespace)
    begin(cluster, people, namespace)
    people.wait_until_filled_in()
    ben = people.new("ben", "approver")

    stands = ben.write({"control": {"approve": [{"reason": "one"}, {"reason": "two", "requestedBy": ben.user}]}})

    assert [one["requestedBy"] for one in stands["control"]["approve"]] == [ben.user, ben.user]
