"""`plan`: before a manifest is applied, how long its steps will take and whether each gate can ever say anything."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

import click

from modelrollout.api.fields import render_number, render_share
from modelrollout.cli.exits import Exit
from modelrollout.cli.linting import lint
from modelrollout.cli.manifests import Manifest, files_option, read_manifests
from modelrollout.cli.output import output_option, print_json, print_table
from modelrollout.cli.reckoning import StepOutlook, Traffic, reckon
from modelrollout.cli.session import Session, cluster_options, run, with_kubectl
from modelrollout.cli.simulation import where_of
from modelrollout.cli.sourcing import Asking, source_options, sources_for
from modelrollout.cli.surroundings import Found, Remark, look_around
from modelrollout.cli.words import span
from modelrollout.core.evidence import (
    Answer,
    Counted,
    Distributed,
    Judged,
    Measured,
    NoData,
    Question,
    Standing,
    Track,
    Unknown,
)
from modelrollout.core.rollout import Rollout
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import BASELINE_ONLY, Blocked
from modelrollout.core.wording import step_text

OBSERVED = timedelta(hours=1)
"""How much of the past the rate and the share of bad requests are taken from."""


@dataclass(frozen=True, slots=True)
class Planned:
    """All that is said of one manifest."""

    manifest: Manifest
    requests_per_second: float | None
    steps: list[StepOutlook]
    remarks: list[Remark]

    @property
    def code(self) -> Exit:
        """0 where all will go through, 1 where something will not, 2 where that is not known."""
        if any(one.found is Found.NO for one in self.remarks) or any(step.lasts is None for step in self.steps):
            return Exit.NO
        return Exit.OPEN if not self.steps else Exit.YES


@click.command(
    epilog=with_kubectl("(there is none; kubectl apply --dry-run=server -f FILE tells what would be refused)")
)
@files_option
@click.option(
    "--rps",
    type=click.FloatRange(0, min_open=True),
    help="Requests a second of the whole route, instead of those observed.",
)
@click.option("--offline", is_flag=True, help="Do not look at a cluster.")
@source_options
@output_option("text", "json")
@cluster_options
@click.pass_context
def command(
    context: click.Context, *, files: tuple[str, ...], rps: float | None, offline: bool, asking: Asking, output: str
) -> None:
    """Tell what a manifest will come to, before it is applied.

    For each step: the candidate's requests, how long it will last, and when each gate passes, if the candidate is as good
    as what serves now. The plan is played through by the code that decides live. Rates and shares of bad requests are
    those of the last hour in Prometheus, or --rps without any bad request. The router and the Services are looked at where
    a cluster can be reached.

    Ends with 0 if it will go through, 1 if a gate can never pass or something is refused, 2 if the rate is not known.
    """
    session = context.ensure_object(Session)
    planned = [run(_planned(session, one, rps, asking, offline=offline)) for one in read_manifests(files)]
    if output == "json":
        print_json([_facts(one) for one in planned])
    else:
        for one in planned:
            _print(one)
    raise SystemExit(max((one.code for one in planned), key=lambda code: (code == Exit.NO, code)))


async def _planned(
    session: Session, manifest: Manifest, rps: float | None, asking: Asking, *, offline: bool
) -> Planned:
    errors = [one for one in lint(manifest) if one.severity == "error"]
    if errors:
        return Planned(
            manifest, rps, [], [Remark("manifest", Found.NO, f"{one.field}: {one.message}") for one in errors]
        )
    rollout = manifest.parse(session.namespace or "default")
    remarks: list[Remark] = []
    answers, rate = _assumed(rollout), rps
    if asking.is_given:
        answers, observed, remarks = await _observed(rollout, asking)
        rate = rps or observed
    if not offline:
        remarks += await look_around(session, rollout)
    if rate is None:
        remarks.append(
            Remark(
                "rate",
                Found.NOTHING,
                "nothing is known of the traffic: name a Prometheus with --prometheus, or give --rps",
            )
        )
        return Planned(manifest, None, [], remarks)
    return Planned(manifest, rate, await reckon(rollout, Traffic(rate, answers), datetime.now(UTC)), remarks)


def _assumed(rollout: Rollout) -> dict[str, Answer]:
    """Return what the gates are answered where nobody is asked: nothing is bad, and each value is as it should be."""
    found: dict[str, Answer] = {}
    for gate in rollout.plan(has_baseline=rollout.given_baseline is not None).gates:
        bounds = gate.value
        value = 0.0 if bounds is None else next((one for one in (bounds.max, bounds.min) if one is not None), 0.0)
        found[gate.name] = Measured(value) if bounds else Counted(Counts(1, 0), None)
    return found


async def _observed(rollout: Rollout, asking: Asking) -> tuple[dict[str, Answer], float | None, list[Remark]]:
    """Return what each gate is answered of the version that serves, the rate, and what is to be said of the metrics."""
    spec = rollout.spec
    serves, wanted = rollout.given_baseline or rollout.wanted, rollout.wanted
    if spec is None or serves is None or wanted is None:
        return {}, None, []
    answers: dict[str, Answer] = {}
    remarks: list[Remark] = []
    rate: float | None = None
    kind, name = where_of(rollout)
    now = datetime.now(UTC)

    def track(service: str, port: int, version: str) -> Track:
        return Track(rollout.namespace, kind, name, service, port, version)

    until = (now - rollout.policy.ingest_delay).replace(microsecond=0)
    mine = track(serves.service.name, serves.service.port, serves.version)
    theirs = track(wanted.service.name, wanted.service.port, wanted.version)
    async with sources_for(asking, spec.metrics.source) as sources:
        for gate in rollout.plan(has_baseline=rollout.given_baseline is not None).gates:
            if isinstance(blocked := sources.check(spec.metrics, [gate]), Blocked):
                remarks.append(Remark(f"gate {gate.name}", Found.NO, blocked.message))
                answers[gate.name] = NoData(Unknown.REFUSED, blocked.message)
                continue
            question = Question(
                metrics=spec.metrics,
                gate=gate,
                candidate=mine,
                baseline=mine,
                since=until - OBSERVED,
                until=until,
                freshness=rollout.policy.freshness,
                at=Standing(rollout.name, 0, "none", 0, BASELINE_ONLY),
            )
            answer = await sources.measure(question)
            answers[gate.name] = answer
            remarks.append(_remark(gate.name, serves.version, answer))
            if isinstance(answer, Counted):
                rate = max(rate or 0.0, answer.candidate.total / OBSERVED.total_seconds()) or None
            already = await sources.measure(replace(question, candidate=theirs, baseline=None))
            if isinstance(already, Counted) and already.candidate.total and serves != wanted:
                count = already.candidate.total
                remarks.append(
                    Remark(f"gate {gate.name}", Found.FINE, f"the candidate has {count} requests in the last hour")
                )
    return answers, rate, remarks


def _remark(gate: str, version: str, answer: Answer) -> Remark:
    about = f"gate {gate}"
    match answer:
        case NoData(reason, message):
            return Remark(about, Found.NO, f"{reason}: {message}")
        case Counted(counts):
            share = render_share(counts.bad / counts.total) if counts.total else "none"
            said = f"{version} has {counts.total} requests in the last hour, of which {counts.bad} are bad ({share})"
            return Remark(about, Found.FINE if counts.total else Found.NO, said)
        case Measured(value):
            return Remark(about, Found.FINE, f"its query gives {render_number(value)} now")
        case Distributed(candidate):
            return Remark(about, Found.FINE, f"{version} has {sum(candidate)} observations in the last hour")
        case Judged(verdict, message):
            return Remark(about, Found.NOTHING, f"its judge says {verdict} now: {message}")
        case _:
            assert_never(answer)


def _print(planned: Planned) -> None:
    click.echo(f"{planned.manifest.name} ({planned.manifest.file})")
    for remark in planned.remarks:
        colour = {Found.FINE: "green", Found.NO: "red", Found.NOTHING: "yellow"}[remark.found]
        click.echo(f"  {click.style(remark.found, fg=colour)} {remark.about}: {remark.message}")
    if not planned.steps:
        return
    click.echo(f"  at {planned.requests_per_second:.4g} requests a second:")
    rows = [_row(one) for one in planned.steps]
    print_table(("  STEP", "REQUESTS/S", "AT LEAST", "LASTS", "GATES"), rows, {"never": {"fg": "red"}})
    for one in planned.steps:
        if one.step.approval and one.step.index == 0:
            number = one.step.approval.required
            click.echo(
                f"  stage {one.step.stage} begins when it has {number} approval{'s' if number > 1 else ''}: that is not reckoned"
            )
        if one.waits:
            click.echo(f"  {step_text(one.step)} waits, which counts in how long it lasts: {one.waits}")
        if one.why:
            click.echo(f"  {click.style('no', fg='red')} {step_text(one.step)}: {one.why}")
    lasts = [one.lasts for one in planned.steps]
    if all(one is not None for one in lasts):
        whole = sum((one for one in lasts if one is not None), timedelta())
        click.echo(f"  About {span(whole)} in all, if the candidate is as good as what serves.")


def _row(one: StepOutlook) -> tuple[str, ...]:
    gates = [
        f"{gate.name} never"
        if gate.passes_after is None
        else f"{gate.name} after {span(gate.passes_after)}" + (f" ({gate.requests} requests)" if gate.requests else "")
        for gate in one.gates
    ]
    lasts = "never" if one.lasts is None else span(one.lasts)
    return (
        f"  {step_text(one.step)}",
        f"{one.requests_per_second:.4g}",
        span(one.step.min_duration),
        lasts,
        ", ".join(gates),
    )


def _facts(planned: Planned) -> dict[str, Any]:
    return {
        "name": planned.manifest.name,
        "file": planned.manifest.file,
        "requestsPerSecond": planned.requests_per_second,
        "exitCode": int(planned.code),
        "remarks": [{"about": one.about, "found": one.found, "message": one.message} for one in planned.remarks],
        "steps": [
            {
                "stage": one.step.stage,
                "step": one.step.index,
                "candidateRequestsPerSecond": one.requests_per_second,
                "minSeconds": one.step.min_duration.total_seconds(),
                "lastsSeconds": one.lasts.total_seconds() if one.lasts is not None else None,
                "why": one.why,
                "waits": one.waits,
                "approvals": one.step.approval.required if one.step.approval else 0,
                "gates": [
                    {
                        "name": gate.name,
                        "passesAfterSeconds": gate.passes_after.total_seconds() if gate.passes_after else None,
                        "requests": gate.requests,
                        "message": gate.message,
                    }
                    for gate in one.gates
                ],
            }
            for one in planned.steps
        ],
    }
