"""Incident reports, replayed: `pytest tests/core --update-stories` rewrites them, the diff is what gets reviewed.

A story is a title and lines of `time  what happened`; the indented lines are what the operator made of it.
"""

import random
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from modelrollout.api.status import Phase

from tests.core.builders import NOW
from tests.core.simulator import World, check, run_until

STORIES = sorted(Path(__file__).parent.joinpath("stories").glob("*.story"))
HAPPENING = re.compile(r"(\d\d):(\d\d):(\d\d)  (\S.*)")
CANDIDATE = {
    version: {"version": version, "service": {"name": f"fraud-{version}", "port": 8080}} for version in ("v2", "v3")
}

# What a story may say, and what it does to the world.
SENTENCES: dict[str, Callable[..., None]] = {
    r"(v\d) becomes the candidate": lambda world, version: world.apply(candidate=CANDIDATE[version]),
    r"(v\d) fails (\d+)% of its requests": lambda world, version, share: world.errors.update(
        {version: int(share) / 100}
    ),
    r"(v\d) works again": lambda world, version: world.errors.pop(version, None),
    r"Prometheus is down": lambda world: setattr(world, "has_metrics", False),
    r"Prometheus is back": lambda world: setattr(world, "has_metrics", True),
    r"the pods of (v\d) are gone": lambda world, version: world.gone.add(f"fraud-{version}"),
    r"the pods of (v\d) are back": lambda world, version: world.gone.discard(f"fraud-{version}"),
    r"(\S+) gives (v\d) (\d+)%": lambda world, who, version, share: world.set_weight(version, int(share), who),
    r"sam asks for (\w+): (.+)": lambda world, command, reason: world.ask(command, reason),
    r"sam writes phase: RollingBack": lambda world: world.write_phase(Phase.ROLLING_BACK),
    r"the story ends": lambda _: None,
}


def happenings(text: str) -> list[tuple[datetime, str]]:
    """Return what happens in a story, and when."""
    found = (HAPPENING.fullmatch(line) for line in text.splitlines())
    return [(NOW.replace(hour=int(m[1]), minute=int(m[2]), second=int(m[3])), m[4]) for m in found if m]


def happen(world: World, sentence: str) -> None:
    """Do to the world what the sentence says."""
    for pattern, act in SENTENCES.items():
        if found := re.fullmatch(pattern, sentence):
            act(world, *found.groups())
            return
    raise ValueError(f"no story knows what to do when {sentence!r}")


def replayed(lines: list[tuple[datetime, str]]) -> list[tuple[datetime, str]]:
    """Return what the operator did, as the lines of a story."""
    world = World(now=lines[0][0])
    told = []
    for time, sentence in lines:
        run_until(world, time)
        told += _indented(world)
        told.append((time, sentence))
        happen(world, sentence)
        world.settle()
        check(world)
        told += _indented(world)
    return told


def _indented(world: World) -> list[tuple[datetime, str]]:
    lines = [(time, f"    {sentence}") for time, sentence in world.told]
    world.told.clear()
    return lines


def rendered(text: str) -> str:
    """Return the story as it goes today, its introduction kept."""
    introduction = text.split("\n\n", 1)[0]
    lines = [f"{time:%H:%M:%S}  {sentence}" for time, sentence in replayed(happenings(text))]
    return "\n".join([introduction, "", *lines, ""])


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_the_story_goes_as_it_is_told(path, request):
    text = path.read_text(encoding="utf-8")
    today = rendered(text)

    if request.config.getoption("--update-stories", default=False):
        path.write_text(today, encoding="utf-8")
    else:
        assert today == text


@pytest.mark.parametrize("seed", range(1))
@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_in_any_order_the_invariants_hold(path, seed):
    lines = happenings(path.read_text(encoding="utf-8"))
    times, sentences = [time for time, _ in lines], [sentence for _, sentence in lines[1:]]
    random.Random(seed).shuffle(sentences)

    assert replayed(list(zip(times, [lines[0][1], *sentences], strict=True)))
