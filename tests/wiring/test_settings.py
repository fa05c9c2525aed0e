"""Settings that would not do are refused with what to write instead."""

import json
import logging
import re
from pathlib import Path

import pytest
from modelrollout.wiring.process import main
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


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELROLLOUT_FREEZE_CONFIG_MAP", "ops/freeze")
    return tmp_path / "metrics-sources.json"


def test_metrics_sources_come_from_a_file(sources: Path) -> None:
    sources.write_text('{"default": {"url": "http://prometheus:9090", "headers": {"X-Scope-OrgID": "a"}}}')

    read = CliApp.run(Settings, cli_args=[f"--metrics-sources-file={sources}"])

    assert {name: source.url for name, source in read.metrics_sources.items()} == {"default": "http://prometheus:9090"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(None, "is no file: name one with the metrics sources as a JSON object", id="no file"),
        pytest.param("default: {}", "Invalid JSON", id="no JSON"),
        pytest.param("[]", "metricsSources: Input should be an object", id="no object"),
        pytest.param('{"a": {"url": "x"}}', r"metricsSources\.a\.url: write the source's base address", id="no address"),
        pytest.param('{"a": {"url": "http://x", "pasword": "hunter2"}}', r"metricsSources\.a\.pasword: Extra", id="a slip"),
        pytest.param(" " * 2_000_000 + "{}", "Invalid JSON", id="a giant"),
    ],
)  # fmt: skip
def test_a_file_without_metrics_sources_ends_the_start_with_a_sentence(
    sources: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    sentence: str,
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process that has just begun
    if text is not None:
        sources.write_text(text)

    code = main([f"--metrics-sources-file={sources}"])

    said = capsys.readouterr().err
    assert code != 0
    assert re.search(sentence, said)
    assert "--metrics-sources-file" in said
    assert "hunter2" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"], ids=["too long", "with a NUL"])
def test_a_name_that_no_file_can_have_is_no_file(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("MODELROLLOUT_FREEZE_CONFIG_MAP", "ops/freeze")

    with pytest.raises(ValueError, match="is no file"):
        CliApp.run(Settings, cli_args=[f"--metrics-sources-file={name}"])


def test_metrics_sources_stand_in_one_place(sources: Path) -> None:
    sources.write_text("{}")

    with pytest.raises(ValidationError, match="give --metrics-sources or --metrics-sources-file, one of them"):
        CliApp.run(
            Settings, cli_args=['--metrics-sources={"a": {"url": "http://x"}}', f"--metrics-sources-file={sources}"]
        )
