"""What figures are held against. A target is for its load alone: with another beside it, it would say nothing."""

from datetime import timedelta

_EDITS = {1: "p99 < 50 ms", 10: "p99 < 50 ms", 1000: "p99 < 100 ms"}
_MEMORY = {1000: "< 200 MiB", 5000: "< 300 MiB"}
_TEN, _THIRTY = timedelta(seconds=10), timedelta(seconds=30)
BREACH_TARGET = "longest < 0.3 s"
"""From the first bad answer on, so whatever the interval."""


def edit_target(in_progress: int) -> str:
    """Return the target for a status edit to route write."""
    return _EDITS.get(in_progress, "")


def memory_target(in_progress: int) -> str:
    """Return the target for the operator's memory."""
    return _MEMORY.get(in_progress, "")


def look_target(interval: timedelta) -> str:
    """Return the target for one look at the metrics to the next."""
    return "p99 <= 10.5 s" if interval == _TEN else ""


def bad_at_once_target(interval: timedelta) -> str:
    """Return the target for many going bad at once: it has an interval in it."""
    return "longest < 12 s" if interval == _TEN else ""


def loop_target(interval: timedelta) -> str:
    """Return the target for CPU beside the Prometheus calls in a steady state."""
    return "< 10 % at 1000" if interval == _TEN else ""


def request_target(in_progress: int, gates: int, interval: timedelta) -> str:
    """Return the target for requests of Prometheus in a steady state."""
    return "<= 40 /s" if (in_progress, gates, interval) == (1000, 4, _THIRTY) else ""


def evaluation_target(gates: int) -> str:
    """Return the target for the CPU of one evaluation of all gates of a rollout."""
    return "< 1 ms" if gates == 4 else ""
