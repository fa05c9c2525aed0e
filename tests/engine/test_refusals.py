"""The API server does not let the operator near a route: people are told which verb lacks, others are not held up."""

import asyncio
from datetime import timedelta

from modelrollout.engine.ports import Refused, Unavailable

from tests.engine.stage import ROUTES, Stage
from tests.support.fake_api import Call

SENTENCE = "the operator's ServiceAccount may not patch traefikservices: grant it that verb"


async def test_a_route_that_may_not_be_read_stalls_with_the_verb_that_lacks():
    stage = Stage()

    def refuse(call: Call) -> None:
        if call.verb == "get" and call.resource == ROUTES:
            raise Refused(SENTENCE)

    stage.before = refuse
    stage.apply()

    async with stage.engine():
        await stage.until(lambda: stage.condition("Stalled") == ("True", "RouteRefused"), within=timedelta(minutes=1))

    assert SENTENCE in next(c["message"] for c in stage.status()["conditions"] if c["type"] == "Stalled")


async def test_a_route_that_may_not_be_written_is_told_with_the_verb_that_lacks():
    stage = Stage()

    def refuse(call: Call) -> None:
        if call.verb == "patch" and call.resource == ROUTES:
            raise Refused(SENTENCE)

    stage.before = refuse
    stage.apply()

    async with stage.engine():
        await stage.until(lambda: any(SENTENCE in event.note for event in stage.api.events))

    assert stage.route() == "v1 100, 100% copied to v2"


async def test_news_do_not_shorten_a_pause_that_the_api_server_asked_for():
    stage = Stage()
    times: list[float] = []

    def refuse(call: Call) -> None:
        if call.verb == "create":
            times.append(asyncio.get_running_loop().time())
            if len(times) == 1:
                raise Unavailable("429: slow down", timedelta(seconds=20))

    stage.before = refuse
    stage.apply()

    async with stage.engine():
        await stage.until(lambda: bool(times))
        await asyncio.sleep(5)
        stage.set_ready("fraud-v2", 2)
        await stage.until(lambda: len(times) == 2)

    assert times[1] - times[0] >= 20
