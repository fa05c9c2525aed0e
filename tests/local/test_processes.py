"""Processes end with their parent, whatever ends it, and say what went wrong."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from local.guard import MARK
from local.process import Processes, ProcessFailed, wait_until

STARTS_TWO_AND_WAITS = """
import signal, sys, threading
from pathlib import Path
from local.process import Processes
processes = Processes(Path(sys.argv[1]), Path(sys.argv[2]))
processes.start_guard()
plain = processes.spawn("plain", ["sleep", "600"])
# A shell's child, started from a thread that has ended, and one that cannot be asked to stop.
start = lambda: processes.spawn("shell", ["sh", "-c", "trap '' TERM; sleep 600 & wait"])
thread = threading.Thread(target=start); thread.start(); thread.join()
plain.suspend()
print("started", flush=True)
signal.pause()
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    data = tmp_path / "data"
    data.mkdir()
    running = Processes(tmp_path, data)
    running.start_guard()
    yield running
    running.stop_all()


def marked(mark: str) -> list[int]:
    """Return the processes of a run: those with its mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(mark):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_and_grandchildren_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    logs = Path(tempfile.mkdtemp(dir=tmp_path))
    data = tmp_path / "data"
    data.mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS_TWO_AND_WAITS, logs, data], stdout=subprocess.PIPE, env=environment()
    )
    assert parent.stdout
    assert parent.stdout.readline() == b"started\n"
    wait_until(lambda: len(marked(logs.name)) == 3, "sleep, sh and its sleep run", within=timedelta(seconds=10))

    parent.send_signal(number)
    parent.wait()
    parent.stdout.close()

    wait_until(lambda: not marked(logs.name), "all have ended", within=timedelta(seconds=10))
    wait_until(lambda: not data.exists(), "the run's data are gone", within=timedelta(seconds=10))
    assert logs.exists()


def test_a_process_that_ends_by_itself_is_named_with_code_log_and_last_lines(processes: Processes) -> None:
    process = processes.spawn("grumpy", ["sh", "-c", "echo starting; echo no such flag >&2; exit 3"])

    with pytest.raises(ProcessFailed, match=r"grumpy ended by itself with exit code 3; log .*grumpy\.log") as failure:
        wait_until(lambda: False, "it is ready", process=process)

    assert "no such flag" in str(failure.value)
    with pytest.raises(ProcessFailed, match="grumpy"):
        processes.check()


def test_a_process_that_never_gets_ready_is_named_with_what_was_awaited(processes: Processes) -> None:
    process = processes.spawn("slow", ["sh", "-c", "echo still thinking; exec sleep 600"])
    wait_until(lambda: "thinking" in process.last_lines(), "it has spoken")

    with pytest.raises(ProcessFailed, match=r"slow not so after 0 s: it answers; log (?s:.*)still thinking"):
        wait_until(lambda: False, "it answers", process=process, within=timedelta())


def test_what_was_stopped_on_purpose_is_no_failure(processes: Processes) -> None:
    process = processes.spawn("sleeper", ["sleep", "600"])

    assert process.stop() == -signal.SIGTERM
    processes.check()
    process.start()
    assert process.running
    assert process.kill() == -signal.SIGKILL
    processes.check()


def test_a_process_that_ignores_sigterm_is_killed_after_the_bound(processes: Processes) -> None:
    process = processes.spawn("stubborn", ["sh", "-c", "trap '' TERM; echo armed; while :; do sleep 600; done"])
    wait_until(lambda: "armed" in process.last_lines(), "the trap is set")

    assert process.stop(within=timedelta(milliseconds=50)) == -signal.SIGKILL


def test_two_processes_of_one_name_have_a_log_each(processes: Processes) -> None:
    first, second = (processes.spawn("twin", ["echo", word]) for word in ("one", "two"))
    for process in (first, second):
        wait_until(lambda process=process: not process.running, "it has ended")  # type: ignore[misc]

    assert (first.last_lines(), second.last_lines()) == ("  one", "  two")


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_an_unprivileged_process_gets_a_network_of_its_own() -> None:
    """As root, every capability but the one that kernels ask for to map root itself is dropped first."""
    script = """
import ctypes, json, os, socket, sys
from local.namespace import enter_namespace
before = os.stat("/proc/self/ns/net").st_ino, os.stat("/proc/self/ns/user").st_ino
enter_namespace()
server = socket.create_server(("10.244.77.7", 8080))
client = socket.create_connection(("10.244.77.7", 8080))
after = os.stat("/proc/self/ns/net").st_ino, os.stat("/proc/self/ns/user").st_ino
print(json.dumps([before, after, os.getuid(), [name for _, name in socket.if_nameindex()]]))
"""
    drop = "import ctypes, os, sys\nlibc = ctypes.CDLL(None)\n" if os.getuid() == 0 else "import os, sys\n"
    if os.getuid() == 0:
        drop += "for number in set(range(64)) - {31}: libc.prctl(24, number, 0, 0, 0)\n"
    drop += "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"

    answer = subprocess.run(
        [sys.executable, "-c", drop, script], capture_output=True, text=True, check=False, env=environment()
    )

    if "the kernel allows neither" in answer.stderr:
        pytest.skip("user namespaces are not allowed here")
    assert answer.returncode == 0, answer.stderr
    before, after, user, interfaces = json.loads(answer.stdout)
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert user == os.getuid()
    assert interfaces == ["lo"]


def test_a_process_with_threads_is_told_to_enter_earlier() -> None:
    script = """
import threading
from local.namespace import enter_namespace
threading.Thread(target=threading.Event().wait, name="scraper", daemon=True).start()
enter_namespace()
"""

    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment()
    )

    assert "1 other thread(s) run (scraper) and would stay behind" in answer.stderr
