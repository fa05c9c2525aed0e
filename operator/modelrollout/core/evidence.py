"""What is asked of a metrics source, and what it may answer."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from modelrollout.api.gates import Gate
from modelrollout.api.metrics import Metrics
from modelrollout.api.status import Verdict
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import Shares


class Unknown(StrEnum):
    """Why a gate does not know; see `is_collecting` for those that pass with time, the others need somebody to look."""

    WARMING_UP = "WarmingUp"
    AWAITING_LABELS = "AwaitingLabels"
    NEED_REQUESTS = "NeedRequests"
    NEED_EVIDENCE = "NeedEvidence"
    NO_DATA = "NoData"
    NOT_A_NUMBER = "NotANumber"
    INFINITE = "Infinite"
    MANY_SERIES = "ManySeries"
    WARNINGS = "Warnings"
    STALE = "Stale"
    CLOCK_SKEW = "ClockSkew"
    TIMED_OUT = "TimedOut"
    UNREACHABLE = "Unreachable"
    REFUSED = "Refused"
    MALFORMED = "Malformed"
    NO_BUCKET = "NoBucket"
    COUNTS_SHRANK = "CountsShrank"
    BASELINE_ZERO = "BaselineZero"
    ABOVE_BUCKETS = "AboveBuckets"
    COLD_CACHE = "ColdCache"
    NO_REPLICAS = "NoReplicas"
    UNEQUAL_LOAD = "UnequalLoad"
    BUCKETS_DIFFER = "BucketsDiffer"
    ONE_BUCKET = "OneBucket"
    JUDGE_WAITS = "JudgeWaits"

    @property
    def is_collecting(self) -> bool:
        """Whether more requests or more time will settle it by themselves."""
        return self in {
            Unknown.WARMING_UP,
            Unknown.AWAITING_LABELS,
            Unknown.NEED_REQUESTS,
            Unknown.NEED_EVIDENCE,
            Unknown.COLD_CACHE,
            Unknown.JUDGE_WAITS,
        }


@dataclass(frozen=True, slots=True)
class Track:
    """One version as metrics know it: where it runs and on which routing object."""

    namespace: str
    route_kind: str
    route_name: str
    service: str
    port: int
    version: str


@dataclass(frozen=True, slots=True)
class Replicas:
    """Ready replicas of both versions now, `None` where nobody knows."""

    candidate: int | None
    baseline: int | None


NO_REPLICAS = Replicas(None, None)


@dataclass(frozen=True, slots=True)
class Before:
    """The baseline before a stage began: until when, and where it is found."""

    baseline: Track
    until: datetime


@dataclass(frozen=True, slots=True)
class Minutes:
    """A version's requests, minute by minute, as sums.

    `minutes` were seen, `busy` of them had requests; `squares` is the sum over these of bad requests squared over all.
    """

    minutes: int
    busy: int
    total: float
    bad: float
    squares: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an attempt of a rollout stands: which step of which stage, and its shares."""

    rollout: str
    attempt: int
    stage: str
    step: int
    shares: Shares


@dataclass(frozen=True, slots=True)
class Question:
    """Ask what `gate` needs to know of the requests from `since` until `until`; both aware, UTC.

    `baseline` is `None` at a first deployment, and while the baseline has no live requests to compare with.
    A newest sample older than `freshness` at `until` is too old to judge by. `before` is asked about, too, as long as
    nobody knows how evenly the baseline's bad requests come.
    """

    metrics: Metrics
    gate: Gate
    candidate: Track
    baseline: Track | None
    since: datetime
    until: datetime
    freshness: timedelta
    at: Standing
    before: Before | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A span in which nobody looked at a step: how much of it did the source see?

    A moment is seen if the newest sample of the candidate's requests was no older than `freshness` then.
    """

    metrics: Metrics
    gates: tuple[Gate, ...]
    candidate: Track
    since: datetime
    until: datetime
    freshness: timedelta

    @property
    def length(self) -> timedelta:
        """How long nobody looked."""
        return self.until - self.since

    @property
    def needs_source(self) -> bool:
        """Whether the source can know: nobody looked at the value of a user's own query, or asked a judge."""
        return all(gate.value is None and gate.webhook is None for gate in self.gates)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked: the window, and a digest of all queries' text, by which anybody can ask the same again."""

    since: datetime
    until: datetime
    digest: str

    @property
    def seconds(self) -> float:
        """How long the window is."""
        return (self.until - self.since) / timedelta(seconds=1)


def digest_of_queries(queries: Iterable[str]) -> str:
    """Return the first 16 hex digits of the SHA-256 of the queries' text, a line each, in their order."""
    return hashlib.sha256("\n".join(queries).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class NoData:
    """The source cannot say, and why."""

    reason: Unknown
    message: str
    asked: Asked | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Bound:
    """The bucket bound that stands in for a gate's threshold, below it.

    `is_last`: the histogram has no finite bound above it, so it cannot tell how far above it anything was.
    """

    at: timedelta
    is_last: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests in the window, and how many of them were bad, of both versions.

    `baseline` and `history` are `None` where the question had none, `bound` where the threshold is a bound itself.
    """

    candidate: Counts
    baseline: Counts | None
    history: Minutes | NoData | None = None
    bound: Bound | None = None
    asked: Asked | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Measured:
    """The value of a PromQL expression; finite.

    `baseline` is the same expression's for the baseline, `None` where the question had none, or the expression asks of
    no version.
    """

    value: float
    baseline: float | NoData | None = None
    asked: Asked | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Distributed:
    """Observations in each bucket of a histogram, of both versions: the same buckets in ascending order, not added up.

    `baseline` is `None` where the question had none.
    """

    candidate: tuple[int, ...]
    baseline: tuple[int, ...] | None
    asked: Asked | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge outside says, and its words."""

    verdict: Verdict
    message: str
    asked: Asked | None = field(default=None, compare=False)


Answer = Counted | Measured | Distributed | Judged | NoData
