"""All commands by name, each loaded when it is called for: `get` shall not wait for what `backtest` needs."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

from modelrollout import __version__
from modelrollout.cli.exits import Exit, Problem
from modelrollout.cli.session import Session, cluster_options

COMPLETE_VARIABLE = "_MODELROLLOUT_COMPLETE"
_INTERRUPTED = 130
_BROKEN_PIPE = 141


class Lazy(NamedTuple):
    """A module that holds a click command named `command`, and what it does in one line."""

    module: str
    summary: str


COMMANDS = {
    "get": Lazy("modelrollout.cli.get", "List rollouts, or show one."),
    "watch": Lazy("modelrollout.cli.watch", "Watch rollouts live."),
    "explain": Lazy("modelrollout.cli.explain", "Explain where a rollout stands, and the verdicts of its gates."),
    "wait": Lazy("modelrollout.cli.wait", "Wait until a rollout is promoted or rolled back."),
    "rollback": Lazy("modelrollout.cli.rollback", "Give the baseline all traffic back, at once."),
    "hold": Lazy("modelrollout.cli.hold", "Keep the present shares until resume."),
    "resume": Lazy("modelrollout.cli.resume", "Go on after a hold."),
    "advance": Lazy("modelrollout.cli.advance", "End the waiting of the present step."),
    "approve": Lazy("modelrollout.cli.approve", "Approve a stage."),
    "retry": Lazy("modelrollout.cli.retry", "Try a candidate again that was rolled back."),
    "lint": Lazy("modelrollout.cli.lint", "Check manifests offline."),
    "plan": Lazy(
        "modelrollout.cli.plan", "Tell how long a manifest's steps will take, and whether its gates can pass."
    ),
    "backtest": Lazy("modelrollout.cli.backtest", "Replay a rollout's gates over the past."),
    "who-served": Lazy("modelrollout.cli.served", "Say which versions served at a time."),
    "history": Lazy("modelrollout.cli.history", "List what a model's versions had, span by span."),
    "compare": Lazy("modelrollout.cli.compare", "Set two attempts side by side."),
    "verify": Lazy("modelrollout.cli.verify", "Check that no record was changed."),
    "report": Lazy("modelrollout.cli.report", "Account for the rollouts of a time: Markdown, one HTML page, or JSON."),
    "completion": Lazy("modelrollout.cli.completion", "Print a script that completes commands in your shell."),
}
"""A new command is a module and a row here."""


class Commands(click.Group):
    """The commands of `COMMANDS`; every end of theirs is an exit code of `Exit`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """Return the names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command, its module imported."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name].module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands without importing them."""
        found = [
            CompletionItem(name, help=one.summary) for name, one in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def main(  # type: ignore[override]  # always standalone: there is nobody else to tell
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run, and end the process."""
        extra |= {"standalone_mode": False, "complete_var": COMPLETE_VARIABLE}
        try:
            code = super().main(args, prog_name, **extra)
            sys.stdout.flush()
        except click.UsageError as error:
            error.show()
            code = Exit.USAGE
        except click.ClickException as error:
            error.show()
            code = error.code if isinstance(error, Problem) else Exit.UNKNOWN
        except (click.Abort, KeyboardInterrupt):
            code = _INTERRUPTED
        except BrokenPipeError:
            sys.stderr.close()  # Python would complain there once more, on its way out.
            code = _BROKEN_PIPE
        sys.exit(int(code or 0))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="modelrollout %(version)s")
@cluster_options
@click.pass_context
def modelrollout(context: click.Context) -> None:
    """Put new versions of models into production, see why a rollout stands where it stands, and take it back.

    As `kubectl modelrollout` and as `modelrollout` it is the same. It uses your kubeconfig and has no rights but yours.

    Exit codes: 0 yes or done, 1 no (rolled back, refused), 2 not decided (held), 3 could not be found out, 64 wrong usage.
    """
    context.ensure_object(Session)
