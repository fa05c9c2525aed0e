"""Who put a message into the inbox: a name that admission vouches for, or what a client called itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelrollout.api.status import HandledCommand, HeldStatus

PHASE = "phase"


@dataclass(frozen=True, slots=True)
class Hand:
    """What the API server noted of a write: the manager's name is the client's choice, the time is the server's."""

    manager: str
    wrote_at: datetime


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for something. `verified`: admission saw to it that nobody writes `name` but who bears it."""

    name: str | None
    verified: bool
    manager: str | None


def hands_in(obj: Mapping[str, Any]) -> dict[str, Hand]:
    """Return whose hand wrote each message that waits, by command, and `phase` where a person may have written that.

    The newest write counts where several had a hand in one. Empty where no message waits.
    """
    status = obj.get("status")
    if not isinstance(status, Mapping) or not (status.get("control") or status.get(PHASE) == "RollingBack"):
        return {}
    found: dict[str, Hand] = {}
    for entry in obj["metadata"].get("managedFields") or ():
        hand = _hand(entry)
        for part in _owned(entry) if hand else ():
            if hand and (part not in found or found[part].wrote_at <= hand.wrote_at):
                found[part] = hand
    return found


def editing_hand(obj: Mapping[str, Any]) -> Hand | None:
    """Return whose hand wrote spec last, `None` where the API server has noted none."""
    found: Hand | None = None
    for entry in obj["metadata"].get("managedFields") or ():
        hand = _hand(entry) if "f:spec" in (entry.get("fieldsV1") or {}) else None
        if hand and (found is None or found.wrote_at <= hand.wrote_at):
            found = hand
    return found


def _hand(entry: Mapping[str, Any]) -> Hand | None:
    try:
        at = datetime.fromisoformat(entry["time"])
    except (KeyError, TypeError, ValueError):
        return None
    return Hand(str(entry.get("manager") or "unknown")[:128], at if at.tzinfo else at.replace(tzinfo=UTC))


def _owned(entry: Mapping[str, Any]) -> Iterator[str]:
    status = (entry.get("fieldsV1") or {}).get("f:status") or {}
    yield from (part.removeprefix("f:") for part in status.get("f:control") or () if part.startswith("f:"))
    if "f:phase" in status:
        yield PHASE


def actor_of(name: str | None, hand: Hand | None, bound_since: datetime | None) -> Actor:
    """Return who asks. `bound_since` is since when admission has bound names to who writes, `None` where it does not."""
    is_bound = bool(name and hand and bound_since and hand.wrote_at >= bound_since)
    return Actor(name, is_bound, hand.manager if hand else None)


def actor_text(of: Actor | HandledCommand | HeldStatus) -> str:
    """Return who asks, in a sentence: a name that nobody vouches for is called so."""
    name = of.name if isinstance(of, Actor) else of.requested_by
    if name and of.verified:
        return name
    way = f", by way of {of.manager}" if of.manager else ""
    return f"{name or 'somebody'} (unverified{way})"
