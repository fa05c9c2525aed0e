"""An event loop whose clock jumps to the next timer: an hour of waiting costs a millisecond, and never varies."""

import asyncio
import selectors
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 17, 15, 47, tzinfo=UTC)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop that never waits. With no timer and nothing to run it raises, where a real one would hang."""

    def __init__(self) -> None:
        self._virtual = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._virtual

    def jump(self, seconds: float) -> None:
        """Let so much time have passed."""
        self._virtual += seconds


def virtual_now() -> datetime:
    """Return the running loop's time as a date; an `engine.ports.Clock`."""
    return START + timedelta(seconds=asyncio.get_running_loop().time())


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("everything waits for something that will never happen")
        # The smallest step that a float of this size can take, so that a timer is never missed by rounding.
        self._loop.jump(max(timeout, 1e-9))
        return ready
