"""Keeps the garbage collector's pauses short, however many rollouts there are."""

import gc
import time
from typing import Any

LONGEST = 0.02
"""Seconds of a full collection after which what has survived it is exempt from the next one."""


class ShortCollections:
    """From `begin` on, what has survived a long collection is not looked through again.

    A rollout is some two thousand objects, so with a thousand of them each full collection would stop the loop for
    hundreds of milliseconds, now and then in the middle of a rollback. What survives one is long-lived, and is freed
    by its reference count all the same: only a ring of objects that was alive at that moment stays for good, and such
    moments get rare as what is exempt grows.
    """

    def __init__(self) -> None:
        self._began = 0.0

    def begin(self) -> None:
        """Exempt what there is now: imports leave most of all objects behind, for good."""
        gc.collect()
        gc.freeze()
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        elif info["generation"] == 2 and time.perf_counter() - self._began > LONGEST:
            gc.freeze()
