"""What one evaluation of all gates of a rollout costs by itself: the product's own code, no server, no I/O."""

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from modelrollout.api.status import GateStatus
from modelrollout.core.case import Case, Limits, Observed, way_back_of
from modelrollout.core.decide import decide
from modelrollout.core.evidence import Asked, Counted, Minutes, Question, digest_of_queries
from modelrollout.core.looking import judge_all, questions
from modelrollout.core.rollout import Rollout, parse_rollout
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import Capabilities, Endpoints, Route, Routed, Unmanaged

from local.bench.figures import Level, Spread
from local.bench.fleet import INTERVAL, manifest
from local.bench.source import GOOD_ERROR_SHARE, GOOD_FAST_SHARE, REQUESTS_PER_SECOND
from local.bench.targets import evaluation_target

BATCHES, LOOKS = 9, 50
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_FIRST_LOOK_AFTER = timedelta(minutes=2)
_MOST_PASSES = 10
_LIMITS = Limits(min_interval=INTERVAL, status_refresh=timedelta(minutes=1))
_KIND, _NAME = "TraefikService", "r0000"


@dataclass(frozen=True)
class Answers:
    """Counted requests as a source tells them: the share of bad ones by gate, the same of both versions."""

    what: str
    bad_shares: Mapping[str, float]


_GOOD = {
    "errors": GOOD_ERROR_SHARE,
    "latency": 1 - GOOD_FAST_SHARE,
    "slowest": 1 - GOOD_FAST_SHARE,
    "worse": GOOD_ERROR_SHARE,
}
HEALTHY = Answers("a healthy candidate", _GOOD)
# Each at the absolute limit of its gate, so that no number of requests tells on which side it is; `worse` has none, and
# passes while nothing speaks against the candidate.
_AT_LIMIT = {"errors": 0.05, "latency": 0.05, "slowest": 0.02, "worse": 0.05}
UNDECIDED = Answers("an undecided one", _AT_LIMIT)


def time_gates(gates: int) -> Iterator[Spread | Level]:
    """Yield the CPU of one evaluation of so many gates: the median of some batches, and the least."""
    for answers in (HEALTHY, UNDECIDED):
        batches = []
        for batch in range(BATCHES):
            spent = [seconds for seconds, _ in evaluations(gates, answers, REQUESTS_PER_SECOND + batch)]
            batches.append(1000 * statistics.fmean(spent))
        what = f"CPU of one evaluation of all gates, {answers.what}"
        yield Level(f"{what}, median of {BATCHES} times {LOOKS}", 1, statistics.median(batches), "ms",
                    evaluation_target(gates))  # fmt: skip
        yield Level(f"{what}, least", 1, min(batches), "ms")


def evaluations(
    gates: int, answers: Answers, requests_per_second: int
) -> Iterator[tuple[float, tuple[GateStatus, ...]]]:
    """Yield the seconds of CPU and the verdicts of one look after another at a canary step.

    The window grows by an interval each time, as it does in a step: the same counts again would be answered from what
    the statistics remember. What is asked, decided and kept in status between two looks is the product's, and not timed.
    """
    world = _World(gates)
    for look in range(LOOKS):
        now = world.applied_at + _FIRST_LOOK_AFTER + look * INTERVAL
        asked = questions(world.rollout, _KIND, _NAME, now)
        answered = {name: _answer(question, answers, requests_per_second) for name, question in asked.items()}
        began = time.process_time()
        verdicts = tuple(judge_all(world.rollout, answered, now, world.gates))
        spent = time.process_time() - began
        yield spent, verdicts
        world.take(now, verdicts)


class _World:
    """A rollout in its canary step, in a world where all that is decided comes true at once."""

    def __init__(self, gates: int) -> None:
        made = manifest(_NAME, gates)
        made["metadata"] |= {"uid": "bench", "generation": 1, "resourceVersion": "1"}
        self.rollout: Rollout = parse_rollout(made)
        self.gates: tuple[GateStatus, ...] = ()
        self._route: Route = Unmanaged()
        for _ in range(_MOST_PASSES):
            self.take(_BEGIN, ())
            attempt = self.rollout.status.attempt
            if attempt and attempt.applied_at:
                self.applied_at = attempt.applied_at
                return
        raise AssertionError(f"no canary step after {_MOST_PASSES} passes: {self.rollout.status.phase}")

    def take(self, now: datetime, verdicts: tuple[GateStatus, ...]) -> None:
        """Decide on what was seen now, and have status and route so."""
        seen = Observed(
            route=self._route,
            route_kind=_KIND,
            route_name=_NAME,
            capabilities=Capabilities(mirror=True, mirror_percent=True, fractional_mirror=True),
            baseline=Endpoints.READY,
            candidate=Endpoints.READY,
            gates=verdicts,
            looked=bool(verdicts),
        )
        decision = decide(Case(self.rollout, seen, now, _LIMITS))
        self.rollout, self.gates = replace(self.rollout, status=decision.status), verdicts
        if decision.write and decision.write.shares:
            self._route = Routed(decision.write.shares, "1", way_back=way_back_of(self.rollout))


def _answer(question: Question, answers: Answers, requests_per_second: int) -> Counted:
    share, window = answers.bad_shares[question.gate.name], question.until - question.since
    total = round(requests_per_second * window.total_seconds())
    counts = Counts(total, round(total * share))
    history = _even_hour(share, requests_per_second) if question.before else None
    asked = Asked(question.since, question.until, digest_of_queries([question.gate.name]))
    return Counted(counts, counts if question.baseline else None, history, asked=asked)


def _even_hour(share: float, requests_per_second: int) -> Minutes:
    """Return an hour in which bad requests came as evenly as independent ones do."""
    minutes, a_minute = 60, 60.0 * requests_per_second
    bad = a_minute * share
    return Minutes(minutes, minutes, minutes * a_minute, minutes * bad, minutes * (bad + bad**2) / a_minute)
