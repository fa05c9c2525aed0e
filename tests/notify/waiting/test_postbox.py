"""A postbox keeps order, tries again, gives up in the end, and never grows without bound."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from modelrollout.core.notices import Level, Told
from modelrollout.notify import postbox as module
from modelrollout.notify.config import WebhookTarget
from modelrollout.notify.postbox import Fate, Postbox
from modelrollout.notify.senders import Failed
from structlog.typing import EventDict

from tests.notify.builders import numbered
from tests.support.virtual_time import virtual_now

PATIENT = WebhookTarget(url="https://chat.example/hook")


class Target:
    """Keeps what it is told, and when. `problem` says what is wrong with it at the moment; `hangs` for so long."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.tried_at: list[float] = []
        self.problem: Callable[[], Failed | None] = lambda: None
        self.hangs = 0.0

    async def send(self, told: Told) -> None:
        self.tried_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.hangs)
        if problem := self.problem():
            raise problem
        self.told.append(told.id)

    async def close(self) -> None:
        pass


class Counted:
    """What is counted of a postbox."""

    def __init__(self) -> None:
        self.fates: list[Fate] = []
        self.failures = 0

    def ended(self, target: str, fate: Fate) -> None:
        assert target == "chat"
        self.fates.append(fate)

    def failed(self, target: str) -> None:
        assert target == "chat"
        self.failures += 1


def dead() -> Failed:
    return Failed("it cannot be reached")


def postbox_of(target: Target, counted: Counted, config: WebhookTarget = PATIENT, *, busy: bool = False) -> Postbox:
    return Postbox(
        "chat",
        config,
        target,
        clock=virtual_now,
        is_busy=lambda: busy,
        ended=counted.ended,
        failed=counted.failed,
    )


@asynccontextmanager
async def at_work(postbox: Postbox) -> AsyncIterator[None]:
    task = asyncio.ensure_future(postbox.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_messages_are_sent_in_the_order_of_their_happening():
    target, counted = Target(), Counted()
    postbox = postbox_of(target, counted)
    async with at_work(postbox):
        for number in range(5):
            postbox.put(numbered(number))
        await asyncio.sleep(1)

    assert target.told == [f"n{number}" for number in range(5)]
    assert counted.fates == [Fate.SENT] * 5
    assert postbox.waiting == 0
    assert postbox.last_sent is not None


async def test_putting_waits_for_nobody():
    target = Target()
    target.hangs = 3600
    postbox = postbox_of(target, Counted())
    async with at_work(postbox):
        began = asyncio.get_running_loop().time()
        for number in range(100):
            postbox.put(numbered(number))
        assert asyncio.get_running_loop().time() == began
        await asyncio.sleep(5)
        assert postbox.waiting == 100
        assert postbox.oldest == pytest.approx(5)


async def test_a_target_that_is_away_is_tried_again_ever_more_rarely_and_then_told_all_in_order():
    target, counted = Target(), Counted()
    target.problem = lambda: dead() if asyncio.get_running_loop().time() < 300 else None
    postbox = postbox_of(target, counted)
    async with at_work(postbox):
        for number in range(3):
            postbox.put(numbered(number))
        await asyncio.sleep(600)

    pauses = [later - earlier for earlier, later in zip(target.tried_at, target.tried_at[1:], strict=False)]
    away = pauses[: counted.failures]
    assert target.told == ["n0", "n1", "n2"]
    assert all(0.5 * min(60, 2**n) <= pause <= min(60, 2**n) for n, pause in enumerate(away))
    assert len(away) < 20
    assert counted.fates == [Fate.SENT] * 3


async def test_a_message_that_is_too_old_is_given_up_and_said_in_the_log(logs: list[EventDict]):
    target, counted = Target(), Counted()
    target.problem = dead
    postbox = postbox_of(target, counted, PATIENT.model_copy(update={"give_up_after": timedelta(minutes=5)}))
    async with at_work(postbox):
        postbox.put(numbered(1))
        await asyncio.sleep(3600)

    assert counted.fates == [Fate.GAVE_UP]
    assert max(target.tried_at) <= 300 + 60
    (said,) = [entry for entry in logs if entry["event"] == "notification not sent"]
    assert (said["target"], said["id"], said["outcome"], said["error"]) == ("chat", "n1", "gave_up", str(dead()))


async def test_no_message_is_tried_more_than_twenty_times():
    target, counted = Target(), Counted()
    target.problem = dead
    postbox = postbox_of(target, counted, PATIENT.model_copy(update={"give_up_after": timedelta(hours=24)}))
    async with at_work(postbox):
        postbox.put(numbered(1))
        await asyncio.sleep(24 * 3600)

    assert len(target.tried_at) == 20
    assert counted.fates == [Fate.GAVE_UP]


async def test_old_messages_for_a_dead_target_are_not_sent_off_all_at_once():
    target, counted = Target(), Counted()
    target.problem = dead
    postbox = postbox_of(target, counted, PATIENT.model_copy(update={"give_up_after": timedelta(seconds=1)}))
    async with at_work(postbox):
        for number in range(100):
            postbox.put(numbered(number))
        await asyncio.sleep(600)

    assert len(target.tried_at) <= 30


async def test_a_message_that_the_target_refuses_for_good_holds_up_no_other():
    target, counted = Target(), Counted()
    problems = [Failed("it answers 400", hopeless=True)]
    target.problem = lambda: problems.pop() if problems else None
    postbox = postbox_of(target, counted)
    async with at_work(postbox):
        postbox.put(numbered(1))
        postbox.put(numbered(2))
        await asyncio.sleep(0.1)

    assert target.told == ["n2"]
    assert counted.fates == [Fate.GAVE_UP, Fate.SENT]


async def test_a_bug_costs_one_message_and_not_the_operator(logs: list[EventDict]):
    target, counted = Target(), Counted()
    problems: list[Exception] = [KeyError("https://chat.example/secret")]
    target.problem = lambda: problems.pop() if problems else None  # type: ignore[assignment,return-value]  # what nobody foresaw
    postbox = postbox_of(target, counted)
    async with at_work(postbox):
        postbox.put(numbered(1))
        postbox.put(numbered(2))
        await asyncio.sleep(0.1)

    assert counted.fates == [Fate.GAVE_UP, Fate.SENT]
    assert "KeyError" in str(logs)
    assert "secret" not in str(logs)


async def test_a_target_that_asks_for_a_pause_gets_it_but_not_for_ever():
    target, counted = Target(), Counted()
    problems = [
        Failed("it answers 429", retry_after=timedelta(days=1)),
        Failed("429", retry_after=timedelta(seconds=30)),
    ]
    target.problem = lambda: problems.pop() if problems else None
    postbox = postbox_of(target, counted)
    async with at_work(postbox):
        postbox.put(numbered(1))
        await asyncio.sleep(3600)

    assert target.tried_at == pytest.approx([0, 30, 330])


async def test_a_try_that_takes_too_long_is_a_failure():
    target, counted = Target(), Counted()
    target.hangs = 3600
    postbox = postbox_of(target, counted)
    async with at_work(postbox):
        postbox.put(numbered(1))
        await asyncio.sleep(10.5)
        assert counted.failures == 1


async def test_without_room_the_oldest_of_what_matters_least_is_dropped(monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    target, counted = Target(), Counted()
    postbox = postbox_of(target, counted)
    levels = [Level.WARNING, Level.INFO, Level.CRITICAL, Level.WARNING, Level.INFO]
    for number, level in enumerate(levels):
        postbox.put(numbered(number, level))
    async with at_work(postbox):
        await asyncio.sleep(1)

    assert target.told == ["n0", "n2", "n3"]
    assert counted.fates.count(Fate.DROPPED) == 2


async def test_while_there_is_more_urgent_work_messages_go_out_slowly():
    target = Target()
    postbox = postbox_of(target, Counted(), busy=True)
    async with at_work(postbox):
        for number in range(100):
            postbox.put(numbered(number))
        await asyncio.sleep(1)
        assert 10 <= len(target.told) <= 25


class TestTheEnd:
    async def test_what_waits_has_two_seconds_to_go_out(self):
        target, counted = Target(), Counted()
        target.hangs = 0.5
        postbox = postbox_of(target, counted)
        async with at_work(postbox):
            for number in range(9):
                postbox.put(numbered(number))
            began = asyncio.get_running_loop().time()

        assert asyncio.get_running_loop().time() - began <= 2
        assert target.told == ["n0", "n1", "n2"]
        assert counted.fates == [Fate.SENT] * 3 + [Fate.GAVE_UP] * 6

    async def test_what_is_being_sent_is_not_sent_twice(self):
        target, counted = Target(), Counted()
        target.hangs = 1
        postbox = postbox_of(target, counted)
        async with at_work(postbox):
            postbox.put(numbered(1))
            await asyncio.sleep(0.5)

        assert target.told == ["n1"]
        assert len(target.tried_at) == 1

    async def test_a_target_that_hangs_keeps_nobody(self):
        target, counted = Target(), Counted()
        target.hangs = 3600
        postbox = postbox_of(target, counted)
        async with at_work(postbox):
            postbox.put(numbered(1))
            await asyncio.sleep(0.5)
            began = asyncio.get_running_loop().time()

        assert asyncio.get_running_loop().time() - began <= 2
        assert counted.fates == [Fate.GAVE_UP]
