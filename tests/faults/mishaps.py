"""What goes wrong in a proxy."""

from collections.abc import Callable

from tests.faults.proxy import Answer, Call, Cut, Fault


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
