"""What no log line may hold: tokens, and passwords in addresses."""

import re

import structlog

_SECRETS = (
    # Bearer tokens, wherever a header is shown; ServiceAccount tokens (JWT) wherever they turn up; user and password of a URL.
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"), r"\1(redacted)"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), "(redacted)"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s@\"']+@"), r"\1(redacted)@"),
)


def redact(text: str) -> str:
    """Return the text without what looks like a secret."""
    for pattern, stand_in in _SECRETS:
        text = pattern.sub(stand_in, text)
    return text


def redact_line(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Return a log line whose texts are redacted, a traceback's among them; other values are shown as text."""
    return {key: redact(value) if isinstance(value, str) else value for key, value in line.items()}
