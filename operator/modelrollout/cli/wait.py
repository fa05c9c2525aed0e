"""`wait`: for pipelines, until a rollout has come to an end."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from modelrollout.api.fields import parse_time, render_duration
from modelrollout.api.status import Phase
from modelrollout.cli.durations import DURATION
from modelrollout.cli.exits import Exit
from modelrollout.cli.follow import Lost, follow, present
from modelrollout.cli.output import output_option, print_json
from modelrollout.cli.rollouts import Object, Rollouts, rollouts_of
from modelrollout.cli.session import Session, cluster_options, run, with_kubectl
from modelrollout.cli.words import printable, progress, ready_condition

INVALID_PATIENCE = timedelta(seconds=30)
"""How long a rollout may be invalid: what it lacks, such as a Service, may come a moment after it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How it came out: an exit code, its word, and the sentence to it."""

    code: Exit
    outcome: str
    message: str


@click.command(epilog=with_kubectl("kubectl wait mr/NAME --for=condition=Ready --timeout=8h"))
@click.argument("name")
@click.option(
    "--timeout", type=DURATION, default="24h", show_default=True, help="How long to wait at most; then it ends with 3."
)
@click.option(
    "--held", type=DURATION, help="End with 2 when it has been held for so long without a break; 0s: at once."
)
@click.option("--candidate", help="Version that must be the candidate: it waits until the rollout asks for it.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on the way.")
@output_option("text", "json")
@cluster_options
@click.pass_obj
def command(
    session: Session,
    *,
    name: str,
    timeout: timedelta,
    held: timedelta | None,
    candidate: str | None,
    quiet: bool,
    output: str,
) -> None:
    """Wait until a rollout has promoted its candidate, or will not.

    Ends with 0 when it is promoted, 1 when it is rolled back, 2 when it has been held for longer than --held, 3 when the
    time is over, the rollout is gone, or it has been invalid for half a minute. Unlike `kubectl wait` it does not sit out
    its timeout after a rollback.

    It judges what the operator says of the manifest that is there now, so it may be called right after an apply.
    """
    ended = run(_wait(session, name, timeout=timeout, held=held, candidate=candidate, say=_nothing if quiet else _say))
    if output == "json":
        print_json({"rollout": name, "outcome": ended.outcome, "message": ended.message, "exitCode": int(ended.code)})
    else:
        click.echo(f"{name}: {ended.outcome}: {ended.message}")
    raise SystemExit(ended.code)


async def _wait(
    session: Session,
    name: str,
    *,
    timeout: timedelta,  # noqa: ASYNC109 - it ends with an exit code, not with an error
    held: timedelta | None,
    candidate: str | None,
    say: Callable[[str], None],
) -> Ended:
    async with rollouts_of(session) as rollouts:
        await rollouts.get(name)  # A sentence for a name that is not there.
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await _until_ended(rollouts, name, held, candidate, say)
        except TimeoutError:
            message = f"neither promoted nor rolled back within {render_duration(timeout)}"
            return Ended(Exit.UNKNOWN, "TimedOut", f"{message}; `kubectl modelrollout explain {name}` says why")


async def _until_ended(
    rollouts: Rollouts, name: str, held: timedelta | None, candidate: str | None, say: Callable[[str], None]
) -> Ended:
    last: Object | None = None
    said = ""
    async with aclosing(follow(rollouts, name)) as news:
        coming = asyncio.ensure_future(anext(news))
        try:
            while True:
                due = end_of_patience(last, held, candidate) if last else None
                left = max(0.0, (due[0] - datetime.now(UTC)).total_seconds()) if due else None
                done, _ = await asyncio.wait([coming], timeout=left)
                if due and not done:
                    return due[1]
                one = coming.result()
                coming = asyncio.ensure_future(anext(news))
                if isinstance(one, Lost):
                    say(one.sentence)
                    continue
                rollout = last = printable(present(one))
                if rollout is None:
                    return Ended(Exit.UNKNOWN, "Deleted", "the rollout was deleted")
                if ended := outcome_of(rollout, candidate):
                    return ended
                line = _line(rollout, candidate)
                if line != said:
                    say(line)
                said = line
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def outcome_of(rollout: Mapping[str, Any], candidate: str | None = None) -> Ended | None:
    """Return how a rollout has come out for its present spec, `None` while it has not.

    With `candidate`, for that version: another one in spec is not the answer yet.
    """
    if not _speaks_of_spec(rollout, candidate):
        return None
    status = rollout.get("status") or {}
    state, _, message = ready_condition(status)
    if state == "True":
        return Ended(Exit.YES, "Promoted", message)
    if status.get("phase") == Phase.ROLLED_BACK and _true(status, "Stalled"):
        return Ended(Exit.NO, "RolledBack", message)
    return None


def end_of_patience(
    rollout: Mapping[str, Any], held: timedelta | None, candidate: str | None = None
) -> tuple[datetime, Ended] | None:
    """Return when it will have stood still for too long, and how it has come out then; `None` while it goes on."""
    if not _speaks_of_spec(rollout, candidate):
        return None
    status = rollout.get("status") or {}
    _, reason, message = ready_condition(status)
    why = f"{reason}: {message}"
    if status.get("phase") == Phase.INVALID and (stalled := _true(status, "Stalled")):
        return _since(stalled) + INVALID_PATIENCE, Ended(Exit.UNKNOWN, "Invalid", why)
    if held is not None and (holds := _true(status, "Held") or _true(status, "Stalled")):
        return _since(holds) + held, Ended(Exit.OPEN, "Held", why)
    return None


def _true(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    return next(
        (one for one in status.get("conditions") or [] if one.get("type") == kind and one.get("status") == "True"), None
    )


def _since(condition: Mapping[str, Any]) -> datetime:
    try:
        return parse_time(condition.get("lastTransitionTime"))
    except ValueError:
        return datetime.now(UTC)


def _speaks_of_spec(rollout: Mapping[str, Any], candidate: str | None) -> bool:
    status, spec = rollout.get("status") or {}, rollout.get("spec") or {}
    wanted = (spec.get("candidate") or {}).get("version")
    if candidate is not None and wanted != candidate:
        return False
    return bool(status.get("observedGeneration") == rollout["metadata"].get("generation"))


def _line(rollout: Object, candidate: str | None) -> str:
    if not _speaks_of_spec(rollout, candidate):
        wanted = f"candidate {candidate}" if candidate else "the operator to look at the new manifest"
        return f"waiting for {wanted}"
    status = rollout.get("status") or {}
    _, reason, message = ready_condition(status)
    return (
        f"{status.get('phase') or 'Pending'}, {progress(rollout)}, {status.get('weight') or '-'}: {reason}: {message}"
    )


def _say(line: str) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {line}", err=True)


def _nothing(line: str) -> None:
    """Say nothing."""
