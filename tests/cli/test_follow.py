"""Following rollouts through all that happens to watches."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import pytest
from modelrollout.cli import follow as module
from modelrollout.cli.follow import Changed, Listed, Lost, News, Removed, follow
from modelrollout.cli.rollouts import Object, Rollouts
from modelrollout.cluster.server import Resource
from modelrollout.engine.ports import Gone, Refused, Unavailable


def rollout(name: str, version: int) -> Object:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


Step = Exception | list[Object] | list[tuple[str, Object]]


class Scripted:
    """Rollouts whose every list and watch is a step of a script; the watch after the last one never ends."""

    def __init__(self, *script: Step) -> None:
        self.script = list(script)
        self.calls: list[str] = []
        self.server = self
        self.home = "models"
        self.namespace: str | None = "models"
        self.logins = 0

    async def list(self, _name: str | None) -> tuple[list[Object], str]:
        self.calls.append("list")
        found = cast("list[Object]", self._next())
        return found, max((one["metadata"]["resourceVersion"] for one in found), default="1")

    async def changes(
        self, _: Resource, __: str | None, since: str, **___: object
    ) -> AsyncGenerator[dict[str, Any], None]:
        self.calls.append(f"watch {since}")
        for kind, item in cast("list[tuple[str, Object]]", self._next()):
            yield {"type": kind, "object": item}

    async def log_in_again(self) -> None:
        self.logins += 1

    def _next(self) -> Step:
        if not self.script:
            raise StopScript
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class StopScript(Exception):
    """The script is over."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORTEST_PAUSE", 0.0)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.0)


async def told(rollouts: Scripted) -> list[News]:
    news: list[News] = []
    with pytest.raises(StopScript):
        async with aclosing(follow(cast("Rollouts", rollouts))) as coming:
            await _gather(coming, news)
    return news


async def _gather(coming: AsyncIterator[News], news: list[News]) -> None:
    async for one in coming:
        news.append(one)  # noqa: PERF401 - what came before the end of the script counts


async def test_after_one_list_there_is_one_watch_at_a_time_each_going_on_where_the_last_one_ended():
    a, b = rollout("a", 5), rollout("b", 9)
    rollouts = Scripted([a], [("ADDED", b), ("BOOKMARK", rollout("", 12))], [("DELETED", rollout("a", 13))])

    assert await told(rollouts) == [Listed((a,)), Changed(b), Removed(rollout("a", 13))]
    assert rollouts.calls == ["list", "watch 5", "watch 12", "watch 13"]


async def test_a_history_that_has_expired_is_listed_anew():
    rollouts = Scripted([rollout("a", 5)], Gone("too old"), [rollout("a", 90)], [])

    assert await told(rollouts) == [Listed((rollout("a", 5),)), Listed((rollout("a", 90),))]
    assert rollouts.calls == ["list", "watch 5", "list", "watch 90", "watch 90"]


async def test_an_api_server_that_goes_away_is_said_and_tried_again():
    rollouts = Scripted([], Unavailable("gone for lunch"), [("ADDED", rollout("a", 7))])

    assert await told(rollouts) == [Listed(()), Lost("gone for lunch"), Changed(rollout("a", 7))]
    assert rollouts.calls == ["list", "watch 1", "watch 1", "watch 7"]


async def test_it_goes_on_after_an_outage_right_when_the_history_has_expired():
    rollouts = Scripted([], Gone("too old"), Unavailable("away"), [rollout("a", 7)])

    assert await told(rollouts) == [Listed(()), Lost("away"), Listed((rollout("a", 7),))]


async def test_a_token_that_has_run_out_is_renewed():
    rollouts = Scripted([], Unavailable("401: Unauthorized"), [])

    await told(rollouts)

    assert rollouts.logins == 1


@pytest.mark.parametrize("error", [Gone("no CRD"), Refused("forbidden"), Unavailable("no cluster")])
async def test_what_is_wrong_to_begin_with_is_the_users_to_know(error: Exception):
    with pytest.raises(type(error)):
        await anext(follow(cast("Rollouts", Scripted(error))))
