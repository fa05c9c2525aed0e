"""The newest object wins, and things are found by what they name."""

import pytest
from modelrollout.engine.ports import Gone
from modelrollout.engine.store import Store

from tests.core.builders import spec


def rollout(version: int = 1, uid: str = "u1", name: str = "fraud", **changes):
    metadata = {"name": name, "namespace": "models", "uid": uid, "resourceVersion": str(version), "generation": 1}
    return {"metadata": metadata, "spec": spec(**changes)}


def test_the_newest_resource_version_wins():
    store = Store()

    assert store.put(rollout(9, name="new"))
    assert not store.put(rollout(8, name="old"))
    assert not store.put(rollout(9, name="echo"))

    assert store.get("u1").rollout.name == "new"
    assert len(store) == 1


def test_the_rollouts_of_a_namespace_are_counted():
    store = Store()
    for uid in ("u1", "u2", "u3"):
        store.put(rollout(uid=uid))
    store.put(rollout(2, uid="u1"))
    store.drop("u3")
    store.drop("u3")

    assert (store.number_in("models"), store.number_in("other")) == (2, 0)


def test_versions_are_compared_as_numbers():
    store = Store()
    store.put(rollout(9))

    assert store.put(rollout(10))


def test_what_is_not_there_is_gone():
    store = Store()
    store.put(rollout())
    store.drop("u1")
    store.drop("u1")

    with pytest.raises(Gone):
        store.get("u1")
    assert list(store.all()) == []


def test_a_rollout_is_concerned_by_its_route_and_its_services():
    store = Store()
    store.put(rollout(traffic={"traefikService": {"name": "leaf"}}))

    for name in ("fraud", "leaf", "fraud-v1", "fraud-v2"):
        assert store.concerned("models", name) == {"u1"}
    assert store.concerned("elsewhere", "leaf") == frozenset()


@pytest.mark.parametrize("kind", ["httpRoute", "grpcRoute"])
def test_an_adopted_route_concerns_its_rollout(kind):
    store = Store()
    store.put(rollout(traffic={kind: {"adopt": {"name": "theirs", "rule": "score"}}}))

    assert store.concerned("models", "theirs") == {"u1"}


def test_what_a_rollout_no_longer_names_concerns_it_no_longer():
    store = Store()
    store.put(rollout(1))
    changed = rollout(2, candidate={"version": "v3", "service": {"name": "fraud-v3", "port": 8080}})
    changed["metadata"]["generation"] = 2
    store.put(changed)

    assert store.concerned("models", "fraud-v3") == {"u1"}
    assert store.concerned("models", "fraud-v2") == frozenset()


def test_two_rollouts_may_name_one_service():
    store = Store()
    store.put(rollout(1))
    store.put(rollout(2, uid="u2", name="twin"))

    assert store.concerned("models", "fraud-v1") == {"u1", "u2"}
    store.drop("u1")
    assert store.concerned("models", "fraud-v1") == {"u2"}


def test_an_object_that_cannot_be_read_is_kept_all_the_same():
    store = Store()
    broken = rollout()
    broken["spec"] = {"candidate": 5}

    assert store.put(broken)

    assert store.get("u1").rollout.spec is None
    assert store.concerned("models", "fraud") == {"u1"}
