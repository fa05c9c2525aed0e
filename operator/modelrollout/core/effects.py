"""What each gate of a step does when it fails: most roll back or hold, the others are told apart here."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from modelrollout.api.gates import Gate
from modelrollout.api.options import GateEffect, Severity
from modelrollout.api.status import GateStatus


def effects_of(gates: Sequence[Gate]) -> Mapping[str, GateEffect]:
    """Return the effects of those gates that have one, by name. A gate that another one is made of only joins it."""
    parts = {name for gate in gates if gate.fails_when for name in gate.fails_when.parts}
    own = {gate.name: effect for gate in gates if (effect := _effect_of(gate))}
    return own | dict.fromkeys(parts, GateEffect.JOINS)


def acting(gates: Iterable[Gate], effects: Mapping[str, GateEffect]) -> list[Gate]:
    """Return those that roll back, hold, and are waited for."""
    return [gate for gate in gates if gate.name not in effects or effects[gate.name].acts]


def acts(gate: GateStatus) -> bool:
    """Whether a gate rolls back, holds, and is waited for."""
    return gate.effect is None or gate.effect.acts


def longest_delay(gates: Sequence[Gate]) -> timedelta:
    """Return after how long the last label comes that a step has to wait for."""
    if not any(gate.label_delay for gate in gates):
        return timedelta(0)
    act = acting(gates, effects_of(gates))
    waited_for = {gate.name for gate in act} | {
        name for gate in act if gate.fails_when for name in gate.fails_when.parts
    }
    return max((gate.label_delay or timedelta(0) for gate in gates if gate.name in waited_for), default=timedelta(0))


def _effect_of(gate: Gate) -> GateEffect | None:
    if gate.dry_run:
        return GateEffect.RECORDS
    if gate.severity is Severity.WARNING:
        return GateEffect.WARNS
    return GateEffect.STOPS if gate.severity is Severity.SAFETY else None
