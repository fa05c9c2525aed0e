"""Messages to the operator: a person puts one into the inbox, and may wait to see it answered."""

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click

from modelrollout.api.fields import render_duration
from modelrollout.cli.durations import DURATION
from modelrollout.cli.exits import Exit, Problem
from modelrollout.cli.follow import Lost, follow, present
from modelrollout.cli.output import output_option, print_json
from modelrollout.cli.rollouts import Object, Rollouts, rollouts_of
from modelrollout.cli.session import Session, cluster_options, run, with_kubectl
from modelrollout.cli.words import printable
from modelrollout.engine.ports import Conflict

_NO = ("refused", "nothing to do", "ignored", "not advanced")
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """What is put into the inbox under one name, or, if it `is_one_of_many`, added to the messages of that name."""

    command: str
    message: dict[str, Any]
    is_done_when_answered: bool = True
    is_one_of_many: bool = False


def asking(command: str, *, help: str, is_done_when_answered: bool = True) -> click.Command:  # noqa: A002 - click's word
    """Return the click command that asks the operator for `command` of the inbox."""
    patch = f'{{"status":{{"control":{{"{command}":{{"reason":"WHY"}}}}}}}}'

    @click.command(
        command, help=help, epilog=with_kubectl(f"kubectl patch mr NAME --subresource=status --type=merge -p '{patch}'")
    )
    @asking_options
    def ask(session: Session, *, name: str, reason: str | None, wait: bool, timeout: timedelta, output: str) -> None:
        asked = Asked(command, message_of(reason), is_done_when_answered)
        run(send(session, name, asked, wait=timeout if wait else None, output=output))

    return ask


def asking_options(function: Any) -> Any:  # noqa: ANN401 - a decorator, typed as click's own are where it is used
    """Add the arguments of every command that asks: NAME, --reason, --wait, --timeout, and where the cluster is."""
    decorators = (
        click.argument("name"),
        click.option("-r", "--reason", help="Why; shown in status, events and logs."),
        click.option("--wait", is_flag=True, help="Wait for the operator's answer, and end with its exit code."),
        click.option(
            "--timeout", type=DURATION, default="1m", show_default=True, help="How long to wait at most, with --wait."
        ),
        output_option("text", "json"),
        cluster_options,
        click.pass_obj,
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


async def send(session: Session, name: str, asked: Asked, *, wait: timedelta | None, output: str) -> None:
    """Put the message into the inbox; with `wait`, return when it is answered.

    Raises:
        Problem: the operator said no, or nothing in time.
    """
    async with rollouts_of(session) as rollouts:
        message = dict(asked.message)
        # Admission policies demand the name of who really asks; an operator without them takes our word.
        if who := await rollouts.own_name():
            message["requestedBy"] = who
        stored = await _put(rollouts, name, asked, message)
        if wait is None:
            _tell(output, {"rollout": name, "command": asked.command, "answered": False}, _next_step(name, asked))
            return
        if output == "text":
            click.echo(f"{asked.command} of {name} is asked for; waiting for the operator", err=True)
        try:
            async with asyncio.timeout(wait.total_seconds()):
                result = await _answer(rollouts, name, asked, stored, who)
        except TimeoutError:
            raise Problem(
                f"the operator has not answered within {render_duration(wait)}: the message waits in status.control."
                " Does the operator run? (kubectl get pods -A -l app.kubernetes.io/name=modelrollout)"
            ) from None
    _tell(output, {"rollout": name, "command": asked.command, "answered": True, "result": result}, f"{name}: {result}")
    if result.startswith(_NO):
        raise SystemExit(Exit.NO)


def message_of(reason: str | None) -> dict[str, Any]:
    """Return a message with its reason, if there is one."""
    return {"reason": reason} if reason else {}


async def _put(rollouts: Rollouts, name: str, asked: Asked, message: dict[str, Any]) -> Object:
    """Put the message into the inbox; return the rollout as it is then."""
    if not asked.is_one_of_many:
        return await rollouts.patch_status(name, {"control": {asked.command: message}})
    # A merge replaces lists: what others have asked for meanwhile must not get lost, so this one is guarded.
    for _ in range(_TRIES):
        found = await rollouts.get(name)
        waiting = ((found.get("status") or {}).get("control") or {}).get(asked.command) or []
        guard = found["metadata"]["resourceVersion"]
        with suppress(Conflict):
            return await rollouts.patch_status(name, {"control": {asked.command: [*waiting, message]}}, guard=guard)
    raise Problem(f"{name} is being changed all the time: repeat the command")


def _next_step(name: str, asked: Asked) -> str:
    return (
        f"{asked.command} of {name} is asked for. What came of it: kubectl modelrollout get {name}, or --wait next time"
    )


async def _answer(rollouts: Rollouts, name: str, asked: Asked, stored: Object, who: str | None) -> str:
    """Return the operator's sentence about the message that `stored` has in its inbox."""
    before = (stored.get("status") or {}).get("commands") or []
    result = ""
    async with aclosing(follow(rollouts, name)) as news:
        async for one in news:
            if isinstance(one, Lost):
                click.echo(one.sentence, err=True)
                continue
            rollout = printable(present(one))
            if rollout is None:
                raise Problem(f"{name} was deleted meanwhile")
            status = rollout.get("status") or {}
            result = result or _filed(status, asked, before, who)
            if result and (asked.is_done_when_answered or result.startswith(_NO)):
                return result
            if result and (status.get("attempt") or {}).get("outcome"):
                serving = (status.get("serving") or {}).get("version", "?")
                return f"rolled back: {serving} has all the traffic"
    raise AssertionError("a follower does not end")


def _filed(status: Object, asked: Asked, before: list[Object], who: str | None) -> str:
    """Return what came of a message, empty while it is unanswered."""
    if asked.command in (status.get("control") or {}) and not asked.is_one_of_many:
        return ""
    new = [
        one
        for one in status.get("commands") or []
        if one not in before
        and one.get("command") == asked.command
        and (who is None or not asked.is_one_of_many or one.get("requestedBy") == who[:128])
    ]
    return str(new[-1].get("result", "done")) if new else ""


def _tell(output: str, facts: dict[str, Any], sentence: str) -> None:
    if output == "json":
        print_json(facts)
    else:
        click.echo(sentence)
