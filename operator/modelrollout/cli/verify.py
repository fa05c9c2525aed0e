"""`verify`: whether the chain of a model's records holds."""

from collections.abc import Mapping
from typing import Any

import click

from modelrollout.cli.exits import Exit
from modelrollout.cli.output import output_option, print_json
from modelrollout.cli.records import read_records
from modelrollout.cli.session import Session, all_namespaces_option, cluster_options, run, with_kubectl
from modelrollout.core.chain import Break, attempts_of, end_of_chain, segments_of
from modelrollout.core.retention import Absence, absences, breaks_in, cut_short, entry_of


@click.command(epilog=with_kubectl("kubectl get mrr -l modelrollout.dev/rollout=MODEL -o json"))
@click.argument("model", required=False)
@output_option("text", "json")
@all_namespaces_option
@cluster_options
@click.pass_obj
def command(session: Session, model: str | None, output: str) -> int:
    """Walk the hash chain of MODEL's records, or of all records.

    Exit codes: 0 every chain holds, 1 one does not. Attempts that no record tells of are named, and whether retention may
    have taken their records; by that alone no chain breaks. The hash that is printed for a record is that of its last segment:
    the operator's log has the same in its line "segment recorded", so that a record that was forged as a whole shows.
    """
    records = run(read_records(session, model))
    entries = [entry_of(record) for record in records]
    interrupted = set(cut_short(entries))
    breaks = [broken for parts in attempts_of(records) for broken in breaks_in(parts, interrupted)]
    absent = list(absences(entries))
    if output == "json":
        ends = [
            {"record": one["metadata"]["name"], "segments": len(segments_of(one)), "hash": end_of_chain(one)}
            for one in records
        ]
        found = [{"record": one.record, "segment": one.seq, "message": one.message} for one in breaks]
        print_json({"holds": not breaks, "records": ends, "breaks": found, "absent": [_absent(one) for one in absent]})
    else:
        for record in records:
            click.echo(
                f"{record['metadata']['name']}: {len(segments_of(record))} segments, hash {end_of_chain(record)}"
            )
        for name in sorted(interrupted):
            click.echo(f"{name}: retention has taken the parts before it, and takes the rest when it runs again")
        for one in absent:
            click.echo(one.message, err=not one.by_retention)
        for broken in breaks:
            click.echo(_sentence(broken), err=True)
        if not breaks:
            click.echo(f"{len(records)} records, every chain holds")
    return Exit.NO if breaks else Exit.YES


def _absent(one: Absence) -> Mapping[str, Any]:
    namespace, name = one.place
    numbers = {"firstAttempt": one.first, "lastAttempt": one.last}
    return {"namespace": namespace, "rollout": name, **numbers, "byRetention": one.by_retention, "message": one.message}


def _sentence(broken: Break) -> str:
    where = f"segment {broken.seq}" if broken.seq is not None else "spec"
    return f"{broken.record}, {where}: {broken.message}"
