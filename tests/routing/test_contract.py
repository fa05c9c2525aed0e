"""What every driver promises, on stored objects and again on a real API server."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    CANDIDATE_ONLY,
    WAY_BACK_PREFIX,
    Blocked,
    Foreign,
    Place,
    Routed,
    Shares,
    Unmanaged,
    WayBack,
)
from modelrollout.engine.ports import Conflict, Refused

from local.cluster import LocalCluster
from tests.routing.conftest import V1, V2, V3, Router
from tests.routing.stage import RealStage, Stage, StoredStage, left_on, open_kubernetes

SPLITS = [Percent(1), Percent(50), Percent(100), Percent(3_333), Percent(5_000), Percent(9_999)]
NOTE = WayBack("11111111-2222-3333-4444-555555555555", V1, V2)
OF_OUR_OWN = pytest.mark.parametrize("router", ["HTTPRoute", "GRPCRoute", "TraefikService"], indirect=True)


@dataclass
class Moves:
    """Shorthand for read and write under the guard that was read."""

    stage: Stage
    place: Place

    async def to(self, shares: Shares) -> Routed:
        found = await self.stage.driver.read(self.place)
        assert not isinstance(found, Blocked)
        written = await self.stage.driver.write(
            self.place, shares, None if isinstance(found, Unmanaged) else found.guard
        )
        assert isinstance(written, Routed), written
        return written

    async def noted(self, shares: Shares) -> Routed:
        """Write these shares and the note over what stands."""
        found = await self.stage.driver.read(self.place)
        assert isinstance(found, Routed | Foreign)
        written = await self.stage.driver.write(self.place, shares, found.guard, NOTE)
        assert isinstance(written, Routed), written
        return written


class Contract:
    """The promises; a stage to make them on is given by the classes below."""

    @pytest.fixture
    def move(self, stage: Stage) -> Moves:
        return Moves(stage, stage.place)

    async def test_shares_written_are_the_shares_read_back(self, stage: Stage, move: Moves) -> None:
        for candidate in SPLITS:
            await move.to(Shares(candidate, NONE))

            found = await stage.driver.read(stage.place, live=True)
            assert isinstance(found, Routed)
            assert found.shares == Shares(candidate, NONE)

    async def test_a_mirror_is_given_and_taken_away_in_one_write(self, stage: Stage, move: Moves) -> None:
        for mirror in (Percent(500), ALL):
            written = await move.to(Shares(NONE, mirror))
            assert written.shares == Shares(NONE, mirror)

        written = await move.to(BASELINE_ONLY)

        assert written.shares == BASELINE_ONLY
        assert "irror" not in str(stage.stored()["spec"])

    async def test_a_share_of_zero_leaves_no_reference_to_the_backend(self, stage: Stage, move: Moves) -> None:
        await move.to(Shares(Percent(2_500), NONE))
        assert V2.name in str(stage.stored()["spec"])

        await move.to(BASELINE_ONLY)

        assert V2.name not in str(stage.stored()["spec"])

    async def test_nothing_is_written_where_the_shares_stand_already(self, stage: Stage, move: Moves) -> None:
        for shares in (Shares(Percent(500), NONE), Shares(NONE, Percent(1_000))):
            before = await move.to(shares)

            again = await stage.driver.write(stage.place, shares, before.guard)

            assert again == before

    async def test_a_write_on_an_old_guard_is_a_conflict_and_changes_nothing(self, stage: Stage, move: Moves) -> None:
        old = await move.to(Shares(Percent(500), NONE))
        new = await move.to(Shares(Percent(2_500), NONE))

        with pytest.raises(Conflict):
            await stage.driver.write(stage.place, CANDIDATE_ONLY, old.guard)

        assert await stage.driver.read(stage.place, live=True) == new

    async def test_shares_that_somebody_else_wrote_are_foreign_and_name_who(self, stage: Stage, move: Moves) -> None:
        await move.to(Shares(Percent(500), NONE))

        stage.edit({"spec": _with_weights(stage.stored()["spec"], 1, 1)}, manager="somebody")

        found = await stage.driver.read(stage.place, live=True)
        assert isinstance(found, Foreign)
        assert found.shares == Shares(Percent(5_000), NONE)
        assert found.manager.startswith("somebody (Update, 20")

    async def test_foreign_shares_are_taken_back_by_a_write_on_their_guard(self, stage: Stage, move: Moves) -> None:
        await move.to(Shares(Percent(500), NONE))
        stage.edit({"spec": _with_weights(stage.stored()["spec"], 1, 1)}, manager="somebody")
        found = await stage.driver.read(stage.place, live=True)
        assert isinstance(found, Foreign)

        written = await stage.driver.write(stage.place, BASELINE_ONLY, found.guard)

        assert isinstance(written, Routed)
        assert written.shares == BASELINE_ONLY

    async def test_the_same_shares_by_another_hand_are_made_ours_by_a_write(self, stage: Stage, move: Moves) -> None:
        await move.to(Shares(Percent(5_000), NONE))
        stage.edit({"spec": _with_weights(stage.stored()["spec"], 7, 7)}, manager="somebody")
        found = await stage.driver.read(stage.place, live=True)
        assert isinstance(found, Foreign)
        assert found.shares == Shares(Percent(5_000), NONE)

        assert isinstance(await stage.driver.write(stage.place, Shares(Percent(5_000), NONE), found.guard), Routed)

    async def test_edits_beside_the_shares_leave_them_ours(self, stage: Stage, move: Moves) -> None:
        before = await move.to(Shares(Percent(500), NONE))

        stage.edit({"metadata": {"labels": {"team": "risk"}}}, manager="somebody")

        found = await stage.driver.read(stage.place, live=True)
        assert isinstance(found, Routed)
        assert found.shares == before.shares
        assert found.guard != before.guard

    async def test_weight_on_a_third_backend_has_no_shares(self, stage: Stage, move: Moves) -> None:
        await move.to(Shares(Percent(500), NONE))

        found = await stage.driver.read(stage.router.place(stage.place.namespace, candidate=V3), live=True)

        assert isinstance(found, Foreign)
        assert found.shares is None
        assert "fraud-v2:8080" in found.detail

    async def test_all_weights_at_zero_have_no_shares(self, stage: Stage, move: Moves) -> None:
        await move.to(Shares(Percent(500), NONE))

        stage.edit({"spec": _with_weights(stage.stored()["spec"], 0, 0)}, manager="somebody")

        found = await stage.driver.read(stage.place, live=True)
        assert isinstance(found, Foreign)
        assert found.shares is None

    async def test_after_a_promotion_the_next_attempt_finds_the_baseline_alone(self, stage: Stage, move: Moves) -> None:
        await move.to(CANDIDATE_ONLY)
        next_place = stage.router.place(stage.place.namespace, baseline=V2, candidate=V3)

        found = await stage.driver.read(next_place)

        assert isinstance(found, Routed)
        assert found.shares == BASELINE_ONLY

    @OF_OUR_OWN
    async def test_a_first_deployment_has_the_candidate_alone(self, stage: Stage) -> None:
        first = stage.router.place(stage.place.namespace, baseline=None)
        assert await stage.driver.read(first) == Unmanaged()

        written = await stage.driver.write(first, CANDIDATE_ONLY, None)

        assert isinstance(written, Routed)
        assert written.shares == CANDIDATE_ONLY
        with pytest.raises(ValueError, match="baseline"):
            await stage.driver.write(first, BASELINE_ONLY, written.guard)

    @OF_OUR_OWN
    async def test_an_object_of_that_name_that_is_not_ours_is_left_alone(self, stage: Stage) -> None:
        made = await stage.driver.write(stage.place, BASELINE_ONLY, None)
        assert isinstance(made, Routed)
        stage.edit({"metadata": {"labels": {"modelrollout.dev/rollout": "another"}}}, manager="somebody")

        found = await stage.driver.read(stage.place, live=True)

        assert isinstance(found, Blocked)
        assert found.reason == "RouteExists"
        guard = stage.stored()["metadata"]["resourceVersion"]
        with pytest.raises(Refused, match=r"rename|another"):
            await stage.driver.write(stage.place, CANDIDATE_ONLY, guard)

    @OF_OUR_OWN
    async def test_two_that_create_it_at_once_are_a_conflict(self, stage: Stage) -> None:
        await stage.driver.write(stage.place, BASELINE_ONLY, None)

        with pytest.raises(Conflict):
            await stage.driver.write(stage.place, CANDIDATE_ONLY, None)

    async def test_a_write_to_an_object_deleted_meanwhile_is_a_conflict(self, stage: Stage, move: Moves) -> None:
        written = await move.to(BASELINE_ONLY)
        stage.delete()

        with pytest.raises(Conflict):
            await stage.driver.write(stage.place, CANDIDATE_ONLY, written.guard)

    async def test_a_note_comes_with_shares_and_goes_with_them_in_one_write_each(
        self, stage: Stage, move: Moves
    ) -> None:
        before = await move.to(BASELINE_ONLY)
        generation = stage.stored()["metadata"]["generation"]

        given = await stage.driver.write(stage.place, Shares(Percent(500), NONE), before.guard, NOTE)
        assert isinstance(given, Routed)
        assert (given.shares, given.way_back) == (Shares(Percent(500), NONE), NOTE)

        taken = await move.to(BASELINE_ONLY)
        assert taken.way_back is None
        assert await stage.driver.read(stage.place, live=True) == taken
        assert stage.stored()["metadata"]["generation"] == generation + 2

    async def test_a_note_alone_changes_nothing_else(self, stage: Stage, move: Moves) -> None:
        before = await move.to(Shares(Percent(500), NONE))
        spec = stage.stored()["spec"]

        noted = await stage.driver.write(stage.place, None, before.guard, NOTE)
        assert isinstance(noted, Routed)
        assert (noted.shares, noted.way_back) == (before.shares, NOTE)
        assert await stage.driver.write(stage.place, None, noted.guard, NOTE) == noted

        gone = await stage.driver.write(stage.place, None, noted.guard)
        assert isinstance(gone, Routed)
        assert gone.way_back is None
        assert stage.stored()["spec"] == spec
        assert "annotations" not in stage.stored()["metadata"]

    async def test_a_note_is_taken_off_shares_that_somebody_else_wrote_without_fighting_them(
        self, stage: Stage, move: Moves
    ) -> None:
        await move.to(BASELINE_ONLY)
        await move.noted(Shares(Percent(500), NONE))
        stage.edit({"spec": _with_weights(stage.stored()["spec"], 1, 1)}, manager="somebody")
        found = await stage.driver.read(stage.place, live=True)
        assert isinstance(found, Foreign)
        assert found.way_back == NOTE

        left = await stage.driver.write(stage.place, None, found.guard)

        assert isinstance(left, Foreign)
        assert (left.shares, left.way_back) == (Shares(Percent(5_000), NONE), None)

    async def test_marks_of_others_are_no_change_of_the_note_and_stay(self, stage: Stage, move: Moves) -> None:
        await move.to(BASELINE_ONLY)
        await move.noted(Shares(Percent(500), NONE))
        theirs = {"argocd.argoproj.io/tracking-id": "x", WAY_BACK_PREFIX + "another": "not ours"}

        stage.edit({"metadata": {"annotations": theirs, "labels": {"team": "risk"}}}, manager="somebody")

        found = await stage.driver.read(stage.place, live=True)
        assert isinstance(found, Routed)
        assert found.way_back == NOTE
        await stage.driver.write(stage.place, BASELINE_ONLY, found.guard)
        assert stage.stored()["metadata"]["annotations"] == theirs
        assert stage.stored()["metadata"]["labels"]["team"] == "risk"

    async def test_what_is_left_tells_enough_to_give_it_back_without_the_rollout(
        self, stage: Stage, move: Moves
    ) -> None:
        await move.to(BASELINE_ONLY)
        noted = await move.noted(Shares(Percent(500), NONE))

        [left] = left_on(stage, NOTE.uid)

        assert (left.way_back, left.place) == (NOTE, stage.place)
        assert left.about["metadata"]["uid"] == stage.stored()["metadata"]["uid"]
        assert left_on(stage, "another") == []
        back = await stage.driver.write(left.place, BASELINE_ONLY, noted.guard)
        assert isinstance(back, Routed)
        assert back.shares == BASELINE_ONLY
        assert left_on(stage) == []

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"uid": 7}', '{"uid": "u", "baseline": {"name": "x"}}'])
    async def test_a_note_that_cannot_be_read_is_none(self, stage: Stage, move: Moves, text: str) -> None:
        before = await move.to(Shares(Percent(500), NONE))
        stage.edit({"metadata": {"annotations": {WAY_BACK_PREFIX + "fraud": text}}}, manager="somebody")

        found = await stage.driver.read(stage.place, live=True)

        assert isinstance(found, Routed)
        assert (found.shares, found.way_back) == (before.shares, None)
        assert left_on(stage) == []
        await stage.driver.write(stage.place, BASELINE_ONLY, found.guard)
        assert "annotations" not in stage.stored()["metadata"]

    async def test_nothing_that_the_operator_makes_goes_with_the_rollout(self, stage: Stage, move: Moves) -> None:
        await move.to(BASELINE_ONLY)

        assert "ownerReferences" not in stage.stored()["metadata"]
        assert "finalizers" not in stage.stored()["metadata"]


class TestOnStoredObjects(Contract):
    """In memory."""

    @pytest.fixture
    def stage(self, router: Router) -> Stage:
        return StoredStage(router)


@pytest.mark.cluster
class TestOnARealApiServer(Contract):
    """With the real CRDs' defaults and validation, the real resourceVersions and managedFields."""

    @pytest.fixture
    async def stage(self, router: Router, cluster: LocalCluster, namespace: str) -> AsyncIterator[Stage]:
        server, kubernetes = await open_kubernetes(cluster)
        yield RealStage(router, cluster, namespace, kubernetes)
        await server.close()


def _with_weights(spec: dict[str, Any], *weights: int) -> dict[str, Any]:
    """Return the spec with these weights on the two backends of a split."""
    spec = dict(spec)
    if "weighted" in spec:
        refs = spec["weighted"]["services"]
    else:
        refs = next(rule for rule in spec["rules"] if rule.get("name") in {"rollout", "score"})["backendRefs"]
    for ref, weight in zip(refs, weights, strict=True):
        ref["weight"] = weight
    return spec
