"""The measurements. Each leaves the fleet as it found it: all rollouts in mid-canary."""

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from local.bench.figures import Level, Spread, spread
from local.bench.fleet import INTERVAL, Fleet, candidate_of
from local.bench.meters import Reading
from local.bench.progress import Ticker
from local.bench.stage import Stage

EDIT_TARGET = "p99 < 50 ms"
BREACH_TARGET = "< 300 ms"
BREACHES_AT_ONCE = 20
_SEED = 1


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    edits: int
    breaches: int
    steady: timedelta


def grow(stage: Stage, fleet: Fleet, count: int, ticker: Ticker) -> None:
    """Add rollouts until there are `count` in progress, spread over one interval so that their looks are, too."""
    began = time.monotonic()
    pause = INTERVAL.total_seconds() / count
    ticker.begin(f"starting rollouts until {count} are in progress")
    new = []
    for number in range(len(fleet.names), count):
        new.append(fleet.add())
        time.sleep(max(0.0, began + pause * len(new) - time.monotonic()))
        ticker.tick(f"{number + 1} of {count} rollouts created")
    for name in new:
        fleet.settle(name, after=began)
    stage.check()


def time_edits(fleet: Fleet, count: int, ticker: Ticker) -> list[Spread]:
    """Ask for a rollback `count` times, one after another; return how long it took until the leaf was seen changed.

    With it, how long the edit's own request took, which is the API server's work alone.
    """
    took, itself = [], []
    picks = random.Random(_SEED)
    what = "status edit to route write"
    ticker.begin(f"{what}, {len(fleet.names)} in progress")
    for number in range(count):
        name = picks.choice(fleet.names)
        asked = fleet.ask(name, "rollback", f"bench at {time.time():.3f}")
        took.append(fleet.time_back(name, after=asked.sent) - asked.sent)
        itself.append(asked.answered - asked.sent)
        fleet.start_again(name, after=asked.sent)
        ticker.tick(f"{number + 1} of {count} edits, the last took {took[-1] * 1000:.0f} ms")
    size = len(fleet.names)
    return [spread(what, size, took, EDIT_TARGET), spread("of which the edit's own request", size, itself)]


def time_edits_in_outage(stage: Stage, fleet: Fleet, count: int, ticker: Ticker) -> Spread:
    """Do the same while the metrics hang, once for each of `count` rollouts at most."""
    took = []
    what = "the same, Prometheus hanging"
    ticker.begin(f"status edit to route write, Prometheus hanging, {len(fleet.names)} in progress")
    began = time.monotonic()
    stage.script(hangs=True)
    # Every rollout has asked and waits by then: the worst moment.
    time.sleep(INTERVAL.total_seconds())
    names = random.Random(_SEED).sample(fleet.names, min(count, len(fleet.names)))
    for name in names:
        asked = fleet.ask(name, "rollback", "bench")
        took.append(fleet.time_back(name, after=asked.sent) - asked.sent)
        ticker.tick(f"{len(took)} of {len(names)} edits, the last took {took[-1] * 1000:.0f} ms")
    stage.script()
    for name in names:
        fleet.start_again(name, after=began)
    return spread(what, len(fleet.names), took, EDIT_TARGET)


def time_breaches(stage: Stage, fleet: Fleet, count: int, ticker: Ticker) -> Spread:
    """Let candidates go bad; return how long it took from the metrics' first bad answer to the leaf seen changed."""
    took: list[float] = []
    what = "bad sample to route write"
    ticker.begin(f"{what}, {len(fleet.names)} in progress")
    picks = random.Random(_SEED)
    while len(took) < count:
        size = min(BREACHES_AT_ONCE, max(1, len(fleet.names) // 5), count - len(took))
        took += _breach(stage, fleet, picks.sample(fleet.names, size))
        ticker.tick(f"{len(took)} of {count} bad samples, the last took {took[-1] * 1000:.0f} ms")
    return spread(what, len(fleet.names), took, BREACH_TARGET)


def _breach(stage: Stage, fleet: Fleet, names: Sequence[str]) -> list[float]:
    began = time.monotonic()
    stage.script(bad=[candidate_of(name) for name in names])
    back = {name: fleet.time_back(name, after=began) for name in names}
    answered = stage.seen()["answered_bad"]
    stage.script()
    for name in names:
        fleet.start_again(name, after=began)
    return [back[name] - answered[candidate_of(name)] for name in names]


def watch_steady(stage: Stage, fleet: Fleet, span: timedelta, ticker: Ticker) -> tuple[list[Level], Spread]:
    """Return what it costs while nothing happens, and how far apart the looks at one rollout's metrics are."""
    ticker.begin(f"waiting until all {len(fleet.names)} gates have passed")
    # A gate has enough requests by its second look.
    time.sleep(2 * INTERVAL.total_seconds())
    ticker.begin(f"steady state for {span.total_seconds():.0f} s, {len(fleet.names)} in progress")
    stage.script()
    first = last = stage.read_operator()
    lateness = []
    while (left := first.at + span.total_seconds() - time.monotonic()) > 0:
        time.sleep(min(1.0, left))
        last = stage.read_operator()
        lateness.append(last.lateness)
        ticker.tick(f"{last.at - first.at:.0f} of {span.total_seconds():.0f} s")
    seen: dict[str, Any] = stage.seen()
    gaps = spread("one look at the metrics to the next", len(fleet.names), seen["gaps"] or [0.0], "p99 <= 10.5 s")
    return levels_between(first, last, lateness, len(fleet.names)), gaps


def levels_between(first: Reading, last: Reading, lateness: Sequence[float], in_progress: int) -> list[Level]:
    """Return costs from two readings of one process."""
    span = last.at - first.at
    calls = last.calls - first.calls
    by_verb = ", ".join(f"{verb} {number / span:.2f}" for verb, number in sorted(calls.items())) or "none"
    patches = calls["patch"] / span
    return [
        Level("CPU", in_progress, 100 * (last.cpu - first.cpu) / span, "% of a core"),
        Level("RSS", in_progress, last.rss_bytes / 2**20, "MiB"),
        Level(f"API requests ({by_verb})", in_progress, calls.total() / span, "/s"),
        Level("PATCH alone", in_progress, patches, "/s", "0 but for numbers in status"),
        Level("Prometheus queries", in_progress, (last.queries - first.queries) / span, "/s"),
        Level("queue lateness, longest seen", in_progress, max(lateness), "s"),
        Level("queue lateness, mean", in_progress, statistics.fmean(lateness), "s"),
    ]
