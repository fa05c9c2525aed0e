"""What goes wrong in a proxy."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from tests.faults.proxy import Answer, Call, Cut, Fault, refusal


class KillAt(Fault):
    """Kills the operator at its write of this number: before it is sent, with its reply lost, or after the reply."""

    MOMENTS = ("before", "reply lost", "after")

    def __init__(self, number: int, moment: str, kill: Callable[[], None]) -> None:
        self._number = number
        self._moment = moment
        self._kill = kill
        self.killed_at: Call | None = None

    async def before(self, call: Call) -> Answer | None:
        """Kill it before its write."""
        if self._is_it(call, "before"):
            self._strike(call)
            raise Cut
        return None

    async def sent(self, call: Call, answer: Answer) -> Answer | None:
        """Kill it before it hears of its write."""
        del answer
        if self._is_it(call, "reply lost"):
            self._strike(call)
            raise Cut
        return None

    async def answered(self, call: Call) -> None:
        """Kill it when it has heard of its write."""
        if self._is_it(call, "after"):
            self._strike(call)

    def _is_it(self, call: Call, moment: str) -> bool:
        return self.killed_at is None and call.write == self._number and self._moment == moment

    def _strike(self, call: Call) -> None:
        self.killed_at = call
        self._kill()


class Once(Fault):
    """Answers the first calls that match in its own way: `answer` makes the answer, may wait, or raise Cut."""

    def __init__(self, matches: Callable[[Call], bool], answer: Answer | None, *, times: int = 1) -> None:
        self._matches = matches
        self._answer = answer
        self._left = times
        self.met: list[Call] = []

    async def before(self, call: Call) -> Answer | None:
        """Answer, or cut where there is no answer."""
        if self._left <= 0 or not self._matches(call):
            return None
        self._left -= 1
        self.met.append(call)
        if self._answer is None:
            raise Cut
        return self._answer


class Kill(Fault):
    """Kills the operator at the first call that matches, before it is sent or with its reply lost."""

    def __init__(self, matches: Callable[[Call], bool], kill: Callable[[], None], *, is_sent: bool) -> None:
        self._matches = matches
        self._kill = kill
        self._is_sent = is_sent
        self.killed_at: Call | None = None

    async def before(self, call: Call) -> Answer | None:
        """Kill it before the call is sent."""
        self._strike(call, is_sent=False)
        return None

    async def sent(self, call: Call, answer: Answer) -> Answer | None:
        """Kill it before it hears of its answer."""
        del answer
        self._strike(call, is_sent=True)
        return None

    def _strike(self, call: Call, *, is_sent: bool) -> None:
        if self.killed_at is None and self._is_sent is is_sent and self._matches(call):
            self.killed_at = call
            self._kill()
            raise Cut


class LoseReplies(Fault):
    """Hands the first calls that match on, and breaks the connection in place of the answer."""

    def __init__(self, matches: Callable[[Call], bool], *, times: int = 1) -> None:
        self._matches = matches
        self._left = times
        self.met: list[Call] = []

    async def sent(self, call: Call, answer: Answer) -> Answer | None:
        """Break the connection."""
        del answer
        if self._left > 0 and self._matches(call):
            self._left -= 1
            self.met.append(call)
            raise Cut
        return None


class Slow(Fault):
    """Keeps the calls that match waiting before they are sent."""

    def __init__(self, matches: Callable[[Call], bool], *, seconds: float) -> None:
        self._matches = matches
        self._seconds = seconds
        self.met: list[Call] = []

    async def before(self, call: Call) -> Answer | None:
        """Wait."""
        if self._matches(call):
            self.met.append(call)
            await asyncio.sleep(self._seconds)
        return None


class Deaf(Fault):
    """Drops the events of watches that match."""

    def __init__(self, matches: Callable[[Call, dict[str, Any]], bool]) -> None:
        self._matches = matches
        self.dropped = 0

    async def event(self, call: Call, event: dict[str, Any]) -> bool:
        """Drop it, or not."""
        if self._matches(call, event):
            self.dropped += 1
            return False
        return True


class Storm(Fault):
    """Everything at random, from a seed, for some seconds: refusals, stalls, lost replies, broken bodies, deafness.

    Deaf it is to routes and rollouts alone: what it never hears of else, a sweep finds only after minutes.
    """

    def __init__(self, seed: int, seconds: float) -> None:
        self._random = random.Random(seed)
        self._end = time.monotonic() + seconds
        self.met: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        """Whether nothing goes wrong any more."""
        return time.monotonic() > self._end

    async def before(self, call: Call) -> Answer | None:
        """Refuse, stall or cut about one call of four."""
        if not self._happens("before", 0.25):
            return None
        status = self._random.choice((0, 0, 403, 409, 429, 500, 503, 504, -1))
        self.met[str(status)] += 1
        if status < 0:
            raise Cut
        if status == 0:
            await asyncio.sleep(self._random.uniform(0.1, 2.0))
            return None
        if status == HTTPStatus.CONFLICT and call.method == "GET":
            status = 500
        return refusal(status, "the storm", retry_after=1 if status == HTTPStatus.TOO_MANY_REQUESTS else None)

    async def sent(self, call: Call, answer: Answer) -> Answer | None:
        """Lose about one reply of ten."""
        del call, answer
        if self._happens("lost", 0.1):
            raise Cut
        return None

    async def broken(self, call: Call, answer: Answer) -> int | None:
        """Break off about one answer of twenty."""
        del call
        return len(answer.body) // 2 if self._happens("broken", 0.05) else None

    async def event(self, call: Call, event: dict[str, Any]) -> bool:
        """Drop about one event of six, and end a watch now and then."""
        del event
        if call.resource in {"modelrollouts", "traefikservices"} and self._happens("dropped", 0.15):
            return False
        if self._happens("ended", 0.03):
            raise Cut
        return True

    def _happens(self, what: str, chance: float) -> bool:
        if self.is_over or self._random.random() >= chance:
            return False
        self.met[what] += 1
        return True
