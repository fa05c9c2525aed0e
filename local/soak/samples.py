"""What the operator and the kernel say of the process, again and again, and whether it grows."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """One look; totals count from the start of the process."""

    at: float
    """Monotonic seconds."""
    rss_mib: float
    cpu_seconds: float
    threads: int
    descriptors: int
    tasks: int
    rollouts: int
    queue_depth: int
    lateness_seconds: float
    passes: dict[str, int]
    """By how they ended."""
    api_calls: int
    queries: int
    missed: int
    """Changes that only a complete list has found."""


def read_sample(pid: int, url: str) -> Sample:
    """Return a look at the operator with this process number and this address of `/metrics`.

    Raises:
        OSError: it does not answer, or has ended.
    """
    with urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    sums: Counter[str] = Counter()
    passes: dict[str, int] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] += sample.value  # type: ignore[assignment]  # a Counter of floats counts as well
            if sample.name == "modelrollout_pass_seconds_count":
                passes[sample.labels["outcome"]] = int(sample.value)
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    # The command's name, in parentheses, may hold anything: count from behind it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Sample(
        at=time.monotonic(),
        rss_mib=int(status["VmRSS"].split()[0]) / 1024,
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
        threads=int(status["Threads"]),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208 - names alone are needed
        tasks=int(sums["modelrollout_tasks"]),
        rollouts=int(sums["modelrollout_rollouts"]),
        queue_depth=int(sums["modelrollout_queue_depth"]),
        lateness_seconds=float(sums["modelrollout_queue_lateness_seconds"]),
        passes=passes,
        api_calls=int(sums["modelrollout_api_call_seconds_count"]),
        queries=int(sums["modelrollout_metrics_query_seconds_count"]),
        missed=int(sums["modelrollout_watch_missed_total"]),
    )


def rise(points: Sequence[tuple[float, float]]) -> float:
    """Return by how much the regression line through (time, value) points rises from the first to the last time."""
    if len(points) < 2:
        return 0.0
    mean_time = sum(time for time, _ in points) / len(points)
    mean_value = sum(value for _, value in points) / len(points)
    spread = sum((time - mean_time) ** 2 for time, _ in points)
    if spread == 0:
        return 0.0
    slope = sum((time - mean_time) * (value - mean_value) for time, value in points) / spread
    return slope * (points[-1][0] - points[0][0])
