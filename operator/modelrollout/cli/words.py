"""Rollouts in a few words, for tables and lines."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from modelrollout.api.fields import parse_time
from modelrollout.api.status import Outcome, Phase
from modelrollout.core.rollout import parse_rollout

T = TypeVar("T")

PHASE_STYLES: dict[str, dict[str, Any]] = {
    Phase.PROMOTED: {"fg": "green"},
    Phase.SHADOW: {"fg": "cyan"},
    Phase.CANARY: {"fg": "cyan"},
    Phase.FULL: {"fg": "cyan"},
    Phase.HELD: {"fg": "yellow"},
    Phase.ROLLING_BACK: {"fg": "red", "bold": True},
    Phase.ROLLED_BACK: {"fg": "red"},
    Phase.INVALID: {"fg": "red"},
}
# What moves a cursor, colours, renames a window or turns text round: whoever may write a reason could write it.
_UNPRINTABLE = dict.fromkeys(
    [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\N{REPLACEMENT CHARACTER}"
)
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)


def printable(value: T) -> T:
    """Return what came from an API server without anything in its texts that a terminal would obey."""
    found: Any = value
    if isinstance(found, str):
        found = found if found.isprintable() else found.translate(_UNPRINTABLE)
    elif isinstance(found, dict):
        found = {key: printable(inner) for key, inner in found.items()}
    elif isinstance(found, list):
        found = [printable(inner) for inner in found]
    shown: T = found
    return shown


def age(since: object, now: datetime) -> str:
    """Return how long ago that was, as kubectl writes ages; a dash where it is no time."""
    try:
        return span(now - parse_time(since))
    except ValueError:
        return "-"


def span(length: timedelta) -> str:
    """Return a length of time as kubectl writes ages: 45s, 3m20s, 12m, 5h30m, 22h, 3d4h, 12d."""
    seconds = max(length, timedelta(0))
    if seconds < 2 * _MINUTE:
        return f"{seconds // _SECOND}s"
    if seconds < 10 * _MINUTE:
        return _two(seconds, _MINUTE, "m", _SECOND, "s")
    if seconds < 3 * _HOUR:
        return f"{seconds // _MINUTE}m"
    if seconds < 8 * _HOUR:
        return _two(seconds, _HOUR, "h", _MINUTE, "m")
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR}h"
    return _two(seconds, _DAY, "d", _HOUR, "h") if seconds < 8 * _DAY else f"{seconds // _DAY}d"


def progress(rollout: Mapping[str, Any]) -> str:
    """Return where an attempt stands: its stage, and which of the stage's steps where there are several.

    A dash where none is under way.
    """
    parsed = parse_rollout(rollout)
    attempt = parsed.status.attempt
    if attempt is None or attempt.outcome in {Outcome.PROMOTED, Outcome.SUPERSEDED}:
        return "-"
    steps = []
    if parsed.spec:
        plan = parsed.plan(has_baseline=attempt.baseline is not None)
        steps = [step for step in plan.steps if step.stage == attempt.stage]
    return f"{attempt.stage} {attempt.step + 1}/{len(steps)}" if len(steps) > 1 else attempt.stage


def why(status: Mapping[str, Any]) -> str:
    """Return the reason and the sentence of condition Ready, a dash where nobody has looked yet."""
    state, reason, message = ready_condition(status)
    if not state:
        return "-"
    return f"{reason}: {message}" if message else reason


def ready_condition(status: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return status, reason and message of condition Ready; empty where nobody has looked yet."""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "Ready":
            return (
                str(condition.get("status")),
                str(condition.get("reason") or "-"),
                str(condition.get("message") or ""),
            )
    return "", "", ""


def _two(length: timedelta, large: timedelta, large_unit: str, small: timedelta, small_unit: str) -> str:
    count, rest = length // large, length % large // small
    return f"{count}{large_unit}{rest}{small_unit}" if rest else f"{count}{large_unit}"
