"""What the operator says of itself, and what the kernel says of it."""

import os
import platform
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Reading:
    """One look: totals since the start of the process, seconds unless the name says otherwise."""

    at: float
    cpu: float
    cpu_of_loop: float
    """Of the main thread, which runs the event loop; the others send queries to metrics sources."""
    rss_bytes: int
    calls: Counter[str]
    """Calls of the API server by verb."""
    queries: float
    lateness: float
    """How long the longest-waiting due rollout waits at this moment."""


def read_operator(pid: int, url: str) -> Reading:
    """Return a reading of the operator with this process number and this address of `/metrics`.

    Raises:
        OSError: it does not answer, or has ended.
    """
    with urlopen(url, timeout=5) as answer:
        text = answer.read().decode()
    calls, queries, lateness = read_metrics(text)
    cpu = _cpu_seconds(Path(f"/proc/{pid}/stat")), _cpu_seconds(Path(f"/proc/{pid}/task/{pid}/stat"))
    return Reading(time.monotonic(), *cpu, _rss_bytes(pid), calls, queries, lateness)


def read_metrics(text: str) -> tuple[Counter[str], float, float]:
    """Return calls of the API server by verb, queries of metrics sources, and the queue's lateness in seconds."""
    calls: Counter[str] = Counter()
    queries = lateness = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            match sample.name:
                case "modelrollout_api_call_seconds_count":
                    calls[sample.labels["verb"]] += int(sample.value)
                case "modelrollout_metrics_query_seconds_count":
                    queries += sample.value
                case "modelrollout_queue_lateness_seconds":
                    lateness = sample.value
                case _:
                    pass
    return calls, queries, lateness


def describe_machine() -> dict[str, str]:
    """Return what figures depend on: cores, processor, load averages of 1, 5 and 15 minutes, Python."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": models[0] if models else platform.machine(),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "python": platform.python_version(),
    }


def load_now() -> float:
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 1)


def _cpu_seconds(stat: Path) -> float:
    # The command's name, in parentheses, may hold anything: count from behind it.
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _rss_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
