"""What users got in each step, measured at the clients."""

import math
from dataclasses import dataclass

from local.demo.sight import Shares, Sight
from local.load import Snapshot

SETTLE_SECONDS = 0.6
"""The gateway takes a change up within 0.1 s; what was on its way then is answered after some more."""


@dataclass(frozen=True)
class StepMeasured:
    """One step from shortly after its shares stood to the last look before it ended."""

    attempt: int
    candidate: str
    stage: str
    step: int
    wanted: Shares
    seconds: float
    sent: int
    answers: int
    of_candidate: int
    copies: int | None
    """Requests that reached the candidate's server; `None` where nothing is copied."""

    @property
    def share(self) -> float:
        """The candidate's percentage of the answers that users got."""
        return 100 * self.of_candidate / self.answers if self.answers else 0.0

    @property
    def copied(self) -> float:
        """The percentage of requests that the candidate got a copy of."""
        return 100 * (self.copies or 0) / self.sent if self.sent else 0.0

    @property
    def tolerance(self) -> float:
        """How far `share` may lie from what is wanted: three standard deviations and one request, in percent."""
        if not self.answers:
            return 0.0
        wanted = self.wanted.candidate / 100
        return 100 * (3 * math.sqrt(wanted * (1 - wanted) / self.answers) + 1 / self.answers)

    @property
    def are_copies_as_wanted(self) -> bool:
        """Whether the candidate got the copies that the plan says, those of the last second perhaps not answered yet."""
        expected = self.sent * self.wanted.mirror / 100
        under_way = self.sent / self.seconds if self.seconds else 0.0
        return self.copies is not None and abs(self.copies - expected) <= 0.05 * self.sent + under_way

    @property
    def is_as_wanted(self) -> bool:
        """Whether users got the share that the plan says, none at all where it says none."""
        if self.wanted.candidate == 0:
            return self.of_candidate == 0
        return self.answers > 0 and abs(self.share - self.wanted.candidate) <= self.tolerance


@dataclass(frozen=True)
class _Window:
    sight: Sight
    first: Snapshot
    last: Snapshot
    first_copies: int | None
    last_copies: int | None


class Recorder:
    """Cuts the stream of looks into steps."""

    def __init__(self) -> None:
        self._window: _Window | None = None
        self._done: list[StepMeasured] = []

    def note(self, sight: Sight, seen: Snapshot, copies: int | None) -> None:
        """Take one look in. `seen` was taken before `sight`, so it is older than any change that `sight` does not show.

        `copies` is how many requests the candidate's server has had, where anybody asked.
        """
        window = self._window
        if window and _place(window.sight) != (_place(sight) if sight.is_steady else None):
            self.close()
            window = None
        if not sight.is_steady or sight.applied_at is None or seen.at < sight.applied_at + SETTLE_SECONDS:
            return
        if sight.target and sight.target.mirror and copies is None:
            return  # both ends of a window that counts copies need their number
        if window is None:
            self._window = _Window(sight, seen, seen, copies, copies)
        else:
            self._window = _Window(sight, window.first, seen, window.first_copies, copies)

    def close(self) -> None:
        """End the step that is under way."""
        if self._window:
            self._done.append(_measured(self._window))
        self._window = None

    @property
    def steps(self) -> list[StepMeasured]:
        """The steps that are over, in order."""
        return list(self._done)


def _place(sight: Sight) -> tuple[int, str, int]:
    return sight.number, sight.stage, sight.step


def _measured(window: _Window) -> StepMeasured:
    sight, seen = window.sight, window.last.since(window.first)
    wanted = sight.target or Shares(0, 0)
    copies = None
    if wanted.mirror and window.first_copies is not None and window.last_copies is not None:
        copies = window.last_copies - window.first_copies
    return StepMeasured(
        attempt=sight.number,
        candidate=sight.candidate,
        stage=sight.stage,
        step=sight.step,
        wanted=wanted,
        seconds=window.last.at - window.first.at,
        sent=seen.sent,
        answers=seen.versions.total(),
        of_candidate=seen.versions[sight.candidate],
        copies=copies,
    )
