"""A report in words, for Markdown and HTML alike; whoever prints them escapes them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from modelrollout.api.record import Evidence, PlannedStage, RecordedVersion, Segment, Trigger
from modelrollout.api.status import Outcome
from modelrollout.cli.records import shares_text, time_text
from modelrollout.cli.words import span
from modelrollout.core.record import OPERATOR
from modelrollout.core.summary import Hand, Model, Period, Report, Totals, hands_of, is_refused, totals_of
from modelrollout.core.tale import Act, Tale, gaps_of

_STARTED_BY = {
    Trigger.NEW_CANDIDATE: "a new candidate in spec",
    Trigger.FIRST_DEPLOYMENT: "a first deployment",
    Trigger.RETRY: "a retry",
    Trigger.REFUSED_UNSTARTED: "refused before it started",
    Trigger.TAKEN_OVER: "taken over in mid-attempt: its record was begun later",
    Trigger.CONTINUATION: "the part that its record goes on with; the ones before are not there",
}
_ABOUT = """
A rollout is one attempt to put one candidate in front of requests. It stands here if any of it lies in the time above;
numbers count what began, ended or was done in that time.

The time to roll back is that from the decision, taken in the pass that saw the breach or read the command, until the
candidate was seen to have nothing on the route. How long the breach had lasted before, no record tells.

Who edited spec, and so began a rollout, is in the API server's audit log: the record names the generation. It names people
where they gave a command.

A name counts as verified where the API server's admission policies kept everybody else from writing it. Commands are in
the records as far as the rollout's status still had them (the last 15 between two changes of shares); of a rollout under way
the newest are from its status.

A chain of hashes that holds shows that nothing was changed or taken out within a record. Whether a record was forged or
deleted as a whole shows by the hash that it ends with: the operator's log has the same, line by line.
"""
ABOUT = tuple(" ".join(paragraph.split()) for paragraph in _ABOUT.split("\n\n"))


def period_text(period: Period) -> str:
    """Return a period as people write it."""
    return f"{_minute(period.since)} to {_minute(period.until)} UTC"


def headline(report: Report) -> str:
    """Return what there is to say in a few sentences."""
    totals = totals_of(report.tales, report.period)
    if not totals.attempts:
        return "No record tells of a rollout in this time."
    ended = [f"{totals.promoted} promoted", f"{totals.rolled_back} rolled back", f"{totals.open} under way"]
    if totals.superseded:
        ended.append(f"{totals.superseded} replaced by a newer candidate")
    if totals.never_begun:
        ended.append(f"{totals.never_begun} never begun")
    said = f"{_count(totals.attempts, 'rollout')} of {_count(len(report.models), 'model')}: {', '.join(ended)}."
    if (middle := totals.median_back) is not None and (slowest := totals.longest_back) is not None:
        said += (
            f" Going back took {short(middle)}."
            if len(totals.back) == 1
            else f" Going back took {short(middle)} in the median, {short(slowest)} at most."
        )
    return said


def figures(totals: Totals) -> Iterator[tuple[str, str, str]]:
    """Yield the numbers that stand first: what, how much, and a word that says of what kind it is."""
    yield "rollouts", str(totals.attempts), "plain"
    yield "promoted", str(totals.promoted), "good"
    yield "rolled back", str(totals.rolled_back), "bad" if totals.rolled_back else "plain"
    yield "under way", str(totals.open), "plain"
    yield "time to roll back, median", back_text(totals.median_back, totals), "plain"
    yield "slowest rollback", back_text(totals.longest_back, totals), "plain"
    yield "approvals", str(totals.approvals), "plain"
    yield "holds", str(totals.holds), "plain"
    yield "gates overridden", str(totals.overrides), "odd" if totals.overrides else "plain"
    yield "changes by others", str(totals.external), "odd" if totals.external else "plain"
    yield "acts under unverified names", str(totals.unverified), "odd" if totals.unverified else "plain"
    yield "records that do not hold", str(totals.flaws), "bad" if totals.flaws else "good"


def back_text(took: timedelta | None, totals: Totals) -> str:
    """Return a time that rollbacks took."""
    if took is not None:
        return short(took)
    return "not known" if totals.back_unknown else "-"


def to_look_at(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield what somebody should look at, the worst first: kind (bad, odd or open), model, sentence."""
    told = [(model_name(model), tale) for model in report.models for tale in model.tales]
    yield from (("bad", "", f"a record cannot be read: {sentence}") for sentence in report.unread)
    yield from (("bad", name, flaw) for name, tale in told for flaw in tale.flaws)
    for name, tale in told:
        yield from (("odd", name, odd) for act in tale.acts if report.period.has(act.at) and (odd := _oddity(act)))
    for model in report.models:
        yield from (("odd", "", one.message) for one in model.absent if not one.by_retention)
        names = (
            hand.who for hand in hands_of(model.tales, report.period) if not hand.verified and not _is_external(hand)
        )
        yield from (
            ("odd", model_name(model), f"{name}: nobody vouches for this name, a client wrote it") for name in names
        )
    yield from (("open", "", one.message) for model in report.models for one in model.absent if one.by_retention)
    yield from (("open", name, gap) for name, tale in told for gap in gaps_of(tale))


def _is_external(hand: Hand) -> bool:
    return set(hand.counts) == {"external"}


def _oddity(act: Act) -> str | None:
    match act.what:
        case "override":
            return (
                f"{who(act)} went past gates that did not pass, {time_text(act.at)}: {act.reason or 'no reason given'}"
            )
        case "external":
            return f"{act.who} wrote the route, {time_text(act.at)}: {act.reason}"
        case _:
            return None


def outcome_text(tale: Tale) -> str:
    """Return how an attempt ended."""
    match tale.outcome:
        case Outcome.PROMOTED:
            return "promoted"
        case Outcome.ROLLED_BACK:
            return "rolled back after promotion" if len(tale.ends) > 1 else "rolled back"
        case Outcome.SUPERSEDED:
            return "replaced by a newer candidate"
        case _:
            return "under way" if tale.has_begun else "never began"


def began_text(tale: Tale) -> str:
    """Return when an attempt was decided, to the minute."""
    return f"{_minute(tale.spec.decided_at)} UTC"


def kind_of(tale: Tale) -> str:
    """Return a word for the colour of its end."""
    return {Outcome.PROMOTED: "good", Outcome.ROLLED_BACK: "bad"}.get(tale.outcome, "plain") if tale.outcome else "open"


def started_text(tale: Tale) -> str:
    """Return what made an attempt begin, and who."""
    trigger, rollout = tale.spec.trigger, tale.spec.rollout
    said = f"{_STARTED_BY[trigger.cause]} (generation {rollout.generation})"
    if trigger.actor:
        said += f", by {trigger.actor} ({verified_text(verified=trigger.verified)})"
    return said + (f": {trigger.reason}" if trigger.reason else "")


def end_text(tale: Tale) -> str:
    """Return why an attempt ended as it did."""
    if back := tale.way_back:
        by = "" if back.actor == OPERATOR else f" by {back.actor} ({verified_text(verified=back.verified)})"
        return f"{back.cause}{by}" + (f": {back.message}" if back.message else "")
    if tale.ends:
        last = tale.ends[-1]
        return last.cause.value + (f": {last.message}" if last.message else "")
    return ""


def back_of(tale: Tale) -> str:
    """Return how long going back took."""
    back = tale.way_back
    if back is None:
        return "-"
    return "not known" if back.took is None else short(back.took)


def facts_of(tale: Tale) -> Iterator[tuple[str, str]]:
    """Yield what an attempt was, as pairs."""
    spec = tale.spec
    yield "candidate", version_text(spec.candidate)
    yield "baseline", version_text(spec.baseline) if spec.baseline else "none: a first deployment"
    if spec.owner:
        yield "owner", ", ".join(part for part in (spec.owner.team, spec.owner.contact) if part)
    if spec.risk:
        yield "risk", spec.risk.value
    yield "started by", started_text(tale)
    yield "decided", time_text(spec.decided_at)
    yield (
        "ended",
        f"{time_text(tale.ended_at)}, after {span(tale.ended_at - spec.decided_at)}" if tale.ended_at else "-",
    )
    why = end_text(tale)
    yield "how it ended", outcome_text(tale) + (f": {why}" if why and why != tale.outcome else "")
    if tale.way_back:
        yield "time to roll back", back_of(tale)
    if spec.plan:
        yield "plan", "; ".join(map(stage_text, spec.plan.stages)) + f" (digest {spec.plan.digest})"
    yield "records", ", ".join(part.name for part in tale.parts)
    yield "ends with hash", tale.end


def version_text(version: RecordedVersion) -> str:
    """Return a version with its lineage."""
    artifact: Mapping[str, object] = version.artifact.render() if version.artifact else {}
    lineage = "".join(f", {name} {value}" for name, value in artifact.items())
    return f"{version.version} (digest {version.digest}{lineage})"


def stage_text(stage: PlannedStage) -> str:
    """Return a stage of a plan in a few words."""
    what = f"{stage.mirror} % copied" if stage.mirror is not None else ", ".join(f"{one} %" for one in stage.weights)
    return f"{stage.name}: {what}, at least {span(stage.min_duration)} each"


def why_text(segment: Segment) -> str:
    """Return why the shares of a segment are what they are."""
    return segment.cause.value + (f": {segment.message}" if segment.message else "")


def by_text(segment: Segment) -> str:
    """Return who brought a segment about."""
    return (
        segment.actor if segment.actor == OPERATOR else f"{segment.actor} ({verified_text(verified=segment.verified)})"
    )


def numbers(gate: Evidence) -> tuple[str, ...]:
    """Return a gate's evidence: name, verdict, value, limit, candidate's requests and bad ones, the baseline's, the sentence."""
    return (
        gate.name,
        gate.verdict.value,
        gate.value or "-",
        gate.limit or "-",
        _of(gate.bad, gate.samples),
        _of(gate.baseline_bad, gate.baseline_samples),
        gate.message or gate.reason,
    )


def spans_of_tale(tale: Tale) -> Iterator[tuple[str, str, str, str]]:
    """Yield the spans of an attempt: since when, which shares, why, and by whom."""
    yield time_text(tale.spec.decided_at), shares_text(tale.spec.found), "as it was found", "-"
    for segment in tale.segments:
        yield time_text(segment.confirmed_at), shares_text(segment.shares), why_text(segment), by_text(segment)


def act_text(act: Act) -> tuple[str, str, str, str]:
    """Return an act: when, what, who, and why with what came of it."""
    told = "; ".join(part for part in (act.reason, act.result) if part)
    return time_text(act.at), act.what + (" (nothing came of it)" if is_refused(act) else ""), who(act), told or "-"


def who(act: Act) -> str:
    """Return who did something, and whether anybody vouches for that name."""
    return f"{act.who} ({verified_text(verified=act.verified)})"


def hand_text(hand: Hand) -> tuple[str, str, str]:
    """Return somebody, whether anybody vouches for the name, and what they did."""
    counts = ", ".join(f"{what} {count}" for what, count in hand.counts.items())
    return hand.who, verified_text(verified=hand.verified), counts


def verified_text(*, verified: bool) -> str:
    """Return whether anybody vouches for a name."""
    return "verified" if verified else "unverified"


def model_name(model: Model) -> str:
    """Return a model's namespace and name."""
    return f"{model.namespace}/{model.name}" if model.namespace else model.name


def short(length: timedelta) -> str:
    """Return a span of time, below a minute to a tenth of a second."""
    seconds = length.total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else span(length)


def _of(bad: int | None, total: int | None) -> str:
    if total is None:
        return "-"
    return f"{total:,}" if bad is None else f"{bad:,} bad of {total:,}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
