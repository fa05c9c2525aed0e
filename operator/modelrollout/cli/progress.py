"""How far something is that takes longer than two seconds, on standard error, for whoever looks."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

PATIENCE = 2.0
_OFTEN = 0.2
_WIDTH = 30


@contextmanager
def progress_bar(what: str, whole: timedelta) -> Iterator[Callable[[timedelta], bool]]:
    """Give what is called with how much is done; it draws on a terminal, and always returns false."""
    began = drawn = time.monotonic()
    is_shown = False

    def advance(done: timedelta) -> bool:
        nonlocal drawn, is_shown
        now = time.monotonic()
        if sys.stderr.isatty() and now - began > PATIENCE and now - drawn > _OFTEN:
            drawn, is_shown = now, True
            share = min(1.0, done / whole) if whole else 1.0
            left = (now - began) * (1 - share) / share if share else 0.0
            filled = "█" * round(_WIDTH * share)
            sys.stderr.write(f"\r{what} {filled:░<{_WIDTH}} {share:4.0%}, about {left:.0f} s left\x1b[K")
            sys.stderr.flush()
        return False

    try:
        yield advance
    finally:
        if is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
