"""What an administrator may write, and the sentences for what not."""

import json
from typing import Any

import pytest
from modelrollout.wiring.settings import Settings, explain
from pydantic import ValidationError

HOOK = {"type": "webhook", "url": "https://chat.example/hook"}


def settings(target: dict[str, Any], **more: Any) -> Settings:
    return Settings(notifications={"oncall": target}, **more)


def refusal(target: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as found:
        settings(target)
    return explain(found.value)


def test_settings_come_as_json_from_the_environment(monkeypatch):
    monkeypatch.setenv("MODELROLLOUT_NOTIFICATIONS", json.dumps({"oncall": HOOK}))

    assert Settings().notifications["oncall"].type == "webhook"


def test_an_address_is_shown_nowhere():
    assert "chat.example" not in repr(settings(HOOK))


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({"type": "webhook"}, "give one of url and urlFile"),
        ({**HOOK, "urlFile": "/etc/url"}, "give one of url and urlFile"),
        ({**HOOK, "text": "$model $secret"}, "$secret is no name that a template knows: actor, attempt, baseline"),
        ({**HOOK, "text": "5$"}, "write $$ for one that does not"),
        ({**HOOK, "body": {"a": [{"b": "$nothing"}]}}, "$nothing is no name that a template knows"),
        ({**HOOK, "timeout": "2m"}, "up to 1m, such as 10s"),
        ({**HOOK, "giveUpAfter": "0s"}, "such as 15m"),
        ({**HOOK, "severity": "loud"}, "'info', 'warning' or 'critical'"),
        ({**HOOK, "transitions": ["gone"]}, "'started', 'step', 'held'"),
        ({**HOOK, "segments": True}, "--notifications.oncall.webhook.segments"),
        ({"type": "slack", "url": "https://x"}, "'cloudevents', 'webhook', 'apprise'"),
    ],
)
def test_what_is_wrong_with_a_target_is_said_with_its_name(target: dict[str, Any], says: str):
    sentence = refusal(target)

    assert says in sentence
    assert sentence.startswith("--notifications.oncall")


def test_a_name_that_is_no_label_is_refused():
    with pytest.raises(ValidationError):
        Settings(notifications={"On Call": HOOK})


def test_without_apprise_its_targets_are_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert "install modelrollout[notify], or use the project's image" in refusal(
        {"type": "apprise", "url": "slack://a"}
    )
