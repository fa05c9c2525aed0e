"""Where `local` keeps what it builds and what it logs, both outside the work tree."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOOLS = Path(__file__).parent / "tools"
"""One directory with a pinned go.mod and go.sum for each thing that is built."""


def cache_directory() -> Path:
    """Return where built programs, custom resource definitions and trained models are kept.

    MODELROLLOUT_CACHE overrides it. Everything in it can be deleted; it is made again when needed.
    """
    if chosen := os.environ.get("MODELROLLOUT_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "modelrollout"


@contextmanager
def cache_lock(name: str) -> Iterator[None]:
    """Hold the cache's lock for `name`, so that two builds side by side do the work once."""
    directory = cache_directory() / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"build {name}: another process is building it, waiting", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def logs_directory() -> Path:
    """Return the parent of each run's log directory; MODELROLLOUT_LOGS overrides it."""
    if chosen := os.environ.get("MODELROLLOUT_LOGS"):
        return Path(chosen).expanduser().absolute()
    return Path(tempfile.gettempdir()) / f"modelrollout-logs-{os.getuid()}"
