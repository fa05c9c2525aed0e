"""No secret gets into the log, whoever logs it and in whichever form."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from modelrollout.wiring.redaction import redact
from modelrollout.wiring.settings import LogFormat
from modelrollout.wiring.telemetry import set_up_logging

JWT = "eyJhbGciOiJSUzI1NiIs.eyJpc3MiOiJrdWJlcm5ldGVz.c2lnbmF0dXJl-_x"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"token {JWT} was refused", "token (redacted) was refused"),
        ("{'Authorization': 'Bearer c2VjcmV0c2VjcmV0'}", "{'Authorization': 'Bearer (redacted)'}"),
        ("authorization: basic dXNlcjpzZWNyZXQ=", "authorization: basic (redacted)"),
        ("https://user:secret@prometheus:9090/x", "https://(redacted)@prometheus:9090/x"),
        ("http://prometheus:9090/api?q=a@b stays", "http://prometheus:9090/api?q=a@b stays"),
        ("bearer token file cannot be read", "bearer token file cannot be read"),
        ("requests of #risk-ml-oncall@example", "requests of #risk-ml-oncall@example"),
    ],
)
def test_secrets_go_and_the_rest_stays(text: str, shown: str):
    assert redact(text) == shown


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.TEXT])
def test_neither_our_lines_nor_a_librarys_nor_a_traceback_show_one(form: LogFormat, capsys: pytest.CaptureFixture[str]):
    set_up_logging(form, "debug")
    kept_in_a_local = f"Bearer {JWT}"

    structlog.get_logger("ours").warning("refused", header=kept_in_a_local)
    logging.getLogger("theirs").warning("sent %s", {"Authorization": kept_in_a_local})
    try:
        raise ValueError(f"https://user:secret@prometheus says no to {kept_in_a_local}")
    except ValueError:
        structlog.get_logger("ours").exception("bug")

    said = capsys.readouterr().err
    assert said.count("(redacted)") >= 4
    assert "ValueError" in said
    assert JWT not in said
    assert "secret@" not in said
    if form is LogFormat.JSON:
        assert [json.loads(line)["level"] for line in said.splitlines()] == ["warning", "warning", "error"]
