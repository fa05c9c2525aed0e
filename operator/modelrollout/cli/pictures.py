"""How `watch` and `explain` draw: a track of stages, shares, and each gate's way to its verdict."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modelrollout.api.fields import ALL
from modelrollout.api.status import GateStatus, Outcome, Phase, Verdict
from modelrollout.cli.sights import Happening, Sight
from modelrollout.cli.words import age, ready_condition, span
from modelrollout.core.plan import StageKind, Step

PHASES = {
    Phase.PROMOTED: "green",
    Phase.SHADOW: "cyan",
    Phase.CANARY: "cyan",
    Phase.FULL: "cyan",
    Phase.HELD: "yellow",
    Phase.ROLLING_BACK: "bold red",
    Phase.ROLLED_BACK: "red",
    Phase.INVALID: "red",
    Phase.PENDING: "dim",
}
VERDICTS = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "yellow"}
HALF = 10
"""Cells of a gate's bar to either side."""


def picture_of(sight: Sight, happened: Iterable[Happening], now: datetime, *, most: int = 8) -> RenderableType:
    """Return one rollout in full."""
    parts: list[RenderableType] = [headline(sight, now), track(sight), shares(sight), Text("")]
    if sight.gates:
        parts += [gates(sight.gates, now), Text("")]
    parts += [Text.assemble(("why    ", "dim"), _why(sight))]
    mine = [one for one in happened if one.name == sight.parsed.name][-most:]
    parts += [Text.assemble((f"{one.at:%H:%M:%S} ", "dim"), one.text) for one in mine]
    return Group(*parts)


def overview(sights: Sequence[Sight], now: datetime, *, rows: int, is_wide: bool) -> RenderableType:
    """Return a line for each rollout, as many as there is room for, those that need somebody first."""
    table = Table(box=None, pad_edge=False, expand=True, header_style="dim")
    for name in (("NAMESPACE",) if is_wide else ()) + ("NAME", "PHASE", "TRACK", "SHARE", "GATES", "FOR"):
        table.add_column(name, no_wrap=True)
    table.add_column("WHY", no_wrap=True, overflow="ellipsis", ratio=1)
    for sight in sights[:rows]:
        table.add_row(*_row(sight, now, is_wide=is_wide))
    hidden = len(sights) - rows
    if hidden <= 0:
        return table
    return Group(table, Text(f"and {hidden} more that need nobody now: kubectl modelrollout get", style="dim"))


def headline(sight: Sight, now: datetime) -> Text:
    """Return who it is, which version is tried on top of which, and for how long."""
    parsed, attempt = sight.parsed, sight.parsed.status.attempt
    phase = parsed.status.phase
    line = Text.assemble((f"{parsed.namespace}/{parsed.name}", "bold"), "  ", (phase or "new", _phase_style(phase)))
    if attempt:
        of = f" on top of {attempt.baseline.version}" if attempt.baseline else ", the first one"
        line.append(f"  {attempt.candidate.version}{of}, attempt {attempt.number}")
        line.append(f", {'ended' if attempt.ended_at else 'since'} {age(attempt.ended_at or attempt.started_at, now)}")
    if parsed.spec:
        line.append(f"  ({parsed.spec.owner.team})", "dim")
    return line


def track(sight: Sight) -> Text:
    """Return the stages as a track: what is behind, where it is, what is to come."""
    line, at = Text.assemble(("track  ", "dim")), sight.at
    attempt = sight.parsed.status.attempt
    is_back = attempt is not None and attempt.outcome is Outcome.ROLLED_BACK
    for index, step in enumerate(sight.steps):
        if index:
            line.append(" ─ ", "dim")
        if at is None or index > at:
            line.append(_station(step), "dim")
        elif index < at:
            line.append(f"{_station(step)} ✓", "green")
        else:
            line.append(f"{'✗' if is_back else '●'} {_station(step)}", "bold red" if is_back else "bold cyan")
    return line


def shares(sight: Sight) -> Text:
    """Return the shares that the route should have, and those that were seen there."""
    attempt, route = sight.parsed.status.attempt, sight.parsed.status.route
    line = Text.assemble(("shares ", "dim"))
    if attempt is None:
        return line.append("no attempt yet", "dim")
    wanted = attempt.target
    line.append(_share_bar(wanted.candidate.hundredths / ALL.hundredths))
    line.append(f" wanted {wanted.candidate}%" + (f", {wanted.mirror}% copied" if wanted.mirror.hundredths else ""))
    if route is None:
        return line.append("; the route has not been seen", "yellow")
    same = (route.candidate, route.mirror) == (wanted.candidate, wanted.mirror)
    seen = f"; seen {route.candidate}%" + (f", {route.mirror}% copied" if route.mirror.hundredths else "")
    return line.append(f"{seen} on {route.kind} {route.name}", "" if same else "yellow")


def gates(found: Sequence[GateStatus], now: datetime) -> Table:
    """Return each gate's verdict, its way to failing (left) and to passing (right), and what it still takes."""
    table = Table(box=None, pad_edge=False, show_header=False, expand=True)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for gate in found:
        style = VERDICTS[gate.verdict]
        table.add_row(gate.name, Text(gate.verdict, style), evidence_bar(gate), Text(_said(gate, now)))
    return table


def evidence_bar(gate: GateStatus) -> Text:
    """Return a bar from the middle: red to the left towards failing, green to the right towards passing."""
    fail, passing = _towards(gate)
    left, right = round(HALF * fail), round(HALF * passing)
    return Text.assemble(
        ("░" * (HALF - left), "dim"),
        ("█" * left, "red"),
        ("│", ""),
        ("█" * right, "green"),
        ("░" * (HALF - right), "dim"),
    )


def small_bars(found: Sequence[GateStatus]) -> Text:
    """Return one sign for each gate: how far it is, in the colour of its verdict."""
    signs = " ▁▂▃▄▅▆▇█"
    line = Text()
    for gate in found:
        fail, passing = _towards(gate)
        level = fail if gate.verdict is Verdict.FAIL else passing
        line.append(signs[max(1, round(level * 8))], VERDICTS[gate.verdict])
    return line


def _towards(gate: GateStatus) -> tuple[float, float]:
    """Return the fractions of the way to failing and to passing; of an operator that does not say, by the verdict."""
    evidence = gate.evidence
    if evidence and evidence.towards_fail is not None and evidence.towards_pass is not None:
        return min(1.0, evidence.towards_fail / 100), min(1.0, evidence.towards_pass / 100)
    return float(gate.verdict is Verdict.FAIL), float(gate.verdict is Verdict.PASS)


def _said(gate: GateStatus, now: datetime) -> str:
    eta = gate.evidence.eta if gate.evidence else None
    when = f" (in about {span(eta - now)})" if eta and eta > now and gate.verdict is Verdict.UNKNOWN else ""
    return f"{gate.reason}: {gate.message}{when}"


def _row(sight: Sight, now: datetime, *, is_wide: bool) -> list[RenderableType]:
    status, attempt = sight.parsed.status, sight.parsed.status.attempt
    since = (attempt.ended_at or attempt.applied_at or attempt.step_started_at) if attempt else None
    cells: list[RenderableType] = [sight.parsed.namespace] if is_wide else []
    cells += [
        sight.parsed.name,
        Text(status.phase or "-", _phase_style(status.phase)),
        _small_track(sight),
        status.weight or "-",
        Text.assemble(small_bars(sight.gates), f" {status.gates or '-'}"),
        age(since, now) if since else "-",
        _why(sight),
    ]
    return cells


def _phase_style(phase: Phase | None) -> str:
    return PHASES[phase] if phase else "dim"


def _small_track(sight: Sight) -> Text:
    at, count = sight.at, len(sight.steps)
    if at is None:
        return Text("·" * count, "dim")
    here = "●" if at < count else ""
    return Text.assemble(("━" * at, "green"), (here, "bold cyan"), ("─" * max(0, count - at - 1), "dim"))


def _station(step: Step) -> str:
    match step.kind:
        case StageKind.SHADOW:
            return f"{step.stage} {step.shares.mirror}%"
        case StageKind.CANARY:
            return f"{step.stage} {step.shares.candidate}%" if step.index == 0 else f"{step.shares.candidate}%"
        case StageKind.FULL:
            return step.stage


def _share_bar(share: float) -> Text:
    cells = round(2 * HALF * share) or (1 if share else 0)
    return Text.assemble(("█" * cells, "cyan"), ("░" * (2 * HALF - cells), "dim"))


def _why(sight: Sight) -> Text:
    _, reason, message = ready_condition(sight.raw.get("status") or {})
    return Text(f"{reason}: {message}" if message else reason or "nobody has looked at it yet")
