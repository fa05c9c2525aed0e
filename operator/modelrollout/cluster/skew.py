"""How far this machine's clock is from the API server's, by the Date header of its answers."""

import statistics
from collections import deque
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

ANSWERS_NEEDED = 3
ANSWERS_KEPT = 7


class ServerClock:
    """The API server's time, as an offset to this machine's monotonic clock, which nobody sets.

    So a jump of the wall clock shows at once, without another answer. Where the monotonic clock stood still (a
    suspended machine), the next few answers put it right.
    """

    def __init__(self) -> None:
        self._offsets: deque[float] = deque(maxlen=ANSWERS_KEPT)

    def note(self, date: str | None, asked: float, answered: float) -> None:
        """Take note of an answer's Date header, and when it was asked and answered, in monotonic seconds."""
        try:
            said = parsedate_to_datetime(date or "").timestamp()
        except ValueError:
            return
        # It is cut to whole seconds, and was written somewhere in between.
        self._offsets.append(said + 0.5 - (asked + answered) / 2)

    def skew(self, now: datetime, monotonic: float) -> timedelta | None:
        """Return how far `now` is ahead of the server's time, `None` before enough answers; the median of the last."""
        if len(self._offsets) < ANSWERS_NEEDED:
            return None
        return timedelta(seconds=now.timestamp() - (monotonic + statistics.median(self._offsets)))
