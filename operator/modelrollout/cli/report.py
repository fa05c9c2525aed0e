"""`report`: what was rolled out in a time, for people who have to account for it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from modelrollout import __version__
from modelrollout.api.fields import render_time
from modelrollout.cli.exits import Exit, Problem
from modelrollout.cli.moments import MOMENT
from modelrollout.cli.output import json_text, output_option
from modelrollout.cli.records import time_text
from modelrollout.cli.reporting.facts import facts
from modelrollout.cli.reporting.markdown import markdown
from modelrollout.cli.reporting.page import page
from modelrollout.cli.rollouts import Object, Rollouts, rollouts_of
from modelrollout.cli.session import Session, all_namespaces_option, cluster_options, run, with_kubectl
from modelrollout.cli.words import printable
from modelrollout.cluster.kubernetes import RECORDS
from modelrollout.core.record import NAME_LABEL
from modelrollout.core.rollout import Rollout, parse_rollout
from modelrollout.core.summary import Key, Period, Report, report_of
from modelrollout.engine.ports import Gone, Refused


@click.command(epilog=with_kubectl("kubectl get mrr -A -o json"))
@click.argument("model", required=False)
@click.option(
    "--since",
    type=MOMENT,
    default="30d",
    show_default=True,
    help="Where it begins: a time such as 2026-11-01T00:00Z, or how long ago.",
)
@click.option("--until", type=MOMENT, help="Where it ends; now when left out.")
@output_option("markdown", "html", "json")
@click.option(
    "--output-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write instead of printing; one that is there is replaced.",
)
@all_namespaces_option
@cluster_options
@click.pass_obj
def command(
    session: Session,
    *,
    model: str | None,
    since: datetime,
    until: datetime | None,
    output: str,
    output_file: Path | None,
) -> int:
    """Account for the rollouts of MODEL, or of all models, in a time.

    How each ended and why, how fast bad ones went back, who approved, held and overrode, and the gates' evidence: as
    Markdown, as one page of HTML with the shares drawn over time, or as JSON.

    It is made from the records, also of rollouts that are gone, and says where they leave something open. Exit codes:
    0 it is made, also where there is nothing to tell; 1 it is made, and a record does not hold or cannot be read.
    """
    now = datetime.now(UTC)
    period = Period(since, min(until or now, now))
    if period.since >= period.until:
        raise click.UsageError(
            f"--since {time_text(since)} is not before {'--until ' if until else 'now, '}{time_text(period.until)}: name"
            " an earlier time, or how long ago, such as 30d"
        )
    report, whole = run(_read(session, model, period))
    text = _render(report, output, _made(session, model, now, whole=whole))
    if output_file is None:
        click.echo(text, nl=False)
    else:
        _write(output_file, text)
    is_bad = bool(report.unread) or any(tale.flaws for tale in report.tales)
    return Exit.NO if is_bad else Exit.YES


async def _read(session: Session, model: str | None, period: Period) -> tuple[Report, bool]:
    """Return the report, and whether the rollouts themselves could be read, too."""
    records: list[Object] = []
    async with rollouts_of(session) as rollouts:
        namespace = rollouts.home if model else rollouts.namespace
        labels = f"{NAME_LABEL}={model}" if model else ""
        async for found in rollouts.server.labelled_pages(RECORDS, namespace, labels):
            records += found["items"]
        try:
            present, is_whole = await _present(rollouts, model), True
        except (Gone, Refused):
            present, is_whole = {}, False
    return report_of(records, period, present, shown=printable), is_whole


async def _present(rollouts: Rollouts, model: str | None) -> Mapping[Key, Rollout]:
    found, _ = await rollouts.list(model)
    parsed: Sequence[Rollout] = [parse_rollout(printable(one)) for one in found]
    return {(one.namespace, one.name): one for one in parsed}


def _render(report: Report, output: str, made: str) -> str:
    match output:
        case "html":
            return page(report, made)
        case "json":
            told: Mapping[str, Any] = {"made": made, **facts(report)}
            return json_text(told)
        case _:
            return markdown(report, made)


def _made(session: Session, model: str | None, now: datetime, *, whole: bool) -> str:
    where = "all namespaces" if session.all_namespaces else f"namespace {session.namespace or 'of the context'}"
    said = (
        f"Made {render_time(now)} by kubectl modelrollout report {__version__}, of {model or 'all models'} in {where}."
    )
    if not whole:
        said += " The rollouts themselves could not be read: what people asked for since the last segment is not told."
    return said


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise Problem(
            f"--output-file {file}: {error.strerror}: name a file in a directory that you may write"
        ) from error
    click.echo(f"written to {file}", err=True)
