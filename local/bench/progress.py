"""Where a long measurement is, on standard error: standard output is for the figures."""

import sys
import time

_SECONDS = 2.0


class Ticker:
    """Says at most every two seconds how far one step is."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._said = self._began - _SECONDS

    def begin(self, what: str) -> None:
        """Say at once what begins."""
        self._said = time.monotonic()
        self._say(what)

    def tick(self, what: str) -> None:
        """Say how far it is, if nothing was said for two seconds."""
        if time.monotonic() - self._said >= _SECONDS:
            self.begin(what)

    def _say(self, what: str) -> None:
        print(f"bench {time.monotonic() - self._began:4.0f} s: {what}", file=sys.stderr, flush=True)
