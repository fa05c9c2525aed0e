"""`who-served`: which versions of a model answered at a time, with their lineage, and who had decided so."""

from typing import Any

import click

from modelrollout.api.fields import render_time
from modelrollout.cli.exits import Exit
from modelrollout.cli.output import output_option, print_json
from modelrollout.cli.records import (
    accounts_of,
    parse_moment,
    read_records,
    shares_text,
    span_json,
    time_text,
    version_in,
)
from modelrollout.cli.session import Session, cluster_options, run, with_kubectl
from modelrollout.core.history import Changing, NotKnown, Served, Span, served_at, spans_of


@click.command(epilog=with_kubectl("kubectl get mrr -l modelrollout.dev/rollout=MODEL -o yaml"))
@click.argument("model")
@click.option(
    "--at", "at", required=True, help="Time, such as 2026-11-17T15:47+01:00; without an offset the time here."
)
@output_option("text", "json")
@cluster_options
@click.pass_obj
def command(session: Session, model: str, at: str, output: str) -> int:
    """Say which versions of MODEL served at a time, by the records of its rollout.

    Exit codes: 0 it is certain, 2 the shares were changing just then, 3 no record tells of that time.
    """
    try:
        moment = parse_moment(at)
    except ValueError as error:
        raise click.UsageError(f"--at {at}: write a time such as 2026-11-17T15:47+01:00") from error
    answer = served_at(spans_of(accounts_of(run(read_records(session, model)))), moment)
    if output == "json":
        print_json({"model": model, "at": render_time(moment), **_json(answer)})
    else:
        click.echo("\n".join(_lines(model, time_text(moment), answer)))
    return _code(answer)


def _code(answer: Served | Changing | NotKnown) -> Exit:
    match answer:
        case Served():
            return Exit.YES
        case Changing():
            return Exit.OPEN
        case NotKnown():
            return Exit.UNKNOWN


def _json(answer: Served | Changing | NotKnown) -> dict[str, Any]:
    match answer:
        case Served(span, until):
            return {"answer": "served", **span_json(span), "until": render_time(until) if until else None}
        case Changing(before, after):
            return {"answer": "changing", "from": span_json(before) if before else None, "to": span_json(after)}
        case NotKnown(since):
            return {"answer": "notKnown", "knownSince": render_time(since) if since else None}


def _lines(model: str, at: str, answer: Served | Changing | NotKnown) -> list[str]:
    match answer:
        case Served(span, until):
            ends = f"until {time_text(until)}" if until else "and still do, by the last record"
            return [f"{model} at {at}: {shares_text(span.shares)}", *_lineage(span), *_why(span), f"  {ends}"]
        case Changing(before, after):
            was = shares_text(before.shares) if before else "what no record tells"
            times = f"{time_text(after.earliest)} and {time_text(after.since)}"
            return [
                f"{model} at {at}: changing between {was} and {shares_text(after.shares)}",
                f"  decided or written, and read back: {times}",
                *_lineage(after),
                *_why(after),
            ]
        case NotKnown(since):
            return [f"{model} at {at}: not known before {time_text(since)}" if since else f"{model}: not known"]


def _lineage(span: Span) -> list[str]:
    lines = []
    for share in span.shares:
        version = version_in(span, share)
        lines.append(f"  {share.version}: digest {share.digest}")
        artifact = version.artifact if version else None
        for name, value in artifact.render().items() if artifact else ():
            lines.append(f"    {name}: {value}")
    return lines


def _why(span: Span) -> list[str]:
    segment = span.segment
    if segment is None:
        return [f"  as {span.account.name} found it at {time_text(span.since)}"]
    vouched = "verified" if segment.verified else "unverified"
    who = segment.actor if segment.actor == "modelrollout-operator" else f"{segment.actor} ({vouched})"
    what = f": {segment.message}" if segment.message else ""
    return [
        f"  since {time_text(span.since)}, {segment.cause} by {who}{what}",
        *(f"    gate {gate.name}: {gate.verdict}: {gate.message}" for gate in segment.gates),
        f"  record {span.account.name}, segment {segment.seq}",
    ]
