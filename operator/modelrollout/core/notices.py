"""What is told outside of the cluster: one notice a transition, with all that a person or a program needs to act on it.

Each notice goes with a Kubernetes event of the same pass: who is told of one is told of the other, once.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from modelrollout.api.fields import NONE, render_time
from modelrollout.api.rollout import Owner
from modelrollout.api.status import Attempt, Cause, GateStatus, ModelRolloutStatus
from modelrollout.core.actors import actor_text
from modelrollout.core.effects import acts
from modelrollout.core.rollout import Rollout


class Transition(StrEnum):
    """What has happened to a rollout, in the words of settings and messages."""

    STARTED = "started"
    STEP = "step"
    HELD = "held"
    RESUMED = "resumed"
    STALLED = "stalled"
    GATE_WARNS = "gateWarns"
    GATES_OVERRIDDEN = "gatesOverridden"
    PROMOTED = "promoted"
    ROLLING_BACK = "rollingBack"
    ROLLED_BACK = "rolledBack"
    SUPERSEDED = "superseded"
    CANDIDATE_IDLE = "candidateIdle"
    SAFETY_STOP = "safetyStop"
    FAILED = "failed"


class Level(StrEnum):
    """How much it matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Its place, from 0."""
        return tuple(Level).index(self)


@dataclass(frozen=True, slots=True)
class Commands:
    """What to type: with the plugin, and with kubectl alone."""

    plugin: str
    kubectl: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A transition. `id` is the same whenever it is told, and no other transition's.

    `reason` is a CamelCase word, `message` a sentence. `gate` is the one that decided it, `gates` are all that act, as
    far as they have been judged. `actor` asked for it, in a sentence. `record` names the account of the attempt.
    """

    id: str
    transition: Transition
    level: Level
    at: datetime
    namespace: str
    name: str
    uid: str
    reason: str
    message: str
    traffic: str
    commands: Commands
    attempt: Attempt | None = None
    gate: GateStatus | None = None
    gates: tuple[GateStatus, ...] = ()
    owner: Owner | None = None
    actor: str | None = None

    @property
    def record(self) -> str | None:
        """Name of the ModelRolloutRecord of the attempt."""
        return self.attempt.record if self.attempt else None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A segment that has been written into a record. `segment` is as it is stored, `hash` is its own."""

    record: str
    hash: str
    at: datetime
    namespace: str
    name: str
    uid: str
    segment: Mapping[str, Any]
    owner: Owner | None = None

    @property
    def id(self) -> str:
        """The same whenever it is told, and no other segment's."""
        return f"{self.record}/{self.segment['seq']}/{self.hash[:16]}"


Told = Notice | Recorded

_OF_EVENT: Mapping[str, tuple[Transition, Level]] = MappingProxyType(
    {
        "AttemptStarted": (Transition.STARTED, Level.INFO),
        "StepStarted": (Transition.STEP, Level.INFO),
        "Held": (Transition.HELD, Level.WARNING),
        "HoldOver": (Transition.RESUMED, Level.INFO),
        "StallOver": (Transition.RESUMED, Level.INFO),
        "Stalled": (Transition.STALLED, Level.WARNING),
        "GateWarns": (Transition.GATE_WARNS, Level.WARNING),
        "GatesOverridden": (Transition.GATES_OVERRIDDEN, Level.WARNING),
        "Promoted": (Transition.PROMOTED, Level.INFO),
        "RollingBack": (Transition.ROLLING_BACK, Level.WARNING),
        "RolledBack": (Transition.ROLLED_BACK, Level.WARNING),
        "Superseded": (Transition.SUPERSEDED, Level.INFO),
        "CandidateIdle": (Transition.CANDIDATE_IDLE, Level.INFO),
        "SafetyStop": (Transition.SAFETY_STOP, Level.CRITICAL),
        "DrillFailed": (Transition.FAILED, Level.CRITICAL),
        "ConcurrentWriter": (Transition.FAILED, Level.CRITICAL),
        "RouteRefused": (Transition.FAILED, Level.CRITICAL),
        "StatusPruned": (Transition.FAILED, Level.CRITICAL),
    }
)
_NEXT: Mapping[Transition, str] = MappingProxyType(
    {
        Transition.STARTED: "rollback",
        Transition.STEP: "rollback",
        Transition.RESUMED: "rollback",
        Transition.GATE_WARNS: "rollback",
        Transition.GATES_OVERRIDDEN: "rollback",
        Transition.PROMOTED: "rollback",
        Transition.ROLLED_BACK: "retry",
        Transition.SAFETY_STOP: "retry",
    }
)
"""The command to type after each; where there is none, to look."""
_NEXT_AFTER_HOLD = MappingProxyType(
    {
        "ApprovalNeeded": "approve",
        "HeldByPerson": "resume",
        "SafetyStop": "retry",
        "DeadlineExceeded": "resume",
        "DrillFailed": "resume",
        "RouteChanged": "resume",
    }
)
_WAITS_FOR_TIME = frozenset({"OutsideWindow", "Frozen"})
_WAITS_FOR_PODS = frozenset({"CandidateNotReady", "WorkloadNotReady"})
_ASKED: Mapping[Transition, str] = MappingProxyType(
    {Transition.RESUMED: "resume", Transition.GATES_OVERRIDDEN: "advance"}
)
_GATE = re.compile(r"\bgate (\S+?)(?: in stage \S+)?: ")
_PATCH = re.compile(r"kubectl patch mr .+? -p '[^']*'")
_ROLLBACKS = frozenset({Transition.ROLLING_BACK, Transition.ROLLED_BACK, Transition.SAFETY_STOP})


def notice_of(event: str, message: str, rollout: Rollout, at: datetime, *, repeats: bool = False) -> Notice | None:
    """Return what is told of an event of this reason, `None` where the transition that it belongs to says it all.

    `rollout` is as it is afterwards, `at` is when it was decided. What `repeats` happens again at each try: its id follows
    from what it says.
    """
    if event not in _OF_EVENT:
        return None
    transition, level = _OF_EVENT[event]
    status, attempt = rollout.status, rollout.status.attempt
    rollback = attempt.rollback if attempt else None
    reason = _reason_of(event, transition, status)
    if transition in _ROLLBACKS and rollback and rollback.cause is Cause.CATASTROPHE:
        level = Level.CRITICAL
    if transition is Transition.HELD and _is_a_matter_of_course(reason, attempt):
        level = Level.INFO
    said = f"{event}\n{rollout.generation}\n{message}"
    key = hashlib.sha256(said.encode()).hexdigest()[:16] if repeats else render_time(at)
    gates = tuple(gate for gate in attempt.gates if acts(gate)) if attempt else ()
    return Notice(
        id=f"{rollout.uid}/{attempt.number if attempt else 0}/{event}/{key}",
        transition=transition,
        level=level,
        at=at,
        namespace=rollout.namespace,
        name=rollout.name,
        uid=rollout.uid,
        reason=reason,
        message=message,
        traffic=_traffic_text(transition, attempt),
        commands=_commands(transition, reason, message, rollout),
        attempt=attempt,
        gate=_gate_in(message, attempt),
        gates=gates,
        owner=rollout.spec.owner if rollout.spec else None,
        actor=_actor_of(transition, reason, status),
    )


def _is_a_matter_of_course(reason: str, attempt: Attempt | None) -> bool:
    """Whether a hold calls nobody: weights wait for their window, or pods that nobody needs yet are on their way."""
    is_under_way = attempt is not None and attempt.outcome is None
    return reason in _WAITS_FOR_TIME or (reason in _WAITS_FOR_PODS and not is_under_way)


def _reason_of(event: str, transition: Transition, status: ModelRolloutStatus) -> str:
    """Return the word for machines: why it is held or stalled, the cause of a rollback, else the event's own."""
    if transition in (Transition.HELD, Transition.STALLED):
        kind = "Held" if transition is Transition.HELD else "Stalled"
        return next((one.reason for one in status.conditions if one.type == kind), event)
    rollback = status.attempt.rollback if status.attempt else None
    return str(rollback.cause) if rollback and transition in _ROLLBACKS else event


def _gate_in(message: str, attempt: Attempt | None) -> GateStatus | None:
    """Return the gate that the message, or else the rollback's, speaks of."""
    why = attempt.rollback.message if attempt and attempt.rollback else ""
    for text in (message, why):
        if found := _GATE.search(text):
            return next((gate for gate in attempt.gates if gate.name == found[1]), None) if attempt else None
    return None


def _actor_of(transition: Transition, reason: str, status: ModelRolloutStatus) -> str | None:
    if reason == "HeldByPerson" and status.held:
        return actor_text(status.held)
    asked = _ASKED.get(transition)
    if transition in _ROLLBACKS:
        asked = "rollback" if reason == Cause.MANUAL else None
    found = next((one for one in reversed(status.commands) if one.command == asked), None)
    return actor_text(found) if found else None


def _traffic_text(transition: Transition, attempt: Attempt | None) -> str:
    """Return what has become of the traffic, as a sentence without its stop."""
    if attempt is None:
        return "traffic stays as it is"
    new, old = attempt.candidate.version, attempt.baseline.version if attempt.baseline else None
    share, copied = attempt.target.candidate, attempt.target.mirror
    if transition is Transition.ROLLING_BACK:
        return f"all requests go back to {old or 'the baseline'}"
    parts = [f"{old} answers {share.rest}% of the requests"] if old and share.rest > NONE else []
    parts += [f"{new} answers {share}% of the requests"] if share > NONE else []
    parts += [f"{new} gets copies of {copied}% of them"] if copied > NONE else []
    parts += [f"{new} has none"] if share == copied == NONE else []
    return ", ".join(parts)


def _commands(transition: Transition, reason: str, message: str, rollout: Rollout) -> Commands:
    """Return what to type next; where the message itself says how, that."""
    verb = _NEXT_AFTER_HOLD.get(reason, "rollback") if transition is Transition.HELD else _NEXT.get(transition)
    attempt = rollout.status.attempt
    if verb == "rollback" and (attempt is None or attempt.baseline is None):
        verb = None
    where = f"{rollout.name} -n {rollout.namespace}"
    found = _PATCH.search(message)
    if verb is None:
        return Commands(f"kubectl modelrollout explain {where}", f"kubectl describe mr {where}")
    control: object = {verb: {"reason": "WHY"}}
    if verb == "approve":
        control = {verb: [{"requestedBy": "YOUR-USER-NAME", "reason": "WHY"}]}
    body = json.dumps({"status": {"control": control}}, separators=(",", ":"))
    patch = found[0] if found else f"kubectl patch mr {where} --subresource=status --type=merge -p '{body}'"
    return Commands(f'kubectl modelrollout {verb} {where} --reason "WHY"', patch)
