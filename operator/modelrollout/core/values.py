"""A measured value to a verdict: within its bounds or not."""

from modelrollout.api.fields import render_number
from modelrollout.api.gates import Gate
from modelrollout.api.status import GateStatus, Verdict
from modelrollout.core.bench import Bench, Finding, status_of, warming
from modelrollout.core.evidence import Unknown


def judge_value(gate: Gate, value: float, bench: Bench) -> GateStatus:
    """Return the verdict on the gate's bounds; a value is looked at as it stands, whatever it was before."""
    bounds = gate.value
    if bounds is None:
        raise ValueError(f"gate {gate.name!r} has no value, but a value was measured")
    least = [f"at least {render_number(bounds.min)}"] if bounds.min is not None else []
    most = [f"at most {render_number(bounds.max)}"] if bounds.max is not None else []
    limit = " and ".join(least + most)
    broken = (bounds.max is not None and value > bounds.max) or (bounds.min is not None and value < bounds.min)
    number = _number(value)
    shown = f"{number}; allowed is {limit}"
    if broken and bench.warming_until:
        finding = Finding(Verdict.UNKNOWN, Unknown.WARMING_UP, f"{shown}; not judged while the candidate warms up")
    elif broken:
        finding = Finding(Verdict.FAIL, "OutOfBounds", shown)
    elif bench.warming_until:
        finding = warming(bench)
    else:
        finding = Finding(Verdict.PASS, "WithinBounds", shown)
    return status_of(gate, bench, finding, value=number, limit=limit)


def _number(value: float) -> str:
    """Print a measured value; a p-value of 1e-200 keeps its exponent, status has no room for 200 zeros."""
    return render_number(value) if value == 0 or 1e-9 <= abs(value) < 1e16 else f"{value:.6g}"
