"""`lint`: what would be refused, without a cluster."""

import click

from modelrollout.cli.exits import Exit
from modelrollout.cli.linting import Finding, lint
from modelrollout.cli.manifests import files_option, read_manifests
from modelrollout.cli.output import output_option, print_json
from modelrollout.cli.session import with_kubectl


@click.command(epilog=with_kubectl("kubectl apply --dry-run=server -f FILE   (needs a cluster)"))
@files_option
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@output_option("text", "json")
def command(*, files: tuple[str, ...], strict: bool, output: str) -> None:
    """Check manifests offline: what the API server would refuse, and what the operator could not do.

    It evaluates the schema and the rules of the CRD that this version brings, the plan, and the syntax of queries. What
    depends on a cluster (Services, routes, metrics) is not looked at: `plan` does.

    Ends with 0 if all is well, 1 if something is refused.
    """
    manifests = read_manifests(files)
    findings = [finding for manifest in manifests for finding in lint(manifest)]
    errors = [one for one in findings if one.severity == "error" or strict]
    if output == "json":
        print_json([one._asdict() for one in findings])
    else:
        for one in findings:
            click.echo(_line(one))
        if not findings:
            names = ", ".join(one.name for one in manifests)
            click.echo(f"{names}: nothing to complain of")
    raise SystemExit(Exit.NO if errors else Exit.YES)


def _line(one: Finding) -> str:
    colour = "red" if one.severity == "error" else "yellow"
    return f"{one.file}: {one.name}: {click.style(one.severity, fg=colour)}: {one.field}: {one.message}"
