"""`history`: all spans of a model, one a line."""

import click

from modelrollout.cli.output import output_option, print_json, print_table
from modelrollout.cli.records import accounts_of, read_records, shares_text, span_json, time_text
from modelrollout.cli.session import Session, cluster_options, run, with_kubectl
from modelrollout.core.history import Span, spans_of

HEADER = ("SINCE", "SHARES", "WHY", "WHO", "END", "RECORD")


@click.command(epilog=with_kubectl("kubectl get mrr -l modelrollout.dev/rollout=MODEL"))
@click.argument("model")
@output_option("table", "json")
@cluster_options
@click.pass_obj
def command(session: Session, model: str, output: str) -> None:
    """List what MODEL's versions had, span by span, oldest first; also of rollouts that are gone."""
    spans = spans_of(accounts_of(run(read_records(session, model))))
    if output == "json":
        print_json([span_json(span) for span in spans])
    else:
        print_table(HEADER, [_row(span) for span in spans])


def _row(span: Span) -> tuple[str, ...]:
    segment = span.segment
    why, who = (segment.cause.value, segment.actor) if segment else ("Found", "-")
    end = segment.outcome.value if segment and segment.outcome else "-"
    where = f"{span.account.name}#{segment.seq}" if segment else span.account.name
    return time_text(span.since), shares_text(span.shares), why, who, end, where
