"""Programs run side by side, each with a log of its own, none outliving this process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from local import guard

_LAST_LINES = 15


class ProcessFailed(Exception):
    """A process ended or did not become ready; the message names it, its log and the log's last lines."""


class Process:
    """One program: started, stopped, started again, always with the same log file."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str],
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._argv = [str(part) for part in argv]
        self._environment = dict(environment)
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None
        self._is_wanted = False  # running, as far as this side knows

    def start(self) -> None:
        """Start it, if it does not run."""
        if self.running:
            return
        self._is_wanted = True
        with self.log.open("ab") as out:
            # Its own session: Ctrl-C on a terminal ends the caller, which then ends its children in order.
            self._popen = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env=self._environment, cwd=self._cwd, start_new_session=True,
            )  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether it runs, or is suspended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """Its process number; that of the last start if it has ended."""
        if self._popen is None:
            raise ProcessFailed(f"{self.name} was never started")
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, the negative number of a signal included; None while it runs."""
        return self._popen.poll() if self._popen else None

    def stop(self, within: timedelta = timedelta(seconds=10)) -> int | None:
        """End it with SIGTERM, after `within` with SIGKILL; return its exit code."""
        self.ask_to_stop()
        return self.wait_stopped(within)

    def ask_to_stop(self) -> None:
        """Send SIGTERM and do not wait."""
        self._is_wanted = False
        if self.running:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)

    def wait_stopped(self, within: timedelta) -> int | None:
        """Wait for its end, and bring it about with SIGKILL after `within`; return its exit code."""
        if self._popen is None:
            return None
        try:
            return self._popen.wait(within.total_seconds())
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int | None:
        """End it with SIGKILL at once; return its exit code."""
        self._is_wanted = False
        if self._popen is None:
            return None
        self._signal(signal.SIGKILL)
        return self._popen.wait()

    def suspend(self) -> None:
        """Freeze it (SIGSTOP): its connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume_process(self) -> None:
        """Let it go on after `suspend`."""
        self._signal(signal.SIGCONT)

    def check(self) -> None:
        """Raise ProcessFailed if it ended although nobody asked it to."""
        if self._is_wanted and not self.running:
            raise ProcessFailed(self.describe(f"ended by itself with exit code {self.exit_code}"))

    def describe(self, trouble: str) -> str:
        """Return a sentence about `trouble` with the log's place and last lines."""
        return f"{self.name} {trouble}; log {self.log}, its last lines:\n{self.last_lines()}"

    def last_lines(self, count: int = _LAST_LINES) -> str:
        """Return the end of the log."""
        if not self.log.exists():
            return "(no log)"
        lines = self.log.read_text(errors="replace").splitlines()[-count:]
        return "\n".join(f"  {line[:400]}" for line in lines) or "  (empty)"

    def _signal(self, number: signal.Signals) -> None:
        if self._popen is not None:
            self._popen.send_signal(number)


class Processes:
    """All processes of one run; they end with this process, its SIGKILL included."""

    def __init__(self, logs: Path, data: Path) -> None:
        self._logs = logs
        self._data = data
        self._mark = f"{logs.name}-{os.getpid()}"
        self._all: list[Process] = []
        self._watched: list[Process] = []
        self._guard: subprocess.Popen[bytes] | None = None

    def start_guard(self) -> None:
        """Start what ends everything should this process die; call it before any `spawn`."""
        command = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), self._mark, str(self._data)]
        self._guard = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        is_watched: bool = True,
    ) -> Process:
        """Start a program whose output goes to a log of its name; `environment` is added to this process's own.

        `check` finds fault with a watched one that ends by itself.
        """
        full = os.environ | dict(environment or {}) | {guard.MARK: self._mark}
        process = Process(name, argv, self._new_log(name), environment=full, cwd=cwd)
        self._all.append(process)
        if is_watched:
            self._watched.append(process)
        process.start()
        return process

    def _new_log(self, name: str) -> Path:
        taken = {process.log for process in self._all}
        logs = (self._logs / f"{name}{suffix}.log" for suffix in ("", *(f"-{n}" for n in range(2, len(taken) + 3))))
        return next(log for log in logs if log not in taken)

    def check(self) -> None:
        """Raise ProcessFailed for the first watched process that ended although nobody asked it to."""
        for process in self._watched:
            process.check()

    def stop_all(self, within: timedelta = timedelta(seconds=2)) -> None:
        """End all of them, with SIGKILL those that are not gone after `within`, and the guard last."""
        limit = time.monotonic() + within.total_seconds()
        for process in reversed(self._all):
            process.ask_to_stop()
        for process in reversed(self._all):
            process.wait_stopped(timedelta(seconds=max(0.0, limit - time.monotonic())))
        self._all.clear()
        self._watched.clear()
        if self._guard:
            self._guard.kill()
            self._guard.wait()


def wait_until(
    is_so: Callable[[], object], what: str, *, process: Process | None = None, within: timedelta = timedelta(seconds=60)
) -> None:
    """Return once `is_so()` is true; connection errors count as "not yet".

    Raises:
        ProcessFailed: `process` ended, or `within` went by.
    """
    limit = time.monotonic() + within.total_seconds()
    trouble = ""
    while True:
        try:
            if is_so():
                return
        except OSError as error:
            trouble = f" (last: {error})"
        if process:
            process.check()
        if time.monotonic() > limit:
            sentence = f"not so after {within.total_seconds():.0f} s: {what}{trouble}"
            raise ProcessFailed(process.describe(sentence) if process else sentence)
        time.sleep(0.02)
