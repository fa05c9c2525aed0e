"""What a gate asks, word for word: the code that asks live, before a source that writes down."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from modelrollout.cli.sourcing import Asking, configs_of
from modelrollout.core.evidence import Answer, NoData, Question, Unknown, digest_of_queries
from modelrollout.metrics import queries
from modelrollout.metrics.answers import Found, Sample
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.prometheus import OnCall, PrometheusSource
from modelrollout.metrics.queries import PART, PromQL
from modelrollout.metrics.sources import Sources

_NOWHERE = SourceConfig(url="http://localhost", raw_queries=True)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The queries of one gate's question in their order, each with what came back, and what it came to."""

    asked: tuple[tuple[PromQL, Found | NoData], ...]
    answer: Answer | None
    """`None` where nobody was asked."""

    @property
    def digest(self) -> str:
        """What status calls these queries."""
        return digest_of_queries(query for query, _ in self.asked)


class _Recorder(PrometheusSource):
    """Writes down each query by itself, and asks it if it may."""

    def __init__(self, name: str, config: SourceConfig, on_call: OnCall, *, is_live: bool) -> None:
        super().__init__(name, config, on_call)
        self.asked: list[tuple[PromQL, Found | NoData]] = []
        self._is_live = is_live

    async def ask(self, query: PromQL, at: datetime | None = None) -> Found | NoData:
        """Return the answer, or that there is none."""
        if query == queries.CLOCK and not self._is_live:
            return Found((Sample({}, f"{time.time():.3f}"),))
        if f'"{PART}"' in query:  # Several together: refused, so that they come one by one.
            return NoData(Unknown.MALFORMED, "asked one by one")
        not_asked = NoData(Unknown.NO_DATA, "not asked")
        if query == queries.CLOCK:
            return await super().ask(query, at)
        # In the order of asking: answers come in any.
        place = len(self.asked)
        self.asked.append((query, not_asked))
        if not self._is_live:
            return not_asked
        found = await super().ask(query, at)
        self.asked[place] = query, found
        return found


async def exchange(question: Question, asking: Asking) -> Exchange:
    """Return what the question is in PromQL; asked anew, for its own window, where the user has named a source."""
    made: list[_Recorder] = []

    def connect(name: str, config: SourceConfig, on_call: OnCall) -> PrometheusSource:
        made.append(_Recorder(name, config, on_call, is_live=asking.is_given))
        return made[-1]

    source = question.metrics.source
    configs = configs_of(asking, source, None) if asking.is_given else {source: _NOWHERE}
    named = {source: configs[source]}
    sources = Sources(named, clock=lambda: datetime.now(UTC), on_call=lambda *_: None, connect=connect)
    try:
        answer = await sources.measure(question)
    finally:
        await sources.close()
    return Exchange(tuple(made[0].asked), answer if asking.is_given else None)
