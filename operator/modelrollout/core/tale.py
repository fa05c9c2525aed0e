"""What the records of one attempt come to: how it ended, how it went back, and who had a hand in it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from modelrollout.api.fields import NONE
from modelrollout.api.record import (
    Evidence,
    RecordedCommand,
    RecordSpec,
    Segment,
    VersionShare,
    Why,
)
from modelrollout.api.status import Outcome, Verdict
from modelrollout.core.history import Account
from modelrollout.core.record import OPERATOR
from modelrollout.core.retention import breaks_in

REHEARSALS = frozenset({Why.DRILL, Why.REHEARSED})


@dataclass(frozen=True, slots=True)
class Act:
    """Something that somebody did: a command's name, `start`, `override` or `external`."""

    at: datetime
    what: str
    who: str
    verified: bool
    reason: str
    result: str


@dataclass(frozen=True, slots=True)
class WayBack:
    """How the candidate lost its traffic. `decided_at` and `took` are `None` where no record tells."""

    cause: Why
    actor: str
    verified: bool
    message: str
    decided_at: datetime | None
    done_at: datetime
    gates: tuple[Evidence, ...]

    @property
    def took(self) -> timedelta | None:
        """How long it was from the decision until the candidate was seen to have nothing."""
        return max(self.done_at - self.decided_at, timedelta(0)) if self.decided_at else None


@dataclass(frozen=True)
class Tale:
    """One attempt, by all parts of its record. `flaws` are what does not hold in them.

    `asked` is what people asked for since, by the rollout's status; no record tells of it yet. `end` is the hash that
    its last part ends with.
    """

    parts: tuple[Account, ...]
    flaws: tuple[str, ...] = ()
    asked: tuple[RecordedCommand, ...] = ()
    end: str = ""

    @property
    def name(self) -> str:
        """Name of the first part that is there."""
        return self.parts[0].name

    @property
    def namespace(self) -> str:
        """The namespace of its records."""
        return self.parts[0].namespace

    @property
    def spec(self) -> RecordSpec:
        """What was decided at its start."""
        return self.parts[0].spec

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """All segments of all parts."""
        return tuple(segment for part in self.parts for segment in part.status.segments)

    @cached_property
    def ends(self) -> tuple[Segment, ...]:
        """The segments with which it ended: two where it was promoted and taken back later."""
        return tuple(segment for segment in self.segments if segment.outcome)

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, by its segments."""
        return self.ends[-1].outcome if self.ends else None

    @property
    def has_begun(self) -> bool:
        """Whether anything is known to have come of it."""
        return bool(self.segments)

    @property
    def ended_at(self) -> datetime | None:
        """When it ended."""
        return self.ends[-1].confirmed_at if self.ends else None

    @property
    def last_at(self) -> datetime:
        """The last time that it tells of."""
        return max([self.spec.decided_at, *(segment.confirmed_at for segment in self.segments)])

    @cached_property
    def way_back(self) -> WayBack | None:
        """How its candidate lost its traffic; `None` where it was not rolled back."""
        if Outcome.ROLLED_BACK not in {end.outcome for end in self.ends}:
            return None
        end = next(end for end in reversed(self.ends) if end.outcome is Outcome.ROLLED_BACK)
        back = end
        for before, segment in self._steps():
            if segment.cause not in REHEARSALS and self.given(before) and not self.given(segment.shares):
                back = segment
        cause = end if back.cause in {Why.EXTERNAL, Why.MENDED} and end.cause is not Why.ENDED else back
        failed = tuple(gate for gate in cause.gates or end.gates if gate.verdict is Verdict.FAIL)
        return WayBack(
            cause.cause, cause.actor, cause.verified, cause.message, back.intent_at, back.confirmed_at, failed
        )

    def given(self, shares: Sequence[VersionShare]) -> bool:
        """Whether the candidate has live requests or copies of them."""
        digest = self.spec.candidate.digest
        return any(
            one.digest == digest and (one.weight > NONE or (one.mirror is not None and one.mirror > NONE))
            for one in shares
        )

    @cached_property
    def acts(self) -> tuple[Act, ...]:
        """What people, and programs other than the operator, did; oldest first."""
        return tuple(sorted(self._acts(), key=lambda act: act.at))

    def _acts(self) -> Iterator[Act]:
        spec = self.spec
        if spec.trigger.actor:
            what = f"attempt {spec.attempt} began: {spec.trigger.cause}"
            yield Act(
                spec.decided_at, "start", spec.trigger.actor, spec.trigger.verified, spec.trigger.reason or "", what
            )
        for command in [*(one for segment in self.segments for one in segment.commands), *self.asked]:
            yield Act(
                command.at, command.command, command.actor, command.verified, command.reason or "", command.result
            )
        for segment in self.segments:
            if segment.cause is Why.EXTERNAL:
                yield Act(segment.confirmed_at, "external", segment.actor, segment.verified, segment.message, "")
            elif segment.cause is Why.GATES_OVERRIDDEN:
                at = segment.intent_at or segment.confirmed_at
                yield Act(at, "override", segment.actor, segment.verified, segment.message, f"left {segment.stage}")
            elif segment.actor != OPERATOR and not self._is_told(segment):
                at = segment.intent_at or segment.confirmed_at
                yield Act(at, segment.cause.lower(), segment.actor, segment.verified, segment.message, "")

    def _is_told(self, segment: Segment) -> bool:
        """Whether the command behind a segment is told of by itself: records of earlier releases had none of them."""
        return any(command.actor == segment.actor for one in self.segments for command in one.commands)

    def _steps(self) -> Iterator[tuple[Sequence[VersionShare], Segment]]:
        before: Sequence[VersionShare] = self.spec.found
        for segment in self.segments:
            yield before, segment
            before = segment.shares


def flaws_of(
    records: Sequence[Mapping[str, Any]], parts: Sequence[Account], interrupted: AbstractSet[str] = frozenset()
) -> tuple[str, ...]:
    """Return what does not hold in the records of one attempt: broken chains, and what contradicts itself.

    `interrupted` names records whose earlier parts retention has taken.
    """
    broken = [
        f"{one.record}{'' if one.seq is None else f', segment {one.seq}'}: {one.message}"
        for one in breaks_in(records, interrupted)
    ]
    return (*broken, *(flaw for part in parts for flaw in _contradictions(part)))


def _contradictions(part: Account) -> Iterator[str]:
    ends = [segment for segment in part.status.segments if segment.outcome]
    told = ends[-1].outcome if ends else None
    if part.status.outcome is not told:
        yield (
            f"{part.name}: its status says {part.status.outcome or 'that it has not ended'}, and its segments"
            f" {told or 'that it has not ended'}"
        )
    before: Segment | None = None
    for segment in part.status.segments:
        if before and segment.confirmed_at < before.confirmed_at:
            yield f"{part.name}, segment {segment.seq}: it is said to be earlier than the one before"
        if segment.intent_at and segment.confirmed_at < segment.intent_at:
            yield f"{part.name}, segment {segment.seq}: it is said to have been seen before it was decided"
        if total := sum(share.weight.hundredths for share in segment.shares) % 10_000:
            yield f"{part.name}, segment {segment.seq}: its shares make {total / 100:g} %, not 100"
        before = segment


def gaps_of(tale: Tale) -> Iterator[str]:
    """Yield what the records leave open, in sentences."""
    if not tale.has_begun:
        yield f"{tale.name} tells of no traffic: the attempt never began"
    elif tale.outcome is None:
        yield f"{tale.name} has no end yet"
    last = tale.parts[-1]
    intent = last.status.intent
    if intent and not any(segment.intent_at == intent.since for segment in tale.segments):
        yield f"{last.name} announces {intent.stage}, step {intent.step + 1}, and tells of no such shares: they never reached the route"
    if tale.way_back and tale.way_back.took is None:
        yield f"{tale.name} does not tell when its rollback was decided"
    if tale.spec.plan and tale.spec.plan.gates_left_out:
        yield f"{tale.name} leaves out {tale.spec.plan.gates_left_out} gates of its plan: there was no room"
