"""Requests as users send them: a steady load in a process of its own, or a fixed number at once."""

import http.client
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from local.load_generator import CONTROL_PORT
from local.process import Process, Processes, wait_until

_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Snapshot:
    """What users saw from the load's start, or since a mark, up to `at` (Unix seconds).

    Versions are those that the answers name in `x-served-by`; "nobody" is the gateway itself.
    """

    at: float
    sent: int
    answers: Counter[tuple[int, str]]
    """Answers by status and version."""
    failures: Counter[str]
    """Requests that got no answer, by reason."""
    first_sent: dict[str, float]
    """When the first request left that a version answered; never cut by a mark."""
    last_sent: dict[str, float]
    """When the latest one left: after an edit, how long users still reached that version."""
    last_answered: dict[str, float]

    @property
    def versions(self) -> Counter[str]:
        """Answers by version."""
        counts: Counter[str] = Counter()
        for (_, version), count in self.answers.items():
            counts[version] += count
        return counts

    @property
    def statuses(self) -> Counter[int]:
        """Answers by status."""
        counts: Counter[int] = Counter()
        for (status, _), count in self.answers.items():
            counts[status] += count
        return counts

    @property
    def errors(self) -> int:
        """How often users saw an error: a status of 400 or more, or no answer."""
        return self.failures.total() + sum(count for (status, _), count in self.answers.items() if status >= 400)

    def share_of(self, version: str) -> float:
        """Return the fraction of answers that came from `version`; 0 if there were none at all."""
        versions = self.versions
        return versions[version] / versions.total() if versions else 0.0

    def since(self, mark: "Snapshot") -> "Snapshot":
        """Return what was added after an earlier snapshot of the same load."""
        return Snapshot(
            self.at, self.sent - mark.sent, self.answers - mark.answers, self.failures - mark.failures,
            self.first_sent, self.last_sent, self.last_answered,
        )  # fmt: skip


class Load:
    """A steady load that is running."""

    def __init__(self, process: Process, control: str) -> None:
        self.process = process
        self._control = control

    def snapshot(self) -> Snapshot:
        """Return what users saw until now."""
        seen = json.loads(_get(self._control, CONTROL_PORT, "/snapshot"))
        pairs = {tuple(key.split(" ", 1)): count for key, count in seen["answers"].items()}
        answers = Counter({(int(status), version): count for (status, version), count in pairs.items()})
        times = (seen["first_sent"], seen["last_sent"], seen["last_answered"])
        return Snapshot(seen["at"], seen["sent"], answers, Counter(seen["failures"]), *times)

    def since(self, mark: Snapshot) -> Snapshot:
        """Return what users saw since an earlier snapshot."""
        return self.snapshot().since(mark)

    def stop(self) -> Snapshot:
        """End it; return what users saw in all."""
        last = self.snapshot()
        self.process.stop()
        return last


def start_load(
    processes: Processes, url: str, *, host: str, control: str, rate: float, duration: timedelta, rows: Path
) -> Load:
    """Return a load that has begun: `rate` requests a second for `duration`, bodies from the JSON file `rows`."""
    argv = [sys.executable, "-m", "local.load_generator", f"--url={url}", f"--host={host}", f"--rate={rate}"]
    options = [f"--seconds={duration.total_seconds()}", f"--control={control}", f"--rows={rows}"]
    process = processes.spawn("load", [*argv, *options], environment={"PYTHONPATH": str(_ROOT)})
    load = Load(process, control)
    wait_until(load.snapshot, "the load generator answers", process=process)
    return load


def send(url: str, host: str, count: int, bodies: Sequence[object] = (None,)) -> Counter[str]:
    """Send `count` requests one after another; return how many each version answered with less than 400.

    Other answers are counted as `status 503` and so on. A body of None makes a GET, any other a POST of JSON.

    Raises:
        OSError: the gateway does not answer at all.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    seen: Counter[str] = Counter()
    try:
        for number in range(count):
            body = bodies[number % len(bodies)]
            content = None if body is None else json.dumps(body)
            headers = {"Host": host, "Content-Type": "application/json"}
            connection.request("GET" if body is None else "POST", parts.path or "/", content, headers)
            answer = connection.getresponse()
            answer.read()
            version = answer.getheader("x-served-by", "nobody")
            seen[version if answer.status < 400 else f"status {answer.status}"] += 1
    finally:
        connection.close()
    return seen


def _get(host: str, port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
