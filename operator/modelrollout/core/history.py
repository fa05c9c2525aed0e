"""What served when: the records of a model as one line of time. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelrollout.api.fields import NONE, parse_time
from modelrollout.api.record import RecordSpec, RecordStatus, Segment, VersionShare, Why

_WRITTEN_AT = re.compile(r", (\S+)\)$")


@dataclass(frozen=True, slots=True)
class Account:
    """A record as it is read: its name, and what it says."""

    name: str
    spec: RecordSpec
    status: RecordStatus
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Unchanged shares: certain from `since` on, and possible since `earliest`.

    `segment` is `None` for what a record found when it began; `version` of a share leads to `account.spec`.
    """

    account: Account
    segment: Segment | None
    shares: tuple[VersionShare, ...]
    earliest: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class Served:
    """These shares were served; `until` is when the next ones may have begun, `None` where they still stand."""

    span: Span
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Changing:
    """The shares were changing from the ones to the others: either may have been served."""

    before: Span | None
    after: Span


@dataclass(frozen=True, slots=True)
class NotKnown:
    """No record tells of that time; `since` is when the first one begins, `None` where there is none."""

    since: datetime | None


def parse_account(record: Mapping[str, Any]) -> Account:
    """Return a stored record as it is read.

    Raises:
        ValueError: it is none.
    """
    status = RecordStatus.model_validate(record.get("status") or {})
    metadata = record["metadata"]
    spec = RecordSpec.model_validate(record["spec"])
    return Account(metadata["name"], spec, status, metadata.get("namespace", ""))


def in_order(accounts: Iterable[Account]) -> list[Account]:
    """Return the records in the order in which they were begun."""
    return sorted(accounts, key=lambda one: (one.spec.decided_at, one.spec.attempt, one.spec.part))


def spans_of(accounts: Iterable[Account]) -> list[Span]:
    """Return all spans of one model's records, oldest first; what changed nothing is left out."""
    found: list[Span] = []
    for account in in_order(accounts):
        first = account.spec.decided_at
        if not found or tuple(account.spec.found) != found[-1].shares:
            found.append(Span(account, None, tuple(account.spec.found), first, first))
        found += [_span_of(account, segment) for segment in account.status.segments]
    return sorted(found, key=lambda span: span.since)


def served_at(spans: Sequence[Span], at: datetime) -> Served | Changing | NotKnown:
    """Return what served at that time, as far as the records say."""
    before = next((span for span in reversed(spans) if span.since <= at), None)
    following = [span for span in spans if span.since > at]
    after = next((span for span in following if before is None or span.shares != before.shares), None)
    if after and after.segment and after.earliest <= at:
        return Changing(before, after)
    if before is None:
        return NotKnown(spans[0].since if spans else None)
    return Served(before, after.earliest if after else None)


def live_shares(span: Span) -> list[VersionShare]:
    """Return the shares of versions that answered requests."""
    return [share for share in span.shares if share.weight > NONE]


def _span_of(account: Account, segment: Segment) -> Span:
    return Span(account, segment, tuple(segment.shares), _earliest(segment), segment.confirmed_at)


def _earliest(segment: Segment) -> datetime:
    """Return when the shares may have begun: when they were decided, or when somebody else wrote them."""
    if segment.intent_at:
        return min(segment.intent_at, segment.confirmed_at)
    written = _WRITTEN_AT.search(segment.actor) if segment.cause is Why.EXTERNAL else None
    try:
        return min(parse_time(written[1]), segment.confirmed_at) if written else segment.confirmed_at
    except ValueError:
        return segment.confirmed_at
