"""Who edited spec last, as the chart's policies have it noted on the real API server: whoever did, and nobody else."""

from typing import Any

import pytest

from local.api import ApiRefused
from local.cluster import LocalCluster
from local.process import wait_until
from tests.api.manifests import good
from tests.charts.test_admission import NO_MUTATION, begin
from tests.support.people import GROUP, MERGE, People, Person

pytestmark = pytest.mark.cluster

EDITED_BY = "modelrollout.dev/edited-by"
NAME = "fraud-scorer"


def path(person: Person, name: str = NAME) -> str:
    return f"/apis/{GROUP}/namespaces/{person.namespace}/modelrollouts/{name}"


def edit(person: Person, annotation: str | None = "", **spec: Any) -> str | None:
    """Merge something into spec, and into the note where one is given; return the note as it stands."""
    marks = {} if annotation == "" else {"metadata": {"annotations": {EDITED_BY: annotation}}}
    stands = person.api.call("PATCH", path(person), {**marks, "spec": spec}, content_type=MERGE)
    found: str | None = stands["metadata"].get("annotations", {}).get(EDITED_BY)
    return found


def refusal(person: Person, annotation: str | None, **spec: Any) -> str:
    with pytest.raises(ApiRefused) as refused:
        edit(person, annotation, **spec)
    return str(refused.value)


def manifest(namespace: str, name: str, annotation: str | None = None) -> dict[str, Any]:
    made = good(namespace=namespace)
    made["metadata"] = {"name": name, "namespace": namespace}
    if annotation is not None:
        made["metadata"]["annotations"] = {EDITED_BY: annotation}
    return made


@pytest.fixture(scope="module")
def noted(cluster: LocalCluster) -> People:
    """People of a cluster that notes who edits."""
    namespace = cluster.new_namespace("noted")
    people = People(cluster, namespace)
    begin(cluster, people, namespace)

    def is_noted() -> bool:
        answer = people.admin.api.call(
            "PATCH", f"{path(people.admin)}?dryRun=All", {"spec": {"paused": True}}, content_type=MERGE
        )
        return EDITED_BY in answer["metadata"].get("annotations", {})

    wait_until(is_noted, "editors to be noted")
    return people


@pytest.fixture(scope="module")
def asked(cluster: LocalCluster) -> People:
    """People of a cluster that can refuse a false note, and makes none."""
    namespace = cluster.new_namespace("asked")
    people = People(cluster, namespace, **NO_MUTATION)
    begin(cluster, people, namespace)
    return people


class TestNoted:
    def test_whoever_makes_a_rollout_is_noted_whatever_the_manifest_says(self, noted: People):
        ana = noted.new("ana", "editor")

        made = ana.api.call("POST", path(ana, "").rstrip("/"), manifest(ana.namespace, "anas", "boss"))

        assert made["metadata"]["annotations"][EDITED_BY] == ana.user

    def test_whoever_changes_spec_is_noted_in_place_of_the_one_before(self, noted: People):
        ana, ben = (noted.new(name, "editor") for name in ("ana", "ben"))

        assert edit(ana, paused=True) == ana.user
        assert edit(ben, ana.user, paused=False) == ben.user

    @pytest.mark.parametrize("forged", ["boss", None])
    def test_a_note_stays_as_it_is_while_spec_does(self, noted: People, forged: str | None):
        ana, ben = (noted.new(name, "editor") for name in ("ana", "ben"))
        edit(ana, paused=True)
        edit(ana, paused=False)

        assert edit(ben, forged) == ana.user

    def test_writes_of_status_change_nothing_of_it(self, noted: People):
        ana = noted.new("ana", "editor")
        edit(ana, paused=True)
        edit(ana, paused=False)

        noted.operator.write({"weight": "7%"})

        assert edit(ana) == ana.user

    def test_the_same_manifest_applied_again_is_no_edit(self, noted: People):
        ana, ben = (noted.new(name, "editor") for name in ("ana", "ben"))
        body = manifest(ana.namespace, "applied")
        query = "?fieldManager=pipeline"
        apply = "application/apply-patch+yaml"

        first = ana.api.call("PATCH", path(ana, "applied") + query, body, content_type=apply)
        again = ben.api.call("PATCH", path(ben, "applied") + query, body, content_type=apply)

        assert again["metadata"]["annotations"][EDITED_BY] == ana.user
        assert again["metadata"]["generation"] == first["metadata"]["generation"]


class TestAskedFor:
    def test_an_old_note_is_refused_with_what_to_write(self, asked: People):
        ana, ben = (asked.new(name, "editor") for name in ("ana", "ben"))

        assert edit(ana, ana.user, paused=True) == ana.user
        assert f"write {ben.user} there, or leave it out" in refusal(ben, "", paused=False)
        assert edit(ben, ben.user, paused=False) == ben.user

    def test_nobody_else_can_be_named(self, asked: People):
        ana = asked.new("ana", "editor")

        assert f"write {ana.user} there" in refusal(ana, "boss", owner={"team": "others"})
        assert "leave it as it is while spec stays as it is" in refusal(ana, "boss")

    def test_left_out_it_says_nothing(self, asked: People):
        ana = asked.new("ana", "editor")

        assert edit(ana, None, owner={"team": "more"}) is None


def test_a_pipeline_that_is_exempt_may_name_the_author_of_the_commit(cluster: LocalCluster, namespace: str):
    user = f"system:serviceaccount:{namespace}:pipeline"
    people = People(cluster, namespace, admission={"exempt": [user]})
    begin(cluster, people, namespace)
    pipeline = people.new("pipeline", "editor")

    assert edit(pipeline, "ada@example.com", paused=True) == "ada@example.com"
