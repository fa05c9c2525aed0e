"""A measured value to a verdict: within its bounds, and near enough to the baseline's, or not."""

from modelrollout.api.fields import render_number, render_share
from modelrollout.api.gates import Gate, Saturation, Value
from modelrollout.api.status import GateStatus, Verdict
from modelrollout.core.bench import BROKEN, Bench, Finding, most_telling, status_of, warming
from modelrollout.core.counts import BASELINE_TOO
from modelrollout.core.evidence import Measured, NoData, Unknown

Limits = Value | Saturation


def judge_value(gate: Gate, measured: Measured, bench: Bench) -> GateStatus:
    """Return the verdict on the gate's limits; a value is looked at as it stands, whatever it was before."""
    limits = gate.kind
    if not isinstance(limits, Value | Saturation):
        raise ValueError(f"gate {gate.name!r} has no value, but a value was measured")  # noqa: TRY004 a gate of another kind
    number = _number(measured.value)
    bounds, distance = _bounds(limits), _distance(limits)
    findings = [_within(limits, measured, f"{number}; allowed is {bounds}")] if bounds else []
    if distance:
        findings.append(_near(limits, measured, distance))
    finding = most_telling(findings)
    if bench.warming_until and finding.verdict is Verdict.FAIL:
        not_yet = f"{finding.message}; not judged while the candidate warms up"
        finding = Finding(Verdict.UNKNOWN, Unknown.WARMING_UP, not_yet)
    elif bench.warming_until:
        finding = warming(bench)
    limit = ", ".join(part for part in (bounds, distance) if part)
    return status_of(gate, bench, finding, value=number, limit=limit)


def _within(limits: Limits, measured: Measured, shown: str) -> Finding:
    if not _breaks(limits, measured.value):
        return Finding(Verdict.PASS, "WithinBounds", shown)
    if isinstance(measured.baseline, float) and _breaks(limits, measured.baseline):
        both = f"{shown}; the baseline has {_number(measured.baseline)}. Look at what they share"
        return Finding(Verdict.UNKNOWN, BASELINE_TOO, both, BROKEN)
    return Finding(Verdict.FAIL, "OutOfBounds", shown)


def _breaks(limits: Limits, value: float) -> bool:
    return (limits.max is not None and value > limits.max) or (limits.min is not None and value < limits.min)


def _near(limits: Limits, measured: Measured, distance: str) -> Finding:
    value, baseline = measured.value, measured.baseline
    if baseline is None:
        nothing = "the baseline has no live requests to compare with; compared while it had"
        return Finding(Verdict.PASS, "NothingToCompare", nothing)
    if isinstance(baseline, NoData):
        return Finding(Verdict.UNKNOWN, baseline.reason, f"the baseline's value: {baseline.message}")
    shown = f"{_number(value)}, the baseline has {_number(baseline)}; allowed is {distance}"
    room = abs(baseline)
    above = limits.max_increase is not None and value - baseline > limits.max_increase * room
    below = limits.max_decrease is not None and baseline - value > limits.max_decrease * room
    if not (above or below):
        return Finding(Verdict.PASS, "NoWorseThanBaseline", shown)
    if not room:
        no_share = f"{shown}, and no percentage of 0 says how much: give the gate a min or max as well"
        return Finding(Verdict.UNKNOWN, Unknown.BASELINE_ZERO, no_share)
    return Finding(Verdict.FAIL, "WorseThanBaseline", shown)


def _bounds(limits: Limits) -> str:
    least = [f"at least {render_number(limits.min)}"] if limits.min is not None else []
    most = [f"at most {render_number(limits.max)}"] if limits.max is not None else []
    return " and ".join(least + most)


def _distance(limits: Limits) -> str:
    more = [f"at most {render_share(limits.max_increase)} more"] if limits.max_increase is not None else []
    less = [f"at most {render_share(limits.max_decrease)} less"] if limits.max_decrease is not None else []
    both = " and ".join(more + less)
    return f"{both} than the baseline" if both else ""


def _number(value: float) -> str:
    """Print a measured value; a p-value of 1e-200 keeps its exponent, status has no room for 200 zeros."""
    return render_number(value) if value == 0 or 1e-9 <= abs(value) < 1e16 else f"{value:.6g}"
