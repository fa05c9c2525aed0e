"""All configured sources behind the engine's one port: a gate's question in, counts or a value out."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

import structlog

from modelrollout.api.fields import render_duration
from modelrollout.api.gates import Gate, Latency, Value
from modelrollout.api.metrics import CustomMetrics, Metrics, Series
from modelrollout.core.evidence import (
    Answer,
    Asked,
    Counted,
    Gap,
    Measured,
    Minutes,
    NoData,
    Question,
    Track,
    Unknown,
    digest_of_queries,
)
from modelrollout.core.traffic import Blocked
from modelrollout.engine.ports import Clock
from modelrollout.metrics import queries
from modelrollout.metrics.answers import number_of
from modelrollout.metrics.batches import Batches
from modelrollout.metrics.clocks import SourceClock
from modelrollout.metrics.comparing import counted, counting
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.counting import Ask, Counting, Look, ask_age, staleness
from modelrollout.metrics.histograms import distributed, histogram_of
from modelrollout.metrics.history import SPAN, minutes_of
from modelrollout.metrics.placeholders import names_version, query_for
from modelrollout.metrics.presets import Signals, need_of, signals_of, times_of, undivided
from modelrollout.metrics.prometheus import OnCall, PrometheusSource
from modelrollout.metrics.ratios import ratio_of
from modelrollout.metrics.servers.exports import Lacks
from modelrollout.metrics.snapping import Bounds
from modelrollout.metrics.tenancy import Tenancy
from modelrollout.metrics.webhooks import WebhookConfig, Webhooks

_ANY_TRACK = Track("default", "HTTPRoute", "any", "any", 80, "any")

SATURATION = timedelta(minutes=5)
"""Over so long a time how full a version is is averaged: one moment's number says little."""

_log = structlog.get_logger()


class Sources:
    """The sources that the administrator configured; an `engine.ports.Source`. `connect` makes each of them."""

    def __init__(
        self,
        configs: Mapping[str, SourceConfig],
        clock: Clock,
        on_call: OnCall,
        webhooks: Mapping[str, WebhookConfig] = MappingProxyType({}),
        connect: Callable[[str, SourceConfig, OnCall], PrometheusSource] = PrometheusSource,
    ) -> None:
        self._webhooks = Webhooks(webhooks)
        self._configs = dict(configs)
        self._sources = {name: connect(name, config, on_call) for name, config in configs.items()}
        self._tenancies = {name: Tenancy(config) for name, config in configs.items()}
        self._bounds = Bounds()
        self._watches = {name: SourceClock(source, clock) for name, source in self._sources.items()}
        self._batches = {
            name: Batches(source, threads=configs[name].concurrency, time_limit=configs[name].timeout)
            for name, source in self._sources.items()
        }

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
        if problem := undivided(metrics, config.namespace_label):
            return Blocked("VersionsNotToldApart", f"spec.metrics cannot be asked for: {problem}.")
        problems = (
            _missing(gate, metrics, signals, config)
            or _unasked(gate, metrics, config, self._tenancies[metrics.source])
            or self._unheard(gate)
            for gate in gates
        )
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
            if gate.webhook is not None:
                answer = await self._webhooks.ask(gate.webhook, question)
                return replace(answer, asked=_asked(question, [gate.webhook.url]))
            async with asyncio.timeout(limit / timedelta(seconds=1)):
                return await self._measure(question)
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
            look = self._look(name, gap.candidate, gap.until, gap.length)
            query = queries.coverage(requests, gap.length, gap.freshness)
            async with asyncio.timeout(limit / timedelta(seconds=1)):
                (found,) = await look.numbers([Ask(query, "what it saw")])
        except TimeoutError:
            return NoData(Unknown.TIMED_OUT, f"source {name} did not answer within {render_duration(limit)}")
        except ValueError as error:
            return NoData(Unknown.REFUSED, f"source {name} cannot be asked what it saw: {error}")
        if isinstance(found, NoData):
            return 0.0 if found.reason is Unknown.NO_DATA else found
        return min(1.0, max(0.0, found))

    async def close(self) -> None:
        """End all threads and connections."""
        for batches in self._batches.values():
            batches.close()
        await self._webhooks.close()
        await asyncio.gather(*(source.close() for source in self._sources.values()))

    async def _measure(self, question: Question) -> Answer:
        name, gate = question.metrics.source, question.gate
        if problem := await self._watches[name].problem():
            return problem
        look = self._look(name, question.candidate, question.until, question.until - question.since)
        if gate.value is not None:
            answer: Answer = await _measured(look, question, gate.value.query)
        elif gate.saturation is not None:
            answer = await _filled(look, question, self._configs[name].namespace_label)
        elif gate.drift is not None:
            answer = await distributed(look, question, gate.drift, self._configs[name].namespace_label)
        else:
            answer = await self._counts(look, question)
        return replace(answer, asked=_asked(question, look.asked))

    async def _counts(self, look: Look, question: Question) -> Answer:
        label, before = self._configs[look.name].namespace_label, question.before
        if before is None:
            return await self._timed(look, question, label)
        hour = self._look(look.name, question.candidate, before.until, SPAN)
        limit = self._configs[look.name].timeout / 2
        if isinstance(question.gate.kind, Latency):
            # What stands in for the threshold has to be known before the hour's slow requests can be counted.
            answer = await self._timed(look, question, label)
            at = answer.bound.at if isinstance(answer, Counted) and answer.bound else None
            history = await _within(limit, hour, counting(question, "baseline", before.baseline, label, at))
        else:
            of_hour = counting(question, "baseline", before.baseline, label)
            answer, history = await asyncio.gather(counted(look, question, label), _within(limit, hour, of_hour))
        return replace(answer, history=history) if isinstance(answer, Counted) else answer

    async def _timed(self, look: Look, question: Question, label: str | None) -> Counted | NoData:
        """Count; where a gate's threshold is no bound, the next lower one stands in for it."""
        kind = question.gate.kind
        if not isinstance(kind, Latency):
            return await counted(look, question, label)
        candidate = times_of(kind, signals_of(question.metrics, question.candidate, label))
        known = self._bounds.known(candidate, kind.threshold)
        found = await counted(look, question, label, known)
        if not isinstance(found, NoData) or found.reason is not Unknown.NO_BUCKET:
            return found
        baseline = None
        if question.baseline is not None:
            baseline = times_of(kind, signals_of(question.metrics, question.baseline, label))
        bound = await self._bounds.find(look, candidate, baseline, kind.threshold)
        return bound if isinstance(bound, NoData) else await counted(look, question, label, bound)

    def _unheard(self, gate: Gate) -> Blocked | None:
        problem = self._webhooks.problem(gate.webhook) if gate.webhook else None
        return Blocked("WebhookNotAllowed", f"gate {gate.name}: {problem}.") if problem else None

    def _look(self, name: str, candidate: Track, until: datetime, window: timedelta) -> Look:
        asker = f"{candidate.namespace}/{candidate.route_name}"
        return Look(
            name, self._batches[name], asker, candidate.namespace, self._tenancies[name], until=until, window=window
        )


def _asked(question: Question, texts: Sequence[str]) -> Asked:
    return Asked(question.since, question.until, digest_of_queries(texts))


def _missing(gate: Gate, metrics: Metrics, signals: Signals, config: SourceConfig) -> Blocked | None:
    if gate.value is not None and not config.raw_queries:
        return Blocked(
            "RawQueriesOff",
            f"gate {gate.name} has a query of its own, which this operator does not allow:"
            " use a gate of another kind, or ask the administrator to allow raw queries.",
        )
    needs = need_of(gate.kind, signals)
    if needs is None or not isinstance(needs.found, Lacks):
        return None
    if metrics.preset == "custom":
        return Blocked(
            "MetricNotNamed",
            f"gate {gate.name} needs {needs.what}: {needs.found.because} Or remove the gate.",
        )
    return Blocked(
        "MetricNotExported",
        f"gate {gate.name} needs {needs.what}, which preset {metrics.preset} does not have. {needs.found.because} Or"
        " remove the gate.",
    )


def _unasked(gate: Gate, metrics: Metrics, config: SourceConfig, tenancy: Tenancy) -> Blocked | None:
    try:
        if config.enforce_namespace:
            tenancy.check_series(_named(gate, metrics))
        if gate.ratio is not None:
            ratio_of(gate.ratio, "candidate", metrics, _ANY_TRACK, config.namespace_label)
        if gate.drift is not None:
            histogram_of(gate.drift, metrics, _ANY_TRACK, config.namespace_label)
        if gate.value is not None:
            _check_query(gate.value)
            tenancy.check(query_for(gate.value.query, _ANY_TRACK))
    except ValueError as error:
        return Blocked("BadMetrics", f"gate {gate.name} cannot be asked for: {error}")
    return None


def _named(gate: Gate, metrics: Metrics) -> list[Series]:
    """Return the series that the user names for a gate."""
    found: list[object] = (
        [getattr(metrics.custom, name) for name in CustomMetrics.model_fields] if metrics.custom else []
    )
    if gate.ratio is not None:
        found += [gate.ratio.total, gate.ratio.bad]
    if gate.drift is not None:
        found.append(gate.drift.histogram)
    return [one for one in found if isinstance(one, Series)]


def _check_query(value: Value) -> None:
    query_for(value.query, _ANY_TRACK)
    if value.is_relative and not names_version(value.query):
        raise ValueError("its query names no version: write $service or $version as a label's value, in quotes")


async def _measured(look: Look, question: Question, query: str) -> Measured | NoData:
    """Measure the candidate's value, and the baseline's where the query names the version."""
    what = f"the query of gate {question.gate.name}"

    async def ask(track: Track) -> float | NoData:
        found = await look.alone(query_for(query, track))
        return found if isinstance(found, NoData) else number_of(found, look.name, what=what)

    if question.baseline is None or not names_version(query):
        value = await ask(question.candidate)
        return value if isinstance(value, NoData) else Measured(value)
    value, baseline = await asyncio.gather(ask(question.candidate), ask(question.baseline))
    return value if isinstance(value, NoData) else Measured(value, baseline)


async def _filled(look: Look, question: Question, label: str | None) -> Measured | NoData:
    """Measure how full both versions are."""
    tracks = [question.candidate, *([question.baseline] if question.baseline else [])]
    gauges = []
    for track in tracks:
        found = signals_of(question.metrics, track, label).saturation
        if isinstance(found, Lacks):
            raise ValueError(found.because)  # noqa: TRY004 it is the server that lacks it
        gauges.append(found)
    span = min(look.window, SATURATION)
    levels = [Ask(queries.level(gauge.selector, gauge.across, span), gauge.selector.metric) for gauge in gauges]
    age, value, *other = await look.numbers([ask_age(gauges[0].selector), *levels])
    if isinstance(value, NoData):
        return value
    if stale := staleness(look, gauges[0].selector, age, question.freshness):
        return stale
    return Measured(value, other[0] if other else None)


async def _within(limit: timedelta, hour: Look, of_hour: Counting) -> Minutes | NoData:
    """Ask for what is good to know: what decides is not kept waiting for it."""
    try:
        async with asyncio.timeout(limit / timedelta(seconds=1)):
            return await minutes_of(hour, of_hour)
    except TimeoutError:
        return NoData(
            Unknown.TIMED_OUT, f"source {hour.name} did not tell of the hour before in {render_duration(limit)}"
        )
