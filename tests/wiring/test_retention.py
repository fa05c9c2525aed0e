"""The retention job beside an API server that refuses, is busy, or has lost what was listed; and its settings."""

from datetime import timedelta
from typing import Any

import pytest
import structlog
from modelrollout.cluster.kubernetes import RECORDS
from modelrollout.core.retention import Policy, entry_of
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable
from modelrollout.wiring.retention import TRIES, Cleaner, main

from tests.support.records import NOON, promoted

LATER = NOON + timedelta(days=1000)


class Server:
    """Takes deletions; what it answers to those of a name stands in `answers`, one after the other."""

    def __init__(self, **answers: list[Exception]) -> None:
        self.answers = answers
        self.deleted: list[str] = []
        self.asked = 0

    async def delete(self, resource: Any, namespace: str, name: str, *, uid: str, guard: str) -> None:
        assert resource is RECORDS
        self.asked += 1
        if waiting := self.answers.get(f"{name.partition('-')[0]}{name.rpartition('-')[2]}"):
            raise waiting.pop(0)
        assert (uid, guard) == (f"uid-{name}", "7")
        self.deleted.append(f"{namespace}/{name}")


def entries(count: int = 23, rollout: str = "fraud"):
    days = timedelta(days=1)
    return [entry_of(promoted(attempt=one, decided=NOON + days * one, rollout=rollout)) for one in range(1, count + 1)]


async def clean(server: Server, *found: Any, **more: Any) -> bool:
    cleaner = Cleaner(server, Policy(), pause=timedelta(0), **more)  # type: ignore[arg-type]  # what it uses of it
    return await cleaner.clean([entry for some in found for entry in some], LATER)


def attempts(server: Server) -> list[str]:
    return [one.rpartition("-")[2] for one in server.deleted]


async def test_the_oldest_go_first_and_each_is_a_line_of_the_log_with_its_hash():
    server, found = Server(), entries()

    with structlog.testing.capture_logs() as lines:
        assert await clean(server, found)

    assert attempts(server) == ["1", "2", "3"]
    told = [line for line in lines if line["event"] == "record deleted"]
    assert [(line["attempt"], line["hash"]) for line in told] == [(one.attempt, one.end) for one in found[:3]]
    assert told[0]["followed_at"] == "2026-11-19T12:00:00.000Z"


async def test_a_dry_run_says_what_would_go_and_deletes_nothing():
    server = Server()

    with structlog.testing.capture_logs() as lines:
        assert await clean(server, entries(), dry_run=True)

    assert server.asked == 0
    assert [line["attempt"] for line in lines if line["event"] == "record would be deleted"] == [1, 2, 3]


async def test_what_somebody_else_has_deleted_is_passed_over():
    server = Server(fraud1=[Gone("not found")])

    assert await clean(server, entries())

    assert attempts(server) == ["2", "3"]


async def test_a_busy_server_is_asked_again():
    server = Server(fraud1=[Unavailable("429: too many", timedelta(0)), Unavailable("500: etcd")])

    assert await clean(server, entries())

    assert attempts(server) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("errors", "asked"),
    [
        pytest.param([Conflict("Precondition failed")], 1, id="changed since"),
        pytest.param([Refused("may not delete")], 1, id="no right"),
        pytest.param([Unavailable("503")] * TRIES, TRIES, id="away for long"),
    ],
)
async def test_what_cannot_go_keeps_the_newer_ones_of_its_rollout_and_no_others(errors: list[Exception], asked: int):
    server = Server(fraud1=errors)

    assert not await clean(server, entries(), entries(rollout="churn"))

    assert server.deleted == [f"models/churn-11111111-g{one}-{one}" for one in (1, 2, 3)]
    assert server.asked == 3 + asked


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--days=30", "--days: 30: records are kept for at least 90 days; write that or more"),
        ("--keep=5", "--keep: 5: the newest 20 attempts of each rollout stay at least; write that or more"),
    ],
)
def test_less_than_what_must_stay_is_refused_with_what_to_write(
    flag: str, sentence: str, capsys: pytest.CaptureFixture[str]
):
    assert main([flag]) == 1

    assert sentence in capsys.readouterr().err
