"""What comes of a gate whose source answers with anything at all: from the bytes of each answer to a verdict."""

import asyncio
import itertools
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from modelrollout.api.metrics import Metrics
from modelrollout.api.status import GateStatus, Verdict
from modelrollout.core.bench import Bench
from modelrollout.core.dispersion import dispersion_for
from modelrollout.core.evidence import Answer, Before, NoData, Question, Replicas, Unknown
from modelrollout.core.gates import judge
from modelrollout.metrics import batches, queries
from modelrollout.metrics.answers import Found, Reply, Sample, parse_reply
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.prometheus import PrometheusSource
from modelrollout.metrics.queries import PART, PromQL
from modelrollout.metrics.sources import Sources

from tests.metrics.builders import COMPARED, CUSTOM, DISAGREEMENT, LATENCY, LOAD, SCORES, question, track, value

NOW = datetime(2026, 11, 17, 15, 47, tzinfo=UTC)
STATUSES = (200, 200, 200, 200, 200, 200, 302, 401, 422, 503)
CONFIG = {"default": SourceConfig(url="http://localhost", raw_queries=True)}
LLM = Metrics(preset="vllm")
TIMES = {"threshold": "310ms", "maxAbove": "5%", "maxIncrease": "25%"}
BASELINE = track("fraud-v1", version="2026.10.4")

GATES: tuple[tuple[dict[str, Any], Metrics], ...] = (
    (COMPARED, CUSTOM),
    ({"name": "detects", "errorRate": {"maxIncrease": "25%"}, "detect": "2x"}, CUSTOM),
    (LATENCY, CUSTOM),
    (LOAD, CUSTOM),
    (SCORES, CUSTOM),
    ({"name": "js", "drift": {"histogram": {"metric": "s"}, "method": "JensenShannon", "max": "0.1"}}, CUSTOM),
    (DISAGREEMENT, CUSTOM),
    (value("x"), CUSTOM),
    ({"name": "v", "value": {"query": 'x{a="$service"}', "max": "0.2", "min": "-1", "maxIncrease": "5%"}}, CUSTOM),
    ({"name": "first", "timeToFirstToken": TIMES}, LLM),
    ({"name": "token", "interTokenLatency": TIMES}, LLM),
    ({"name": "full", "saturation": {"max": "0.9"}}, LLM),
)
"""One or more of each kind that asks a source."""


class Answering(PrometheusSource):
    """A source that has its answers from a list, over and over, each a status and a body."""

    def __init__(self, name: str, answers: Sequence[tuple[int, bytes]], *, batched: bool, clock: bool) -> None:
        self.name = name
        self._answers: Iterator[tuple[int, bytes]] = itertools.cycle(answers or [(200, b"")])
        self._batched, self._clock = batched, clock

    async def ask(self, query: PromQL, at: datetime | None = None) -> Found | NoData:
        """Return the next answer; of the time the right one, unless `clock`; of several queries none, unless `batched`."""
        del at
        if query == queries.CLOCK and not self._clock:
            return Found((Sample({}, f"{NOW.timestamp():.3f}"),))
        if f'"{PART}"' in query and not self._batched:
            return NoData(Unknown.MALFORMED, "asked one by one")
        status, body = next(self._answers)
        return parse_reply(Reply(status, body), self.name)

    async def close(self) -> None:
        """Nothing to close."""


def live(gate: int, answers: Sequence[tuple[int, bytes]], *, batched: bool, clock: bool) -> GateStatus:
    """Return the verdict that the answers come to; what it says can be stored, and judged from again."""
    given, metrics = GATES[gate % len(GATES)]
    asked = question(
        given, metrics=metrics, baseline=BASELINE, since=NOW - timedelta(minutes=5), until=NOW, before=Before(BASELINE, NOW)
    )  # fmt: skip
    with mock.patch.object(batches, "LONGEST_WAIT", 0):
        answer = asyncio.run(_measure(asked, answers, batched=batched, clock=clock))
    assert "fault of the operator's own" not in getattr(answer, "message", ""), answer
    first = _verdict(asked, answer, None)
    return _verdict(asked, answer, first)


async def _measure(asked: Question, answers: Sequence[tuple[int, bytes]], *, batched: bool, clock: bool) -> Answer:
    def connect(name: str, *_: object) -> PrometheusSource:
        return Answering(name, answers, batched=batched, clock=clock)

    sources = Sources(CONFIG, lambda: NOW, lambda *_: None, connect=connect)
    try:
        return await sources.measure(asked)
    finally:
        await sources.close()


def _verdict(asked: Question, answer: Answer, stored: GateStatus | None) -> GateStatus:
    status = judge(
        asked.gate,
        answer,
        Bench(
            min_requests=100,
            limits=2,
            warming_until=None,
            earlier=(),
            stored=stored,
            now=NOW,
            dispersion=dispersion_for(stored, answer),
            asked=answer.asked,
            window=timedelta(minutes=5),
            replicas=Replicas(3, 3),
        ),
    )
    assert status.verdict in {Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN}
    if isinstance(answer, NoData):
        assert status.verdict is Verdict.UNKNOWN
    stored_as = json.loads(json.dumps(status.render(), allow_nan=False))
    json.dumps(stored_as, ensure_ascii=False).encode()
    return GateStatus.model_validate(stored_as)


def vector(texts: Sequence[str], labels: Sequence[dict[str, str]] = ()) -> bytes:
    """Return a body as Prometheus has it, one series for each number."""
    result = [
        {"metric": labels[number] if number < len(labels) else {}, "value": [NOW.timestamp(), text]}
        for number, text in enumerate(texts)
    ]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def verdicts(data: bytes) -> None:
    """A target: which gate, how it is asked, and lines that are numbers, else bodies as they stand."""
    head, _, rest = data.partition(b"\n")
    gate, how = (*head, 0, 0)[:2]
    answers = []
    for line in rest.split(b"\n")[:40]:
        status = 200
        if line[:1] == b"!" and len(line) > 1:
            status, line = STATUSES[line[1] % len(STATUSES)], line[2:]  # noqa: PLW2901 - what is left of it
        answers.append((status, _body(line)))
    live(gate, answers, batched=bool(how & 1), clock=bool(how & 2))


def _body(line: bytes) -> bytes:
    if line[:1] in {b"{", b"["}:
        return line
    texts = line.decode("latin-1").split(" ")
    # Series of a batch, or of a histogram: a number each, after `label=value:`.
    labelled = [text.rpartition(":") for text in texts if text]
    labels = [dict([label.partition("=")[::2]]) if label else {} for label, _, _ in labelled]
    return vector([text for _, _, text in labelled], labels)
