"""The retention job as the chart installs it, on the real API server: who may delete records, what stays, what is told of it."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from modelrollout.cluster.server import connect
from modelrollout.core.retention import Policy
from modelrollout.engine.ports import Refused
from modelrollout.wiring.retention import CALL_LIMIT, CALLER, Cleaner, RetentionSettings, run
from pydantic_settings import CliApp

from local.api import Api, ApiRefused
from local.cluster import CommandFailed, LocalCluster
from local.process import wait_until
from tests.cli.stage import call, said_by
from tests.support.chart import Values, render
from tests.support.people import People
from tests.support.records import NOON, promoted, record, rolled_back, segment, shares

pytestmark = pytest.mark.cluster

ON: Values = {"retention": {"enabled": True}}
LATER = datetime.now(UTC) + timedelta(days=91)
MERGE = "application/merge-patch+json"


class Place:
    """A namespace with the chart's rights and policies, retention's among them, and records in it."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.people = People(cluster, namespace, **ON)
        self.account = f"{self.people.release}-retention"[:52]
        self.job = cluster.kubeconfig_for(cluster.token(namespace, self.account), f"retention-{namespace}")

    @property
    def path(self) -> str:
        return f"/apis/modelrollout.dev/v1alpha1/namespaces/{self.namespace}/modelrolloutrecords"

    def store(self, *records: dict[str, Any]) -> None:
        """Have records stored by the operator, as it writes them."""
        api = self.people.operator.api
        for one in records:
            name = one["metadata"]["name"]
            metadata = {"name": name, "labels": one["metadata"]["labels"]}
            api.call("POST", self.path, {**one, "metadata": metadata, "status": None})
            api.call("PATCH", f"{self.path}/{name}/status", {"status": one["status"]}, content_type=MERGE)

    def attempts(self) -> list[int]:
        found = self.cluster.api.call("GET", self.path)["items"]
        return sorted(one["spec"]["attempt"] for one in found)

    async def clean(self, now: datetime = LATER, *, kubeconfig: Path | None = None, dry_run: bool = False) -> bool:
        """Run the job under its own account, as of some time."""
        server = await connect(kubeconfig or self.job, call_limit=CALL_LIMIT, caller=CALLER)
        try:
            cleaner = Cleaner(server, Policy(), dry_run=dry_run)
            return await cleaner.clean(await cleaner.list(self.namespace), now)
        finally:
            await server.close()

    def person(self, *arguments: str) -> Any:
        return call(*arguments, "--kubeconfig", self.cluster.kubeconfig, "-n", self.namespace)


@pytest.fixture
def place(cluster: LocalCluster, namespace: str) -> Place:
    return Place(cluster, namespace)


def history(count: int) -> Iterator[dict[str, Any]]:
    for one in range(1, count + 1):
        kind = rolled_back if one % 3 == 0 else promoted
        yield kind(attempt=one, decided=NOON + timedelta(hours=5 * one))


def refusal(api: Api, path: str) -> str:
    try:
        api.call("DELETE", path)
    except ApiRefused as error:
        return str(error)
    raise AssertionError(f"{path} was deleted")


async def test_the_job_deletes_what_is_old_and_beyond_the_newest_and_nothing_else(place: Place):
    place.store(*history(24))

    assert await place.clean(LATER - timedelta(days=2))
    assert place.attempts() == list(range(1, 25))
    assert await place.clean(dry_run=True)
    assert place.attempts() == list(range(1, 25))
    assert await place.clean()
    assert place.attempts() == list(range(5, 25))
    assert await place.clean()
    assert place.attempts() == list(range(5, 25))


def test_after_it_verify_says_what_has_gone_and_who_served_what_is_not_known(place: Place):
    place.store(*history(23))
    asyncio.run(place.clean())

    verified = said_by(place.person("verify", "fraud"))
    told = json.loads(said_by(place.person("verify", "fraud", "-o", "json")))
    served = said_by(place.person("who-served", "fraud", "--at", "2026-11-17T18:00Z"), 3)

    assert f"{place.namespace}/fraud: no record tells of attempts 1 to 3 any more: retention takes" in verified
    assert (told["holds"], told["absent"][0]["byRetention"]) == (True, True)
    assert "not known before 2026-11-18 08:00:00 UTC" in served


async def test_a_record_that_changes_meanwhile_stays(place: Place):
    place.store(*history(22))
    server = await connect(place.job, call_limit=CALL_LIMIT, caller=CALLER)
    cleaner = Cleaner(server, Policy())
    try:
        listed = await cleaner.list(place.namespace)
        name = listed[0].name
        late = segment(shares(5), NOON + timedelta(days=1), cause="External", actor="kubectl", seq=4, previous="0" * 64)
        add = [{"op": "add", "path": "/status/segments/-", "value": late}]
        operator = place.people.operator.api
        operator.call("PATCH", f"{place.path}/{name}/status", add, content_type="application/json-patch+json")

        with structlog.testing.capture_logs() as lines:
            assert not await cleaner.clean(listed, LATER)
    finally:
        await server.close()

    assert place.attempts() == list(range(1, 23))
    (told,) = (line for line in lines if line["event"] == "record stays")
    assert (told["record"], "has changed since it was listed" in told["reason"]) == (name, True)


async def test_open_ones_stay(place: Place):
    whole = list(history(23))
    first = whole[0]["spec"]
    whole[0] = record(segment(shares(5), NOON), decided=NOON + timedelta(hours=5), trigger=first["trigger"])
    place.store(*whole)

    assert await place.clean()

    assert place.attempts() == list(range(1, 24))


def test_the_operator_may_delete_nothing_and_the_job_may_do_nothing_else(place: Place):
    (only,) = history(1)
    place.store(only)
    name = only["metadata"]["name"]
    job = Api(place.cluster.server, place.cluster.ca_file, place.cluster.token(place.namespace, place.account))

    assert "cannot delete resource" in refusal(place.people.operator.api, f"{place.path}/{name}")
    for method, path, body in (
        ("POST", place.path, only),
        ("GET", f"{place.path}/{name}", None),
        ("PATCH", f"{place.path}/{name}", {"metadata": {"labels": {"a": "b"}}}),
        ("PATCH", f"{place.path}/{name}/status", {"status": {"outcome": "Promoted"}}),
        ("GET", place.path.replace("modelrolloutrecords", "modelrollouts"), None),
        ("GET", f"/api/v1/namespaces/{place.namespace}/secrets", None),
        ("GET", "/apis/modelrollout.dev/v1alpha1/namespaces/default/modelrolloutrecords", None),
    ):
        with pytest.raises(ApiRefused, match=r"cannot \w+ resource"):
            job.call(method, path, body, **({"content_type": MERGE} if method == "PATCH" else {}))


def test_who_has_every_right_deletes_no_record_but_with_its_namespace(place: Place):
    (only,) = history(1)
    place.store(only)
    path = f"{place.path}/{only['metadata']['name']}"
    probe = "?dryRun=All"

    def is_bound() -> bool:
        try:
            place.cluster.api.call("DELETE", path + probe)
        except ApiRefused as error:
            return "deleted by the retention job alone" in str(error)
        return False

    wait_until(is_bound, "the policy to be enforced")
    assert "deleted by the retention job alone" in refusal(place.cluster.api, place.path)
    place.cluster.api.call("DELETE", f"/api/v1/namespaces/{place.namespace}")

    def is_let() -> bool:
        try:
            place.cluster.api.call("DELETE", path)
        except ApiRefused as error:
            return error.status == 404
        return True

    wait_until(is_let, "the records to go with their namespace")


async def test_a_clock_that_is_off_deletes_nothing(place: Place):
    place.store(*history(21))
    settings = RetentionSettings(kubeconfig=place.job, namespaces=[place.namespace])

    with pytest.raises(Refused, match="this machine's clock is 91d"):
        await run(settings, clock=lambda: datetime.now(UTC) + timedelta(days=91, minutes=1))

    assert place.attempts() == list(range(1, 22))
    assert await run(settings, clock=lambda: datetime.now(UTC)) == 0


@pytest.mark.parametrize("namespaces", [[], ["a", "b"]])
def test_the_job_reads_what_the_values_say(cluster: LocalCluster, namespaces: list[str]):
    values = {"namespaces": namespaces, "retention": {"enabled": True, "days": 180, "keep": 50, "dryRun": True}}
    (job,) = (one for one in render(cluster, values, "ops") if one["kind"] == "CronJob")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    read = CliApp.run(RetentionSettings, cli_args=container["args"])

    assert (read.days, read.keep, read.dry_run, read.namespaces) == (180, 50, True, namespaces)


def test_nothing_is_deleted_unless_told(cluster: LocalCluster):
    assert not [one for one in render(cluster, {}, "ops") if one["kind"] == "CronJob"]


def test_its_pod_meets_the_restricted_standard_and_is_none_of_the_deployments(cluster: LocalCluster):
    namespace = cluster.new_namespace("restricted")
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": enforce}})
    objects = {one["kind"]: one for one in render(cluster, ON, namespace) if one["kind"] in {"CronJob", "Deployment"}}
    account = next(
        one
        for one in render(cluster, ON, namespace)
        if (one["kind"], one["metadata"]["name"]) == ("ServiceAccount", "modelrollout-retention")
    )
    template = objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "job", "namespace": namespace},
        "spec": template["spec"],
    }

    cluster.apply([account, pod])

    selector = objects["Deployment"]["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= template["metadata"]["labels"].items()
    assert template["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("wrong", [{"days": 30}, {"keep": 5}, {"day": 90}])
def test_values_below_what_must_stay_are_refused(cluster: LocalCluster, wrong: dict[str, int]):
    with pytest.raises(CommandFailed, match="values don't meet the specifications of the schema"):
        render(cluster, {"retention": {"enabled": True, **wrong}}, "ops")
