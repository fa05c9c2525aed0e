"""Tries over real HTTP: what a receiver gets, and what becomes of each odd answer."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from modelrollout.core.notices import Told
from modelrollout.notify.config import CloudEventsTarget, WebhookTarget
from modelrollout.notify.senders import Failed, HttpSender

from tests.notify.builders import notice_of_a_rollback, recorded
from tests.notify.receiver import Answer, Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@asynccontextmanager
async def sender(config: CloudEventsTarget | WebhookTarget) -> AsyncIterator[HttpSender]:
    found = HttpSender(config, "prod-eu")
    try:
        yield found
    finally:
        await found.close()


async def send(config: CloudEventsTarget | WebhookTarget, told: Told | None = None) -> None:
    async with sender(config) as found:
        await found.send(told or notice_of_a_rollback())


def webhook(url: str, **more: Any) -> WebhookTarget:
    return WebhookTarget.model_validate({"url": url, **more})


async def failure(config: CloudEventsTarget | WebhookTarget) -> Failed:
    with pytest.raises(Failed) as found:
        await send(config)
    return found.value


async def test_a_webhook_gets_the_message_with_its_numbers_and_what_to_type(receiver: Receiver):
    await send(webhook(receiver.url))

    (came,) = receiver.came
    body = came.json
    assert came.headers["content-type"] == "application/json"
    assert (body["version"], body["transition"], body["severity"]) == (1, "rollingBack", "warning")
    assert (body["cluster"], body["namespace"], body["name"]) == ("prod-eu", "models", "fraud")
    assert body["candidate"] == {
        "version": "v2",
        "digest": body["candidate"]["digest"],
        "service": {"name": "fraud-v2", "port": 8080},
    }
    assert len(body["candidate"]["digest"]) == 16
    assert body["record"] == "fraud-u1-g1-1"
    assert {key: body["gate"][key] for key in ("name", "verdict", "value", "limit", "samples")} == {
        "name": "errors",
        "verdict": "Fail",
        "value": "3%",
        "limit": "1%",
        "samples": 4000,
    }
    assert body["owner"] == {"team": "risk-ml", "contact": "#risk-oncall", "runbookURL": "https://runbooks/fraud"}
    assert body["commands"]["kubectl"].startswith("kubectl ")
    assert "Owner: risk-ml (#risk-oncall)" in body["text"]


async def test_a_webhook_s_body_has_the_shape_that_its_receiver_wants(receiver: Receiver):
    shape = {"event_type": "rollout-$transition", "client_payload": {"notice": "$data", "tags": ["$team", 7, None]}}

    await send(webhook(receiver.url, body=shape))

    body = receiver.came[0].json
    assert body["event_type"] == "rollout-rollingBack"
    assert body["client_payload"]["notice"]["record"] == "fraud-u1-g1-1"
    assert body["client_payload"]["tags"] == ["risk-ml", 7, None]


async def test_a_person_s_words_stay_words_in_a_shape(receiver: Receiver):
    told = notice_of_a_rollback(message='"}, $data ${id} \x00\nOwner: mallory')

    await send(webhook(receiver.url, body={"text": "$message"}), told)

    assert receiver.came[0].json == {"text": '"}, $data ${id}   Owner: mallory'}


async def test_an_address_and_a_token_in_files_are_read_anew_for_each_message(receiver: Receiver, tmp_path: Path):
    address, token = tmp_path / "url", tmp_path / "token"
    address.write_text(f"{receiver.url}/first\n")
    token.write_text("one\n")
    config = WebhookTarget.model_validate({"urlFile": address, "bearerTokenFile": token})
    async with sender(config) as found:
        await found.send(notice_of_a_rollback())
        address.write_text(f"{receiver.url}/second")
        token.write_text("two")
        await found.send(notice_of_a_rollback())

    assert [(one.path, one.headers["authorization"]) for one in receiver.came] == [
        ("/hook/first", "Bearer one"),
        ("/hook/second", "Bearer two"),
    ]


async def test_a_redirect_is_not_followed(receiver: Receiver):
    with receiving() as other:
        receiver.answer = Answer(307, {"Location": other.url})
        error = await failure(webhook(receiver.url))

    assert "redirect (307), which is not followed" in str(error)
    assert other.came == []


@pytest.mark.parametrize(
    ("status", "hopeless"),
    [(500, False), (503, False), (429, False), (404, False), (401, False), (400, True), (413, True)],
)
async def test_an_answer_that_says_no_is_a_failure_and_for_good_where_the_message_is_at_fault(
    receiver: Receiver, status: int, hopeless: bool
):
    receiver.answer = Answer(status)

    error = await failure(webhook(receiver.url))

    assert str(status) in str(error)
    assert error.hopeless is hopeless


async def test_a_pause_that_the_receiver_asks_for_is_heard(receiver: Receiver):
    receiver.answer = Answer(429, {"Retry-After": "17"})

    assert (await failure(webhook(receiver.url))).retry_after == timedelta(seconds=17)


async def test_a_pause_that_is_no_number_is_none(receiver: Receiver):
    receiver.answer = Answer(503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})

    assert (await failure(webhook(receiver.url))).retry_after is None


async def test_an_address_where_nobody_listens_is_not_told():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    error = await failure(webhook(f"http://127.0.0.1:{port}/secret-token"))

    assert str(error) == "it cannot be reached, or speaks no HTTP"


async def test_a_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch):
    with receiving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        await send(webhook(receiver.url))

    assert (len(receiver.came), proxy.came) == (1, [])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("", "does not hold one word on one line"),
        ("https://a.example\nhttps://b.example", "does not hold one word on one line"),
        ("https://[a.example", "does not begin with http:// or https:// and a host"),
        ("ftp://a.example", "does not begin with http:// or https:// and a host"),
    ],
)
async def test_a_file_without_an_address_is_said_without_what_stands_there(text: str | None, says: str, tmp_path: Path):
    file = tmp_path / "url"
    if text is not None:
        file.write_text(text)

    error = await failure(WebhookTarget.model_validate({"urlFile": file}))

    assert says in str(error)
    assert "a.example" not in str(error)
    assert not error.hopeless


class TestCloudEvents:
    def config(self, url: str, **more: Any) -> CloudEventsTarget:
        return CloudEventsTarget.model_validate({"url": url, **more})

    @pytest.mark.parametrize("mode", ["structured", "binary"])
    async def test_are_read_by_the_sdk_in_both_modes(self, receiver: Receiver, mode: str):
        http = pytest.importorskip("cloudevents.core.bindings.http")
        told = notice_of_a_rollback()

        await send(self.config(receiver.url, mode=mode), told)

        (came,) = receiver.came
        event = http.from_http_event(http.HTTPMessage(came.headers, came.body))
        assert event.get_id() == told.id
        assert event.get_type() == "dev.modelrollout.rollingback.v1"
        assert event.get_source() == "//prod-eu/apis/modelrollout.dev/v1alpha1/namespaces/models/modelrollouts/fraud"
        assert event.get_subject() == "models/fraud"
        assert event.get_specversion() == "1.0"
        assert event.get_time() == told.at
        assert event.get_extension("severity") == "warning"
        assert event.get_data()["record"] == "fraud-u1-g1-1"
        assert event.get_data()["gate"]["samples"] == 4000

    async def test_structured_ones_have_their_media_type_and_binary_ones_that_of_their_data(self, receiver: Receiver):
        await send(self.config(receiver.url))
        await send(self.config(receiver.url, mode="binary"))

        assert receiver.came[0].headers["content-type"].startswith("application/cloudevents+json")
        assert receiver.came[1].headers["content-type"] == "application/json"
        assert receiver.came[1].headers["ce-specversion"] == "1.0"

    async def test_the_id_stays_the_same_at_each_try(self, receiver: Receiver):
        told = notice_of_a_rollback()
        receiver.answer = Answer(503)
        async with sender(self.config(receiver.url)) as found:
            for _ in range(2):
                with pytest.raises(Failed):
                    await found.send(told)

        assert len({one.json["id"] for one in receiver.came}) == 1

    async def test_a_segment_is_one_with_its_record_number_and_hash(self, receiver: Receiver):
        await send(self.config(receiver.url), recorded())

        event = receiver.came[0].json
        assert event["type"] == "dev.modelrollout.segment.v1"
        assert event["id"] == f"fraud-u1-g1-1/3/{'f' * 16}"
        assert event["data"]["segment"]["cause"] == "GateFailed"

    async def test_what_no_header_may_hold_is_encoded(self, receiver: Receiver):
        await send(self.config(receiver.url, mode="binary"), notice_of_a_rollback(id='a "b" % ü'))

        assert receiver.came[0].headers["ce-id"] == "a%20%22b%22%20%25%20%C3%BC"
