"""`backtest`: the gates replayed over what Prometheus remembers."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from modelrollout.api.fields import render_share, render_time
from modelrollout.api.status import Outcome, Verdict
from modelrollout.cli.durations import DURATION
from modelrollout.cli.exits import Exit, Problem
from modelrollout.cli.manifests import files_option, read_manifests
from modelrollout.cli.moments import MOMENT
from modelrollout.cli.output import output_option, print_json
from modelrollout.cli.progress import progress_bar
from modelrollout.cli.session import Session, run, with_kubectl
from modelrollout.cli.simulation import Simulation, where_of
from modelrollout.cli.sourcing import Asking, source_options, sources_for
from modelrollout.cli.split import Split
from modelrollout.cli.tracks import WHERE, Place, located
from modelrollout.cli.words import span
from modelrollout.core.evidence import Answer, Question, Track
from modelrollout.core.rollout import Rollout, parse_rollout
from modelrollout.core.traffic import Shares
from modelrollout.core.wording import step_text
from modelrollout.metrics.sources import Sources

TOGETHER = 8
"""Attempts that are replayed at the same time: each waits for Prometheus most of its time."""


@dataclass(frozen=True, slots=True)
class Range:
    """What of the past is looked at."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """How a replayed attempt came out."""

    word: str
    at: datetime
    why: str

    @property
    def code(self) -> Exit:
        """The exit code that says the same."""
        return {"Promoted": Exit.YES, "RolledBack": Exit.NO, "NoData": Exit.UNKNOWN}.get(self.word, Exit.OPEN)


@click.command(epilog=with_kubectl("(there is none: kubectl knows no Prometheus)"))
@files_option
@click.option(
    "--from", "begin", type=MOMENT, required=True, help="Where to begin: a time, or how long ago, such as 6h."
)
@click.option("--to", "end", type=MOMENT, help="Where to end; now when left out.")
@click.option("--candidate", type=WHERE, help="What to take for the candidate of then; the manifest's when left out.")
@click.option("--baseline", type=WHERE, help="What to take for the baseline of then; the manifest's when left out.")
@click.option(
    "--against-itself",
    is_flag=True,
    help="Judge the baseline against itself: its requests of then are dealt out at random to two versions that are the same.",
)
@click.option("--runs", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Attempts against itself.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the random numbers against itself.")
@click.option("--every", type=DURATION, help="Time between two looks; spec.analysis.interval when left out.")
@source_options
@output_option("text", "json")
@click.option("-n", "--namespace", default=None, help="Namespace of manifests that name none.")
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    session: Session | None,
    *,
    files: tuple[str, ...],
    begin: datetime,
    end: datetime | None,
    candidate: Place | None,
    baseline: Place | None,
    against_itself: bool,
    runs: int,
    seed: int,
    every: timedelta | None,
    asking: Asking,
    output: str,
    namespace: str | None,
) -> None:
    """Replay a rollout's gates over the past: when it would have gone on, held, or rolled back, and why.

    The code that decides live asks Prometheus as of each moment. Traffic of then is taken as it was, whatever weight the
    plan would have given; routes and pods are taken to be fine.

    Ends with 0 if it would have been promoted, 1 if rolled back, 2 if neither by --to, 3 without data. With
    --against-itself it prints the rate of false rollbacks, and ends with 0 whatever it is.
    """
    manifest, *others = read_manifests(files)
    if others:
        raise click.UsageError("more than one ModelRollout is given: name a file with one")
    rollout = _with_interval(manifest.parse(namespace or (session.namespace if session else None) or "default"), every)
    past = Range(begin, end or datetime.now(UTC))
    if past.end <= past.begin:
        raise click.UsageError("--to is not after --from")
    if against_itself:
        attempts = run(_against_itself(rollout, past, baseline, runs, seed, asking))
        _print_rate(attempts, past, output)
        return
    simulation = run(_replay(rollout, past, candidate, baseline, asking))
    ended = ended_of(simulation, past)
    _print_timeline(rollout, simulation, ended, output)
    raise SystemExit(ended.code)


def _with_interval(rollout: Rollout, every: timedelta | None) -> Rollout:
    if every is None or rollout.spec is None:
        return rollout
    if every < timedelta(seconds=1):
        raise click.UsageError("--every is shorter than 1s")
    raw = rollout.spec.render()
    raw["analysis"] = {**raw.get("analysis", {}), "interval": f"{every // timedelta(seconds=1)}s"}
    metadata = {"namespace": rollout.namespace, "name": rollout.name, "uid": rollout.uid, "resourceVersion": "0"}
    return parse_rollout({"metadata": metadata, "spec": raw, "status": {}})


async def _replay(
    rollout: Rollout, past: Range, candidate: Place | None, baseline: Place | None, asking: Asking
) -> Simulation:
    async with sources_for(asking, _source_of(rollout), patience=timedelta(seconds=30)) as sources:
        refuse(sources, rollout)

        async def measure(question: Question, _: Shares) -> Answer:
            return await sources.measure(located(question, candidate, baseline))

        simulation = Simulation(rollout, past.begin, measure)
        with progress_bar("replaying", past.end - past.begin) as advance:
            await simulation.run(past.end, stop=lambda at: advance(at.now - past.begin))
    return simulation


async def _against_itself(
    rollout: Rollout, past: Range, baseline: Place | None, runs: int, seed: int, asking: Asking
) -> list[Ended]:
    if rollout.given_baseline is None:
        raise Problem("the manifest has no baseline, so there is nothing to judge against itself", Exit.USAGE)
    async with sources_for(asking, _source_of(rollout), patience=timedelta(seconds=30)) as sources:
        refuse(sources, rollout)
        few = asyncio.Semaphore(TOGETHER)
        done = 0
        with progress_bar("replaying", timedelta(seconds=runs)) as advance:

            async def attempt(number: int, begin: datetime) -> Ended:
                nonlocal done
                async with few:
                    split = Split(sources.measure, _baseline_of(rollout, baseline), _dice(seed, number))
                    simulation = Simulation(rollout, begin, split.measure)
                    await simulation.run(past.end)
                done += 1
                advance(timedelta(seconds=done))
                return ended_of(simulation, past)

            begins = _begins(rollout, past, runs)
            return list(await asyncio.gather(*(attempt(number, begin) for number, begin in enumerate(begins))))


def _dice(seed: int, number: int) -> random.Random:
    return random.Random(seed * 10_007 + number)  # noqa: S311 - the same at each run with this seed


def _begins(rollout: Rollout, past: Range, runs: int) -> Iterator[datetime]:
    """Yield when each attempt begins: evenly over the time in which a whole plan has room."""
    plan = rollout.plan(has_baseline=True)
    policy = rollout.policy
    least = sum(((step.min_duration + policy.interval) for step in plan.steps), timedelta())
    room = max(timedelta(0), past.end - past.begin - 1.1 * least)
    for number in range(runs):
        yield past.begin + room * number / max(1, runs - 1)


def _baseline_of(rollout: Rollout, place: Place | None) -> Track:
    known = rollout.given_baseline
    if known is None:
        raise ValueError("there is no baseline")
    kind, name = where_of(rollout)
    service, port, version = place or (known.service.name, None, None)
    return Track(rollout.namespace, kind, name, service, port or known.service.port, version or known.version)


def _source_of(rollout: Rollout) -> str:
    return rollout.spec.metrics.source if rollout.spec else "default"


def refuse(sources: Sources, rollout: Rollout) -> None:
    """Raise Problem if the gates cannot be asked for at all."""
    if rollout.spec is None:
        return
    blocked = sources.check(rollout.spec.metrics, rollout.plan(has_baseline=rollout.given_baseline is not None).gates)
    if blocked:
        raise Problem(blocked.message, Exit.NO)


def ended_of(simulation: Simulation, past: Range) -> Ended:
    """Return how it came out."""
    attempt = simulation.rollout.status.attempt
    if attempt and attempt.outcome is Outcome.PROMOTED:
        return Ended("Promoted", simulation.now, "all gates passed")
    if attempt and attempt.outcome:
        return Ended(str(attempt.outcome), simulation.now, attempt.rollback.message if attempt.rollback else "")
    seen = [gate for look in simulation.looks for gate in look.gates if gate.samples or gate.value]
    standstill = simulation.standstill
    last = simulation.looks[-1].gates if simulation.looks else ()
    missing = next((f"gate {one.name}: {one.message}" for one in last if one.verdict is not Verdict.PASS), "")
    why = standstill.message if standstill else missing or "the time is over"
    return Ended("Undecided" if seen else "NoData", past.end, why)


def timeline(simulation: Simulation) -> list[dict[str, Any]]:
    """Return what happened in order: verdicts that changed, and what people would have been told."""
    entries: list[dict[str, Any]] = [
        {"at": at, "what": reason, "message": note} for at, reason, note in simulation.told
    ]
    known: dict[tuple[str, int, str], tuple[Verdict, str]] = {}
    for look in simulation.looks:
        for gate in look.gates:
            key = (look.step.stage, look.step.index, gate.name)
            if known.get(key) != (gate.verdict, gate.reason):
                known[key] = gate.verdict, gate.reason
                entries.append(
                    {
                        "at": look.at,
                        "what": f"{gate.name}: {gate.verdict}",
                        "message": f"{gate.reason}: {gate.message}",
                        "step": step_text(look.step),
                    }
                )
    return sorted(entries, key=lambda entry: entry["at"])


def _print_timeline(rollout: Rollout, simulation: Simulation, ended: Ended, output: str) -> None:
    entries = timeline(simulation)
    if output == "json":
        told = [{**entry, "at": render_time(entry["at"])} for entry in entries]
        verdict = {
            "outcome": ended.word,
            "at": render_time(ended.at),
            "message": ended.why,
            "looks": len(simulation.looks),
        }
        print_json({"rollout": rollout.name, **verdict, "timeline": told})
        return
    colours = {"Pass": "green", "Fail": "red", "Unknown": "yellow"}
    for entry in entries:
        what = str(entry["what"])
        shown = click.style(what, fg=colours.get(what.rpartition(" ")[2]))
        where = f" [{entry['step']}]" if "step" in entry else ""
        click.echo(f"{entry['at']:%Y-%m-%d %H:%M:%S}  {shown}{where}: {entry['message']}")
    click.echo(_sentence(ended, simulation))


def _sentence(ended: Ended, simulation: Simulation) -> str:
    looks = f"{len(simulation.looks)} looks"
    at = f"{ended.at:%Y-%m-%d %H:%M:%S} UTC"
    match ended.word:
        case "Promoted":
            return f"It would have been promoted at {at} ({looks})."
        case "RolledBack":
            return f"It would have been rolled back at {at} ({looks}): {ended.why}"
        case "NoData":
            return f"There is nothing to judge by in that time ({looks}): {ended.why}"
        case _:
            return f"It would neither have been promoted nor rolled back by {at} ({looks}): {ended.why}"


def rate_of(attempts: list[Ended]) -> Mapping[str, Any]:
    """Return how many came out how, and the rate of false rollbacks with its 95 % bounds (Wilson)."""
    judged = [one for one in attempts if one.word != "NoData"]
    count, bad = len(judged), sum(one.word == "RolledBack" for one in judged)
    low, high = wilson(bad, count) if count else (0.0, 1.0)
    return {
        "attempts": count,
        "promoted": sum(one.word == "Promoted" for one in judged),
        "rolledBack": bad,
        "undecided": sum(one.word == "Undecided" for one in judged),
        "withoutData": len(attempts) - count,
        "falseRollbackRate": bad / count if count else None,
        "bounds": [low, high],
    }


def wilson(bad: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % bounds of a share. Source: Wilson's score interval."""
    share = bad / count
    middle = share + z * z / (2 * count)
    reach = z * ((share * (1 - share) + z * z / (4 * count)) / count) ** 0.5
    scale = 1 + z * z / count
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def _print_rate(attempts: list[Ended], past: Range, output: str) -> None:
    rate = rate_of(attempts)
    wrong = [one for one in attempts if one.word == "RolledBack"]
    if output == "json":
        told = [{"at": render_time(one.at), "message": one.why} for one in wrong]
        print_json({**rate, "falseRollbacks": told})
    else:
        for one in wrong:
            click.echo(f"{one.at:%Y-%m-%d %H:%M:%S}  rolled back: {one.why}")
        click.echo(
            f"{rate['attempts']} attempts of the baseline against itself in {span(past.end - past.begin)}:"
            f" {rate['promoted']} promoted, {rate['rolledBack']} rolled back, {rate['undecided']} undecided."
        )
        if rate["attempts"]:
            low, high = (render_share(bound) for bound in rate["bounds"])
            click.echo(f"False rollbacks: {render_share(rate['falseRollbackRate'])} (95 % sure: {low} to {high}).")
    if not rate["attempts"]:
        first = attempts[0].why if attempts else ""
        raise Problem(f"there is nothing to judge by in that time: {first}")
