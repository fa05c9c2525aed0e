"""Shares over time as rectangles: where each stands in a picture. Whoever draws them says how."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelrollout.api.fields import NONE
from modelrollout.api.record import Why
from modelrollout.api.status import Outcome
from modelrollout.cli.records import shares_text, time_text
from modelrollout.core.history import Span
from modelrollout.core.summary import Model, Period
from modelrollout.core.tale import Tale

WIDTH, HEIGHT = 1000, 120
COLOURS = 8
LABEL_WIDTH = 64
"""Narrower than that no name is written into a rectangle."""
MOST_KEYS = 12
_STEPS = tuple(
    timedelta(seconds=one)
    for one in (
        *(1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600),
        *(days * 86_400 for days in (1, 2, 7, 14, 30, 91, 365)),
    )
)
_TICKS = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: `kind` is the class that colours it, `label` what is written in it, `title` what it says of itself."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A line down the picture at some time."""

    x: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Rectangles, marks, and ticks of the time axis; `keys` say which colour is which version."""

    boxes: tuple[Box, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    keys: tuple[tuple[str, str], ...]
    more_keys: int
    alt: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Time to place."""

    since: datetime
    until: datetime

    def x(self, moment: datetime) -> float:
        """Return where a time stands, at the edge where it is beyond."""
        whole = max((self.until - self.since).total_seconds(), 0.001)
        share = (moment - self.since).total_seconds() / whole
        return round(min(max(share, 0.0), 1.0) * WIDTH, 2)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield round times and where they stand."""
        whole = self.until - self.since
        step = next((one for one in _STEPS if whole / one <= _TICKS), _STEPS[-1])
        form = "%d %b" if step >= timedelta(days=1) else "%H:%M" if step >= timedelta(minutes=1) else "%H:%M:%S"
        midnight = self.since.replace(hour=0, minute=0, second=0, microsecond=0)
        moment = midnight + (-(-(self.since - midnight) // step)) * step
        while moment < self.until:
            # A text right at the edge would be cut.
            if 0.02 <= self.x(moment) / WIDTH <= 0.98:
                yield self.x(moment), f"{moment:{form}}"
            moment += step


def colours_of(spans: Iterable[Span]) -> Mapping[str, str]:
    """Return the colour of each version by its digest, in the order in which they came."""
    found: dict[str, str] = {}
    for span in spans:
        for share in span.shares:
            found.setdefault(share.digest, f"v{len(found) % COLOURS}")
    return found


def of_model(model: Model, period: Period, colours: Mapping[str, str]) -> Picture:
    """Return the shares of a model's versions over a period."""
    scale = Scale(period.since, period.until)
    marks = [
        Mark(
            scale.x(end.confirmed_at),
            "back",
            f"{tale.spec.candidate.version} rolled back, {time_text(end.confirmed_at)}",
        )
        for tale in model.tales
        for end in tale.ends
        if end.outcome is Outcome.ROLLED_BACK and period.has(end.confirmed_at)
    ]
    return _picture(model.spans, scale, colours, marks, f"Shares of {model.name}'s versions over time")


def of_tale(tale: Tale, model: Model, period: Period, colours: Mapping[str, str]) -> Picture:
    """Return the shares of one attempt, from just before it until just after."""
    until = period.until if tale.outcome is None and tale.has_begun else tale.last_at
    until = max(until, tale.spec.decided_at + timedelta(seconds=1))
    margin = (until - tale.spec.decided_at) / 25
    scale = Scale(tale.spec.decided_at - margin, until + margin)
    marks = [
        Mark(scale.x(act.at), "act", f"{act.what} by {act.who}, {time_text(act.at)}")
        for act in tale.acts
        if act.what != Why.EXTERNAL.lower()
    ]
    title = f"Shares during the rollout of {tale.spec.candidate.version}"
    return _picture(model.spans, scale, colours, marks, title)


def _picture(
    spans: Sequence[Span], scale: Scale, colours: Mapping[str, str], marks: Sequence[Mark], alt: str
) -> Picture:
    spans = _within(spans, scale)
    boxes = tuple(box for box in _boxes(spans, scale, colours) if box.width > 0)
    keys = _keys(spans, colours)
    return Picture(
        boxes, tuple(marks), tuple(scale.ticks()), tuple(keys[-MOST_KEYS:]), max(0, len(keys) - MOST_KEYS), alt
    )


def _keys(spans: Sequence[Span], colours: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return colours and names of the versions."""
    versions = {share.digest: share.version for span in spans for share in span.shares}
    return [(colours[digest], name) for digest, name in versions.items()]


def _within(spans: Sequence[Span], scale: Scale) -> Sequence[Span]:
    """Return the spans that reach into the picture; they come in the order of time."""
    first = max(bisect_right(spans, scale.since, key=lambda span: span.since) - 1, 0)
    return spans[first : bisect_left(spans, scale.until, key=lambda span: span.since)]


def _with_ends(spans: Sequence[Span], until: datetime) -> Iterator[tuple[Span, datetime]]:
    ends = [*(span.since for span in spans[1:]), until]
    yield from zip(spans, ends, strict=False)


def _boxes(spans: Sequence[Span], scale: Scale, colours: Mapping[str, str]) -> Iterator[Box]:
    if not spans or spans[0].since > scale.since:
        first = spans[0].since if spans else scale.until
        yield _box(scale, scale.since, first, 0, HEIGHT, "unknown", "", "no record tells of this time")
    for span, end in _with_ends(spans, scale.until):
        times = f"{time_text(span.since)} to {time_text(end)}: {shares_text(span.shares)}"
        if not span.shares:
            yield _box(scale, span.since, end, 0, HEIGHT, "unknown", "", times)
        top = float(HEIGHT)
        for share in span.shares:
            height = HEIGHT * share.weight.fraction
            top -= height
            yield _box(scale, span.since, end, top, height, colours[share.digest], share.version, times)
            if share.mirror is not None and share.mirror > NONE:
                copied = HEIGHT * share.mirror.fraction
                yield _box(scale, span.since, end, 0, copied, f"{colours[share.digest]} mirror", "", times)
    for span in spans:
        if span.earliest < span.since:
            title = f"changing from {time_text(span.earliest)} to {time_text(span.since)}"
            yield _box(scale, span.earliest, span.since, 0, HEIGHT, "changing", "", title)


def _box(
    scale: Scale, since: datetime, until: datetime, y: float, height: float, kind: str, label: str, title: str
) -> Box:
    x, end = scale.x(since), scale.x(until)
    is_roomy = end - x >= max(LABEL_WIDTH, 8 * len(label)) and height >= 14
    return Box(x, round(y, 2), round(end - x, 2), round(height, 2), kind, label if is_roomy else "", title)
