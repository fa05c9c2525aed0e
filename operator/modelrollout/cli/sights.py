"""A rollout as `watch` shows it: parsed once for each change, with what has happened since one looks."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from modelrollout.api.status import GateStatus, Outcome, Phase
from modelrollout.cli.rollouts import Object
from modelrollout.cli.words import printable
from modelrollout.core.plan import Step
from modelrollout.core.rollout import Rollout, parse_rollout
from modelrollout.core.wording import step_text

KEPT = 50
"""Happenings of all rollouts together that are remembered."""

_URGENCY = (
    Phase.ROLLING_BACK,
    Phase.HELD,
    Phase.INVALID,
    Phase.CANARY,
    Phase.FULL,
    Phase.SHADOW,
    Phase.PENDING,
    Phase.ROLLED_BACK,
    Phase.PROMOTED,
)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that has changed while one looked."""

    at: datetime
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Sight:
    """One rollout, and how it reads."""

    raw: Object
    parsed: Rollout

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.parsed.namespace, self.parsed.name

    @property
    def steps(self) -> tuple[Step, ...]:
        """The plan in effect, empty where it cannot be read."""
        attempt = self.parsed.status.attempt
        if self.parsed.spec is None:
            return ()
        has_baseline = attempt.baseline is not None if attempt else self.parsed.given_baseline is not None
        return self.parsed.plan(has_baseline=has_baseline).steps

    @property
    def at(self) -> int | None:
        """The index of the present step: all of them once it is promoted, `None` before an attempt."""
        attempt = self.parsed.status.attempt
        if attempt is None or attempt.outcome is Outcome.SUPERSEDED:
            return None
        if attempt.outcome is Outcome.PROMOTED:
            return len(self.steps)
        places = [(step.stage, step.index) for step in self.steps]
        here = (attempt.stage, attempt.step)
        return places.index(here) if here in places else None

    @property
    def gates(self) -> list[GateStatus]:
        """The gates' last verdicts."""
        attempt = self.parsed.status.attempt
        return attempt.gates if attempt else []

    @property
    def urgency(self) -> tuple[int, str, str]:
        """What is sorted by: who needs somebody first."""
        phase = self.parsed.status.phase
        return (_URGENCY.index(phase) if phase else len(_URGENCY), *self.key)


@dataclass
class Sights:
    """All rollouts that are watched."""

    by_key: dict[tuple[str, str], Sight] = field(default_factory=dict)
    happened: deque[Happening] = field(default_factory=lambda: deque(maxlen=KEPT))

    def put(self, raw: Object) -> list[Happening]:
        """Take a rollout in as it is now; return what has happened to it."""
        raw = printable(raw)
        key = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        before = self.by_key.get(key)
        sight = Sight(raw, parse_rollout(raw, before.parsed if before else None))
        self.by_key[key] = sight
        news = list(_between(before, sight, datetime.now(UTC))) if before else []
        self.happened.extend(news)
        return news

    def drop(self, raw: Object) -> list[Happening]:
        """Forget a rollout that is gone; return that it is."""
        key = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        if self.by_key.pop(key, None) is None:
            return []
        news = [Happening(datetime.now(UTC), key[1], "was deleted")]
        self.happened.extend(news)
        return news

    def put_all(self, rollouts: tuple[Object, ...]) -> list[Happening]:
        """Take in a complete list: whoever is missing is gone."""
        here = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in rollouts}
        gone = [sight.raw for key, sight in self.by_key.items() if key not in here]
        return [news for one in gone for news in self.drop(one)] + [news for one in rollouts for news in self.put(one)]

    def by_urgency(self) -> list[Sight]:
        """Return all of them, those that need somebody first."""
        return sorted(self.by_key.values(), key=lambda sight: sight.urgency)


def _between(before: Sight, after: Sight, now: datetime) -> Iterator[Happening]:
    old, new = before.parsed.status, after.parsed.status
    happening = Happening(now, after.parsed.name, "")
    if after.parsed.wanted != before.parsed.wanted and after.parsed.wanted:
        yield replace(happening, text=f"spec asks for {after.parsed.wanted.version}")
    if before.at != after.at and after.at is not None and after.at < len(after.steps):
        yield replace(happening, text=f"begins {step_text(after.steps[after.at])}")
    if old.phase != new.phase and new.phase:
        said = next((one.message for one in new.conditions if one.type == "Ready"), "")
        yield replace(happening, text=f"{new.phase}{f': {said}' if said else ''}")
    known = {gate.name: gate.verdict for gate in before.gates}
    for gate in after.gates:
        if gate.name in known and known[gate.name] != gate.verdict:
            yield replace(happening, text=f"gate {gate.name}: {gate.verdict}: {gate.message}")
    for handled in new.commands:
        if handled not in old.commands:
            who = f" by {handled.requested_by}" if handled.requested_by else ""
            yield replace(happening, text=f"{handled.command}{who}: {handled.result}")
