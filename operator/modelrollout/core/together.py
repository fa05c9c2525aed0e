"""Gates that are made of others: three-valued, as what is not known may not matter."""

from collections.abc import Mapping, Sequence

from modelrollout.api.gates import FailsWhen, Gate
from modelrollout.api.status import GateStatus, Verdict
from modelrollout.core.bench import Bench, Finding, status_of
from modelrollout.core.evidence import Unknown
from modelrollout.core.gates import is_lost, since_unknown


def judge_together(gate: Gate, kind: FailsWhen, verdicts: Mapping[str, GateStatus], bench: Bench) -> GateStatus:
    """Return the verdict that those of its parts come to.

    With `all`, one part that passes settles it, whatever is not known of the others, and with `any` one that fails.
    """
    parts = [verdicts[name] for name in kind.parts if name in verdicts]
    if len(parts) < len(kind.parts):
        missing = next(name for name in kind.parts if name not in verdicts)
        text = f"gate {missing} is not judged in this stage"
        return since_unknown(status_of(gate, bench, Finding(Verdict.UNKNOWN, Unknown.NO_DATA, text)), bench)
    return since_unknown(status_of(gate, bench, _finding(kind, parts)), bench)


def _finding(kind: FailsWhen, parts: Sequence[GateStatus]) -> Finding:
    settles, otherwise = (Verdict.PASS, Verdict.FAIL) if kind.all_of else (Verdict.FAIL, Verdict.PASS)
    if settled := [part for part in parts if part.verdict is settles]:
        return _settled(settles, settled)
    if unknown := [part for part in parts if part.verdict is Verdict.UNKNOWN]:
        # What only needs time is said last: somebody may have to look at the other.
        first = next((part for part in unknown if is_lost(part)), unknown[0])
        return Finding(Verdict.UNKNOWN, first.reason, f"{first.name} does not know: {first.message}")
    return _settled(otherwise, parts)


def _settled(verdict: Verdict, parts: Sequence[GateStatus]) -> Finding:
    does, reason = ("fails", "PartsFail") if verdict is Verdict.FAIL else ("passes", "PartsPass")
    return Finding(verdict, reason, "; ".join(f"{part.name} {does}: {part.message}" for part in parts))
