"""Where the demo shows itself: a live view on a terminal, plain lines anywhere else."""

import sys
import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from local.demo.picture import Picture, Told, clock, key_of, line_of
from local.demo.view import dashboard

_FRAME_SECONDS = 0.25
_QUIET_SECONDS = 4.5  # and one look more makes five at most
_WIDTH = 110
"""Of tables where there is no terminal that could tell its own."""


class Screen(Protocol):
    """What acts write to."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def title(self, text: str) -> None:
        """Begin a part."""
        ...

    def say(self, text: str) -> None:
        """Print a sentence that stays."""
        ...

    def command(self, text: str, output: str = "") -> None:
        """Print what a person types, and what it answers."""
        ...

    def yaml(self, text: str) -> None:
        """Print a manifest or a part of one."""
        ...

    def print(self, thing: RenderableType) -> None:
        """Print something that stays."""
        ...

    def tell(self, told: Told, elapsed: float) -> None:
        """Take note of an event."""
        ...

    def show(self, picture: Picture) -> None:
        """Show where things are now, if it is time to."""
        ...


def open_screen() -> Screen:
    """Return a live view if standard output is a terminal that can show one, else plain lines."""
    # Signs that the terminal's encoding does not have become question marks, not the end of the demo.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    if sys.stdout.isatty():
        console = Console(highlight=False)
        if not console.is_dumb_terminal:
            return LiveScreen(console)
    return PlainScreen()


class _Printing:
    """What both have in common."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def title(self, text: str) -> None:
        self._console.print()
        self._console.print(Rule(Text(text, style="bold"), align="left", style="blue"))

    def say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def command(self, text: str, output: str = "") -> None:
        self._console.print(Text(f"$ {text}", style="bold cyan"), soft_wrap=True)
        if output.strip():
            self._console.print(Text(output.strip("\n")), soft_wrap=True)

    def print(self, thing: RenderableType) -> None:
        self._console.print(thing)


class LiveScreen(_Printing):
    """A view that is drawn again and again below what has been said. No thread: it is drawn when something is shown."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def yaml(self, text: str) -> None:
        """Print YAML in colours."""
        self._console.print(Syntax(text.rstrip("\n"), "yaml", theme="ansi_dark", background_color="default"))

    def tell(self, told: Told, elapsed: float) -> None:
        """Events are part of the view."""

    def show(self, picture: Picture) -> None:
        """Draw the view, a few times a second at most."""
        if time.monotonic() - self._drawn < _FRAME_SECONDS:
            return
        self._drawn = time.monotonic()
        self._live.update(dashboard(picture), refresh=True)


class PlainScreen(_Printing):
    """Lines without control codes: one on every change, and one every few seconds at least."""

    def __init__(self) -> None:
        super().__init__(Console(force_terminal=False, color_system=None, highlight=False, width=_WIDTH))
        self._key: object = None
        self._said = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def yaml(self, text: str) -> None:
        """Print YAML as it is."""
        self.say(text.rstrip("\n"))

    def tell(self, told: Told, elapsed: float) -> None:
        """Print the event."""
        self.say(f"{clock(elapsed)}  {'Warning' if told.is_warning else 'Event':<10}  {told.reason}: {told.note}")

    def show(self, picture: Picture) -> None:
        """Print a line if something has changed, or nothing has been printed for a while."""
        key, now = key_of(picture), time.monotonic()
        if key == self._key and now - self._said < _QUIET_SECONDS:
            return
        self._key, self._said = key, now
        self.say(line_of(picture))
