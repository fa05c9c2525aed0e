"""Many small queries as one request: what arrives together for the same moment travels together.

An answer out of a batch is the answer that its query has alone. Whatever is odd about a batch (refused, warned of, too
large) is asked again query by query, so that a reason is never another query's.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from modelrollout.core.evidence import NoData, Unknown
from modelrollout.metrics.answers import Found, Sample
from modelrollout.metrics.prometheus import PrometheusSource
from modelrollout.metrics.queries import PART, PromQL, side_by_side
from modelrollout.metrics.tenancy import Confined

LONGEST_WAIT = 0.03
"""Seconds that a query waits for others: 33 requests a second at most for each moment asked about, unless batches are full."""
MOST_QUERIES, LARGEST_TEXT = 64, 128 * 1024
"""Queries, and characters, at which a batch is full. Prometheus works through it in one thread: several run at once."""

SUSPECTED, PROVEN = 60.0, 600.0
"""Seconds for which an asker travels alone: after sharing a batch that took too long, and after spoiling one."""
REFUSALS, NO_BATCHES = 3, 60.0
"""Batches in a row that a source refuses though it takes their queries one by one; seconds without batches after them."""

Answer = Found | NoData
_OF_THE_SOURCE = frozenset({Unknown.UNREACHABLE, Unknown.TIMED_OUT})

_log = structlog.get_logger()


@dataclass(slots=True)
class _Inquiry:
    asker: str
    queries: Sequence[Confined]
    answered: asyncio.Future[list[Answer]]


@dataclass(slots=True)
class _Batch:
    at: datetime
    timer: asyncio.TimerHandle
    inquiries: list[_Inquiry] = field(default_factory=list)
    queries: int = 0
    characters: int = 0

    def add(self, inquiry: _Inquiry) -> None:
        self.inquiries.append(inquiry)
        self.queries += len(inquiry.queries)
        self.characters += sum(map(len, inquiry.queries))

    @property
    def is_full(self) -> bool:
        return self.queries >= MOST_QUERIES or self.characters >= LARGEST_TEXT


class Batches:
    """One source, asked in batches.

    An asker is whoever can be at fault for a query: one rollout. Who makes a batch odd or slow travels alone for a
    while, on half of the source's threads at most, so that one rollout's queries cost no other an answer twice.
    """

    def __init__(self, source: PrometheusSource, *, threads: int, time_limit: timedelta) -> None:
        self._source = source
        self._slow = time_limit / timedelta(seconds=1) / 2
        self._open: dict[datetime, _Batch] = {}
        self._sent: set[asyncio.Task[None]] = set()
        self._alone_until: dict[str, float] = {}
        self._none_until = 0.0
        self._refusals = 0
        self._last_success = 0.0
        self._alone = asyncio.Semaphore(max(1, threads // 2))

    async def ask(self, asker: str, queries: Sequence[Confined], at: datetime) -> list[Answer]:
        """Return the answers to instant queries evaluated `at` a time, in their order.

        Each query must be one that `side_by_side` takes.
        """
        if self._now() < max(self._none_until, self._alone_until.get(asker, 0.0)):
            return await self._ask_each(asker, queries, at)
        inquiry = _Inquiry(asker, queries, asyncio.get_running_loop().create_future())
        batch = self._open.get(at) or self._begin(at)
        batch.add(inquiry)
        if batch.is_full:
            self._send(batch)
        return await inquiry.answered

    async def ask_alone(self, query: Confined, at: datetime | None = None) -> Answer:
        """Return the answer to a query that shares its request with none: a user's own, or one of another kind."""
        async with self._alone:
            return await self._source.ask(query, at)

    def close(self) -> None:
        """Give up what is under way."""
        for batch in self._open.values():
            batch.timer.cancel()
        for task in self._sent:
            task.cancel()

    def _begin(self, at: datetime) -> _Batch:
        timer = asyncio.get_running_loop().call_later(LONGEST_WAIT, lambda: self._send(self._open[at]))
        self._open[at] = _Batch(at, timer)
        return self._open[at]

    def _send(self, batch: _Batch) -> None:
        batch.timer.cancel()
        del self._open[batch.at]
        task = asyncio.ensure_future(self._ask_together(batch))
        self._sent.add(task)
        task.add_done_callback(lambda _: self._finish(task, batch))

    def _finish(self, task: asyncio.Task[None], batch: _Batch) -> None:
        self._sent.discard(task)
        for inquiry in batch.inquiries:
            if not inquiry.answered.done():  # A fault of our own: each asker says so.
                error = None if task.cancelled() else task.exception()
                inquiry.answered.set_exception(error) if error else inquiry.answered.cancel()

    async def _ask_together(self, batch: _Batch) -> None:
        # A rollback may have been asked for meanwhile: then nobody waits any more.
        waiting = [inquiry for inquiry in batch.inquiries if not inquiry.answered.done()]
        queries = list(dict.fromkeys(query for inquiry in waiting for query in inquiry.queries))
        if not queries:
            return
        began = self._now()
        found = await self._source.ask(side_by_side(queries) if len(queries) > 1 else queries[0], batch.at)
        answers = _divided(found, queries)
        if answers is None:
            await self._ask_one_by_one(waiting, batch.at, found)
            return
        if isinstance(found, Found):
            self._last_success, self._refusals = self._now(), 0
        elif found.reason is Unknown.TIMED_OUT and self._last_success > began:
            # Others were answered meanwhile: it is not the source that is slow, but a query in here.
            self._send_alone(SUSPECTED, {inquiry.asker for inquiry in waiting})
        for inquiry in waiting:
            _answer(inquiry, [answers[query] for query in inquiry.queries])

    async def _ask_one_by_one(self, inquiries: Sequence[_Inquiry], at: datetime, found: Answer) -> None:
        """Ask what an odd batch held: one asker's queries first, as a source that is down would refuse all of them."""

        async def ask(inquiry: _Inquiry) -> bool:
            answers = await self._ask_each(inquiry.asker, inquiry.queries, at)
            _answer(inquiry, answers)
            return all(isinstance(answer, Found) for answer in answers)

        first, *others = inquiries
        is_fine = await ask(first)
        if not is_fine and isinstance(found, NoData) and found.reason is Unknown.UNREACHABLE:
            for inquiry in others:
                _answer(inquiry, [found for _ in inquiry.queries])
            return
        if all([is_fine, *await asyncio.gather(*map(ask, others))]):
            self._refusals += 1
            if self._refusals >= REFUSALS:
                self._none_until = self._now() + NO_BATCHES
                _log.warning("source takes single queries only, no batches", source=self._source.name)

    async def _ask_each(self, asker: str, queries: Sequence[Confined], at: datetime) -> list[Answer]:
        async def ask(query: Confined) -> Answer:
            async with self._alone:
                began = self._now()
                answer = await self._source.ask(query, at)
                took = self._now() - began
            if took > self._slow or (isinstance(answer, NoData) and answer.reason not in _OF_THE_SOURCE):
                self._send_alone(PROVEN, {asker})
            return answer

        return await asyncio.gather(*map(ask, queries))

    def _send_alone(self, seconds: float, askers: set[str]) -> None:
        now = self._now()
        known = {asker: until for asker, until in self._alone_until.items() if until > now}
        self._alone_until = known | {asker: max(now + seconds, known.get(asker, 0.0)) for asker in askers}

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _divided(found: Answer, queries: Sequence[PromQL]) -> dict[PromQL, Answer] | None:
    """Return each query's own answer out of a batch's, `None` where they have to be asked one by one."""
    if len(queries) == 1:
        return {queries[0]: found}
    if isinstance(found, NoData):
        # A source that hangs is not asked again at once: nobody would wait for the answers.
        return dict.fromkeys(queries, found) if found.reason is Unknown.TIMED_OUT else None
    samples: list[list[Sample]] = [[] for _ in queries]
    for sample in found.samples:
        labels = dict(sample.labels)
        index = labels.pop(PART, "")
        if not index.isdecimal() or int(index) >= len(samples):
            return None
        samples[int(index)].append(Sample(labels, sample.text))
    return {query: Found(tuple(mine)) for query, mine in zip(queries, samples, strict=True)}


def _answer(inquiry: _Inquiry, answers: list[Answer]) -> None:
    if not inquiry.answered.done():
        inquiry.answered.set_result(answers)
