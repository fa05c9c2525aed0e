"""When weights may grow: the windows of spec, and the administrator's freeze. Neither is asked before a rollback.

The zone's rules come from the time-zone database, which `zoneinfo` reads once for each zone: data like a table in the
code, no look at the world.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from modelrollout.api.consent import Window
from modelrollout.core.traffic import Blocked

# Any moment will do to see whether a start ever comes: CronSim looks 50 years ahead, in 2 ms at most.
_SOME_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Span:
    """A span of time in which the answer is the same: open, or closed until the time given."""

    since: datetime
    until: datetime
    opens_at: datetime | None


class Calendar:
    """The windows of one spec. An answer is kept for as long as it holds, so that most passes compute nothing."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = tuple(windows)
        self._known: _Span | None = None
        self.problem = next((found for window in windows if (found := _problem_of(window))), None)
        """What keeps the windows from being computed at all, `None` where nothing does."""

    def opens_at(self, now: datetime) -> datetime | None:
        """Return when weights may grow next, `None` where they may now."""
        if not self._windows or self.problem:
            return None
        if self._known is None or not self._known.since <= now < self._known.until:
            self._known = self._span(now)
        return self._known.opens_at

    def place_of(self, opens_at: datetime) -> str:
        """Return that moment as the people of the window that opens then have it on their clocks."""
        window = next((w for w in self._windows if _start_after(w, opens_at - _A_SECOND) == opens_at), self._windows[0])
        local = opens_at.astimezone(ZoneInfo(window.time_zone))
        return f"{local:%a %Y-%m-%d %H:%M} {window.time_zone}"

    def _span(self, now: datetime) -> _Span:
        for window in self._windows:
            last = _start_after(window, now - window.duration)
            if last <= now:
                return _Span(now, last + window.duration, None)
        opens_at = min(_start_after(window, now) for window in self._windows)
        return _Span(now, opens_at, opens_at)


_A_SECOND = timedelta(seconds=1)


def _start_after(window: Window, moment: datetime) -> datetime:
    """Return the first start after a moment. In the hour that a clock shows twice, the first of the two counts."""
    return next(start for start in _starts(window, moment) if start > moment)


def _starts(window: Window, moment: datetime) -> Iterator[datetime]:
    for start in CronSim(window.start, moment.astimezone(ZoneInfo(window.time_zone))):
        yield start.astimezone(UTC)


def _problem_of(window: Window) -> Blocked | None:
    try:
        _start_after(window, _SOME_MOMENT)
    except StopIteration:
        return Blocked("BadWindow", f"spec.windows: {window.start!r} never comes: write a start that does")
    except CronSimError as error:
        return Blocked("BadWindow", f"spec.windows: {window.start!r} is no cron expression: {error}")
    except (OSError, ValueError, KeyError):  # The last: ZoneInfoNotFoundError.
        return Blocked(
            "BadWindow",
            f"spec.windows: time zone {window.time_zone!r} is not known here: write an IANA name, such as Europe/Berlin",
        )
    return None
