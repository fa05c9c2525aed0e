"""All configured sources behind the engine's one port: a gate's question in, counts or a value out."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta

import structlog

from modelrollout.api.fields import render_duration
from modelrollout.api.gates import Gate, Value
from modelrollout.api.metrics import Metrics
from modelrollout.core.evidence import Answer, Counted, Gap, Measured, NoData, Question, Track, Unknown
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import Blocked
from modelrollout.engine.ports import Clock
from modelrollout.metrics import queries
from modelrollout.metrics.answers import number_of
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.counting import Look, count_errors, count_slow, judged_series, staleness
from modelrollout.metrics.presets import Signals, signals_of
from modelrollout.metrics.prometheus import OnCall, PrometheusSource
from modelrollout.metrics.queries import PromQL

LARGEST_SKEW = timedelta(seconds=30)
_ANY_TRACK = Track("default", "HTTPRoute", "any", "any", 80, "any")

_log = structlog.get_logger()


class Sources:
    """The sources that the administrator configured; an `engine.ports.Source`."""

    def __init__(self, configs: Mapping[str, SourceConfig], clock: Clock, on_call: OnCall) -> None:
        self._configs = dict(configs)
        self._clock = clock
        self._sources = {name: PrometheusSource(name, config, on_call) for name, config in configs.items()}

    def check(self, metrics: Metrics, gates: Sequence[Gate]) -> Blocked | None:
        """Return what keeps these gates from being judged at all: an unknown source, a metric not named."""
        config = self._configs.get(metrics.source)
        if config is None:
            known = ", ".join(sorted(self._configs)) or "none"
            return Blocked(
                "UnknownMetricsSource",
                f"spec.metrics.source is {metrics.source!r}; this operator knows: {known}."
                " Name one of them, or ask the administrator to configure this one.",
            )
        try:
            signals = signals_of(metrics, _ANY_TRACK, config.namespace_label)
        except ValueError as error:
            return Blocked("BadMetrics", f"spec.metrics cannot be asked for: {error}")
        problems = (_missing(gate, signals, config) for gate in gates)
        return next((problem for problem in problems if problem is not None), None)

    async def measure(self, question: Question) -> Answer:
        """Return what the source knows, within its own time limit. Whatever is odd is `NoData` with its reason.

        A baseline without series counts as one without requests: the candidate's own limit is judged all the same.
        """
        name, gate = question.metrics.source, question.gate
        if problem := self.check(question.metrics, [gate]):
            return NoData(Unknown.REFUSED, problem.message)
        limit = self._configs[name].timeout
        try:
            async with asyncio.timeout(limit / timedelta(seconds=1)):
                return await self._measure(self._sources[name], question)
        except TimeoutError:
            return NoData(Unknown.TIMED_OUT, f"source {name} did not answer within {render_duration(limit)}")
        except ValueError as error:
            return NoData(Unknown.REFUSED, f"gate {gate.name} cannot be asked of source {name}: {error}")
        except Exception:  # noqa: BLE001 the port promises it
            # A rollback of another cause must not wait for a fault here: the pass goes on without this gate.
            _log.exception("gate not measured", gate=gate.name, source=name)
            return NoData(Unknown.MALFORMED, f"gate {gate.name} met a fault of the operator's own: see its log")

    async def covered(self, gap: Gap) -> float | NoData:
        """Return the fraction of a gap that the source saw, by one query within its own time limit."""
        name = gap.metrics.source
        if problem := self.check(gap.metrics, gap.gates):
            return NoData(Unknown.REFUSED, problem.message)
        label, limit = self._configs[name].namespace_label, self._configs[name].timeout
        try:
            requests = signals_of(gap.metrics, gap.candidate, label).requests
            look = Look(self._sources[name], gap.until, gap.length)
            async with asyncio.timeout(limit / timedelta(seconds=1)):
                found = await look.number(queries.coverage(requests, gap.length, gap.freshness), "what it saw")
        except TimeoutError:
            return NoData(Unknown.TIMED_OUT, f"source {name} did not answer within {render_duration(limit)}")
        except ValueError as error:
            return NoData(Unknown.REFUSED, f"source {name} cannot be asked what it saw: {error}")
        if isinstance(found, NoData):
            return 0.0 if found.reason is Unknown.NO_DATA else found
        return min(1.0, max(0.0, found))

    async def close(self) -> None:
        """End all threads and connections."""
        await asyncio.gather(*(source.close() for source in self._sources.values()))

    async def _measure(self, source: PrometheusSource, question: Question) -> Answer:
        skew, answer = await asyncio.gather(self._skew(source), self._answer(source, question))
        return skew or answer

    async def _skew(self, source: PrometheusSource) -> NoData | None:
        before = self._clock()
        found = await source.ask(queries.CLOCK)
        theirs = found if isinstance(found, NoData) else number_of(found, source.name, what="its own time")
        if isinstance(theirs, NoData):
            return theirs
        seconds = theirs - (before + (self._clock() - before) / 2).timestamp()
        if abs(seconds) <= LARGEST_SKEW / timedelta(seconds=1):
            return None
        side = "ahead of" if seconds > 0 else "behind"
        return NoData(
            Unknown.CLOCK_SKEW,
            f"the clock of source {source.name} is {abs(seconds):.0f} s {side} the operator's, so windows do not meet:"
            " set both from one time server",
        )

    async def _answer(self, source: PrometheusSource, question: Question) -> Answer:
        gate, label = question.gate, self._configs[source.name].namespace_label
        look = Look(source, question.until, question.until - question.since)
        if gate.value is not None:
            return await _measured(look, gate.name, gate.value)
        candidate = signals_of(question.metrics, question.candidate, label)
        stale, judged, compared = await asyncio.gather(
            staleness(look, judged_series(candidate, slow=gate.latency is not None), question.freshness),
            _counts(look, gate, "candidate", candidate),
            _compared(look, question, label),
        )
        if isinstance(judged, NoData):
            return judged
        if stale is not None:
            return stale
        return compared if isinstance(compared, NoData) else Counted(judged, compared)


def _missing(gate: Gate, signals: Signals, config: SourceConfig) -> Blocked | None:
    if gate.value is not None and not config.raw_queries:
        return Blocked(
            "RawQueriesOff",
            f"gate {gate.name} has a query of its own, which this operator does not allow:"
            " use errorRate or latency, or ask the administrator to allow raw queries.",
        )
    lacks = None
    if gate.error_rate is not None and signals.errors is None:
        lacks = "errors"
    if gate.latency is not None and signals.duration is None:
        lacks = "duration"
    if lacks is None:
        return None
    return Blocked(
        "MetricNotNamed", f"gate {gate.name} needs spec.metrics.custom.{lacks}: name that metric, or remove the gate."
    )


async def _measured(look: Look, gate: str, value: Value) -> Measured | NoData:
    found = await look.number(PromQL(value.query), f"the query of gate {gate}")
    return found if isinstance(found, NoData) else Measured(found)


def _counts(look: Look, gate: Gate, version: str, signals: Signals) -> Awaitable[Counts | NoData]:
    if gate.latency is not None:
        return count_slow(look, version, signals, gate.latency.threshold)
    return count_errors(look, version, signals)


async def _compared(look: Look, question: Question, label: str | None) -> Counts | NoData | None:
    """Count the baseline's requests too: a gate without a relative limit asks whether both are failing."""
    if question.baseline is None:
        return None
    signals = signals_of(question.metrics, question.baseline, label)
    found = await _counts(look, question.gate, "baseline", signals)
    limits = question.gate.error_rate or question.gate.latency
    if isinstance(found, NoData) and limits is not None and limits.max_increase is None:
        return None
    return Counts(0, 0) if isinstance(found, NoData) and found.reason is Unknown.NO_DATA else found
