"""The gates of a step together: which of them act, and how sure each has to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelrollout.api.gates import Gate
from modelrollout.api.options import GateEffect, Severity
from modelrollout.api.status import GateStatus
from modelrollout.core.plan import limits_of


@dataclass(frozen=True, slots=True)
class Panel:
    """`effects` has the gates with one, by name. `limits` is how many limits those that act set.

    When any one of them is broken it rolls back: over so many the false alarms of a look add up.
    """

    effects: Mapping[str, GateEffect]
    limits: int

    def limits_for(self, gate: Gate) -> int:
        """Return among how many limits this gate is judged; one that does not act, as if it did."""
        effect = self.effects.get(gate.name)
        return self.limits if effect is None or effect.acts else self.limits + len(limits_of(gate))


def panel_of(gates: Sequence[Gate]) -> Panel:
    """Return how these gates of one step are taken."""
    effects = {gate.name: effect for gate in gates if (effect := _effect_of(gate))}
    acting = (gate for gate in gates if gate.name not in effects or effects[gate.name].acts)
    return Panel(effects, sum(len(limits_of(gate)) for gate in acting))


def acts(gate: GateStatus) -> bool:
    """Whether a gate rolls back, holds, and is waited for."""
    return gate.effect is None or gate.effect.acts


def _effect_of(gate: Gate) -> GateEffect | None:
    if gate.dry_run:
        return GateEffect.RECORDS
    if gate.severity is Severity.WARNING:
        return GateEffect.WARNS
    return GateEffect.STOPS if gate.severity is Severity.SAFETY else None
