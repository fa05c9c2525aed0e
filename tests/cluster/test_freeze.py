"""The ConfigMap that keeps all weights from growing, and what happens where it cannot be read."""

from datetime import timedelta
from typing import Any

import pytest
from modelrollout.cluster.freeze import Freeze, reason_in
from modelrollout.engine.ports import Gone, Refused, Unavailable

from tests.core.builders import NOW


class Server:
    """Answers what the test says."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | Exception = Gone("not there")

    async def get(self, resource: object, namespace: str, name: str) -> dict[str, Any]:
        del resource
        assert (namespace, name) == ("ops", "freeze")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Watched:
    """A freeze, its server and its clock."""

    def __init__(self, setting: str = "") -> None:
        self.server, self.now = Server(), NOW
        self.freeze = Freeze(
            self.server,  # type: ignore[arg-type]  # get is all that is asked of it
            setting=setting,
            config_map=("ops", "freeze"),
            clock=lambda: self.now,
        )

    async def look(self, answer: dict[str, Any] | Exception) -> str | None:
        self.server.answer = answer
        await self.freeze.look()
        return self.freeze.reason


async def test_it_lasts_while_the_config_map_is_there():
    watched = Watched()

    assert await watched.look(Gone("not there")) is None
    assert await watched.look({"data": {"reason": "year's end"}}) == "year's end"
    assert await watched.look({}) == "no reason given"
    assert await watched.look(Gone("not there")) is None


async def test_before_the_first_look_nothing_grows():
    assert "has not been read yet" in Watched().freeze.reason


@pytest.mark.parametrize("error", [Refused("403: forbidden"), Unavailable("503")])
async def test_what_cannot_be_read_is_kept_for_a_minute_and_is_a_freeze_then(error):
    watched = Watched()
    await watched.look(Gone("not there"))

    assert await watched.look(error) is None
    watched.now += timedelta(seconds=61)
    assert str(error) in watched.freeze.reason
    assert await watched.look(Gone("not there")) is None


async def test_a_setting_freezes_without_a_look():
    watched = Watched("audit")

    assert watched.freeze.reason == "audit"
    assert await watched.look(Gone("not there")) == "audit"


def test_without_either_nothing_is_frozen():
    found = Freeze(Server(), setting="", config_map=None, clock=lambda: NOW)

    assert found.reason is None


@pytest.mark.parametrize(
    ("until", "reason"),
    [
        pytest.param("2027-01-02T06:00:00Z", "audit, until 2027-01-02 06:00 UTC", id="to come"),
        pytest.param("2026-11-17T15:47:00Z", None, id="over"),
        pytest.param("tomorrow", "audit (without an end: until: ", id="no time"),
    ],
)
def test_it_may_have_an_end(until, reason):
    found = reason_in({"reason": " audit\n", "until": until}, NOW)

    assert found == reason or (reason and found and found.startswith(reason))
