"""Which questions the gates have now, and the answers made into verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from modelrollout.api.fields import render_duration
from modelrollout.api.gates import Gate
from modelrollout.api.status import Attempt, GateStatus, VersionStatus
from modelrollout.core.bench import Bench
from modelrollout.core.case import place_of
from modelrollout.core.dispersion import dispersion_for
from modelrollout.core.evidence import (
    NO_REPLICAS,
    Answer,
    Before,
    Gap,
    NoData,
    Question,
    Replicas,
    Standing,
    Track,
    Unknown,
)
from modelrollout.core.gates import judge
from modelrollout.core.outlook import advise
from modelrollout.core.panel import panel_of
from modelrollout.core.plan import Plan, Policy, StageKind, Step
from modelrollout.core.rollout import Rollout
from modelrollout.core.together import judge_together

# What garbage in status may add to a date without leaving the calendar.
MOST_BLIND = timedelta(days=3650)
_NO_DELAY = timedelta(0)


def judged_step(rollout: Rollout) -> tuple[Attempt, Step, Plan, Policy] | None:
    """Return the step whose gates have to be judged, `None` while there is none: no attempt, not applied, going back."""
    attempt = rollout.status.attempt
    if attempt is None or rollout.spec is None or attempt.outcome or attempt.rollback or attempt.applied_at is None:
        return None
    plan = rollout.plan(has_baseline=attempt.baseline is not None)
    step = plan.step(attempt.stage, attempt.step)
    if step is None or attempt.plan != plan.digest:
        return None
    return attempt, step, plan, rollout.policy


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
    until = _on_the_second(until, since)

    def track(version: VersionStatus) -> Track:
        return _track(rollout, version, route_kind, route_name)

    known = {gate.name for gate in attempt.gates if gate.evidence and gate.evidence.dispersion}
    started = attempt.stage_started_at.replace(microsecond=0)
    before = Before(track(attempt.baseline), started) if attempt.baseline else None

    standing = Standing(rollout.name, attempt.number, step.stage, step.index, step.shares)
    compares = attempt.baseline is not None and step.kind is not StageKind.FULL

    def begins(gate: Gate) -> datetime | None:
        if gate.fails_when:
            return None
        if not gate.label_delay:
            return since
        begin = _counts_from(attempt, policy, now, gate.label_delay) or _begins(attempt, gate.label_delay)
        return begin if begin and begin < until else None

    return {
        gate.name: Question(
            metrics=rollout.spec.metrics,
            gate=gate,
            candidate=track(attempt.candidate),
            baseline=track(attempt.baseline) if attempt.baseline and compares else None,
            since=begin,
            until=until,
            freshness=policy.freshness,
            at=standing,
            before=before if gate.name not in known and gate.counts_bad else None,
        )
        for gate in step.gates
        if (begin := begins(gate))
    }


def unseen_gap(rollout: Rollout, route_kind: str, route_name: str, now: datetime) -> Gap | None:
    """Return the span since anybody last looked at the step, `None` if it is no longer than samples stay fresh.

    What was lost while somebody looked is added up elsewhere: from `metrics_lost_since`, see `projection`.
    """
    found = judged_step(rollout)
    if found is None or rollout.spec is None:
        return None
    attempt, step, _, policy = found
    since = last_look(attempt) or now
    until = (now - policy.ingest_delay).replace(microsecond=0)
    if attempt.metrics_lost_since or until - since <= policy.freshness:
        return None
    return Gap(
        metrics=rollout.spec.metrics,
        gates=step.gates,
        candidate=_track(rollout, attempt.candidate, route_kind, route_name),
        since=since,
        until=until,
        freshness=policy.freshness,
    )


def last_look(attempt: Attempt) -> datetime | None:
    """Return when the step was last looked at as far as status knows; before the first look, since when it runs."""
    if attempt.applied_at is None:
        return None
    return max([attempt.applied_at, *(gate.evaluated_at for gate in attempt.gates)])


def blind_time(gap: Gap, covered: float) -> timedelta:
    """Return how much of a gap counts as not looked at, where the source saw that fraction of it.

    What one scrape may be late is none.
    """
    blind = gap.length * (1 - covered)
    return blind if blind > gap.freshness else timedelta(0)


def end_of_minimum(attempt: Attempt, step: Step, blind: timedelta) -> datetime | None:
    """Return when the step may end at the earliest, `None` before its shares are applied: blind time is added."""
    return attempt.applied_at + step.min_duration + min(blind, MOST_BLIND) if attempt.applied_at else None


def may_end_at(attempt: Attempt, step: Step, blind: timedelta) -> datetime | None:
    """Return when the step may end: at its minimum's end, or since a person has said that it has waited enough."""
    end = end_of_minimum(attempt, step, blind)
    return min(end, attempt.advanced.at) if end and attempt.advanced else end


def judge_all(
    rollout: Rollout,
    answers: Mapping[str, Answer],
    now: datetime,
    last: Sequence[GateStatus] = (),
    replicas: Replicas = NO_REPLICAS,
) -> Iterator[GateStatus]:
    """Yield the verdict of every gate of the present step; a gate without an answer is warming up.

    One at a time, as each takes up to some milliseconds, and a step may have 40 gates. `last` is what the step's last
    look said, where somebody remembers: status may be behind it. `replicas` are the two versions' now.
    """
    found = judged_step(rollout)
    if found is None:
        return
    attempt, step, plan, policy = found
    written = {gate.name: gate.tally for gate in attempt.gates}
    stored = {gate.name: gate for gate in (*attempt.gates, *last)}
    waiting = NoData(Unknown.WARMING_UP, "the first requests of this step are on their way into the metrics")

    panel = panel_of(step.gates)

    def bench(gate: Gate, answer: Answer) -> Bench:
        known, delay = stored.get(gate.name), gate.label_delay or _NO_DELAY
        since = _counts_from(attempt, policy, now, delay)
        return Bench(
            min_requests=policy.min_requests,
            promote_on=policy.promote_on,
            limits=panel.limits_for(gate),
            effect=panel.effects.get(gate.name),
            ways_to_pass=panel.ways.get(gate.name, 1),
            warming_until=None if since else _warm_at(attempt, policy, delay),
            earlier=tuple(known.earlier) if known else (),
            stored=known,
            now=now,
            # A series is sampled once in `freshness` at least; a shorter window may be empty though all is well.
            is_window_short=since is not None and now - policy.ingest_delay - since < policy.freshness,
            dispersion=dispersion_for(known, answer),
            asked=answer.asked,
            written=written.get(gate.name),
            window=now - policy.ingest_delay - since if since else timedelta(0),
            shares=step.shares,
            replicas=replicas,
        )

    deadline = _deadline(attempt, step, policy)
    verdicts: dict[str, GateStatus] = {}
    for gate in step.gates:
        if gate.fails_when is None:
            answer = answers.get(gate.name) or _awaited_labels(attempt, gate, now) or waiting
            verdicts[gate.name] = advise(judge(gate, answer, bench(gate, answer)), step, plan, deadline)
            yield verdicts[gate.name]
    for gate in step.gates:
        if gate.fails_when:
            yield judge_together(gate, gate.fails_when, verdicts, bench(gate, waiting))


def _track(rollout: Rollout, version: VersionStatus, route_kind: str, route_name: str) -> Track:
    return Track(
        namespace=rollout.namespace,
        route_kind=route_kind,
        route_name=route_name,
        service=version.service.name,
        port=version.service.port,
        version=version.version,
    )


def _on_the_second(until: datetime, since: datetime) -> datetime:
    """Return a window's end on a whole second: questions about one moment can travel in one request."""
    rounded = until.replace(microsecond=0)
    return rounded if rounded > since else until


def _deadline(attempt: Attempt, step: Step, policy: Policy) -> datetime:
    """Return when a step that has not passed holds; before its shares are applied that counts from its beginning."""
    due = end_of_minimum(attempt, step, attempt.blind_for or timedelta(0)) or attempt.step_started_at
    return max(due, attempt.resumed_at or due) + policy.deadline


def _awaited_labels(attempt: Attempt, gate: Gate, now: datetime) -> NoData | None:
    begin = _begins(attempt, gate.label_delay) if gate.label_delay else None
    if begin is None or begin <= now:
        return None
    return NoData(
        Unknown.AWAITING_LABELS,
        f"labels come {render_duration(gate.label_delay or _NO_DELAY)} after their requests: those of this step from"
        f" {begin:%Y-%m-%d %H:%M} UTC on",
    )


def _begins(attempt: Attempt, delay: timedelta) -> datetime | None:
    """Return from when what is counted is of this step's requests: labels come so much later than these."""
    return attempt.applied_at + min(delay, MOST_BLIND) if attempt.applied_at else None


def _warm_at(attempt: Attempt, policy: Policy, delay: timedelta = _NO_DELAY) -> datetime | None:
    begin = _begins(attempt, delay)
    return begin + policy.warmup if begin else None


def _counts_from(attempt: Attempt, policy: Policy, now: datetime, delay: timedelta = _NO_DELAY) -> datetime | None:
    """Return from when requests count, `None` while none of those is in the metrics yet."""
    warm = _warm_at(attempt, policy, delay)
    return warm if warm and now - policy.ingest_delay > warm else None
