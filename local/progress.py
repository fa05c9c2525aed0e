"""Progress of a long command: a line that changes on a terminal, now and then a new line in a log."""

import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from local.golang import BuildFailed

_TERMINAL_SECONDS = 0.5
_LOG_SECONDS = 15.0
_LAST_LINES = 40


class Progress:
    """How far one build is: what is being done, for how long, and a few counts."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._shown = self._started
        self._is_terminal = sys.stdout.isatty()
        self.fetched = 0
        self.compiled = 0
        self.packages = 0
        """How many packages there are; those already in Go's cache are never counted as compiled."""

    def note(self, line: str) -> None:
        """Count one line of Go's `-v` output."""
        if line.startswith("go: downloading "):
            self.fetched += 1
        elif not line.startswith(("#", "go: ")) and " " not in line:
            self.compiled += 1

    def tick(self, *, final: str = "") -> None:
        """Show where things are, if it is time to; `final` is shown always and ends the line."""
        now = time.monotonic()
        wait = _TERMINAL_SECONDS if self._is_terminal else _LOG_SECONDS
        if not final and now - self._shown < wait:
            return
        self._shown = now
        parts = [f"{now - self._started:.0f} s"]
        if self.fetched:
            parts.append(f"{self.fetched} modules fetched")
        if self.compiled:
            parts.append(f"{self.compiled} of at most {self.packages} packages compiled")
        text = f"build {self._title}: {final or 'working'}, {', '.join(parts)}"
        print(f"\r\x1b[K{text}" if self._is_terminal else text, end="" if self._terminal_goes_on(final) else "\n")
        sys.stdout.flush()

    def _terminal_goes_on(self, final: str) -> bool:
        return self._is_terminal and not final


def run(
    command: Sequence[str | Path], *, cwd: Path, environment: dict[str, str], progress: Progress, output: Path
) -> None:
    """Run `command` to its end, its standard output going to the file `output`, with progress shown.

    Raises:
        BuildFailed: it ended with another code than 0; the message has its last lines.
    """
    last: deque[str] = deque(maxlen=_LAST_LINES)

    def take(line: str) -> None:
        last.append(line)
        progress.note(line)

    with (
        output.open("wb") as out,
        subprocess.Popen(command, cwd=cwd, env=environment, stdout=out, stderr=subprocess.PIPE) as process,
    ):
        try:
            _read_lines(process, take, progress.tick)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        said = "\n".join(last)
        raise BuildFailed(f"`{' '.join(map(str, command))}` in {cwd} ended with {process.returncode}:\n{said}")


def _read_lines(process: subprocess.Popen[bytes], take: Callable[[str], None], tick: Callable[[], None]) -> None:
    assert process.stderr
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=_TERMINAL_SECONDS):
                chunk = process.stderr.read1(65536)  # type: ignore[attr-defined]  # a pipe is a BufferedReader
                if not chunk:
                    return
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    take(line.decode(errors="replace"))
            tick()
