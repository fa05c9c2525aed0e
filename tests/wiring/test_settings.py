"""Settings that would not do are refused with what to write instead."""

import json

import pytest
from modelrollout.wiring.settings import Settings
from pydantic import ValidationError
from pydantic_settings import CliApp


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--lease-duration=1s"], "1s: write whole seconds from 2s to 60s", id="too short"),
        pytest.param(["--lease-duration=2m"], "120s: write whole seconds from 2s to 60s", id="too long"),
        pytest.param(["--lease-duration=2500ms"], "2.5s: write whole seconds", id="half a second"),
        pytest.param(["--leader-election"], "outside of a pod --leader-election needs --lease-namespace", id="nowhere"),
    ],
)
def test_a_lease_that_would_not_do_is_refused(arguments: list[str], sentence: str):
    with pytest.raises(ValidationError, match=sentence):
        CliApp.run(Settings, cli_args=arguments)


@pytest.mark.parametrize("host", ["https://judge", "Judge", "judge:port", "judge/path", "user@judge", ""])
def test_a_judge_is_allowed_by_its_host(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("MODELROLLOUT_FREEZE_CONFIG_MAP", "ops/freeze")
    monkeypatch.setenv("MODELROLLOUT_WEBHOOKS", json.dumps({host: {}}))

    with pytest.raises(ValidationError, match="write a host in lower case"):
        Settings()
