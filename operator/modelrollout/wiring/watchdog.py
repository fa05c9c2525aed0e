"""What makes the process worth a restart: a pass without end, or a watch that has ended while everything else goes on."""

import asyncio
from collections.abc import Callable

PROBE_EVERY = 0.25
STUCK_AFTER = 120.0
"""Every call has a time limit; the slowest pass, against a server that answers nothing, takes half of this."""
_WATCHER = "watcher for "


class Watchdog:
    """Answers `/healthz`. `longest_pass` returns seconds."""

    def __init__(self, longest_pass: Callable[[], float]) -> None:
        self._longest_pass = longest_pass
        self._watchers: set[str] = set()

    def problem(self) -> str | None:
        """Return why the process should be started anew, `None` if it is well."""
        if (seconds := self._longest_pass()) > STUCK_AFTER:
            return f"a pass has been under way for {seconds:.0f} s"
        # kopf keeps a task for each watch and goes on without those that end. It names them so; should it once not,
        # none is missed.
        alive = {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(_WATCHER)}
        self._watchers |= alive
        if ended := sorted(self._watchers - alive):
            return f"the {ended[0]} has ended"
        return None


async def measure_lag(note: Callable[[float], None]) -> None:
    """Tell `note`, until cancelled, how many seconds later than asked the event loop came back."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PROBE_EVERY
        await asyncio.sleep(PROBE_EVERY)
        note(max(0.0, loop.time() - due))
