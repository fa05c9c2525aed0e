"""Exit codes, the same for every command."""

from enum import IntEnum

import click


class Exit(IntEnum):
    """What a command's end says to a pipeline."""

    YES = 0
    """It is so, or it was done."""

    NO = 1
    """It is not so: rolled back, refused, cannot work."""

    OPEN = 2
    """Neither yet: it is held, or a gate does not know."""

    UNKNOWN = 3
    """It could not be found out: no cluster, no right, no such rollout, the time is over."""

    USAGE = 64
    """The command line itself is wrong."""


class Problem(click.ClickException):
    """What the user is told, in a sentence with its remedy, before the command ends."""

    def __init__(self, message: str, code: Exit = Exit.UNKNOWN) -> None:
        super().__init__(message)
        self.code = code
