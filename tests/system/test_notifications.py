"""People and programs are told of a real rollback, once, while others who should be told are dead."""

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.cluster import LocalCluster
from local.process import wait_until
from tests.notify.receiver import Answer, Receiver, receiving
from tests.support.scene import Scene

pytestmark = pytest.mark.cluster

STAGES = [{"name": "canary", "canary": {"weights": [50]}, "minDuration": "1h"}, {"name": "full", "full": {}}]


class Audience:
    """Those who are told: a chat and a bot that listen, one that hangs, and one that is not there."""

    def __init__(self, chat: Receiver, bot: Receiver, hanging: Receiver) -> None:
        self.chat = chat
        self.bot = bot
        hanging.answer = Answer(hang=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.targets: dict[str, Any] = {
            "chat": {"type": "webhook", "url": chat.url},
            "bot": {"type": "cloudevents", "url": bot.url, "segments": True},
            "hanging": {"type": "webhook", "url": hanging.url},
            "dead": {"type": "webhook", "url": nobody},
            "elsewhere": {"type": "webhook", "url": chat.url, "namespaces": ["another"]},
        }

    def told(self) -> list[dict[str, Any]]:
        """Return what the chat was told."""
        return [came.json for came in self.chat.came]

    def transitions(self) -> list[str]:
        return [one["transition"] for one in self.told()]


@pytest.fixture
def audience() -> Iterator[Audience]:
    with receiving() as chat, receiving() as bot, receiving() as hanging:
        yield Audience(chat, bot, hanging)


@pytest.fixture
def scene(cluster: LocalCluster, namespace: str, audience: Audience) -> Iterator[Scene]:
    """Return a scene whose operator tells the audience."""
    found = Scene(cluster, namespace)
    found.serve("v1", "v2")
    found.start_operator(f"--notifications={json.dumps(audience.targets)}", "--cluster-name=lab")
    try:
        yield found
    finally:
        found.end()


def roll_back_by_a_gate(scene: Scene) -> dict[str, Any]:
    scene.models["v2"].behave(error_share=0.35)
    return scene.until_phase("RolledBack")


def begin_canary(scene: Scene) -> None:
    scene.apply(scene.rollout(traffic=scene.route_owned(), stages=STAGES))
    scene.load()
    scene.until_step("canary")


def test_a_rollback_by_a_gate_is_told_once_with_all_that_a_bot_needs_while_others_are_dead(
    scene: Scene, audience: Audience
):
    begin_canary(scene)
    status = roll_back_by_a_gate(scene)
    attempt = status["attempt"]

    wait_until(lambda: "rolledBack" in audience.transitions(), "the last message")
    assert seconds(attempt["endedAt"]) - seconds(attempt["rollback"]["since"]) < 2
    time.sleep(2)  # Whatever would come twice.
    transitions = [one for one in audience.transitions() if one not in {"held", "resumed"}]
    assert transitions == ["started", "rollingBack", "rolledBack"]
    assert len({one["id"] for one in audience.told()}) == len(audience.told())

    told = audience.told()[-1]
    assert (told["cluster"], told["namespace"], told["name"]) == ("lab", scene.namespace, "fraud")
    assert (told["reason"], told["candidate"]["version"]) == ("GateFailed", "v2")
    assert told["candidate"]["digest"] == attempt["candidate"]["digest"]
    assert (told["gate"]["name"], told["gate"]["verdict"]) == ("errors", "Fail")
    assert told["gate"]["samples"] > 0
    assert told["gate"]["limit"]
    assert told["traffic"] == "v1 answers 100% of the requests, v2 has none"
    assert told["owner"]["runbookURL"] == "https://runbooks.example/fraud"
    assert "kubectl patch mr fraud" in told["text"]
    assert any(reason == "RolledBack" and told["record"] in note for reason, note in scene.events())

    record = scene.cluster.api.call(
        "GET", scene.path.replace("modelrollouts/fraud", f"modelrolloutrecords/{told['record']}")
    )
    wait_until(lambda: len(segments(audience)) >= len(record["status"]["segments"]), "all segments")
    assert segments(audience) == record["status"]["segments"]
    types = Counter(came.json["type"] for came in audience.bot.came)
    assert types["dev.modelrollout.rolledback.v1"] == types["dev.modelrollout.rollingback.v1"] == 1

    metrics = scene.metric()
    assert number(metrics, 'modelrollout_notifications_total{outcome="sent",target="chat"}') == len(audience.told())
    assert number(metrics, 'modelrollout_notification_failures_total{target="dead"}') >= 1
    assert number(metrics, 'modelrollout_notifications_waiting{target="dead"}') == len(audience.told())
    assert number(metrics, 'modelrollout_notifications_waiting{target="elsewhere"}') == 0
    log = scene.operator.log.read_text("utf-8")
    assert "notification put off" in log
    assert "/hook" not in log


def test_an_operator_that_is_killed_and_started_again_tells_nothing_twice(scene: Scene, audience: Audience):
    begin_canary(scene)
    wait_until(lambda: "started" in audience.transitions(), "the first message")
    scene.operator.kill()
    scene.operator.start()
    wait_until(scene.is_listed, "the operator to be back")

    scene.ask(rollback={"reason": "p99", "requestedBy": "admin"})
    scene.until_phase("RolledBack", within=timedelta(seconds=30))
    wait_until(lambda: "rolledBack" in audience.transitions(), "the last message")

    counts = Counter(audience.transitions())
    assert (counts["started"], counts["rollingBack"], counts["rolledBack"]) == (1, 1, 1)
    told = audience.told()[-1]
    assert told["reason"] == "Manual"
    assert told["actor"].startswith("admin")
    repeated = Counter(came.json["id"] for came in audience.bot.came)
    assert all(count == 1 or name.startswith(f"{told['record']}/") for name, count in repeated.items())


def test_a_chat_by_way_of_apprise_is_told_by_an_operator_whose_rollback_takes_no_longer_for_it(
    cluster: LocalCluster, namespace: str
):
    pytest.importorskip("apprise", reason="the extra notify is not installed: run `make setup`")
    found = Scene(cluster, namespace)
    found.serve("v1", "v2")
    with receiving() as chat:
        chat.answer = Answer(delay=1.0)
        targets = {"chat": {"type": "apprise", "url": chat.url.replace("http", "json"), "severity": "warning"}}
        found.start_operator(f"--notifications={json.dumps(targets)}")
        try:
            begin_canary(found)
            attempt = roll_back_by_a_gate(found)["attempt"]
            wait_until(lambda: any("was rolled back" in came.json["title"] for came in chat.came), "the last message")
        finally:
            found.end()

    assert seconds(attempt["endedAt"]) - seconds(attempt["rollback"]["since"]) < 2
    assert f"Record: {attempt['record']}" in chat.came[-1].json["message"]
    assert "Owner: risk-ml" in chat.came[-1].json["message"]


def segments(audience: Audience) -> list[dict[str, Any]]:
    """Return the segments that the bot was told, each once."""
    events = {came.json["id"]: came.json for came in audience.bot.came if came.json["type"].endswith("segment.v1")}
    return [event["data"]["segment"] for event in events.values()]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def number(metrics: str, series: str) -> float:
    """Return the value of a series."""
    (line,) = [line for line in metrics.splitlines() if line.startswith(series)]
    return float(line.rpartition(" ")[2])
