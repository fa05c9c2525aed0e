"""What a soak has shown: one finding for each thing that must not grow, stick or go stale."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from local.soak.samples import Sample, rise

JUDGED_SHARE = 2 / 3
"""The last part of a soak, in which nothing may grow; before that caches fill."""
RSS_TOLERANCE = 0.05
THREADS_TOLERANCE, DESCRIPTORS_TOLERANCE, TASKS_TOLERANCE = 4, 12, 40
OK_OUTCOMES = frozenset({"ok", "conflict", "gone", "interrupted", "unavailable"})


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_fine: bool
    numbers: str


@dataclass
class Report:
    """Everything one run found."""

    machine: dict[str, str]
    minutes: float
    findings: list[Finding] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        """Whether every finding is."""
        return all(finding.is_fine for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {**asdict(self), "isFine": self.is_fine}

    def as_text(self) -> str:
        """Return the report for people."""
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        width = max((len(finding.what) for finding in self.findings), default=0)
        lines = [
            f"{'ok ' if finding.is_fine else 'BAD'}  {finding.what.ljust(width)}  {finding.numbers}"
            for finding in self.findings
        ]
        verdict = "nothing grew, stuck or went stale" if self.is_fine else "not fine"
        return "\n".join([f"{self.minutes:g} minutes; {machine}", *lines, f"verdict: {verdict}"])


def growth(samples: Sequence[Sample], rss_tolerance: float = RSS_TOLERANCE) -> list[Finding]:
    """Return whether memory, threads, descriptors and tasks are flat over the last two thirds of the samples."""
    judged = list(samples)[len(samples) - round(len(samples) * JUDGED_SHARE) :]
    if not judged:
        return [Finding("samples", is_fine=False, numbers="none")]

    def risen(value_of: Callable[[Sample], float]) -> float:
        return rise([(sample.at, value_of(sample)) for sample in judged])

    minutes = (judged[-1].at - judged[0].at) / 60
    mean = sum(sample.rss_mib for sample in judged) / len(judged)
    rss = risen(lambda sample: sample.rss_mib)
    text = f"{rss:+.1f} MiB in the last {minutes:.0f} minutes, mean {mean:.0f} MiB; allowed {rss_tolerance:.0%}"
    findings = [Finding("RSS", rss <= rss_tolerance * mean, text)]
    counts: tuple[tuple[str, Callable[[Sample], float], int], ...] = (
        ("threads", lambda sample: sample.threads, THREADS_TOLERANCE),
        ("file descriptors", lambda sample: sample.descriptors, DESCRIPTORS_TOLERANCE),
        ("tasks", lambda sample: sample.tasks, TASKS_TOLERANCE),
    )
    for what, value_of, tolerance in counts:
        values = [value_of(sample) for sample in judged]
        text = f"{risen(value_of):+.1f}, from {min(values):.0f} to {max(values):.0f}; allowed +{tolerance}"
        findings.append(Finding(what, risen(value_of) <= tolerance, text))
    return findings


def work(first: Sample, last: Sample, tracebacks: int) -> list[Finding]:
    """Return what the passes came to, and what they cost."""
    passes = {outcome: count - first.passes.get(outcome, 0) for outcome, count in sorted(last.passes.items())}
    bad = {outcome: count for outcome, count in passes.items() if count and outcome not in OK_OUTCOMES}
    text = ", ".join(f"{outcome} {count}" for outcome, count in passes.items())
    seconds = last.at - first.at
    cost = (
        f"CPU {100 * (last.cpu_seconds - first.cpu_seconds) / seconds:.1f} % of a core, API requests"
        f" {(last.api_calls - first.api_calls) / seconds:.1f}/s, queries {(last.queries - first.queries) / seconds:.1f}/s"
    )
    return [
        Finding("passes", not bad, text),
        Finding("tracebacks in the log", tracebacks == 0, str(tracebacks)),
        Finding("cost", is_fine=True, numbers=cost),
        Finding("changes that only a list found", is_fine=True, numbers=str(last.missed - first.missed)),
    ]
