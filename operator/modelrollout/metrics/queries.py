"""PromQL from typed parts. No text of a user's reaches a query unescaped, but for a raw `value` query."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NewType

PromQL = NewType("PromQL", str)
Op = Literal["=", "!=", "=~", "!~"]

REMEMBERED = timedelta(hours=1)
"""How far before the window a series is looked for, to tell an old one from a newborn."""

REMEMBERED_QUERIES = 256
"""The gates of one look often count the same series; another look has another window."""

MOMENTS = 1000
"""How many moments of a span are looked at, at most."""

CLOCK = PromQL("time()")

PART = "part"
"""The label that tells the answers of `side_by_side` apart."""

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n"} | {chr(n): f"\\x{n:02x}" for n in range(32) if n != 10})


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label.

    Raises:
        ValueError: the label is no Prometheus label name, or the value cannot be written as UTF-8.
    """

    label: str
    op: Op
    value: str

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label) or self.label == "__name__":
            raise ValueError(f"{self.label[:128]!r} is no label to match on: write letters, digits and '_'")
        self.value.encode()

    def __str__(self) -> str:
        return f'{self.label}{self.op}"{escaped(self.value)}"'


@dataclass(frozen=True, slots=True)
class Selector:
    """The series of one metric that meet all matchers.

    Raises:
        ValueError: the metric is no Prometheus metric name.
    """

    metric: str
    matchers: tuple[Matcher, ...] = ()

    def __post_init__(self) -> None:
        if not _METRIC.fullmatch(self.metric):
            raise ValueError(f"{self.metric[:256]!r} is no metric name: write letters, digits, '_' and ':'")

    def __str__(self) -> str:
        return f"{self.metric}{{{','.join(map(str, self.matchers))}}}"

    def where(self, *matchers: Matcher) -> "Selector":
        """Return the same with further matchers; all must hold, so none can widen it."""
        return replace(self, matchers=self.matchers + matchers)

    def suffixed(self, suffix: str) -> "Selector":
        """Return the same for the metric with `suffix` after its name, as histograms have them."""
        return replace(self, metric=self.metric + suffix)


@dataclass(frozen=True, slots=True)
class Counter:
    """Counters whose events add up, one in most cases; some servers count good and bad requests apart."""

    parts: tuple[Selector, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.parts))

    def where(self, *matchers: Matcher) -> "Counter":
        """Return the same with further matchers on each part."""
        return Counter(tuple(part.where(*matchers) for part in self.parts))


Events = Selector | Counter


def escaped(text: str, quote: str = '"') -> str:
    """Return the text as it stands in PromQL between these quotes: double or single ones."""
    return text.translate(_ESCAPES).replace(quote, f"\\{quote}")


@lru_cache(maxsize=REMEMBERED_QUERIES)
def count(series: Events, window: timedelta) -> PromQL:
    """Return how many events the counters had within `window` before the time of evaluation.

    A series born inside the window counts by its last value, because `increase` never sees the first one;
    this holds after its pod has died, too. An older series counts by `increase`, and so does one that was reset.
    "Older" is looked up over an hour and past staleness marks: one failed scrape at the window's start must not
    make a long-lived counter a newborn and bring its whole history into the window. The price: a series that comes
    back within the hour, from 0 and under the same labels, loses the events of its first scrape.
    No series at all gives an empty answer, not 0.
    """
    counts = [_count(part, window) for part in _parts(series)]
    return counts[0] if len(counts) == 1 else PromQL(f"sum({side_by_side(counts)})")


def age(series: Events) -> PromQL:
    """Return the seconds from the newest sample to the time of evaluation; empty where scraping has stopped."""
    newest = [PromQL(f"max(timestamp({part}))") for part in _parts(series)]
    return PromQL(f"time() - {newest[0] if len(newest) == 1 else f'max({side_by_side(newest)})'}")


def coverage(series: Events, window: timedelta, freshness: timedelta) -> PromQL:
    """Return the fraction of `window` at whose moments a sample was no older than `freshness`; empty for none.

    It is looked at moments `freshness` apart, at 1,000 at most.
    """
    moments = f"{_span(window)}:{_span(max(freshness, window / MOMENTS))}"
    fresh = " or ".join(f"last_over_time({part}[{_span(freshness)}])" for part in _parts(series))
    seen = f"count_over_time(group({fresh})[{moments}])"
    return PromQL(f"{seen} / count_over_time(vector(1)[{moments}])")


def _parts(series: Events) -> tuple[Selector, ...]:
    return series.parts if isinstance(series, Counter) else (series,)


@lru_cache(maxsize=REMEMBERED_QUERIES)
def buckets(histogram: Selector, window: timedelta) -> PromQL:
    """Return how many observations each bucket of a histogram had, one number for each `le`; as `count` does."""
    return _count(histogram.suffixed("_bucket"), window, "sum by (le) ")


def _count(selector: Selector, window: timedelta, total: str = "sum") -> PromQL:
    series, span = str(selector), _span(window)
    old = f"(present_over_time({series}[{_span(REMEMBERED)}] offset {span}) or resets({series}[{span}]) > 0)"
    return PromQL(f"{total}((last_over_time({series}[{span}]) unless {old}) or (increase({series}[{span}]) and {old}))")


def each_minute(series: Events) -> PromQL:
    """Return how many events the counters had in the minute before the time of evaluation.

    The plain difference, not `increase`: that one extrapolates from the samples inside a window, and with one each 15 s
    a minute's counts would vary by a third too much. A counter that was reset says nothing of that minute.
    """
    minutes = [PromQL(f"sum(({part} - {part} offset 1m) >= 0)") for part in _parts(series)]
    return minutes[0] if len(minutes) == 1 else PromQL(f"sum({side_by_side(minutes)})")


def or_none(expression: PromQL, beside: PromQL) -> PromQL:
    """Return the expression, and 0 where only `beside` has a value: a series of errors is born with the first."""
    return PromQL(f"({expression} or {beside} * 0)")


def rest(total: PromQL, part: PromQL) -> PromQL:
    """Return what is left of `total` without `part`, never below 0."""
    return PromQL(f"clamp_min({total} - {part}, 0)")


def share_of(part: PromQL, total: PromQL) -> PromQL:
    """Return `part` over `total`; NaN where both are 0."""
    return PromQL(f"{part} / {total}")


def scaled(total: PromQL, part: PromQL, whole: PromQL) -> PromQL:
    """Return the share of `part` in `whole` of `total`, nothing where the whole is 0."""
    return PromQL(f"({total} * {part} / {positive(whole)})")


def level(gauge: Selector, across: Literal["avg", "max"], window: timedelta) -> PromQL:
    """Return a gauge's mean over the window, of all its series the average or the largest."""
    return PromQL(f"{across}(avg_over_time({gauge}[{_span(window)}]))")


def positive(expression: PromQL) -> PromQL:
    """Return the expression where it is above 0."""
    return PromQL(f"({expression} > 0)")


def square_share(part: PromQL, total: PromQL) -> PromQL:
    """Return the square of `part` over `total`, where that is above 0."""
    return PromQL(f"{part} ^ 2 / {positive(total)}")


def over_minutes(what: Literal["sum", "count"], expression: PromQL, span: timedelta) -> PromQL:
    """Return the sum over the minutes of a span up to the time of evaluation, or how many have a value."""
    return PromQL(f"{what}_over_time(({expression})[{_span(span)}:1m])")


def bounds(histogram: Selector, window: timedelta) -> PromQL:
    """Return one series for each bucket bound that the histogram had in the window, in its label `le`."""
    return PromQL(f"group by (le) (last_over_time({histogram.suffixed('_bucket')}[{_span(window)}]))")


def bucket(histogram: Selector, bound: Decimal) -> Selector:
    """Return the bucket of all observations up to `bound`, in each spelling of the number Prometheus may hold."""
    spellings = "|".join(map(re.escape, sorted(_spellings(bound))))
    return histogram.suffixed("_bucket").where(Matcher("le", "=~", spellings))


def side_by_side(expressions: Sequence[PromQL]) -> PromQL:
    """Return the series of all these expressions, each with the expression's index in its label `PART`.

    None of them may have that label already, or be a scalar.
    """
    parts = (f'label_replace({text}, "{PART}", "{index}", "", "")' for index, text in enumerate(expressions))
    return PromQL(" or ".join(parts))


def anchored(*parts: str | re.Pattern[str]) -> str:
    """Return an RE2 expression: strings match themselves, patterns what they say. PromQL anchors it at both ends."""
    return "".join(part.pattern if isinstance(part, re.Pattern) else re.escape(part) for part in parts)


def _spellings(bound: Decimal) -> Iterable[str]:
    """Clients write 1 or 1.0 for the same bound, Prometheus 3 writes 1.0, and Go 1e+06 from a million on."""
    plain = f"{bound.normalize():f}"
    found = {plain} if "." in plain else {plain, f"{plain}.0"}
    if bound.adjusted() >= 6:
        digits = "".join(map(str, bound.normalize().as_tuple().digits))
        found.add(f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e+{bound.adjusted():02d}")
    return found


def _span(window: timedelta) -> str:
    milliseconds = window // timedelta(milliseconds=1)
    if milliseconds <= 0:
        raise ValueError("a window is longer than nothing")
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
