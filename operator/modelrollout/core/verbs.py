"""What a rule may say: the closed list of things that can happen to a rollout in one pass."""

from dataclasses import dataclass
from datetime import datetime

from modelrollout.api.status import Cause
from modelrollout.core.plan import Step


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is to be done: the candidate serves, or it was rolled back. `writes`: the route has to be mended."""

    reason: str
    message: str
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Stall:
    """Somebody has to mend something outside first; shares stay as they are."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Stay and wait for what nobody can promise; shares stay as they are. Look again at `until`, if given.

    `writes`: there is no route yet, and the baseline should have one while the candidate is waited for.
    """

    reason: str
    message: str
    until: datetime | None = None
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """All is well, it takes time. `writes`: the route has to be made as the target says."""

    reason: str
    message: str
    until: datetime | None = None
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Begin:
    """Start an attempt at the plan's first step."""


@dataclass(frozen=True, slots=True)
class Recognize:
    """The candidate has all the traffic already, on a route of ours: it serves."""


@dataclass(frozen=True, slots=True)
class Go:
    """Go to a step, or to the same one again with clock and evidence from the start."""

    step: Step
    cause: Cause
    message: str


@dataclass(frozen=True, slots=True)
class Promote:
    """The candidate is now the version that serves."""

    message: str


@dataclass(frozen=True, slots=True)
class RollBack:
    """Baseline 100, mirror off. `writes` is false while the baseline cannot serve."""

    cause: Cause
    message: str
    writes: bool = True


@dataclass(frozen=True, slots=True)
class Restore:
    """Go on with a rollback until the route is back."""

    message: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The rollback has reached the route."""


Verb = Rest | Stall | Hold | Wait | Begin | Recognize | Go | Promote | RollBack | Restore | Finish
