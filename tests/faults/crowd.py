"""Many cases side by side: most of a case is waiting."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

WIDTH = 8
"""Cases at once; more of them would only make each late on two cores."""

Item = TypeVar("Item")


def failures_of(run: Callable[[Item], None], items: Iterable[Item], width: int = WIDTH) -> dict[Item, str]:
    """Run all; return what went wrong with those that failed."""

    def tried(item: Item) -> tuple[Item, str]:
        try:
            run(item)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported with its item
            return item, f"{type(error).__name__}: {error}"
        return item, ""

    with ThreadPoolExecutor(width) as threads:
        return {item: wrong for item, wrong in threads.map(tried, items) if wrong}


def told(failures: dict[Item, str], longest: int = 6000) -> str:
    """Return the failures as text, the first of them whole."""
    text = "\n\n".join(f"{item}: {wrong}" for item, wrong in failures.items())
    return f"{len(failures)} failed: {sorted(map(str, failures))}\n{text}"[:longest]
