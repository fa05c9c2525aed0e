"""The process that cleans up when its parent is gone, however it went: `guard.py PARENT MARK DIRECTORY`.

A signal on the parent's death (PR_SET_PDEATHSIG) would be tied to the thread that started a child and would not reach
grandchildren. So this waits for the parent's end, kills whatever carries the run's mark in its environment, and
removes the run's data.
"""

import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

MARK = "MODELROLLOUT_LOCAL_RUN"
_LIMIT_SECONDS = 30.0


def main() -> None:
    """Wait for the parent's end, then leave nothing of the run but its logs."""
    parent, mark, data = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    _wait_for_end(parent)
    limit = time.monotonic() + _LIMIT_SECONDS
    while _kill_marked(mark) and time.monotonic() < limit:
        time.sleep(0.02)
    shutil.rmtree(data, ignore_errors=True)


def _wait_for_end(parent: int) -> None:
    try:
        handle = os.pidfd_open(parent)
    except ProcessLookupError:
        return
    if os.getppid() == parent:
        select.select([handle], [], [])


def _kill_marked(mark: str) -> int:
    """Kill every process of the run; return how many there were."""
    wanted = f"{MARK}={mark}".encode()
    killed = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # Opened before the look at the environment, so that a number used again is never killed by mistake.
            handle = os.pidfd_open(int(entry.name))
        except OSError:
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                killed += 1
        except OSError:
            pass
        finally:
            os.close(handle)
    return killed


if __name__ == "__main__":
    main()
