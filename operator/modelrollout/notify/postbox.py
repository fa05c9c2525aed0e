"""What waits for one target: in order, bounded, tried again with back-off, and nothing waits for it."""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from modelrollout.core.notices import Level, Notice, Told
from modelrollout.notify.config import AnyTarget
from modelrollout.notify.senders import Failed, Sender

log = structlog.get_logger(__name__)

MOST_WAITING = 1000
MOST_TRIES = 20
SHORTEST_PAUSE, LONGEST_PAUSE, LONGEST_ASKED = 1.0, 60.0, 300.0
LAST_WORDS = 2.0
"""Seconds that what waits at the end is given."""
BREATH = 0.05
"""Seconds between two messages while there is more urgent work than can be done."""


class Fate(StrEnum):
    """What became of a message."""

    SENT = "sent"
    GAVE_UP = "gave_up"
    DROPPED = "dropped"


@dataclass(slots=True)
class _Letter:
    told: Told
    since: float
    tries: int = 0

    @property
    def rank(self) -> int:
        return self.told.level.rank if isinstance(self.told, Notice) else Level.INFO.rank


class Postbox:
    """Tells one target what it is given. Times are the event loop's, in seconds.

    `ended` is told of the fate of each message, `failed` of each try that fails. `is_busy` says whether there is more
    urgent work than can be done: then it goes slowly.
    """

    def __init__(
        self,
        name: str,
        config: AnyTarget,
        sender: Sender,
        *,
        clock: Callable[[], datetime],
        is_busy: Callable[[], bool],
        ended: Callable[[str, Fate], None],
        failed: Callable[[str], None],
    ) -> None:
        self.name = name
        self.config = config
        self._sender = sender
        self._clock = clock
        self._is_busy = is_busy
        self._ended = ended
        self._failed = failed
        self._waiting: deque[_Letter] = deque()
        self._at_hand: _Letter | None = None
        self._sending: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._failures = 0
        self.last_sent: datetime | None = None
        """When it was last told something."""

    @property
    def waiting(self) -> int:
        """How many messages have not been sent yet."""
        return len(self._waiting) + (self._at_hand is not None)

    @property
    def oldest(self) -> float:
        """How long the oldest of them has waited; 0 without any."""
        first = self._at_hand or (self._waiting[0] if self._waiting else None)
        return asyncio.get_running_loop().time() - first.since if first else 0.0

    def put(self, told: Told) -> None:
        """Take a message; where there is no room, the oldest of those that matter least is dropped."""
        letter = _Letter(told, asyncio.get_running_loop().time())
        if len(self._waiting) >= MOST_WAITING:
            least = min((*self._waiting, letter), key=lambda one: one.rank)
            self._end(least, Fate.DROPPED, f"{MOST_WAITING} others wait already")
            if least is letter:
                return
            self._waiting.remove(least)
        self._waiting.append(letter)
        self._news.set()

    async def run(self) -> None:
        """Send until cancelled; what waits then has two seconds to go out."""
        try:
            while True:
                await self._send_next()
        finally:
            await self._say_last_words()

    async def _send_next(self) -> None:
        while not self._waiting and self._at_hand is None:
            self._news.clear()
            await self._news.wait()
        if self._is_busy():
            await asyncio.sleep(BREATH)
        letter = self._take_next()
        pause = await self._try(letter)
        if pause:
            await asyncio.sleep(pause)

    async def _try(self, letter: _Letter) -> float:
        """Try once; return how many seconds to leave the target alone."""
        self._sending = asyncio.ensure_future(self._send(letter))
        try:
            # Not cut off at the end: nobody would know whether it was sent.
            await asyncio.shield(self._sending)
        except Failed as error:
            self._sending = None
            return self._after_failure(letter, error)
        self._sending, self._failures = None, 0
        self._end(letter, Fate.SENT)
        return 0.0

    async def _send(self, letter: _Letter) -> None:
        limit = self.config.timeout / timedelta(seconds=1)
        try:
            async with asyncio.timeout(limit):
                await self._sender.send(letter.told)
        except TimeoutError:
            raise Failed(f"it did not take the message within {limit:g}s") from None
        except Failed:
            raise
        except Exception as bug:  # noqa: BLE001 - whatever it is, it ends neither this target nor the operator
            # Its own text may hold the address.
            raise Failed(f"it cannot be told: {type(bug).__name__}, a bug of the operator", hopeless=True) from None

    def _after_failure(self, letter: _Letter, error: Failed) -> float:
        self._failed(self.name)
        letter.tries += 1
        if error.hopeless:
            self._end(letter, Fate.GAVE_UP, str(error))
            return 0.0
        self._failures += 1
        age = asyncio.get_running_loop().time() - letter.since
        if letter.tries >= MOST_TRIES or age >= self.config.give_up_after / timedelta(seconds=1):
            self._end(letter, Fate.GAVE_UP, str(error))
        elif self._failures == 1:
            log.warning("notification put off", target=self.name, id=letter.told.id, error=str(error))
        asked = error.retry_after / timedelta(seconds=1) if error.retry_after else 0.0
        return max(_pause(self._failures), min(asked, LONGEST_ASKED))

    def _end(self, letter: _Letter, fate: Fate, why: str = "") -> None:
        if letter is self._at_hand:
            self._at_hand = None
        self._ended(self.name, fate)
        if fate is Fate.SENT:
            self.last_sent = self._clock()
        if fate is not Fate.SENT:
            log.warning("notification not sent", target=self.name, id=letter.told.id, outcome=fate.value, error=why)

    async def _say_last_words(self) -> None:
        with contextlib.suppress(TimeoutError, Failed):
            async with asyncio.timeout(LAST_WORDS):
                if self._sending is not None:
                    await asyncio.wait({self._sending})
                    if self._at_hand and not self._sending.exception():
                        self._end(self._at_hand, Fate.SENT)
                while self.waiting and not self._failures:
                    letter = self._take_next()
                    await self._send(letter)
                    self._end(letter, Fate.SENT)
        if self._sending is not None:
            self._sending.cancel()
        while self.waiting:
            self._end(self._take_next(), Fate.GAVE_UP, "the operator ends")

    def _take_next(self) -> _Letter:
        self._at_hand = self._at_hand or self._waiting.popleft()
        return self._at_hand


def _pause(failures: int) -> float:
    """Return how long a target is left alone after so many failures in a row: longer each time, never all at once."""
    longest = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
