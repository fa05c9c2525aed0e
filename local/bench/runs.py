"""The measurements. Each leaves the fleet as it found it: all rollouts in mid-canary."""

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from local.bench.figures import Level, Spread, spread
from local.bench.fleet import Fleet, candidate_of
from local.bench.meters import Reading
from local.bench.progress import Ticker
from local.bench.stage import Stage
from local.bench.targets import (
    BREACH_TARGET,
    bad_at_once_target,
    edit_target,
    look_target,
    loop_target,
    memory_target,
    request_target,
)

BREACHES_AT_A_TIME = 20
RESTARTS = 3
_SECONDS_WITHOUT_EVENTS, _PATIENCE_WITH_EVENTS = 5.0, 900.0
_SEED = 1


@dataclass(frozen=True)
class Bench:
    """What a measurement has at hand, and how much is measured."""

    stage: Stage
    fleet: Fleet
    ticker: Ticker
    edits: int
    breaches: int
    neighbours: int
    steady: timedelta
    outage: timedelta

    @property
    def size(self) -> int:
        """How many rollouts are in progress."""
        return len(self.fleet.names)

    @property
    def interval(self) -> timedelta:
        """How far apart the looks at one rollout's metrics are meant to be."""
        return self.fleet.interval


Found = Iterator[Spread | Level]


def grow(bench: Bench, size: int) -> None:
    """Add rollouts until there are `size` in progress, spread over intervals so that their looks are, too."""
    began = time.monotonic()
    more = size - bench.size
    bench.ticker.begin(f"starting rollouts until {size} are in progress")
    # API server and operator share two cores: about 60 a second is what they take without a queue.
    pause = max(bench.interval.total_seconds() / size, 1 / 60)
    new = bench.fleet.grow(size, pause, bench.ticker.tick)
    for name in new:
        bench.fleet.settle(name, after=began, within=timedelta(minutes=10))
        bench.ticker.tick(f"waiting until all {more} are judged")
    bench.stage.check()


def time_edits(bench: Bench) -> Found:
    """Ask for a rollback, one after another; yield how long it took until the leaf was seen changed.

    With it, how long the edit's own request took, which is the API server's work alone, and what one costs.
    """
    took, itself = [], []
    what = "status edit to route write"
    picks = random.Random(_SEED)
    names: list[str] = []
    bench.ticker.begin(f"{what}, {bench.size} in progress")
    began = time.monotonic()
    before = bench.stage.read_operator().calls
    for number in range(bench.edits):
        if not names:
            if number:
                bench.fleet.start_again(bench.fleet.names[: bench.edits], after=began)
            names = picks.sample(bench.fleet.names[: bench.edits], min(bench.edits, bench.size))
            began = time.monotonic()
        name = names.pop()
        asked = bench.fleet.ask(name, "rollback", f"bench at {time.time():.3f}")
        took.append(bench.fleet.time_back(name, after=asked.sent) - asked.sent)
        itself.append(asked.answered - asked.sent)
        bench.fleet.end_of_rollback(name, after=asked.sent)
        bench.ticker.tick(f"{number + 1} of {bench.edits} edits, the last took {took[-1] * 1000:.0f} ms")
    calls = bench.stage.read_operator().calls - before
    rolled_back = [name for name in bench.fleet.names[: bench.edits] if name not in names]
    bench.fleet.start_again(rolled_back, after=began)
    yield spread(what, bench.size, took, edit_target(bench.size))
    yield spread("of which the edit's own request", bench.size, itself)
    if bench.edits <= bench.size:  # Else starting them again is in it.
        yield Level(f"API requests of one rollback ({_verbs(calls, bench.edits)})", bench.size,
                    calls.total() / bench.edits, "", "<= 10")  # fmt: skip


def time_breaches(bench: Bench) -> Found:
    """Let candidates go bad, few at a time; yield how long it took from the first bad answer to the leaf seen changed."""
    took: list[float] = []
    what = "bad sample to route write"
    count = min(bench.breaches, 5 * bench.size)
    bench.ticker.begin(f"{what}, {bench.size} in progress")
    picks = random.Random(_SEED)
    while len(took) < count:
        size = min(BREACHES_AT_A_TIME, max(1, bench.size // 5), count - len(took))
        answers, _ = _breach(bench, picks.sample(bench.fleet.names, size))
        took += answers
        bench.ticker.tick(f"{len(took)} of {count} bad samples, the last took {took[-1] * 1000:.0f} ms")
    yield spread(what, bench.size, took, BREACH_TARGET)


def time_many_breaches(bench: Bench) -> Found:
    """Let a hundred candidates go bad at one moment, then all of them."""
    for count in dict.fromkeys((min(100, bench.size), bench.size)):
        bench.ticker.begin(f"{count} of {bench.size} go bad at once")
        names = random.Random(_SEED).sample(bench.fleet.names, count)
        answers, whole = _breach(bench, names)
        yield spread(f"bad sample to route write, {count} at once", bench.size, answers)
        yield spread(
            f"going bad to route write, {count} at once", bench.size, whole, bad_at_once_target(bench.interval)
        )


def _breach(bench: Bench, names: Sequence[str]) -> tuple[list[float], list[float]]:
    """Return the seconds from each bad answer, and from the moment when all went bad, to the leaf seen changed."""
    began = time.monotonic()
    bench.stage.script(bad=[candidate_of(name) for name in names])
    back = {name: bench.fleet.time_back(name, after=began) for name in names}
    answered = bench.stage.seen()["answered_bad"]
    bench.stage.script()
    bench.fleet.start_again(names, after=began)
    return [back[name] - answered[candidate_of(name)] for name in names], [back[name] - began for name in names]


def watch_steady(bench: Bench) -> Found:
    """Yield what it costs while nothing happens, and how far apart the looks at one rollout's metrics are."""
    bench.ticker.begin(f"waiting until all {bench.size} gates have passed")
    # A gate has enough requests by its second look.
    time.sleep(2 * bench.interval.total_seconds())
    _wait_until_told(bench)
    bench.ticker.begin(f"steady state for {bench.steady.total_seconds():.0f} s, {bench.size} in progress")
    bench.stage.script()
    first = last = bench.stage.read_operator()
    lateness = []
    while (left := first.at + bench.steady.total_seconds() - time.monotonic()) > 0:
        time.sleep(min(5.0, left))
        last = bench.stage.read_operator()
        lateness.append(last.lateness)
        bench.ticker.tick(f"{last.at - first.at:.0f} of {bench.steady.total_seconds():.0f} s")
    seen = bench.stage.seen()
    yield spread("one look at the metrics to the next", bench.size, seen["gaps"] or [0.0], look_target(bench.interval))
    yield from levels_between(first, last, lateness, bench.size, bench.fleet.gates, bench.interval)


def _wait_until_told(bench: Bench) -> None:
    """Wait until the events of what was before are out: a namespace posts so many a second."""
    bench.ticker.begin("waiting until all events are posted")
    before = bench.stage.read_operator()
    until = before.at + _PATIENCE_WITH_EVENTS
    while before.at < until:
        time.sleep(_SECONDS_WITHOUT_EVENTS)
        now = bench.stage.read_operator()
        posted = now.calls.get("create", 0) - before.calls.get("create", 0)
        if not posted:
            return
        bench.ticker.tick(f"{posted:.0f} events in {now.at - before.at:.0f} s")
        before = now


def levels_between(
    first: Reading, last: Reading, lateness: Sequence[float], in_progress: int, gates: int, interval: timedelta
) -> list[Level]:
    """Return costs from two readings of one process."""
    span = last.at - first.at
    calls = last.calls - first.calls

    def share(cpu: float) -> float:
        return 100 * cpu / span

    loop = last.cpu_of_loop - first.cpu_of_loop
    return [
        Level("CPU", in_progress, share(last.cpu - first.cpu), "% of a core"),
        Level("CPU beside the Prometheus calls", in_progress, share(loop), "% of a core", loop_target(interval)),
        Level("RSS", in_progress, last.rss_bytes / 2**20, "MiB", memory_target(in_progress)),
        Level(f"API requests ({_verbs(calls, span)})", in_progress, calls.total() / span, "/s"),
        Level("PATCH alone", in_progress, calls["patch"] / span, "/s", "0 but for numbers in status"),
        Level(
            "Prometheus requests",
            in_progress,
            (last.queries - first.queries) / span,
            "/s",
            request_target(in_progress, gates, interval),
        ),
        Level("queue lateness, longest seen", in_progress, max(lateness), "s"),
        Level("queue lateness, mean", in_progress, statistics.fmean(lateness), "s"),
    ]


def time_restarts(bench: Bench) -> Found:
    """Kill the operator; yield how long its successor needs for an edit made meanwhile, its first look, and all looks."""
    edits, firsts, alls = [], [], []
    names = random.Random(_SEED).sample(bench.fleet.names, min(RESTARTS, bench.size))
    for name in names:
        bench.ticker.begin(f"SIGKILL with {bench.size} in progress")
        bench.stage.script()
        killed = time.monotonic()
        bench.stage.operator.kill()
        bench.fleet.ask(name, "rollback", "while the operator is down")
        bench.stage.operator.start()
        edits.append(bench.fleet.time_back(name, after=killed) - killed)
        firsts.append(_when(bench, lambda seen: seen > 0) - killed)
        alls.append(_when(bench, lambda seen: seen >= bench.size - 1) - killed)
        bench.stage.wait_ready()
        bench.fleet.start_again([name], after=killed)
    yield spread("SIGKILL to the route write of an edit made while down", bench.size, edits, "< 3 s")
    yield spread("SIGKILL to the first look at metrics", bench.size, firsts, "< 3 s")
    yield spread("SIGKILL to every rollout looked at", bench.size, alls)


def _when(bench: Bench, is_it: Callable[[int], bool]) -> float:
    """Return when the number of candidates whose metrics were looked at was first seen to be so."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if is_it(bench.stage.seen()["candidates"]):
            break
        time.sleep(0.05)
    return time.monotonic()


def watch_outages(bench: Bench) -> Found:
    """Let the metrics refuse, then hang, for a while each; yield edits meanwhile, and how many were rolled back."""
    for how in ("refusing", "hanging"):
        bench.ticker.begin(f"Prometheus {how} for {bench.outage.total_seconds():.0f} s, {bench.size} in progress")
        began = time.monotonic()
        if how == "refusing":
            bench.stage.source.stop()
        else:
            bench.stage.script(hangs=True)
        first = bench.stage.read_operator()
        time.sleep(min(bench.interval.total_seconds(), bench.outage.total_seconds() / 2))
        names = random.Random(_SEED).sample(bench.fleet.names, min(bench.edits, max(1, bench.size // 2)))
        yield _edits_in_outage(bench, how, names)
        time.sleep(max(0.0, began + bench.outage.total_seconds() - time.monotonic()))
        last = bench.stage.read_operator()
        bench.stage.start_source_again()
        bench.stage.script()
        phases = bench.fleet.phases()
        lost = phases["RolledBack"] + phases["RollingBack"] - len(names)
        loop = 100 * (last.cpu_of_loop - first.cpu_of_loop) / (last.at - first.at)
        yield Level(f"rolled back by Prometheus {how}", bench.size, lost, "", "0")
        yield Level(f"CPU of the loop, Prometheus {how}", bench.size, loop, "% of a core")
        bench.fleet.start_again(names, after=began)
        time.sleep(2 * bench.interval.total_seconds())


def _edits_in_outage(bench: Bench, how: str, names: Sequence[str]) -> Spread:
    took = []
    for name in names:
        asked = bench.fleet.ask(name, "rollback", "bench")
        took.append(bench.fleet.time_back(name, after=asked.sent) - asked.sent)
        bench.fleet.end_of_rollback(name, after=asked.sent)
        bench.ticker.tick(f"{len(took)} of {len(names)} edits, the last took {took[-1] * 1000:.0f} ms")
    return spread(f"status edit to route write, Prometheus {how}", bench.size, took, edit_target(bench.size))


def _verbs(calls: dict[str, int], by: float) -> str:
    return ", ".join(f"{verb} {number / by:.2f}" for verb, number in sorted(calls.items())) or "none"
