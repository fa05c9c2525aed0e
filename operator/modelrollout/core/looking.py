"""Which questions the gates have now, and the answers made into verdicts."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from modelrollout.api.gates import Gate
from modelrollout.api.status import Attempt, GateStatus, VersionStatus
from modelrollout.core.case import place_of
from modelrollout.core.evidence import Answer, NoData, Question, Track, Unknown
from modelrollout.core.gates import Bench, judge
from modelrollout.core.plan import Plan, Policy, StageKind, Step, policy_of
from modelrollout.core.rollout import Rollout


def judged_step(rollout: Rollout) -> tuple[Attempt, Step, Plan, Policy] | None:
    """Return the step whose gates have to be judged, `None` while there is none: no attempt, not applied, going back."""
    attempt, spec = rollout.status.attempt, rollout.spec
    if attempt is None or spec is None or attempt.outcome or attempt.rollback or attempt.applied_at is None:
        return None
    plan = rollout.plan(has_baseline=attempt.baseline is not None)
    step = plan.step(attempt.stage, attempt.step)
    if step is None or attempt.plan != plan.digest:
        return None
    return attempt, step, plan, policy_of(spec)


def questions(rollout: Rollout, route_kind: str, route_name: str, now: datetime) -> dict[str, Question]:
    """Return a question for each gate by name; gates that need none yet (nothing has been ingested) have none."""
    found = judged_step(rollout)
    if found is None or rollout.spec is None or place_of(rollout) is None:
        return {}
    attempt, step, _, policy = found
    until = now - policy.ingest_delay
    since = _counts_from(attempt, policy, now) or attempt.applied_at
    if since is None or until <= since:
        return {}

    def track(version: VersionStatus) -> Track:
        return Track(
            namespace=rollout.namespace,
            route_kind=route_kind,
            route_name=route_name,
            service=version.service.name,
            port=version.service.port,
            version=version.version,
        )

    compares = attempt.baseline is not None and step.kind is not StageKind.FULL
    return {
        gate.name: Question(
            metrics=rollout.spec.metrics,
            gate=gate,
            candidate=track(attempt.candidate),
            baseline=track(attempt.baseline) if attempt.baseline and compares else None,
            since=since,
            until=until,
            freshness=policy.freshness,
        )
        for gate in step.gates
    }


def judge_all(rollout: Rollout, answers: Mapping[str, Answer], now: datetime) -> Iterator[GateStatus]:
    """Yield the verdict of every gate of the present step; a gate without an answer is warming up.

    One at a time, as each takes up to some milliseconds, and a step may have 40 gates.
    """
    found = judged_step(rollout)
    if found is None:
        return
    attempt, step, _, policy = found
    stored = {gate.name: gate for gate in attempt.gates}
    since = _counts_from(attempt, policy, now)
    warming = None if since else _warm_at(attempt, policy)
    # A series is sampled once in `freshness` at least; a shorter window may be empty though all is well.
    is_short = since is not None and now - policy.ingest_delay - since < policy.freshness
    waiting = NoData(Unknown.WARMING_UP, "the first requests of this step are on their way into the metrics")

    limits = step.limits

    def bench(gate: Gate) -> Bench:
        known = stored.get(gate.name)
        return Bench(
            min_requests=policy.min_requests,
            limits=limits,
            warming_until=warming,
            earlier=tuple(known.earlier) if known else (),
            stored=known,
            now=now,
            is_window_short=is_short,
        )

    for gate in step.gates:
        yield judge(gate, answers.get(gate.name, waiting), bench(gate))


def _warm_at(attempt: Attempt, policy: Policy) -> datetime | None:
    return attempt.applied_at + policy.warmup if attempt.applied_at else None


def _counts_from(attempt: Attempt, policy: Policy, now: datetime) -> datetime | None:
    """Return from when requests count, `None` while none of those is in the metrics yet."""
    warm = _warm_at(attempt, policy)
    return warm if warm and now - policy.ingest_delay > warm else None
