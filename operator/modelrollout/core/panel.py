"""The gates of a step together: how sure each has to be, so that all of them are as sure as one would be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelrollout.api.gates import Gate
from modelrollout.api.options import GateEffect
from modelrollout.core.effects import acting, effects_of
from modelrollout.core.plan import limits_of


@dataclass(frozen=True, slots=True)
class Panel:
    """`effects` has the gates with one, by name. `limits` is how many limits those that act set.

    When any one of them is broken it rolls back: over so many the false alarms of a look add up. `ways` has, for the
    parts of gates that fail when all of them do, how many there are: any one of them lets such a gate pass.
    """

    effects: Mapping[str, GateEffect]
    limits: int
    ways: Mapping[str, int]

    def limits_for(self, gate: Gate) -> int:
        """Return among how many limits this gate is judged; one that does not act, as if it did."""
        effect = self.effects.get(gate.name)
        alone = effect is GateEffect.WARNS or effect is GateEffect.RECORDS
        return max(1, self.limits + (len(limits_of(gate)) if alone else 0))


def panel_of(gates: Sequence[Gate]) -> Panel:
    """Return how these gates of one step are taken."""
    effects = effects_of(gates)
    act = acting(gates, effects)
    if not any(gate.fails_when for gate in gates):
        return Panel(effects, sum(len(limits_of(gate)) for gate in act), {})
    sizes = {gate.name: len(limits_of(gate)) for gate in gates}
    ways: dict[str, int] = {}
    for gate in gates:
        for name in gate.fails_when.all_of or () if gate.fails_when else ():
            ways[name] = max(ways.get(name, 1), len(gate.fails_when.parts) if gate.fails_when else 1)
    return Panel(effects, sum(_cost(gate, sizes) for gate in act), ways)


def _cost(gate: Gate, sizes: Mapping[str, int]) -> int:
    """Return how many limits could each by itself bring about this gate's false alarm.

    A gate that fails when all of its parts do is falsely alarmed only if a part that is well is: whichever that is, its
    own limits bound the chance. When any part is enough, all of them add up.
    """
    if gate.fails_when is None:
        return sizes[gate.name]
    counts = [sizes.get(name, 0) for name in gate.fails_when.parts]
    return max(counts) if gate.fails_when.all_of else sum(counts)
