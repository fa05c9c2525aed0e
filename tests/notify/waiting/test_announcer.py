"""Who is told of what, and that nobody is told twice or waits for another."""

import asyncio
from typing import Any

import pytest
from modelrollout.core.notices import Level
from modelrollout.notify import announcer as module
from modelrollout.notify.announcer import Announcer, is_told
from modelrollout.notify.config import AnyTarget, CloudEventsTarget, WebhookTarget

from tests.notify.builders import notice_of_a_rollback, numbered, recorded
from tests.notify.waiting.test_postbox import Counted, Target, postbox_of


def target(**filters: Any) -> AnyTarget:
    return WebhookTarget.model_validate({"url": "https://chat.example", **filters})


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, True),
        ({"namespaces": ["models"]}, True),
        ({"namespaces": ["other", "mod*"]}, True),
        ({"namespaces": ["other"]}, False),
        ({"owners": ["risk-ml", "ads"]}, True),
        ({"owners": ["ads"]}, False),
        ({"severity": "warning"}, True),
        ({"severity": "critical"}, False),
        ({"transitions": ["rollingBack", "rolledBack"]}, True),
        ({"transitions": ["promoted"]}, False),
        ({"namespaces": ["models"], "owners": ["ads"]}, False),
    ],
)
def test_a_target_is_told_of_what_all_of_its_filters_let_through(filters: dict[str, Any], expected: bool):
    assert is_told(target(**filters), notice_of_a_rollback()) is expected


def test_who_asks_for_an_owner_is_told_nothing_of_a_rollout_whose_spec_cannot_be_read():
    assert not is_told(target(owners=["risk-ml"]), notice_of_a_rollback(owner=None))


@pytest.mark.parametrize(("level", "expected"), [(Level.INFO, False), (Level.WARNING, True), (Level.CRITICAL, True)])
def test_severity_is_the_least_that_is_told(level: Level, expected: bool):
    assert is_told(target(severity="warning"), notice_of_a_rollback(level=level)) is expected


class TestSegments:
    def events(self, **filters: Any) -> AnyTarget:
        return CloudEventsTarget.model_validate({"url": "https://broker.example", **filters})

    def test_go_to_receivers_of_cloud_events_that_ask_for_them(self):
        assert is_told(self.events(segments=True, severity="critical", transitions=["promoted"]), recorded())
        assert not is_told(self.events(), recorded())
        assert not is_told(target(), recorded())

    def test_are_filtered_by_namespace_and_owner(self):
        assert not is_told(self.events(segments=True, namespaces=["other"]), recorded())
        assert not is_told(self.events(segments=True, owners=["ads"]), recorded())


async def test_the_same_message_is_told_once_an_hour():
    receiver = Target()
    postbox = postbox_of(receiver, Counted())
    announcer = Announcer([postbox])
    task = asyncio.ensure_future(announcer.run())
    for minute in range(121):
        announcer.announce(numbered(7))
        await asyncio.sleep(60)
        assert len(receiver.told) == 1 + minute // 60
    task.cancel()
    await asyncio.wait({task})


async def test_a_target_that_hangs_delays_no_other():
    slow, quick = Target(), Target()
    slow.hangs = 3600
    announcer = Announcer([postbox_of(slow, Counted()), postbox_of(quick, Counted())])
    task = asyncio.ensure_future(announcer.run())
    for number in range(10):
        announcer.announce(numbered(number))
    await asyncio.sleep(1)

    assert len(quick.told) == 10
    assert slow.told == []
    task.cancel()
    await asyncio.wait({task})


async def test_what_is_remembered_of_messages_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_KNOWN", 10)
    announcer = Announcer([postbox_of(Target(), Counted())])
    for number in range(30):
        announcer.announce(numbered(number))

    assert len(announcer._known) == 10
