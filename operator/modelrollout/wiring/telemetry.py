"""Logs and metrics. Labels are bounded: by the words of the contract, and by the number of rollouts."""

import asyncio
import logging
import sys
from collections.abc import Iterator

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelrollout.api.fields import NONE
from modelrollout.api.status import ModelRolloutStatus, Phase, Verdict
from modelrollout.engine.store import Store
from modelrollout.engine.workqueue import WorkQueue
from modelrollout.wiring.settings import LogFormat

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """What `/metrics` shows. Implements the engine's `Telemetry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._passes = Histogram(
            "modelrollout_pass_seconds", "Passes by how they ended.", ["outcome"], buckets=SECONDS, registry=registry
        )
        self._rollbacks = Histogram(
            "modelrollout_rollback_seconds",
            "Time from a rollback's decision to the route read back, by cause.",
            ["cause"],
            buckets=SECONDS,
            registry=registry,
        )
        self._outcomes = Counter(
            "modelrollout_attempts", "Attempts that ended, by outcome.", ["outcome"], registry=registry
        )
        self._verdicts = Counter(
            "modelrollout_gate_verdicts", "Changes of a gate's verdict, by verdict.", ["verdict"], registry=registry
        )
        self._api = Histogram(
            "modelrollout_api_call_seconds",
            "Calls of the API server by verb and outcome.",
            ["verb", "outcome"],
            buckets=SECONDS,
            registry=registry,
        )
        self._queries = Histogram(
            "modelrollout_metrics_query_seconds",
            "Queries of metrics sources by outcome.",
            ["outcome"],
            buckets=SECONDS,
            registry=registry,
        )

        self._missed = Counter(
            "modelrollout_missed_changes",
            "Changes that no watch told of and a complete list has found, by resource.",
            ["resource"],
            registry=registry,
        )
        self._listed = Gauge(
            "modelrollout_last_complete_list_timestamp_seconds",
            "When everything was last listed completely, as Unix time.",
            registry=registry,
        )

    def pass_ended(self, outcome: str, seconds: float) -> None:
        """Count a pass."""
        self._passes.labels(outcome).observe(seconds)

    def decided(self, old: ModelRolloutStatus, new: ModelRolloutStatus) -> None:
        """Count verdicts that changed, attempts that ended, and how long rollbacks took."""
        before = {g.name: g.verdict for g in old.attempt.gates} if old.attempt else {}
        for gate in new.attempt.gates if new.attempt else ():
            if before.get(gate.name) is not gate.verdict:
                self._verdicts.labels(gate.verdict).inc()
        last = new.attempt
        if last and last.outcome and last.ended_at and not (old.attempt and old.attempt.outcome == last.outcome):
            self._outcomes.labels(last.outcome).inc()
            if last.rollback:
                self._rollbacks.labels(last.rollback.cause).observe(
                    (last.ended_at - last.rollback.since).total_seconds()
                )

    def api_called(self, verb: str, outcome: str, seconds: float) -> None:
        """Count a call of the API server."""
        self._api.labels(verb, outcome).observe(seconds)

    def missed(self, resource: str, changes: int) -> None:
        """Count changes that a complete list has found and no watch had told of."""
        self._missed.labels(resource).inc(changes)

    def listed(self) -> None:
        """Note that everything has just been listed completely."""
        self._listed.set_to_current_time()

    def queried(self, outcome: str, seconds: float) -> None:
        """Count a query of a metrics source."""
        self._queries.labels(outcome).observe(seconds)


class World(Collector):
    """What is the case at the moment of a scrape: rollouts, weights, gates, the queue; on the event loop only."""

    def __init__(self, store: Store, queue: WorkQueue) -> None:
        self._store = store
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        statuses = [stored.rollout for stored in self._store.all()]
        phases = GaugeMetricFamily("modelrollout_rollouts", "Rollouts by phase.", labels=["phase"])
        for phase in Phase:
            phases.add_metric([phase], sum(r.status.phase is phase for r in statuses))
        yield phases
        gates = GaugeMetricFamily("modelrollout_gates", "Gates of attempts under way, by verdict.", labels=["verdict"])
        active = [r for r in statuses if r.status.attempt and r.status.attempt.outcome is None]
        for verdict in Verdict:
            found = sum(
                g.verdict is verdict for r in active for g in (r.status.attempt.gates if r.status.attempt else ())
            )
            gates.add_metric([verdict], found)
        yield gates
        weights = GaugeMetricFamily(
            "modelrollout_candidate_weight_percent",
            "Live requests that the candidate should have, of attempts under way.",
            labels=["namespace", "name"],
        )
        for r in active:
            share = r.status.attempt.target.candidate if r.status.attempt else NONE
            weights.add_metric([r.namespace, r.name], share.hundredths / 100)
        yield weights
        yield GaugeMetricFamily("modelrollout_queue_depth", "Rollouts that are due and wait.", value=self._queue.depth)
        yield GaugeMetricFamily(
            "modelrollout_queue_lateness_seconds", "How long the longest-waiting one waits.", value=self._queue.lateness
        )
        tasks = len(asyncio.all_tasks())
        yield GaugeMetricFamily("modelrollout_tasks", "Tasks of the event loop; it goes up and down.", value=tasks)


def set_up_logging(form: LogFormat, level: str) -> None:
    """Have structlog and the standard library write to stderr: JSON for machines, readable on a terminal."""
    json = form is LogFormat.JSON or (form is LogFormat.AUTO and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last.append(structlog.dev.ConsoleRenderer())
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # kopf logs every handler that succeeds; ours only take note.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
