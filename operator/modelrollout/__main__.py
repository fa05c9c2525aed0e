"""`python -m modelrollout`: the operator."""

import signal
import sys
from types import FrameType


def main() -> int:
    """Run the operator until SIGTERM or SIGINT; return the exit code."""
    # The first process of a container ignores SIGTERM unless it says otherwise. Before the imports, as they take
    # seconds on a busy node; kopf takes over when it has started.
    signal.signal(signal.SIGTERM, _stop)
    from modelrollout.wiring.process import main as run  # noqa: PLC0415

    return run()


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal.signal calls it
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
