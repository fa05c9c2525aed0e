"""`compare`: two records side by side, or two versions of one model by their latest records."""

from collections.abc import Mapping
from typing import Any

import click

from modelrollout.api.record import Evidence
from modelrollout.cli.exits import Problem
from modelrollout.cli.output import output_option, print_json, print_table
from modelrollout.cli.records import accounts_of, read_records, time_text
from modelrollout.cli.session import Session, cluster_options, run, with_kubectl
from modelrollout.cli.words import span
from modelrollout.core.history import Account, in_order


@click.command(epilog=with_kubectl("kubectl get mrr A B -o yaml"))
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@output_option("table", "json")
@cluster_options
@click.pass_obj
def command(session: Session, first: str, second: str, output: str) -> None:
    """Set two attempts side by side: A and B are names of records, or versions that were candidates.

    Of several attempts of one version the latest counts.
    """
    accounts = in_order(accounts_of(run(read_records(session, None))))
    facts = [_facts(_find(accounts, name)) for name in (first, second)]
    if output == "json":
        print_json({"a": facts[0], "b": facts[1]})
        return
    names = list(dict.fromkeys([*facts[0], *facts[1]]))
    rows = [
        (
            "" if facts[0].get(name) == facts[1].get(name) else "*",
            name,
            str(facts[0].get(name, "-")),
            str(facts[1].get(name, "-")),
        )
        for name in names
    ]
    print_table(("", "WHAT", "A", "B"), rows)


def _find(accounts: list[Account], name: str) -> Account:
    found = [one for one in accounts if name in {one.name, one.spec.candidate.version} and one.spec.part == 1]
    if not found:
        raise Problem(f"{name} is neither a record nor a version that was a candidate: `kubectl get mrr` lists them")
    return found[-1]


def _facts(account: Account) -> Mapping[str, Any]:
    spec, segments = account.spec, account.status.segments
    artifact = spec.candidate.artifact.render() if spec.candidate.artifact else {}
    ended = account.status.ended_at
    facts: dict[str, Any] = {
        "record": account.name,
        "rollout": spec.rollout.name,
        "candidate": spec.candidate.version,
        "digest": spec.candidate.digest,
        **artifact,
        "baseline": spec.baseline.version if spec.baseline else "-",
        "plan": spec.plan.digest if spec.plan else "-",
        "decided": time_text(spec.decided_at),
        "outcome": account.status.outcome.value if account.status.outcome else "under way",
        "took": span(ended - spec.decided_at) if ended else "-",
        "steps": sum(1 for one in segments if one.intent_at),
        "external changes": sum(1 for one in segments if one.cause == "External"),
        "why it ended": next((one.message or one.cause.value for one in reversed(segments) if one.outcome), "-"),
    }
    last = next((one for one in reversed(segments) if one.gates), None)
    return facts | {f"gate {gate.name}": _gate_text(gate) for gate in (last.gates if last else ())}


def _gate_text(gate: Evidence) -> str:
    numbers = f" {gate.value}" if gate.value else ""
    return f"{gate.verdict.value}{numbers}" + (f" of {gate.samples}" if gate.samples is not None else "")
