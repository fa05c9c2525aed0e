"""A rule of somebody's route: nothing else of the object changes, and in the end not a byte of it has."""

import copy
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.traffic import Traffic
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    CANDIDATE_ONLY,
    WAY_BACK_PREFIX,
    Blocked,
    Foreign,
    Place,
    Routed,
    Shares,
    WayBack,
)
from modelrollout.routing import driver

from local.cluster import LocalCluster
from tests.routing.conftest import ROUTERS, V1, V2, users_route
from tests.routing.stage import RealStage, Stage, StoredStage, left_on, open_kubernetes

NOTE = WayBack("11111111-2222-3333-4444-555555555555", V1, V2)
STEPS = [Shares(NONE, ALL), Shares(NONE, Percent(1_000)), Shares(Percent(500), NONE), CANDIDATE_ONLY]
HEADER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}
RECORDER = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "recorder", "port": 80}}}


def ref(name: str, weight: int | None = 1, **rest: Any) -> dict[str, Any]:
    return {"name": name, "port": 8080, **({} if weight is None else {"weight": weight}), **rest}


RULES: dict[str, dict[str, Any]] = {
    "weight 1": {"backendRefs": [ref("fraud-v1")]},
    "no weight": {"backendRefs": [ref("fraud-v1", None)]},
    "a weight of its own": {"backendRefs": [ref("fraud-v1", 7)]},
    "the candidate at 0": {"backendRefs": [ref("fraud-v1"), ref("fraud-v2", 0)]},
    "the candidate first": {"backendRefs": [ref("fraud-v2", 0), ref("fraud-v1", 100)]},
    "others at 0": {"backendRefs": [ref("old", 0), ref("fraud-v1"), ref("older", 0, filters=[HEADER])]},
    "the baseline twice": {"backendRefs": [ref("fraud-v1", 1), ref("fraud-v1", 2)]},
    "filters of references": {
        "backendRefs": [ref("fraud-v1", 1, filters=[HEADER]), ref("fraud-v2", 0, filters=[HEADER])]
    },
    "a filter of the candidate's alone": {"backendRefs": [ref("fraud-v1"), ref("fraud-v2", 0, filters=[HEADER])]},
    "kinds written out": {"backendRefs": [ref("fraud-v1", 1, group="", kind="Service", namespace="NAMESPACE")]},
    "no filters": {"backendRefs": [ref("fraud-v1")], "filters": []},
    "filters": {"backendRefs": [ref("fraud-v1")], "filters": [HEADER, RECORDER]},
    "timeouts": {"backendRefs": [ref("fraud-v1")], "timeouts": {"request": "10s"}},
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No router needs time here between the two writes of a step."""
    monkeypatch.setattr("modelrollout.routing.driver.SETTLES_IN", timedelta(0))


@pytest.fixture(params=RULES)
def rule(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The user's rule."""
    return RULES[str(request.param)]


def plain(obj: dict[str, Any]) -> dict[str, Any]:
    """Return what a person wrote of the object, and what the operator could have changed."""
    metadata = {name: obj["metadata"].get(name) or {} for name in ("labels", "annotations", "finalizers")}
    return {"metadata": metadata, "spec": obj["spec"]}


def without_ours(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the object without the references of the adopted rule, our mirror and our notes."""
    obj = copy.deepcopy(plain(obj))
    for key in [key for key in obj["metadata"]["annotations"] if key.startswith(WAY_BACK_PREFIX)]:
        del obj["metadata"]["annotations"][key]
    rule = next(rule for rule in obj["spec"]["rules"] if rule.get("name") == "score")
    del rule["backendRefs"]
    ours = V2.name
    filters = [
        f for f in rule.get("filters", []) if f.get("requestMirror", {}).get("backendRef", {}).get("name") != ours
    ]
    rule.pop("filters", None)
    rule |= {"filters": filters} if filters else {}
    return obj


class Adopted:
    """The promises; a stage to keep them on is given by the classes below."""

    @pytest.fixture
    def adopt(self, stage: Stage, rule: dict[str, Any]) -> dict[str, Any]:
        """Return the object as it stands when its user has written the rule."""
        namespace = stage.place.namespace
        route = users_route(namespace)
        refs = [{**ref, **({"namespace": namespace} if "namespace" in ref else {})} for ref in rule["backendRefs"]]
        spec = route["spec"]
        spec["rules"][1] = {"name": "score", "matches": spec["rules"][1]["matches"], **rule, "backendRefs": refs}
        marks = {"labels": {"team": "risk"}, "annotations": {"example.com/owner": "risk"}}
        stage.edit({"metadata": marks, "spec": {"rules": spec["rules"]}}, manager="kubectl-apply")
        return plain(stage.stored())

    async def go(self, stage: Stage, shares: Shares) -> None:
        await move(stage, stage.place, shares, None if shares == BASELINE_ONLY else NOTE)

    async def test_in_each_step_all_else_is_as_it_was_and_in_the_end_all_is(
        self, stage: Stage, adopt: dict[str, Any]
    ) -> None:
        theirs = without_ours({**adopt, "metadata": adopt["metadata"]})

        for shares in STEPS:
            await self.go(stage, shares)
            assert without_ours(stage.stored()) == theirs

        await self.go(stage, BASELINE_ONLY)
        assert plain(stage.stored()) == adopt

    async def test_it_is_the_same_when_the_rollout_is_gone(self, stage: Stage, adopt: dict[str, Any]) -> None:
        await self.go(stage, STEPS[2])
        [left] = left_on(stage)

        await move(stage, left.place, BASELINE_ONLY, None)

        assert plain(stage.stored()) == adopt

    async def test_a_reapplied_route_is_as_its_owner_wrote_it_after_a_rollback(
        self, stage: Stage, adopt: dict[str, Any]
    ) -> None:
        await self.go(stage, STEPS[2])
        stage.edit({"spec": {"rules": adopt["spec"]["rules"]}}, manager="argocd-controller")

        await self.go(stage, BASELINE_ONLY)

        assert plain(stage.stored()) == adopt

    async def test_weights_that_a_person_set_meanwhile_do_not_keep_it_from_coming_back(
        self, stage: Stage, adopt: dict[str, Any]
    ) -> None:
        await self.go(stage, STEPS[2])
        rules = copy.deepcopy(stage.stored()["spec"]["rules"])
        for reference in rules[1]["backendRefs"]:
            reference["weight"] = 50
        stage.edit({"spec": {"rules": rules}}, manager="kubectl-edit")

        await self.go(stage, BASELINE_ONLY)

        assert plain(stage.stored()) == adopt


@pytest.fixture(autouse=True)
def nothing_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no gateway here that would need time between the two writes of a step."""
    monkeypatch.setattr(driver, "SETTLES_IN", timedelta())


class TestOnStoredObjects(Adopted):
    """In memory."""

    @pytest.fixture
    def stage(self) -> Stage:
        return StoredStage(ROUTERS["adopted rule"])


@pytest.mark.cluster
class TestOnARealApiServer(Adopted):
    """With the real CRD's defaults and validation."""

    @pytest.fixture
    async def stage(self, cluster: LocalCluster, namespace: str) -> AsyncIterator[Stage]:
        server, kubernetes = await open_kubernetes(cluster)
        yield RealStage(ROUTERS["adopted rule"], cluster, namespace, kubernetes)
        await server.close()


@pytest.fixture
def stage() -> StoredStage:
    """The user's route in memory."""
    return StoredStage(ROUTERS["adopted rule"])


async def move(stage: Stage, place: Place, shares: Shares, note: WayBack | None) -> None:
    """Write until the route gives these shares: with clusters for each reference that takes two writes."""
    for _ in range(2):
        found = await stage.driver.read(place, live=True)
        assert isinstance(found, Routed | Foreign), found
        written = await stage.driver.write(place, shares, found.guard, note)
        # What its owner has written again is as it should be, and stays theirs.
        assert isinstance(written, Routed) or (isinstance(written, Foreign) and shares == BASELINE_ONLY)
        if written.shares == shares:
            assert written.way_back == note
            return
        assert written.way_back is not None, "a route on its way has lost its note"
    raise AssertionError(written)


async def test_what_its_owner_adds_to_the_rule_meanwhile_stays(stage: StoredStage) -> None:
    await move(stage, stage.place, STEPS[2], NOTE)
    rules = stage.stored()["spec"]["rules"]
    rules[1]["filters"].append(RECORDER)
    rules[1]["backendRefs"][0]["filters"] = [HEADER]
    stage.edit({"spec": {"rules": rules}}, manager="kubectl-edit")

    await move(stage, stage.place, BASELINE_ONLY, None)

    rule = stage.stored()["spec"]["rules"][1]
    assert RECORDER in rule["filters"]
    assert rule["backendRefs"] == [ref("fraud-v1", 100, filters=[HEADER])]


async def test_a_rule_that_gave_the_candidate_something_is_not_put_back_to_that(stage: StoredStage) -> None:
    rules = stage.stored()["spec"]["rules"]
    rules[1]["backendRefs"] = [ref("fraud-v1", 9), ref("fraud-v2", 1)]
    stage.edit({"spec": {"rules": rules}}, manager="kubectl-edit")
    await move(stage, stage.place, STEPS[2], NOTE)

    await move(stage, stage.place, BASELINE_ONLY, None)

    assert stage.stored()["spec"]["rules"][1]["backendRefs"] == [ref("fraud-v1", 100)]


async def test_the_note_of_an_earlier_attempt_does_not_say_how_the_rule_was_before_the_next(stage: StoredStage) -> None:
    await move(stage, stage.place, CANDIDATE_ONLY, NOTE)
    v3 = stage.router.place(
        baseline=V2, candidate=stage.router.place().candidate.model_copy(update={"name": "fraud-v3"})
    )
    note = WayBack(NOTE.uid, V2, v3.candidate)

    rules = stage.stored()["spec"]["rules"]
    rules[1]["backendRefs"] = [ref("fraud-v2", 3)]
    stage.edit({"spec": {"rules": rules}}, manager="kubectl-apply")

    await move(stage, v3, STEPS[2], note)
    await move(stage, v3, BASELINE_ONLY, None)

    assert stage.stored()["spec"]["rules"][1]["backendRefs"] == [ref("fraud-v2", 3)]


async def test_two_rollouts_on_two_rules_of_one_route_each_have_their_own_note(stage: StoredStage) -> None:
    before = plain(stage.stored())
    traffic = Traffic.model_validate({"httpRoute": {"adopt": {"name": "shared", "rule": "other"}}})
    others = [stage.place.candidate.model_copy(update={"name": name}) for name in ("other", "other-v2")]
    second = Place(stage.place.namespace, "second", traffic, *others)
    theirs = WayBack("22222222-2222-3333-4444-555555555555", *others)
    await move(stage, stage.place, STEPS[2], NOTE)
    await move(stage, second, STEPS[2], theirs)
    assert {left.way_back.uid for left in left_on(stage)} == {NOTE.uid, theirs.uid}

    await move(stage, stage.place, BASELINE_ONLY, None)
    assert [left.place for left in left_on(stage)] == [second]
    await move(stage, second, BASELINE_ONLY, None)

    assert plain(stage.stored()) == before


async def test_a_note_for_another_route_is_not_followed(stage: StoredStage) -> None:
    await move(stage, stage.place, STEPS[2], NOTE)
    [text] = stage.stored()["metadata"]["annotations"].values()
    key = WAY_BACK_PREFIX + "fraud"

    stage.edit({"metadata": {"annotations": {key: text.replace('"shared"', '"victim"')}}}, manager="somebody")

    assert left_on(stage) == []
    assert not isinstance(await stage.driver.read(stage.place), Blocked)
