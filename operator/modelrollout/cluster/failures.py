"""What the API server's refusals mean to the caller: one of the engine's four errors."""

import json
import re
from datetime import timedelta
from typing import NamedTuple

from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable

LONGEST_MESSAGE = 500
LONGEST_WAIT = timedelta(minutes=1)
_FORBIDDEN = re.compile(r'cannot (\S+) resource "([^"]+)"')


class Caller(NamedTuple):
    """Whose calls these are: as the server notes it on what it stores, and as the sentence of a refusal has it."""

    field_manager: str
    subject: str
    """Who may not, where the API server says so."""
    remedy: str
    """What to do about it."""


OPERATOR = Caller("modelrollout-operator", "the operator's ServiceAccount", "grant it that verb")


def failure_of(code: int, body: bytes, retry_after: str | None = None, caller: Caller = OPERATOR) -> Exception:
    """Return the error that an answer with this HTTP code (300 and above) stands for."""
    message = _message_of(body) or f"the API server answered {code}"
    match code:
        case 404:
            return Gone(message)
        case 409:
            return Conflict(message)
        case 403 if _is_namespace_ending(body):
            # Nothing can be made there any more, and there is no way back: what is left will go by itself.
            return Gone(message)
        case 403:
            return Refused(_name_the_verb(message, caller))
        # 401 is about the operator's own token, which is renewed: nobody can mend it in the object.
        case 401 | 408 | 429:
            return Unavailable(f"{code}: {message}", _parse_wait(retry_after))
        case _ if 400 <= code < 500:
            return Refused(message)
        case _:
            return Unavailable(f"{code}: {message}", _parse_wait(retry_after))


def _message_of(body: bytes) -> str:
    """Return the sentence of a Status object, at most `LONGEST_MESSAGE` characters; other bodies are not quoted."""
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    message = status.get("message") if isinstance(status, dict) else None
    if not isinstance(message, str):
        return ""
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…"


def _is_namespace_ending(body: bytes) -> bool:
    """Return whether a Status object gives the end of its namespace as the cause."""
    try:
        causes = json.loads(body)["details"]["causes"]
        return any(cause["reason"] == "NamespaceTerminating" for cause in causes)
    except (ValueError, KeyError, TypeError):
        return False


def _name_the_verb(message: str, caller: Caller) -> str:
    found = _FORBIDDEN.search(message)
    if not found:  # An admission policy or a quota said no: it has its own words.
        return message
    return f"{caller.subject} may not {found[1]} {found[2]}: {caller.remedy} ({message})"


def _parse_wait(retry_after: str | None) -> timedelta | None:
    """Return the span of a Retry-After header in seconds, bounded; dates are not used by the API server."""
    if retry_after is None or not retry_after.isdecimal():
        return None
    return min(timedelta(seconds=int(retry_after[:9])), LONGEST_WAIT)
