"""What the view shows at one moment, and the one line that stands for it where there is no terminal."""

from dataclasses import dataclass

from local.demo.manifest import Mark
from local.demo.sight import Gate, Sight
from local.load import Snapshot

RECENT_SECONDS = 3.0
"""Over how long the shares that users see are counted."""


@dataclass(frozen=True)
class Told:
    """A Kubernetes event of the rollout; `at` in Unix seconds."""

    at: float
    is_warning: bool
    reason: str
    note: str


@dataclass(frozen=True)
class Picture:
    """All that the view needs; it asks nobody."""

    title: str
    elapsed: float
    """Seconds since the show began."""
    sight: Sight
    track: tuple[Mark, ...]
    recent: Snapshot
    """What users got during the last seconds."""
    total: Snapshot
    copies: int | None
    """Requests that the candidate's server has had while requests are copied to it."""
    told: tuple[Told, ...]
    """The latest events, oldest first."""
    remark: str = ""
    """What has been done to the stack, such as `Prometheus is stopped`."""


def clock(seconds: float) -> str:
    """Return seconds as `m:ss`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def label_of(picture: Picture) -> str:
    """Return how the track names the present step; empty where it has none."""
    here = (picture.sight.stage, picture.sight.step)
    return next((mark.label for mark in picture.track if (mark.stage, mark.step) == here), picture.sight.stage)


def gate_numbers(gate: Gate) -> str:
    """Return a gate's numbers in a few words: `0% of 93`, or why there are none."""
    if gate.value and gate.samples is not None:
        return f"{gate.value} of {gate.samples}"
    return gate.reason


def headline(sight: Sight) -> str:
    """Return who serves and what is being tried, in a sentence."""
    serving = f"{sight.serving} serves" if sight.serving else "waiting for the operator's first look"
    if not sight.candidate:
        return serving
    if sight.outcome == "RolledBack":
        return f"{serving}; {sight.candidate} was rolled back ({sight.cause})"
    if sight.outcome or sight.candidate == sight.serving:
        return serving
    if sight.cause:
        return f"{serving}; {sight.candidate} is being rolled back ({sight.cause})"
    return f"{serving}, {sight.candidate} is tried (attempt {sight.number})"


def key_of(picture: Picture) -> object:
    """Return what makes a new line worth it: everything but the numbers that always change."""
    sight = picture.sight
    gates = tuple((gate.name, gate.verdict) for gate in sight.gates)
    return headline(sight), sight.phase, sight.stage, sight.step, sight.target, gates, bool(sight.held), picture.remark


def line_of(picture: Picture) -> str:
    """Return the picture in one line."""
    sight = picture.sight
    parts = [headline(sight)]
    if sight.target and not sight.outcome:
        wanted = f"{label_of(picture)}: wanted {sight.target.candidate:g}%"
        parts.append(f"{wanted}, users see {100 * picture.recent.share_of(sight.candidate):.1f}%")
        if picture.copies is not None:
            parts.append(f"{picture.copies} copies in all")
        parts.append(", ".join(f"{gate.name} {gate.verdict} ({gate_numbers(gate)})" for gate in sight.gates))
    if sight.held:
        parts.append(f"held: {sight.held}")
    if picture.remark:
        parts.append(picture.remark)
    parts.append(f"{picture.total.answers.total()} answers, {picture.total.errors} errors so far")
    return f"{clock(picture.elapsed)}  {sight.phase:<10}  " + "; ".join(part for part in parts if part)
