"""What all records of a time come to: by model and in total. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from statistics import median
from typing import Any

from pydantic import ValidationError

from modelrollout.api.record import RecordedCommand
from modelrollout.api.rollout import Owner
from modelrollout.api.status import Command, Outcome
from modelrollout.core.asked import told_of
from modelrollout.core.chain import attempts_of, end_of_chain, first_name
from modelrollout.core.history import Account, Span, parse_account, spans_of
from modelrollout.core.retention import Absence, absences, cut_short, entry_of
from modelrollout.core.rollout import Rollout
from modelrollout.core.tale import Act, Tale, flaws_of, gaps_of

Key = tuple[str, str]
"""Namespace and name of a rollout."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `since`, up to and without `until`."""

    since: datetime
    until: datetime

    def has(self, moment: datetime | None) -> bool:
        """Whether it lies in here."""
        return moment is not None and self.since <= moment < self.until


@dataclass(frozen=True)
class Model:
    """The attempts of a rollout that reach into a period, oldest first. `spans` and `absent` are of all its records."""

    namespace: str
    name: str
    tales: tuple[Tale, ...]
    spans: tuple[Span, ...]
    absent: tuple[Absence, ...] = ()

    @property
    def owner(self) -> Owner | None:
        """Who answered for it last."""
        return next((tale.spec.owner for tale in reversed(self.tales) if tale.spec.owner), None)


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers of a period: of what began, ended or was done in it. `back` are the times that rollbacks took."""

    attempts: int
    begun: int
    promoted: int
    rolled_back: int
    superseded: int
    open: int
    never_begun: int
    causes: Mapping[str, int]
    back: tuple[timedelta, ...]
    back_unknown: int
    approvals: int
    holds: int
    overrides: int
    external: int
    unverified: int
    flaws: int

    @property
    def median_back(self) -> timedelta | None:
        """The time that half of the rollbacks took at most."""
        return timedelta(seconds=median(one.total_seconds() for one in self.back)) if self.back else None

    @property
    def longest_back(self) -> timedelta | None:
        """The time that the slowest rollback took."""
        return max(self.back, default=None)


@dataclass(frozen=True, slots=True)
class Hand:
    """Somebody, under one name, and how often they did what."""

    who: str
    verified: bool
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Report:
    """What the records say of a period. `unread` names records that say nothing that can be read, and why."""

    period: Period
    models: tuple[Model, ...]
    unread: tuple[str, ...]

    @property
    def tales(self) -> list[Tale]:
        """All attempts."""
        return [tale for model in self.models for tale in model.tales]


def report_of(
    records: Iterable[Mapping[str, Any]],
    period: Period,
    rollouts: Mapping[Key, Rollout] | None = None,
    shown: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda record: record,
) -> Report:
    """Return what these records say of a period; `rollouts` tell what no record does yet.

    `shown` makes of a record what may be shown of it: its hashes are of what is stored.
    """
    read, unread = _parsed(records, shown)
    models = []
    for (namespace, name), group in groupby(sorted(read, key=_place), key=_place):
        found = list(group)
        tales = list(_tales(found, (rollouts or {}).get((namespace, name))))
        within = tuple(tale for tale in sorted(tales, key=_age) if _reaches(tale, period))
        if within:
            spans = spans_of(account for _, account in found)
            absent = tuple(absences(entry_of(record) for record, _ in found))
            models.append(Model(namespace, name, within, tuple(spans), absent))
    return Report(period, tuple(models), tuple(unread))


def totals_of(tales: Sequence[Tale], period: Period) -> Totals:
    """Return the numbers of a period."""
    ended = [(tale, end) for tale in tales for end in tale.ends if period.has(end.confirmed_at)]
    backs = [tale.way_back for tale, end in ended if end.outcome is Outcome.ROLLED_BACK and tale.way_back]
    acts = [act for tale in tales for act in tale.acts if period.has(act.at)]
    outcomes = Counter(end.outcome for _, end in ended)
    what = Counter(act.what for act in acts if not is_refused(act))
    return Totals(
        attempts=len(tales),
        begun=sum(period.has(tale.spec.decided_at) for tale in tales),
        promoted=outcomes[Outcome.PROMOTED],
        rolled_back=outcomes[Outcome.ROLLED_BACK],
        superseded=outcomes[Outcome.SUPERSEDED],
        open=sum(tale.has_begun and tale.outcome is None for tale in tales),
        never_begun=sum(not tale.has_begun for tale in tales),
        causes=dict(Counter(back.cause.value for back in backs).most_common()),
        back=tuple(back.took for back in backs if back.took is not None),
        back_unknown=sum(back.took is None for back in backs),
        approvals=what[Command.APPROVE],
        holds=what[Command.HOLD],
        overrides=what["override"],
        external=what["external"],
        unverified=sum(not act.verified for act in acts if act.what != "external"),
        flaws=sum(len(tale.flaws) for tale in tales),
    )


def hands_of(tales: Iterable[Tale], period: Period) -> list[Hand]:
    """Return who had a hand in a period, those first who had the most."""
    counts: dict[tuple[str, bool], Counter[str]] = {}
    for tale in tales:
        for act in tale.acts:
            if period.has(act.at):
                counts.setdefault((act.who, act.verified), Counter())[act.what] += 1
    found = [Hand(who, verified, dict(count.most_common())) for (who, verified), count in counts.items()]
    return sorted(found, key=lambda hand: (-sum(hand.counts.values()), hand.who, hand.verified))


def is_refused(act: Act) -> bool:
    """Whether nothing came of what was asked."""
    return act.result.startswith(("refused", "nothing to do", "ignored", "not advanced"))


def remarks_of(tale: Tale) -> Iterator[str]:
    """Yield what the records leave open, and who was not vouched for."""
    yield from gaps_of(tale)
    names = sorted({act.who for act in tale.acts if not act.verified and act.what != "external"})
    if names:
        yield f"nobody vouches for the name {', '.join(names)}: it is what a client wrote"


def _parsed(
    records: Iterable[Mapping[str, Any]], shown: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> tuple[list[tuple[Mapping[str, Any], Account]], list[str]]:
    read, unread = [], []
    for record in records:
        try:
            read.append((record, parse_account(shown(record))))
        except ValueError as error:
            unread.append(f"{record['metadata'].get('namespace', '')}/{record['metadata']['name']}: {_first_of(error)}")
    return read, unread


def _first_of(error: ValueError) -> str:
    """Return the first thing that is wrong, with the field that it is about."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{error.title}, {'.'.join(map(str, first['loc']))}: {first['msg']}"


def _place(pair: tuple[Mapping[str, Any], Account]) -> Key:
    _, account = pair
    return account.namespace, account.spec.rollout.name


def _tales(found: Sequence[tuple[Mapping[str, Any], Account]], rollout: Rollout | None) -> Iterator[Tale]:
    accounts = {account.name: account for _, account in found}
    interrupted = frozenset(cut_short(entry_of(record) for record, _ in found))
    for records in attempts_of(record for record, _ in found):
        parts = tuple(accounts[record["metadata"]["name"]] for record in records)
        asked = tuple(_asked(parts, first_name(records[0]), rollout))
        yield Tale(parts, flaws_of(records, parts, interrupted), asked, end_of_chain(records[-1]))


def _asked(parts: Sequence[Account], name: str, rollout: Rollout | None) -> Iterator[RecordedCommand]:
    """Yield what people asked for in the present attempt that no segment tells of."""
    attempt = rollout.status.attempt if rollout else None
    if rollout is None or attempt is None or attempt.record != name:
        return
    told = [command for part in parts for segment in part.status.segments for command in segment.commands]
    for one in map(told_of, rollout.status.commands):
        if one not in told and one.at >= parts[0].spec.decided_at:
            yield one


def _age(tale: Tale) -> tuple[datetime, int]:
    return tale.spec.decided_at, tale.spec.attempt


def _reaches(tale: Tale, period: Period) -> bool:
    """Whether any of an attempt lies within a period; one without an end goes on, one that never began does not."""
    if tale.spec.decided_at >= period.until:
        return False
    goes_on = tale.has_begun and tale.outcome is None
    return goes_on or max([tale.last_at, *(act.at for act in tale.acts)]) >= period.since
