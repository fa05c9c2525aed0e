"""The watches' copy: newest wins, and only what matters wakes anybody."""

from typing import Any

import pytest
from modelrollout.api.versions import ServiceRef
from modelrollout.cluster.world import World
from modelrollout.core.traffic import Endpoints
from modelrollout.engine.ports import Unavailable

V1 = ServiceRef(name="v1", port=8080)


def service(version: int, *, name: str = "v1", port: int = 8080) -> dict[str, Any]:
    return {"metadata": _metadata(name, version), "spec": {"ports": [{"name": "http", "port": port}]}}


def endpoint_slice(version: int, *ready: bool | None, name: str = "v1-a", of: str = "v1") -> dict[str, Any]:
    conditions = [{} if value is None else {"ready": value} for value in ready]
    labels = {"kubernetes.io/service-name": of}
    return {
        "metadata": {**_metadata(name, version), "labels": labels},
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": condition} for condition in conditions],
    }


def route(version: int, weight: int = 0, *, name: str = "fraud", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {**_metadata(name, version), **metadata}, "spec": {"weight": weight}}


def _metadata(name: str, version: int) -> dict[str, Any]:
    return {"namespace": "models", "name": name, "resourceVersion": str(version)}


@pytest.fixture
def world() -> World:
    """A world whose first lists are complete, with Service v1."""
    made = World()
    made.replace("services", [service(1)], 5)
    made.replace("endpointslices", [], 5)
    made.replace("httproutes", [], 5)
    return made


def test_nothing_is_missing_before_the_first_lists_are_complete() -> None:
    world = World()
    world.put("services", service(1))
    world.mark_synced("services")

    with pytest.raises(Unavailable, match="endpointslices"):
        world.endpoints("models", V1)


def test_ready_replicas_are_counted_once_the_first_list_is_complete(world: World) -> None:
    world.put("endpointslices", endpoint_slice(6, False, True, True))
    world.put("endpointslices", endpoint_slice(7, True, name="v1-b"))

    assert world.ready_replicas("models", V1) == 3
    assert world.ready_replicas("models", ServiceRef(name="v9", port=8080)) == 0
    assert World().ready_replicas("models", V1) is None


def test_what_stands_behind_a_service(world: World) -> None:
    assert world.endpoints("models", ServiceRef(name="v9", port=8080)) is Endpoints.NO_SERVICE
    assert world.endpoints("models", ServiceRef(name="v1", port=9)) is Endpoints.NO_PORT
    assert world.endpoints("models", V1) is Endpoints.NONE_READY

    world.put("endpointslices", endpoint_slice(6, False, True))

    assert world.endpoints("models", V1) is Endpoints.READY
    assert world.endpoints("other", V1) is Endpoints.NO_SERVICE


def test_an_endpoint_counts_only_where_every_router_would_use_it(world: World) -> None:
    world.put("endpointslices", endpoint_slice(6, None, False))

    assert world.endpoints("models", V1) is Endpoints.NONE_READY


def test_all_slices_of_a_service_count_together(world: World) -> None:
    world.put("endpointslices", endpoint_slice(6, True, name="a"))
    world.put("endpointslices", endpoint_slice(7, name="b"))

    assert world.endpoints("models", V1) is Endpoints.READY
    assert world.drop("endpointslices", endpoint_slice(8, True, name="a")) == {("models", "v1")}
    assert world.endpoints("models", V1) is Endpoints.NONE_READY


def test_a_slice_wakes_its_service_only_when_its_ready_count_changes(world: World) -> None:
    assert world.put("endpointslices", endpoint_slice(6, True)) == {("models", "v1")}
    assert world.put("endpointslices", endpoint_slice(7, True)) == set()
    assert world.put("endpointslices", endpoint_slice(8, False)) == {("models", "v1")}


def test_a_slice_that_changes_sides_wakes_both_services(world: World) -> None:
    world.put("endpointslices", endpoint_slice(6, True))

    concerned = world.put("endpointslices", endpoint_slice(7, True, of="v2"))

    assert concerned == {("models", "v1"), ("models", "v2")}
    assert world.endpoints("models", V1) is Endpoints.NONE_READY


def test_the_newest_version_wins(world: World) -> None:
    world.put("httproutes", route(9, weight=9))

    assert world.put("httproutes", route(8, weight=8)) == set()
    assert world.object("httproutes", "models", "fraud") == {**route(9, weight=9), "status": {}}


def test_versions_are_compared_as_numbers(world: World) -> None:
    world.put("httproutes", route(999, weight=1))

    assert world.put("httproutes", route(1000, weight=2)) == {("models", "fraud")}


def test_a_change_that_nobody_reads_wakes_nobody(world: World) -> None:
    world.put("httproutes", route(6))

    assert world.put("httproutes", route(7, annotations={"seen": "by somebody"})) == set()
    assert world.put("httproutes", route(8, generation=2)) == {("models", "fraud")}


def test_our_own_write_is_seen_before_the_watch_tells_of_it(world: World) -> None:
    world.remember("httproutes", route(6, weight=5))

    kept = world.object("httproutes", "models", "fraud")
    assert kept
    assert kept["spec"] == {"weight": 5}
    assert world.put("httproutes", route(6, weight=5)) == set()


def test_a_late_answer_does_not_bring_back_what_was_deleted(world: World) -> None:
    world.put("httproutes", route(6))
    world.drop("httproutes", route(8))

    world.remember("httproutes", route(7, weight=5))

    assert world.object("httproutes", "models", "fraud") is None


def test_of_who_wrote_what_only_the_writers_of_spec_are_kept(world: World) -> None:
    ours = {"f:metadata": {"f:labels": {".": {}}}, "f:spec": {"f:rules": {}}}
    gateway: dict[str, Any] = {"f:status": {"f:parents": {}}}
    entries = [
        {"manager": "modelrollout-operator", "operation": "Update", "fieldsV1": ours},
        {"manager": "envoy", "operation": "Update", "subresource": "status", "fieldsV1": gateway},
    ]

    world.put("httproutes", route(6, managedFields=entries))

    kept = world.object("httproutes", "models", "fraud")
    assert kept
    assert [entry["fieldsV1"] for entry in kept["metadata"]["managedFields"]] == [{"f:spec": {"f:rules": {}}}, {}]
    assert [entry["manager"] for entry in kept["metadata"]["managedFields"]] == ["modelrollout-operator", "envoy"]


def test_what_is_not_watched_is_not_remembered() -> None:
    world = World()

    world.remember("gateways", route(6))

    assert world.object("gateways", "models", "fraud") is None


def test_a_complete_list_drops_ghosts_but_nothing_newer_than_itself(world: World) -> None:
    world.put("httproutes", route(6, name="ghost"))
    world.put("httproutes", route(11, name="newborn"))

    concerned = world.replace("httproutes", [route(7, name="missed")], 10)

    assert concerned == {("models", "ghost"), ("models", "missed")}
    assert world.object("httproutes", "models", "newborn")


def test_the_end_of_an_earlier_object_of_the_same_name_is_old_news(world: World) -> None:
    """A watch that starts again from an old version tells of it once more."""
    world.put("services", service(20))

    assert world.drop("services", service(15)) == set()
    assert world.object("services", "models", "v1") is not None


def test_of_a_routes_annotations_only_way_back_notes_are_kept(world: World) -> None:
    notes = {"way-back.modelrollout.dev/fraud": "{}"}
    world.put("httproutes", route(6, annotations={"kubectl.kubernetes.io/last-applied-configuration": "…", **notes}))

    [kept] = world.objects("httproutes")

    assert kept["metadata"]["annotations"] == notes


def test_a_note_that_comes_or_goes_wakes_the_rollouts_concerned(world: World) -> None:
    world.put("httproutes", route(6, annotations={"way-back.modelrollout.dev/fraud": "{}"}))

    assert world.put("httproutes", route(7, annotations={"theirs": "x"})) == {("models", "fraud")}
    assert world.put("httproutes", route(8, annotations={"theirs": "y"})) == set()
