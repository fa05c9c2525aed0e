"""One look at a ModelRollout from the outside: its JSON as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Shares:
    """What the candidate gets, in percent: of live requests, and of copies of them."""

    candidate: float
    mirror: float


@dataclass(frozen=True)
class Gate:
    """A gate's last verdict, with its numbers as the operator words them."""

    name: str
    verdict: str
    reason: str
    message: str
    value: str
    samples: int | None


@dataclass(frozen=True)
class Sight:
    """Where a rollout stands. Times are Unix seconds; what is not there is empty or `None`."""

    phase: str = "Pending"
    serving: str = ""
    number: int = 0
    candidate: str = ""
    baseline: str = ""
    stage: str = ""
    step: int = 0
    applied_at: float | None = None
    target: Shares | None = None
    gates: tuple[Gate, ...] = ()
    held: str = ""
    """The reason and message of condition Held."""
    cause: str = ""
    """Why the attempt was rolled back."""
    why: str = ""
    rolled_back_at: float | None = None
    """When the rollback was decided."""
    ended_at: float | None = None
    outcome: str = ""
    has_route: bool = False

    @property
    def is_steady(self) -> bool:
        """Whether the shares of a step stand on the route and nothing has been decided against them."""
        return self.applied_at is not None and not self.outcome and not self.cause

    def is_at(self, stage: str, step: int, candidate: str) -> bool:
        """Whether the shares of this step are applied."""
        return self.is_steady and (self.stage, self.step, self.candidate) == (stage, step, candidate)


def parse_sight(rollout: Json) -> Sight:
    """Return what a ModelRollout's status says; one without status is Pending."""
    status = rollout.get("status") or {}
    attempt = status.get("attempt") or {}
    rollback = attempt.get("rollback") or {}
    target = attempt.get("target")
    held = next((c for c in status.get("conditions", []) if (c["type"], c["status"]) == ("Held", "True")), None)
    return Sight(
        phase=status.get("phase", "Pending"),
        serving=(status.get("serving") or {}).get("version", ""),
        number=attempt.get("number", 0),
        candidate=(attempt.get("candidate") or {}).get("version", ""),
        baseline=(attempt.get("baseline") or {}).get("version", ""),
        stage=attempt.get("stage", ""),
        step=attempt.get("step", 0),
        applied_at=_time(attempt.get("appliedAt")),
        target=Shares(float(target["candidate"]), float(target["mirror"])) if target else None,
        gates=tuple(_gate(gate) for gate in attempt.get("gates", [])),
        held=f"{held['reason']}: {held['message']}" if held else "",
        cause=rollback.get("cause", ""),
        why=rollback.get("message", ""),
        rolled_back_at=_time(rollback.get("since")),
        ended_at=_time(attempt.get("endedAt")),
        outcome=attempt.get("outcome", ""),
        has_route="route" in status,
    )


def _gate(gate: Json) -> Gate:
    return Gate(
        name=gate["name"],
        verdict=gate["verdict"],
        reason=gate["reason"],
        message=gate["message"],
        value=gate.get("value", ""),
        samples=gate.get("samples"),
    )


def _time(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
