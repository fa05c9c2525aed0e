"""Operators by fork: one process imports everything once, and each operator is a child of it.

An interpreter with kopf, aiohttp and pydantic takes a second of CPU to start, a fork some milliseconds. The child then
runs the same `main` as the real program, with its own flags, environment and log.

    python -m tests.faults.operators SOCKET
"""

import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Never

from local.cluster import LocalCluster
from local.process import wait_until

TOP = Path(__file__).parents[2]


@dataclass
class Operator:
    """An operator that runs, or did."""

    warm: "WarmParent"
    pid: int
    log: Path

    def kill(self) -> None:
        """End it with SIGKILL; it may be gone already."""
        self._signal(signal.SIGKILL)

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def exit_code(self) -> int | None:
        """Return its exit code (negative: the signal that ended it), `None` while it runs."""
        code: int | None = self.warm.ask({"poll": self.pid})["exit"]
        return code

    def wait_ended(self, within: timedelta = timedelta(seconds=30)) -> int:
        """Return its exit code once it has ended."""
        limit = time.monotonic() + within.total_seconds()
        while (code := self.exit_code()) is None:
            if time.monotonic() > limit:
                raise AssertionError(f"operator {self.pid} still runs after {within}; {self.last_lines()}")
            time.sleep(0.02)
        return code

    def last_lines(self, count: int = 25) -> str:
        """Return the end of its log."""
        return "\n".join(f"  {line[:300]}" for line in self.log.read_text(errors="replace").splitlines()[-count:])

    def _signal(self, number: signal.Signals) -> None:
        self.warm.ask({"signal": int(number), "pid": self.pid})


class WarmParent:
    """The process that operators are forked from; it ends with the cluster."""

    def __init__(self, cluster: LocalCluster, socket_path: Path) -> None:
        self._socket = socket_path
        environment = {"PYTHONPATH": f"{TOP / 'operator'}:{TOP}"}
        argv = [sys.executable, "-m", "tests.faults.operators", str(socket_path)]
        process = cluster.spawn("warm-parent", argv, env=environment)
        wait_until(socket_path.exists, "operators can be forked", process=process)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Operator:
        """Return an operator that has just been started; its output is appended to the log."""
        told = self.ask({"start": list(arguments), "environment": dict(environment), "log": str(log)})
        return Operator(self, told["pid"], log)

    def ask(self, what: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to one request."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self._socket))
            connection.sendall(json.dumps(what).encode() + b"\n")
            with connection.makefile() as answer:
                found: dict[str, Any] = json.loads(answer.readline())
                return found


def _serve(path: str) -> None:
    from modelrollout.wiring.process import main  # noqa: PLC0415 - not in the tests' own process

    gc.collect()
    gc.freeze()  # What is never looked through stays shared with the children.
    ended: dict[int, int] = {}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{path}.new")
        listening.listen(64)
        Path(f"{path}.new").rename(path)
        while True:
            connection, _ = listening.accept()
            with connection, connection.makefile() as line:
                wanted = json.loads(line.readline())
                if "start" in wanted:
                    pid = os.fork()
                    if pid == 0:
                        _become(main, wanted, (listening, connection))
                    said: dict[str, Any] = {"pid": pid}
                else:
                    _collect(ended)
                    said = _deal(wanted, ended)
                connection.sendall(json.dumps(said).encode() + b"\n")


def _become(main: Any, wanted: Mapping[str, Any], inherited: Sequence[socket.socket]) -> Never:
    code = 1
    try:
        for one in inherited:
            one.close()
        output = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(wanted["environment"])
        code = main(wanted["start"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _deal(wanted: Mapping[str, Any], ended: Mapping[int, int]) -> dict[str, Any]:
    if "poll" in wanted:
        return {"exit": ended.get(wanted["poll"])}
    if wanted["pid"] not in ended:
        # Its children alone are reaped here, so the number cannot have become another process's.
        os.kill(wanted["pid"], wanted["signal"])
    return {}


def _collect(ended: dict[int, int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        ended[pid] = os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    _serve(sys.argv[1])
