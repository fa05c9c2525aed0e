"""What people asked for, as a record tells of it. Pure."""

from collections.abc import Sequence
from datetime import datetime

from modelrollout.api.fields import parse_time, render_time
from modelrollout.api.record import RecordedCommand
from modelrollout.api.status import ApprovalStatus, Command, HandledCommand
from modelrollout.core.actors import Actor, actor_of
from modelrollout.core.rollout import Rollout


def name_of(asked: HandledCommand) -> str:
    """Return who asked, as far as is known."""
    return asked.requested_by or asked.manager or "somebody"


def told_of(asked: HandledCommand) -> RecordedCommand:
    """Return a message that was acted on as a record tells of it."""
    return RecordedCommand(
        command=asked.command,
        actor=name_of(asked)[:256],
        verified=asked.verified,
        reason=asked.reason[:256] if asked.reason else None,
        at=stored(asked.handled_at),
        result=asked.result[:256],
    )


def not_told(
    handled: Sequence[HandledCommand],
    since: datetime,
    told: Sequence[RecordedCommand],
    early: Sequence[ApprovalStatus] = (),
) -> list[RecordedCommand]:
    """Return what people asked for since then, but for what was told of already.

    `early` are approvals that count whenever they were given.
    """
    counted = {(Command.APPROVE, one.requested_by[:256], stored(one.at)) for one in early}
    # What was asked for in the very pass that wrote the segment before is not in it: that pass decided afterwards.
    return [
        one
        for one in map(told_of, handled)
        if one not in told and (one.at >= since or (one.command, one.actor, one.at) in counted)
    ]


def stored(moment: datetime) -> datetime:
    """Return a time as it is read again."""
    return parse_time(render_time(moment))


def editor_of(rollout: Rollout, bound_since: datetime | None) -> Actor:
    """Return who edited spec last: where no annotation says so, what the client called itself."""
    return actor_of(rollout.editor, rollout.edit_hand, bound_since)


def asked_by(handled: Sequence[HandledCommand], commands: tuple[str, ...]) -> HandledCommand | None:
    """Return the latest answer to one of these commands, `None` where there is none."""
    return next((one for one in reversed(handled) if one.command in commands), None)
