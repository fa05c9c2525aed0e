"""Hands each message to those who are to be told of it, once."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from modelrollout.core.notices import Notice, Told
from modelrollout.notify.config import AnyTarget, CloudEventsTarget
from modelrollout.notify.postbox import Postbox

MOST_KNOWN = 10_000
KNOWN_FOR = 3600.0
"""Seconds for which the same message is not told again: what fails at each try is told once an hour."""


class Announcer:
    """Implements the engine's port of this name: takes note at once, and tells in the background."""

    def __init__(self, postboxes: Sequence[Postbox]) -> None:
        self._postboxes = tuple(postboxes)
        self._known: OrderedDict[str, float] = OrderedDict()

    @property
    def postboxes(self) -> Mapping[str, Postbox]:
        """Where messages wait, by target."""
        return {postbox.name: postbox for postbox in self._postboxes}

    def announce(self, told: Told) -> None:
        """Take note of what is to be told: never waits, never raises."""
        if not self._postboxes or self._is_known(told.id):
            return
        for postbox in self._postboxes:
            if is_told(postbox.config, told):
                postbox.put(told)

    async def run(self) -> None:
        """Tell until cancelled: each target on its own, so that none waits for another."""
        async with asyncio.TaskGroup() as group:
            for postbox in self._postboxes:
                group.create_task(postbox.run())
            await asyncio.Event().wait()

    def _is_known(self, name: str) -> bool:
        now = asyncio.get_running_loop().time()
        while self._known and (now - next(iter(self._known.values())) >= KNOWN_FOR or len(self._known) >= MOST_KNOWN):
            self._known.popitem(last=False)
        if name in self._known:
            return True
        self._known[name] = now
        return False


def is_told(config: AnyTarget, told: Told) -> bool:
    """Whether this target is told of this."""
    team = told.owner.team if told.owner else None
    if config.namespaces and not any(fnmatchcase(told.namespace, one) for one in config.namespaces):
        return False
    if config.owners and team not in config.owners:
        return False
    if not isinstance(told, Notice):
        return isinstance(config, CloudEventsTarget) and config.segments
    if config.transitions and told.transition not in config.transitions:
        return False
    return told.level.rank >= config.severity.rank
