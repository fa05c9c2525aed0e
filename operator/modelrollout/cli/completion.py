"""`completion`: what a shell, or kubectl, needs to complete our commands."""

import sys
from collections.abc import Sequence
from itertools import takewhile

import click
from click.shell_completion import ShellComplete, get_completion_class

from modelrollout.cli.exits import Problem

NO_FILES = 4
"""kubectl's word for: these are all, do not offer names of files (cobra's ShellCompDirectiveNoFileComp)."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that completes the commands of `modelrollout` in your shell.

    For bash: source <(modelrollout completion bash), in ~/.bashrc to keep it. `kubectl modelrollout` needs none: kubectl
    finds kubectl_complete-modelrollout, which comes with the wheel, on the PATH.
    """
    from modelrollout.cli.commands import COMPLETE_VARIABLE  # noqa: PLC0415 - it names this module

    chosen = get_completion_class(shell)
    if chosen is None:
        raise Problem(f"this version of click knows no {shell}")
    click.echo(chosen(context.find_root().command, {}, "modelrollout", COMPLETE_VARIABLE).source())


def complete_for_kubectl(arguments: Sequence[str] | None = None) -> int:
    """Print what may stand in the place of the last argument, as kubectl asks its plugins; return the exit code."""
    from modelrollout.cli.commands import COMPLETE_VARIABLE, modelrollout  # noqa: PLC0415

    *before, incomplete = list(sys.argv[1:] if arguments is None else arguments) or [""]
    asked = ShellComplete(modelrollout, {}, "modelrollout", COMPLETE_VARIABLE)
    for item in takewhile(lambda item: item.type == "plain", asked.get_completions(before, incomplete)):
        click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    click.echo(f":{NO_FILES}")
    return 0
