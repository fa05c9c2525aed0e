"""What each real model server was told to do, and what gates say of it: live (`make test-presets`) and replayed."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from modelrollout.api.gates import Gate
from modelrollout.api.metrics import Metrics
from modelrollout.api.status import Verdict
from modelrollout.core.bench import Bench
from modelrollout.core.evidence import Answer, Counted, Measured, NoData, Unknown
from modelrollout.core.gates import judge
from modelrollout.core.stats import Counts
from modelrollout.metrics.servers.exports import Lacks
from modelrollout.metrics.servers.table import PRESETS
from modelrollout.metrics.sources import Sources

from tests.metrics.builders import question, track

FAST, FAILING, SLOW = 40, 6, 4
"""Requests to the candidate; the slow ones take longer than a second."""
OF_BASELINE = 20
"""Requests to the baseline, all of them fast."""


class Expected(NamedTuple):
    """A gate, what it counts once all is told (None: how busy a server was, which nobody knows), and what it then says."""

    gate: dict[str, Any]
    answer: Answer | None
    verdict: Verdict


def expected(preset: str, part: int = 1) -> Iterator[Expected]:
    """Yield what gates on each of a preset's signals find once one in `part` of all requests was made."""
    total, baseline = (FAST + FAILING + SLOW) // part, Counts(OF_BASELINE // part, 0)
    slow = Counted(Counts(total, SLOW // part), baseline)
    yield Expected({"latency": {"threshold": "1s", "maxAbove": "0.1%"}}, slow, Verdict.FAIL)
    yield Expected({"latency": {"threshold": "1s", "maxAbove": "10%"}}, slow, Verdict.UNKNOWN)
    yield Expected({"latency": {"threshold": "1s", "maxAbove": "60%"}}, slow, Verdict.PASS)
    table = PRESETS[preset]
    if not isinstance(table.errors, Lacks):
        failed = Counted(Counts(total, FAILING // part), baseline)
        yield Expected({"errorRate": {"max": "0.1%"}}, failed, Verdict.FAIL)
        yield Expected({"errorRate": {"max": "10%"}}, failed, Verdict.UNKNOWN)
        yield Expected({"errorRate": {"max": "60%"}}, failed, Verdict.PASS)
    if not isinstance(table.saturation, Lacks):
        yield Expected({"saturation": {"max": "5"}}, None, Verdict.PASS)


def service(preset: str, version: str) -> str:
    """Return the Service of a version, by which a scrape labels it."""
    return f"told-{preset}-{version}"


def labels(preset: str, version: str) -> dict[str, str]:
    """Return what a ServiceMonitor would put on each series."""
    name = service(preset, version)
    return {"namespace": "models", "service": name, "pod": f"{name}-0"}


async def measured(
    source: Sources, preset: str, gate: dict[str, Any], since: datetime, candidate: str = "v2"
) -> Answer:
    """Return what a gate finds now of a candidate beside the baseline, told apart by their Services."""
    return await source.measure(
        question(
            {"name": "it", **gate},
            metrics=Metrics.model_validate({"preset": preset}),
            candidate=track(service(preset, candidate)),
            baseline=track(service(preset, "v1")),
            since=since,
            until=datetime.now(UTC),
        )
    )


async def settled(source: Sources, preset: str, one: Expected, since: datetime) -> Answer:
    """Return the answer once Prometheus has scraped all of it, or the last one within 30 seconds."""
    deadline = datetime.now(UTC) + timedelta(seconds=30)
    while True:
        asked = await measured(source, preset, one.gate, since)
        if asked == one.answer or (one.answer is None and isinstance(asked, Measured)) or datetime.now(UTC) > deadline:
            return asked
        await asyncio.sleep(0.2)


def verdict(gate: dict[str, Any], answer: Answer) -> Verdict:
    """Return what a step says of an answer whose only gate this is and which needs 10 requests."""
    bench = Bench(min_requests=10, limits=1, warming_until=None, earlier=(), stored=None, now=datetime.now(UTC))
    return judge(Gate.model_validate({"name": "it", **gate}), answer, bench).verdict


async def check(source: Sources, preset: str, since: datetime, part: int = 1) -> None:
    """Assert that every gate finds what is expected and says so, and knows nothing of a version that nobody scrapes."""
    for one in expected(preset, part):
        answer = await settled(source, preset, one, since)
        if one.answer is None:
            assert isinstance(answer, Measured), f"{one.gate}: {answer}"
            assert 0 <= answer.value <= 1
        else:
            assert answer == one.answer, f"{one.gate}: {answer}"
        if part == 1:
            assert verdict(one.gate, answer) is one.verdict, one.gate
        unseen = await measured(source, preset, one.gate, since, "v3")
        assert isinstance(unseen, NoData)
        assert unseen.reason is Unknown.NO_DATA
        assert verdict(one.gate, unseen) is Verdict.UNKNOWN
