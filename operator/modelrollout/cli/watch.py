"""`watch`: rollouts as they go, live in a terminal, as lines elsewhere."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from modelrollout.cli.exits import Problem
from modelrollout.cli.follow import Changed, Listed, Lost, News, Removed, follow
from modelrollout.cli.pictures import overview, picture_of
from modelrollout.cli.rollouts import Rollouts, rollouts_of
from modelrollout.cli.session import Session, all_namespaces_option, cluster_options, run, with_kubectl
from modelrollout.cli.sights import Happening, Sight, Sights
from modelrollout.cli.words import why

SHORTEST_FRAME = 0.25
"""Seconds between two redraws at least, however much changes."""

LONGEST_FRAME = 1.0
"""Seconds after which ages are drawn anew though nothing has changed."""


@dataclass
class View:
    """What is known, and whether it has been drawn."""

    name: str | None
    is_everywhere: bool
    sights: Sights = field(default_factory=Sights)
    lost: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, news: News) -> list[Happening]:
        """Take news in; return what has happened."""
        self.changed.set()
        if isinstance(news, Lost):
            self.lost = news.sentence
            return []
        self.lost = ""
        match news:
            case Listed(objects):
                return self.sights.put_all(objects)
            case Changed(rollout):
                return self.sights.put(rollout)
            case Removed(rollout):
                return self.sights.drop(rollout)

    def draw(self, height: int) -> RenderableType:
        """Return the whole picture for a screen of that height."""
        now = datetime.now(UTC)
        top = Text(f"{now:%H:%M:%S} UTC", style="dim")
        if self.lost:
            top.append(f"  {self.lost}; trying again", "yellow")
        found = self.sights.by_urgency()
        if self.name:
            body: RenderableType = picture_of(found[0], self.sights.happened, now) if found else Text("it was deleted")
            return Group(top, body)
        recent = list(self.sights.happened)[-min(6, max(0, height // 4)) :]
        lines = [Text.assemble((f"{one.at:%H:%M:%S} ", "dim"), (one.name, "bold"), f" {one.text}") for one in recent]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        rows = max(1, height - len(lines) - 5)
        return Group(top, overview(found, now, rows=rows, is_wide=self.is_everywhere), Text(""), *lines)


@click.command(epilog=with_kubectl("kubectl get mr -w"))
@click.argument("name", required=False)
@all_namespaces_option
@cluster_options
@click.pass_obj
def command(session: Session, *, name: str | None) -> None:
    """Watch rollouts live: stages as a track, shares, each gate's way to its verdict, and what happens.

    A gate's bar grows from the middle: to the left, red, with the evidence against the candidate; to the right, green,
    with what it takes to pass. Without a terminal each change is a line. It takes one list and one watch of the API
    server, however many rollouts there are. Ctrl-C ends it.
    """
    if name and session.all_namespaces:
        raise click.UsageError("a name is of one namespace: leave out -A, or give -n")
    run(_watch(session, name))


async def _watch(session: Session, name: str | None) -> None:
    console = Console()
    async with rollouts_of(session) as rollouts:
        if name:
            await rollouts.get(name)  # A sentence for a name that is not there.
        view = View(name, session.all_namespaces)
        if console.is_terminal:
            await _draw(console, rollouts, view)
        else:
            await _print(rollouts, view)


async def _draw(console: Console, rollouts: Rollouts, view: View) -> None:
    with Live(console=console, screen=True, auto_refresh=False, transient=True) as live:
        taking = asyncio.ensure_future(_take(rollouts, view))
        try:
            while not taking.done():
                live.update(view.draw(console.height), refresh=True)
                await asyncio.sleep(SHORTEST_FRAME)
                changed = asyncio.ensure_future(view.changed.wait())
                await asyncio.wait({taking, changed}, timeout=LONGEST_FRAME, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                view.changed.clear()
            taking.result()
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)


async def _take(rollouts: Rollouts, view: View) -> None:
    async with aclosing(follow(rollouts, view.name)) as news:
        async for one in news:
            view.take(one)


async def _print(rollouts: Rollouts, view: View) -> None:
    """Print how things stand, then a line for all that happens."""
    has_begun = False
    async with aclosing(follow(rollouts, view.name)) as news:
        async for one in news:
            happened = view.take(one)
            if isinstance(one, Lost):
                click.echo(one.sentence, err=True)
            if not has_begun:
                has_begun = True
                for sight in view.sights.by_urgency():
                    click.echo(_standing(sight))
            for happening in happened:
                click.echo(f"{happening.at:%H:%M:%S} {happening.name}: {happening.text}")
            if view.name and not view.sights.by_key and not isinstance(one, Lost):
                raise Problem(f"{view.name} was deleted")


def _standing(sight: Sight) -> str:
    status = sight.parsed.status
    share = f", {status.weight}" if status.weight else ""
    return f"{datetime.now(UTC):%H:%M:%S} {sight.parsed.name}: {status.phase or 'new'}{share}: {why(sight.raw.get('status') or {})}"
