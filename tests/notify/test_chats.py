"""Apprise, the real one, telling a receiver on loopback."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

apprise = pytest.importorskip("apprise", reason="the extra notify is not installed: run `make setup`")

from modelrollout.notify.config import AppriseTarget  # noqa: E402
from modelrollout.notify.senders import Failed, sender_of  # noqa: E402

from tests.notify.builders import notice_of_a_rollback, recorded  # noqa: E402
from tests.notify.receiver import Answer, Receiver, receiving  # noqa: E402


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def target(receiver: Receiver, **more: Any) -> AppriseTarget:
    return AppriseTarget.model_validate({"url": f"{receiver.url.replace('http', 'json')}?rto=1&cto=1", **more})


async def test_a_chat_gets_title_text_and_severity(receiver: Receiver):
    await sender_of(target(receiver), "").send(notice_of_a_rollback())

    (came,) = receiver.came
    assert came.json["title"] == "fraud: v2 is being rolled back (models)"
    assert "Gate errors: 3%, allowed 1%, 4000 requests." in came.json["message"]
    assert "Record: fraud-u1-g1-1" in came.json["message"]
    assert came.json["type"] == "warning"


async def test_the_administrator_s_own_words_are_used(receiver: Receiver):
    await sender_of(target(receiver, title="$team!", text="$model at $cluster"), "prod").send(notice_of_a_rollback())

    assert (receiver.came[0].json["title"], receiver.came[0].json["message"]) == ("risk-ml!", "fraud at prod")


async def test_a_chat_that_refuses_is_a_failure_without_its_address(receiver: Receiver, caplog):
    receiver.answer = Answer(500)

    with pytest.raises(Failed, match="it cannot be reached, or refuses the message"):
        await sender_of(target(receiver), "").send(notice_of_a_rollback())

    assert "127.0.0.1" not in caplog.text


async def test_a_chat_s_redirect_is_not_followed(receiver: Receiver):
    with receiving() as other:
        receiver.answer = Answer(307, {"Location": other.url})
        with pytest.raises(Failed):
            await sender_of(target(receiver), "").send(notice_of_a_rollback())

    assert other.came == []


async def test_an_address_that_apprise_does_not_know_is_a_failure_without_it(tmp_path):
    file = tmp_path / "url"
    file.write_text("nosuch://secret")

    with pytest.raises(Failed, match="none that Apprise knows") as found:
        await sender_of(AppriseTarget.model_validate({"urlFile": file}), "").send(notice_of_a_rollback())

    assert "secret" not in str(found.value)


async def test_a_chat_that_is_slow_blocks_nothing_and_is_told_once(receiver: Receiver):
    receiver.answer = Answer(delay=0.5)
    sender = sender_of(target(receiver), "")
    told = notice_of_a_rollback()
    before = threading.active_count()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await sender.send(told)
    assert threading.active_count() > before
    await sender.send(told)  # Waits for how the first try ends, which was well.

    assert len(receiver.came) == 1


async def test_a_message_after_one_that_took_too_long_is_sent_itself(receiver: Receiver):
    receiver.answer = Answer(delay=0.3)
    sender = sender_of(target(receiver), "")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await sender.send(notice_of_a_rollback(id="first"))

    await sender.send(notice_of_a_rollback(id="second"))

    assert len(receiver.came) == 2


async def test_a_chat_is_told_of_no_segments(receiver: Receiver):
    with pytest.raises(Failed) as found:
        await sender_of(target(receiver), "").send(recorded())

    assert found.value.hopeless
