"""Logs and metrics. Labels are bounded: by the words of the contract, and by the number of rollouts."""

import logging
import sys
from collections import Counter as Counted
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelrollout.api.fields import NONE
from modelrollout.api.status import ModelRolloutStatus, Phase, Verdict
from modelrollout.core.case import is_urgent
from modelrollout.core.rollout import Rollout
from modelrollout.engine.store import Store
from modelrollout.engine.workqueue import WorkQueue
from modelrollout.notify.postbox import Fate, Postbox
from modelrollout.wiring.redaction import redact_line
from modelrollout.wiring.settings import LogFormat

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
MOST_REASONS = 40
"""The code knows fewer; status can be written by people."""


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

        self._records = Counter(
            "modelrollout_record_failures",
            "Times that a record could not be written, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._lag = Histogram(
            "modelrollout_loop_lag_seconds",
            "How much later than asked the event loop came back.",
            buckets=SECONDS,
            registry=registry,
        )
        self._missed = Counter(
            "modelrollout_watch_missed",
            "Changes that a list showed and no watch had told of, by resource.",
            ["resource"],
            registry=registry,
        )

        self._notifications = Counter(
            "modelrollout_notifications",
            "Notifications by target and by what became of them: sent, gave_up, dropped.",
            ["target", "outcome"],
            registry=registry,
        )
        self._notification_failures = Counter(
            "modelrollout_notification_failures",
            "Tries to tell a target that failed; most are made again.",
            ["target"],
            registry=registry,
        )

    def pass_ended(self, outcome: str, seconds: float) -> None:
        """Count a pass."""
        self._passes.labels(outcome).observe(seconds)

    def record_failed(self, outcome: str) -> None:
        """Count a record that could not be written."""
        self._records.labels(outcome).inc()

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
        """Count changes that a list showed and no watch had told of."""
        self._missed.labels(resource).inc(changes)

    def queried(self, outcome: str, seconds: float) -> None:
        """Count a query of a metrics source."""
        self._queries.labels(outcome).observe(seconds)

    def expect_target(self, target: str) -> None:
        """Show zeros for a target: the first failure is then an increase."""
        for fate in Fate:
            self._notifications.labels(target, fate)
        self._notification_failures.labels(target)

    def notified(self, target: str, fate: Fate) -> None:
        """Count what became of a notification."""
        self._notifications.labels(target, fate).inc()

    def notification_failed(self, target: str) -> None:
        """Count a try to tell a target that failed."""
        self._notification_failures.labels(target).inc()

    def lagged(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self._lag.observe(seconds)


class Process(Collector):
    """How this process is at the moment of a scrape: each gauge asks a function, and is left out where that knows nothing."""

    def __init__(
        self,
        *,
        leading: Callable[[], bool],
        renewed_ago: Callable[[], float | None],
        swept_ago: Callable[[], float | None],
        reread_ago: Callable[[], float | None],
        longest_pass: Callable[[], float],
        tasks: Callable[[], float],
    ) -> None:
        self._gauges: tuple[tuple[str, str, Callable[[], float | None]], ...] = (
            ("modelrollout_leading", "1 in the process that decides, 0 in one that stands by.", leading),
            (
                "modelrollout_lease_age_seconds",
                "Time since the renewal of the Lease that counts was sent.",
                renewed_ago,
            ),
            ("modelrollout_sweep_age_seconds", "Time since everything was last listed completely.", swept_ago),
            (
                "modelrollout_reread_age_seconds",
                "Time since rollouts were last compared with what the watch told; 0 while no attempt is under way.",
                reread_ago,
            ),
            ("modelrollout_longest_pass_seconds", "Age of the oldest pass that is under way.", longest_pass),
            ("modelrollout_tasks", "Tasks of the event loop; it goes up and down.", tasks),
        )

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        for name, documentation, ask in self._gauges:
            if (value := ask()) is not None:
                yield GaugeMetricFamily(name, documentation, value=float(value))


class Targets(Collector):
    """What waits for those who are told, at the moment of a scrape; on the event loop only."""

    def __init__(self, postboxes: Mapping[str, Postbox]) -> None:
        self._postboxes = postboxes

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        waiting = GaugeMetricFamily(
            "modelrollout_notifications_waiting", "Notifications that have not been sent yet.", labels=["target"]
        )
        oldest = GaugeMetricFamily(
            "modelrollout_notifications_waiting_seconds", "How long the oldest of them has waited.", labels=["target"]
        )
        last = GaugeMetricFamily(
            "modelrollout_notifications_last_sent_timestamp_seconds",
            "When a target was last told something; none before.",
            labels=["target"],
        )
        for name, postbox in self._postboxes.items():
            waiting.add_metric([name], postbox.waiting)
            oldest.add_metric([name], postbox.oldest)
            if postbox.last_sent is not None:
                last.add_metric([name], postbox.last_sent.timestamp())
        yield from (waiting, oldest, last)


class World(Collector):
    """What is the case at the moment of a scrape: rollouts, weights, gates, the queue; on the event loop only."""

    def __init__(self, store: Store, queue: WorkQueue, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._asked_since: dict[str, datetime] = {}

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
        yield from self._reasons(statuses)
        yield from self._rollbacks(statuses)
        yield GaugeMetricFamily("modelrollout_queue_depth", "Rollouts that are due and wait.", value=self._queue.depth)
        yield GaugeMetricFamily(
            "modelrollout_queue_lateness_seconds", "How long the longest-waiting one waits.", value=self._queue.lateness
        )

    def _reasons(self, rollouts: list[Rollout]) -> Iterator[Metric]:
        """Yield how many wait for a person, by reason."""
        for kind, status, name in (
            ("Held", "True", "held"),
            ("Stalled", "True", "stalled"),
            ("Recorded", "False", "unrecorded"),
        ):
            family = GaugeMetricFamily(
                f"modelrollout_{name}", f"Rollouts with condition {kind} {status}, by reason.", labels=["reason"]
            )
            found = Counted(
                one.reason for r in rollouts for one in r.status.conditions if one.type == kind and one.status == status
            )
            for reason, count in found.most_common(MOST_REASONS):
                family.add_metric([reason], count)
            if others := found.total() - sum(count for _, count in found.most_common(MOST_REASONS)):
                family.add_metric(["others"], others)
            yield family

    def _rollbacks(self, rollouts: list[Rollout]) -> Iterator[Metric]:
        """Yield how many rollbacks are asked for or under way, and for how long the oldest has been.

        One that was not begun yet says nowhere since when it waits: it counts from the first scrape that sees it.
        """
        now = self._clock()
        waiting = {r.uid: r for r in rollouts if is_urgent(r)}
        self._asked_since = {uid: self._asked_since.get(uid, now) for uid in waiting}
        since = [
            r.status.attempt.rollback.since
            if r.status.attempt and r.status.attempt.rollback and r.status.attempt.outcome is None
            else self._asked_since[uid]
            for uid, r in waiting.items()
        ]
        yield GaugeMetricFamily("modelrollout_rollbacks_pending", "Rollbacks asked for or under way.", value=len(since))
        oldest = max(0.0, (now - min(since)).total_seconds()) if since else 0.0
        yield GaugeMetricFamily(
            "modelrollout_rollback_pending_seconds", "How long the oldest of them has been so.", value=oldest
        )


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
    last: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        # Tracebacks as plain text: structlog's own for terminals print every local variable, a token's too.
        structlog.processors.format_exc_info,
        redact_line,
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(),
    ]
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # kopf logs every handler that succeeds; ours only take note.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
