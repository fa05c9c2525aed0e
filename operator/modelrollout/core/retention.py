"""Which records may go, and whether those that are not there any more went that way. Pure.

An attempt's records go together. They may go once the attempt has ended, newer ones of its rollout are enough, and what
followed it is old enough: until then its last shares are the answer to who served. The oldest go first and none is left out,
so that what stays tells of one time without a hole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from modelrollout.api.fields import parse_time
from modelrollout.core.chain import Break, end_of_chain, first_name, segments_of, verify

LEAST_AGE = timedelta(days=90)
LEAST_KEPT = 20

Place = tuple[str, str]
"""Namespace and name of a rollout; one that was made again under its name goes on there."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may go: what was followed at least `age` ago, and is not of the newest `keep` attempts (1 or more) of a rollout."""

    age: timedelta = LEAST_AGE
    keep: int = LEAST_KEPT


@dataclass(frozen=True, slots=True)
class Entry:
    """A record, as far as is needed to say whether it may go."""

    place: Place
    rollout: str
    attempt: int
    part: int
    first: str
    name: str
    uid: str
    guard: str
    decided_at: datetime
    made_at: datetime
    segments: int
    has_ended: bool
    end: str


@dataclass(frozen=True, slots=True)
class Old:
    """The records of an attempt that may go, in the order in which they go; `until` is when the next one began."""

    parts: tuple[Entry, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Open:
    """An attempt without an end that newer ones have followed: it stays, and what is newer stays with it."""

    first: str
    place: Place


@dataclass(frozen=True, slots=True)
class Absence:
    """Attempts of a rollout that no record tells of, from one number to another. Retention may have taken them, or not."""

    place: Place
    first: int
    last: int
    by_retention: bool

    @property
    def message(self) -> str:
        """What there is to say of it."""
        namespace, name = self.place
        several = self.last > self.first
        what = f"attempts {self.first} to {self.last}" if several else f"attempt {self.first}"
        told = f"{namespace}/{name}: no record tells of {what}"
        if self.by_retention:
            return f"{told} any more: retention takes the oldest, and leaves at least the newest {LEAST_KEPT}"
        return (
            f"{told}, and retention would have left {'them' if several else 'it'}: either nothing was ever written, or"
            " somebody deleted it. The operator's log has every segment"
        )


def entry_of(record: Mapping[str, Any]) -> Entry:
    """Return a stored record as far as it is needed here.

    Raises:
        KeyError, TypeError, ValueError: it is not as records are.
    """
    metadata, spec, status = record["metadata"], record["spec"], record.get("status") or {}
    segments = segments_of(record)
    return Entry(
        place=(metadata["namespace"], spec["rollout"]["name"]),
        rollout=spec["rollout"]["uid"],
        attempt=int(spec["attempt"]),
        part=int(spec.get("part", 1)),
        first=first_name(record),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        guard=metadata.get("resourceVersion", ""),
        decided_at=parse_time(spec["decidedAt"]),
        made_at=parse_time(metadata.get("creationTimestamp") or spec["decidedAt"]),
        segments=len(segments),
        has_ended=bool(status.get("outcome")) and any(segment.get("outcome") for segment in segments),
        end=end_of_chain(record),
    )


def may_go(entries: Iterable[Entry], policy: Policy, now: datetime) -> Iterator[Old | Open]:
    """Yield what may go, rollout by rollout, the oldest first; and what is in the way of more."""
    for place, attempts in by_rollout(entries):
        for at, parts in enumerate(attempts[: -policy.keep]):
            following = attempts[at + 1]
            # The later of two clocks: the operator's, and the API server's.
            until = max(following[0].decided_at, following[0].made_at)
            if now - until < policy.age:
                break
            # Without segments it never began: it says nothing of any traffic, and nothing will be added.
            if any(part.segments for part in parts) and not any(part.has_ended for part in parts):
                yield Open(parts[0].first, place)
                break
            yield Old(tuple(parts), until)


def by_rollout(entries: Iterable[Entry]) -> Iterator[tuple[Place, list[list[Entry]]]]:
    """Yield each rollout with its attempts, oldest first, each with its parts in order."""

    def attempt(entry: Entry) -> tuple[Place, str, str]:
        return entry.place, entry.rollout, entry.first

    ordered = sorted(entries, key=lambda one: (*attempt(one), one.part))
    attempts = [list(parts) for _, parts in groupby(ordered, attempt)]
    attempts.sort(key=lambda parts: (parts[0].place, parts[0].decided_at, parts[0].attempt))
    for place, found in groupby(attempts, lambda parts: parts[0].place):
        yield place, list(found)


def absences(entries: Iterable[Entry]) -> Iterator[Absence]:
    """Yield the attempts that are missing among these records, by their numbers."""
    for place, attempts in by_rollout(entries):
        last: dict[str, int] = {}
        for at, parts in enumerate(attempts):
            before, number = last.get(parts[0].rollout, 0), parts[0].attempt
            if number > before + 1:
                yield Absence(place, before + 1, number - 1, by_retention=_is_its_way(attempts, at))
            last[parts[0].rollout] = max(before, number)


def cut_short(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the records whose earlier parts retention has taken: it was interrupted, and takes the rest next time."""
    for _, attempts in by_rollout(entries):
        if attempts[0][0].part > 1 and _is_its_way(attempts, 0, more=1):
            yield attempts[0][0].name


def breaks_in(records: Iterable[Mapping[str, Any]], interrupted: AbstractSet[str]) -> Iterator[Break]:
    """Yield what does not hold in the records of one attempt, but for what an interrupted retention has taken."""
    yield from (one for one in verify(records) if one.seq is not None or one.record not in interrupted)


def _is_its_way(attempts: Sequence[Sequence[Entry]], at: int, more: int = 0) -> bool:
    """Whether retention may have taken what stood before this place: it takes none but the oldest, and leaves enough."""
    return at == 0 and len(attempts) >= LEAST_KEPT + more
