"""What every command is told alike: which cluster, which namespace."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

CALL_LIMIT = timedelta(seconds=30)
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass
class Session:
    """The options that kubectl has, too. `namespace` is `None` where the context's own counts."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None
    all_namespaces: bool = False
    call_limit: timedelta = CALL_LIMIT


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return what a command's coroutine returns."""
    return asyncio.run(work)


def cluster_options(command: F) -> F:
    """Add --kubeconfig, --context, -n, which may stand before or after the command's name."""
    options = [
        click.option(
            "--kubeconfig",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File to use instead of $KUBECONFIG and ~/.kube/config.",
            **_noted(),
        ),
        click.option("--context", help="Context of the kubeconfig to use instead of its current one.", **_noted()),
        click.option("-n", "--namespace", help="Namespace to use instead of the context's own.", **_noted()),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def all_namespaces_option(command: F) -> F:
    """Add -A."""
    return click.option("-A", "--all-namespaces", is_flag=True, default=None, help="Of all namespaces.", **_noted())(
        command
    )


def with_kubectl(*lines: str) -> str:
    """Return the end of a help text: the same done by plain kubectl."""
    return "\n".join(("\b", "The same with kubectl:", *(f"  {line}" for line in lines)))


def _noted() -> dict[str, Any]:
    """Return what makes an option fill the field of its name in the session."""

    def note(context: click.Context, parameter: click.Parameter, value: object) -> None:
        if value is not None and parameter.name:
            setattr(context.ensure_object(Session), parameter.name, value)

    return {"expose_value": False, "callback": note}
