"""Has several stories run at once, each on an actor of its own, and notes what gets stuck."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from local.soak.actor import Actor
from local.soak.stage import Stage
from local.soak.stories import STORIES, Story, Until

TICK = 1.0
"""Seconds between two looks at all rollouts."""
_LONGEST_PAUSE = 5.0


@dataclass
class _Scene:
    """One actor and the story that it is in."""

    actor: Actor
    begins_at: float
    story: Story | None = None
    run: Iterator[Until] | None = None
    until: Until | None = None
    limit: float = 0.0


@dataclass
class Told:
    """What has happened so far."""

    stories: Counter[str] = field(default_factory=Counter)
    stuck: list[str] = field(default_factory=list)
    asked: int = 0
    unanswered: list[str] = field(default_factory=list)


class Director:
    """Stories one after the other on each of `actors`, in an order that `seed` sets."""

    def __init__(self, stage: Stage, actors: Sequence[Actor], seed: int) -> None:
        self._stage = stage
        self._random = random.Random(seed)
        now = time.monotonic()
        self._scenes = [_Scene(actor, now + self._pause()) for actor in actors]
        self._order: list[Story] = []
        self._is_over = False
        self.told = Told()

    def tick(self) -> None:
        """Look at everything once, and let every story go on that can."""
        rollouts, leaves = self._stage.look()
        for scene in self._scenes:
            scene.actor.look(rollouts.get(scene.actor.name), leaves.get(scene.actor.name))
            self._go_on(scene, time.monotonic())

    def let_end(self) -> None:
        """Begin no further story."""
        self._is_over = True

    @property
    def is_at_rest(self) -> bool:
        """Whether no story is under way."""
        return all(scene.run is None for scene in self._scenes)

    def _go_on(self, scene: _Scene, now: float) -> None:
        if scene.run is None:
            if now >= scene.begins_at and not self._is_over:
                self._begin(scene)
            return
        if scene.until and not scene.until.is_so():
            if now > scene.limit:
                self._give_up(scene, scene.until)
            return
        self._next(scene, scene.run)

    def _begin(self, scene: _Scene) -> None:
        if scene.actor.rollout is not None or scene.actor.leaf is not None:
            return  # The last one is not quite gone yet.
        if not self._order:
            self._order = self._random.sample(STORIES, len(STORIES))
        scene.story = self._order.pop()
        scene.run = scene.story(scene.actor)
        self._next(scene, scene.run)

    def _next(self, scene: _Scene, run: Iterator[Until]) -> None:
        scene.until = next(run, None)
        if scene.until:
            scene.limit = time.monotonic() + scene.until.within
        else:
            self.told.stories[_name(scene)] += 1
            self._end(scene)

    def _give_up(self, scene: _Scene, until: Until) -> None:
        said = json.dumps(scene.actor.status.get("conditions", []))
        self.told.stuck.append(
            f"{scene.actor.name}, {_name(scene)}: not {until.what} within {until.within:.0f} s; phase"
            f" {scene.actor.phase}, conditions {said}"
        )
        self._end(scene)

    def _end(self, scene: _Scene) -> None:
        actor = scene.actor
        self.told.asked += len(actor.asked)
        lost = [asked for asked in actor.asked if asked.reason not in actor.answered]
        self.told.unanswered += [f"{actor.name}: {asked.command} ({asked.reason})" for asked in lost]
        actor.asked.clear()
        actor.answered.clear()
        actor.clear()
        scene.run = scene.until = None
        scene.begins_at = time.monotonic() + self._pause()

    def _pause(self) -> float:
        return self._random.uniform(0, _LONGEST_PAUSE)


def _name(scene: _Scene) -> str:
    return scene.story.__name__ if scene.story else "?"
