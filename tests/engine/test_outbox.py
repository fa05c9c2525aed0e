"""Events leave in their order, and nothing waits for them."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from modelrollout.core.events import Event
from modelrollout.engine import outbox as module
from modelrollout.engine.outbox import Outbox
from modelrollout.engine.ports import Unavailable

FRAUD = {"kind": "ModelRollout", "metadata": {"name": "fraud", "uid": "1"}}


def event(reason: str) -> Event:
    return Event("Normal", reason, "Write", "something happened")


class Cluster:
    """Keeps what is posted; a post takes `seconds`, and fails while it is `down`."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.posted: list[str] = []
        self.seconds = seconds
        self.down = False

    async def post_event(self, about: Mapping[str, Any], event: Event) -> None:
        await asyncio.sleep(self.seconds)
        if self.down:
            raise Unavailable("no API server")
        del about
        self.posted.append(event.reason)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def test_events_are_posted_in_the_order_of_their_happening():
    cluster = Cluster()
    outbox = Outbox(cluster, lambda: False)
    task = asyncio.ensure_future(outbox.run())

    outbox.tell(FRAUD, [event("A"), event("B")])
    outbox.tell(FRAUD, [event("C")])
    await asyncio.sleep(1)

    assert cluster.posted == ["A", "B", "C"]
    await end(task)


async def test_telling_does_not_wait_for_an_api_server_that_hangs():
    outbox = Outbox(Cluster(seconds=3600), lambda: False)
    task = asyncio.ensure_future(outbox.run())
    began = asyncio.get_running_loop().time()

    outbox.tell(FRAUD, [event(f"E{number}") for number in range(100)])

    assert asyncio.get_running_loop().time() == began
    await end(task)


async def test_an_event_that_cannot_be_posted_is_logged_and_the_next_goes_out():
    cluster = Cluster(seconds=1)
    cluster.down = True
    outbox = Outbox(cluster, lambda: False)
    task = asyncio.ensure_future(outbox.run())

    with structlog.testing.capture_logs() as logs:
        outbox.tell(FRAUD, [event("A")])
        await asyncio.sleep(2)
        cluster.down = False
        outbox.tell(FRAUD, [event("B")])
        await asyncio.sleep(2)

    assert cluster.posted == ["B"]
    assert [log["reason"] for log in logs if log["event"] == "event not posted"] == ["A"]
    await end(task)


async def test_more_events_than_can_wait_are_logged_and_not_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    outbox = Outbox(Cluster(), lambda: False)

    with structlog.testing.capture_logs() as logs:
        outbox.tell(FRAUD, [event("A"), event("B"), event("C")])

    assert [log["reason"] for log in logs if log["event"] == "event not posted"] == ["C"]


async def test_a_namespace_that_fills_its_part_leaves_room_for_the_others(monkeypatch):
    monkeypatch.setattr(module, "MOST_OF_A_NAMESPACE", 2)
    outbox = Outbox(Cluster(), lambda: False)

    with structlog.testing.capture_logs() as logs:
        outbox.tell(about("loud"), [event("A"), event("B"), event("C")])
        outbox.tell(about("quiet"), [event("D")])

    assert [log["reason"] for log in logs if log["event"] == "event not posted"] == ["C"]


async def test_what_waits_at_the_end_has_a_second_to_go_out():
    cluster = Cluster(seconds=0.1)
    outbox = Outbox(cluster, lambda: False)
    task = asyncio.ensure_future(outbox.run())
    await asyncio.sleep(0)
    outbox.tell(FRAUD, [event(f"E{number}") for number in range(5)])
    began = asyncio.get_running_loop().time()

    await end(task)

    assert "E4" in cluster.posted
    assert asyncio.get_running_loop().time() - began <= 1


async def test_the_end_does_not_wait_longer_for_an_api_server_that_hangs():
    outbox = Outbox(Cluster(seconds=3600), lambda: False)
    task = asyncio.ensure_future(outbox.run())
    outbox.tell(FRAUD, [event("A"), event("B"), event("C")])
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()

    await end(task)

    assert asyncio.get_running_loop().time() - began <= 1


def about(namespace: str) -> dict[str, Any]:
    return {"kind": "ModelRollout", "metadata": {"name": "fraud", "namespace": namespace, "uid": "1"}}


async def test_a_namespace_that_has_much_to_tell_does_not_keep_another_waiting():
    cluster = Cluster()
    outbox = Outbox(cluster, lambda: False)
    task = asyncio.ensure_future(outbox.run())

    outbox.tell(about("loud"), [event(f"loud{number}") for number in range(1000)])
    outbox.tell(about("quiet"), [event("quiet")])
    await asyncio.sleep(0.01)

    assert "quiet" in cluster.posted[:3]
    await end(task)


async def test_beyond_its_burst_a_namespace_posts_so_many_events_a_second_and_in_their_order():
    cluster = Cluster()
    outbox = Outbox(cluster, lambda: False)
    task = asyncio.ensure_future(outbox.run())
    told = [f"E{number}" for number in range(200)]

    outbox.tell(about("loud"), map(event, told))
    await asyncio.sleep(0.01)
    at_once = len(cluster.posted)
    await asyncio.sleep(2)
    later = len(cluster.posted) - at_once

    assert module.BURST <= at_once <= module.BURST + 2
    assert 2 * module.EACH_SECOND - 1 <= later <= 2 * module.EACH_SECOND + 1
    assert cluster.posted == told[: len(cluster.posted)]
    await end(task)


async def test_a_namespace_that_was_silent_has_its_whole_burst_again():
    cluster = Cluster()
    outbox = Outbox(cluster, lambda: False)
    task = asyncio.ensure_future(outbox.run())
    outbox.tell(about("loud"), [event("before")] * module.BURST)
    await asyncio.sleep(module.BURST / module.EACH_SECOND + 1)

    outbox.tell(about("loud"), [event("after")] * module.BURST)
    await asyncio.sleep(0.01)

    assert cluster.posted.count("after") >= module.BURST - 1
    await end(task)


async def test_while_there_is_more_urgent_work_than_can_be_done_events_go_out_slowly():
    cluster = Cluster()
    outbox = Outbox(cluster, lambda: True)
    task = asyncio.ensure_future(outbox.run())

    outbox.tell(FRAUD, [event(f"E{number}") for number in range(1000)])
    await asyncio.sleep(10)

    assert 10 <= len(cluster.posted) <= 50
    await end(task)
