"""`get`: all rollouts as lines, or one of them in full."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from modelrollout.api.crd import GROUP, KIND, PLURAL, VERSION
from modelrollout.cli.output import output_option, print_json, print_table, print_yaml
from modelrollout.cli.rollouts import Object, rollouts_of
from modelrollout.cli.session import Session, all_namespaces_option, cluster_options, run, with_kubectl
from modelrollout.cli.words import PHASE_STYLES, age, printable, progress, why

USUAL = ("NAME", "PHASE", "SERVING", "CANDIDATE", "STAGE", "WEIGHT", "GATES", "FOR", "AGE", "WHY")
WIDE = (*USUAL[:-1], "RISK", "OWNER", "ROUTE", "WHY")


@click.command(epilog=with_kubectl("kubectl get mr", "kubectl get mr NAME -o yaml"))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@output_option("table", "wide", "json", "yaml", "name")
@all_namespaces_option
@cluster_options
@click.pass_obj
def command(session: Session, names: tuple[str, ...], output: str) -> None:
    """List rollouts, or show those named.

    FOR is how long the present step has lasted, or how long ago the attempt ended. WHY is what it waits for, or why
    it ended; -o wide prints the whole sentence.
    """
    if names and session.all_namespaces:
        raise click.UsageError("a name is of one namespace: leave out -A, or give -n")
    found = run(_read(session, names))
    match output:
        case "json" | "yaml":
            printed = found[0] if len(names) == 1 else {"apiVersion": "v1", "kind": "List", "items": found}
            (print_json if output == "json" else print_yaml)(printed)
        case "name":
            for one in found:
                click.echo(f"{KIND.lower()}.{GROUP}/{one['metadata']['name']}")
        case _:
            _print(session, found, is_wide=output == "wide")


async def _read(session: Session, names: tuple[str, ...]) -> list[Object]:
    async with rollouts_of(session) as rollouts:
        found = [await rollouts.get(name) for name in names] if names else (await rollouts.list())[0]
    return [_as_kubectl_has_it(one) for one in found]


def _as_kubectl_has_it(rollout: Object) -> Object:
    """Return the object with what items of a list lack, and without what nobody wants to read."""
    metadata = {key: value for key, value in rollout["metadata"].items() if key != "managedFields"}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, **rollout, "metadata": metadata}


def _print(session: Session, found: list[Object], *, is_wide: bool) -> None:
    if not found:
        where = "any namespace" if session.all_namespaces else f"namespace {session.namespace or 'of this context'}"
        click.echo(f"No {PLURAL} in {where}: `kubectl modelrollout get -A` looks into all.", err=True)
        return
    now = datetime.now(UTC)
    header = WIDE if is_wide else USUAL
    rows = [row_of(printable(one), now, is_wide=is_wide) for one in found]
    if session.all_namespaces:
        header = ("NAMESPACE", *header)
        rows = [(one["metadata"]["namespace"], *row) for one, row in zip(found, rows, strict=True)]
    print_table(header, rows, PHASE_STYLES, is_cut=not is_wide)


def row_of(rollout: Mapping[str, Any], now: datetime, *, is_wide: bool) -> tuple[str, ...]:
    """Return the cells of one rollout. Nothing is taken for granted: status may be empty or odd."""
    spec, status, metadata = rollout.get("spec") or {}, rollout.get("status") or {}, rollout["metadata"]
    route = status.get("route") or {}
    usual = (
        metadata["name"],
        str(status.get("phase") or "-"),
        str((status.get("serving") or {}).get("version") or "-"),
        str((spec.get("candidate") or {}).get("version") or "-"),
        progress(rollout),
        str(status.get("weight") or "-"),
        str(status.get("gates") or "-"),
        age(_since(status), now),
        age(metadata.get("creationTimestamp"), now),
    )
    wide = (
        str(spec.get("risk") or "medium"),
        str((spec.get("owner") or {}).get("team") or "-"),
        f"{route['kind']}/{route['name']}" if route else "-",
    )
    return (*usual, *(wide if is_wide else ()), why(status))


def _since(status: Mapping[str, Any]) -> object:
    attempt = status.get("attempt") or {}
    return attempt.get("endedAt") or attempt.get("appliedAt") or attempt.get("stepStartedAt")
