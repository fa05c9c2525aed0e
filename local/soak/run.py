"""A soak from its first rollout to its verdict."""

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from local.bench.meters import describe_machine
from local.soak.actor import Actor
from local.soak.director import TICK, Director
from local.soak.manifest import standing
from local.soak.samples import Sample
from local.soak.stage import Stage
from local.soak.verdict import Finding, Report, growth, work

SAMPLE_EVERY, SAY_EVERY = 10.0, 30.0
NOTICED_WITHIN = 5.0
"""Seconds in which a change must be acted on at the end; the next complete list is minutes away."""
FORGOTTEN_WITHIN = 260.0
"""Seconds in which deleted rollouts must be forgotten: a watch says so at once, the next complete list at the latest."""


@dataclass(frozen=True)
class Extent:
    """How long, with how many rollouts that come and go and that stay, and how often connections are cut."""

    seconds: float
    rollouts: int
    standing: int
    cut_every: float
    rss_tolerance: float
    seed: int


def soak(stage: Stage, extent: Extent) -> Report:
    """Return what was found.

    Raises:
        ProcessFailed: a part ended by itself.
    """
    report = Report(describe_machine(), extent.seconds / 60)
    guests = [Actor(stage.api, f"q{number:02}", stage.set_bad) for number in range(extent.rollouts)]
    residents = [Actor(stage.api, f"s{number:02}", stage.set_bad) for number in range(extent.standing)]
    for actor in (*guests, *residents):
        actor.set_up()
    for actor in residents:
        actor.create(standing(actor.name))
    director = Director(stage, guests, extent.seed)
    _Soak(stage, extent, director, report).run()
    report.findings += growth(report.samples, extent.rss_tolerance)
    report.findings += work(report.samples[0], report.samples[-1], stage.tracebacks())
    report.findings += [_told(director)]
    report.findings += [_noticed(stage, actor) for actor in residents[:3]]
    report.findings += _emptied(stage, [*guests, *residents])
    return report


class _Soak:
    """The time in which rollouts come and go."""

    def __init__(self, stage: Stage, extent: Extent, director: Director, report: Report) -> None:
        self._stage = stage
        self._extent = extent
        self._director = director
        self._report = report
        self._cuts = 0

    def run(self) -> None:
        picks = random.Random(self._extent.seed)
        began = time.monotonic()
        end = began + self._extent.seconds
        cut_at, sample_at, say_at = began + self._extent.cut_every, began, began
        while not (self._director.is_at_rest and time.monotonic() > end):
            now = time.monotonic()
            if now > end:
                self._director.let_end()
            elif now > cut_at:
                self._stage.cut()
                self._cuts += 1
                cut_at = now + self._extent.cut_every * picks.uniform(0.5, 1.5)
            self._director.tick()
            if now >= sample_at:
                self._stage.check()
                self._report.samples.append(self._stage.sample())
                sample_at = now + SAMPLE_EVERY
            if now >= say_at:
                self._say(now - began)
                say_at = now + SAY_EVERY
            time.sleep(max(0.0, now + TICK - time.monotonic()))

    def _say(self, seconds: float) -> None:
        told, sample = self._director.told, self._report.samples[-1]
        print(
            f"{seconds / 60:5.1f} of {self._extent.seconds / 60:g} min: {told.stories.total()} stories,"
            f" {len(told.stuck)} stuck, {self._cuts} cuts; {describe(sample)}",
            file=sys.stderr,
            flush=True,
        )


def describe(sample: Sample) -> str:
    """Return a sample on one line."""
    return (
        f"RSS {sample.rss_mib:.1f} MiB, passes {sum(sample.passes.values())}, rollouts {sample.rollouts}, queue"
        f" {sample.queue_depth} late {sample.lateness_seconds:.2f} s, API requests {sample.api_calls}, tasks"
        f" {sample.tasks}, threads {sample.threads}, descriptors {sample.descriptors}"
    )


def _told(director: Director) -> Finding:
    told = director.told
    text = f"{told.stories.total()} ended, {len(told.stuck)} stuck; {told.asked} commands, {len(told.unanswered)} unanswered"
    troubles = [*told.stuck, *told.unanswered][:5]
    return Finding("stories", not troubles and told.stories.total() > 0, "\n     ".join([text, *troubles]))


def _noticed(stage: Stage, actor: Actor) -> Finding:
    """Return whether a change of each kind that is watched is acted on within seconds."""
    _look(stage, actor)
    asked = actor.ask("hold")
    took = [_seconds_until(stage, actor, lambda: asked.reason in actor.answered)]
    actor.ask("resume")
    actor.edit_leaf(30)
    took.append(_seconds_until(stage, actor, lambda: actor.is_held_for("RouteChanged")))
    actor.set_ready("v2", is_ready=False)
    took.append(_seconds_until(stage, actor, lambda: actor.is_held_for("CandidateNotReady")))
    names = ("a command", "a foreign route", "lost endpoints")
    text = ", ".join(f"{name} after {seconds:.1f} s" for name, seconds in zip(names, took, strict=True))
    return Finding("watches are alive", max(took) <= NOTICED_WITHIN, f"{actor.name}: {text}")


def _emptied(stage: Stage, actors: list[Actor]) -> list[Finding]:
    """Return whether nothing is left when everything is deleted."""
    for actor in actors:
        actor.clear()
    began = time.monotonic()
    last = stage.sample()
    while (last.rollouts or last.queue_depth) and time.monotonic() < began + FORGOTTEN_WITHIN:
        time.sleep(0.2)
        last = stage.sample()
    took = time.monotonic() - began
    return [
        Finding("rollouts forgotten", last.rollouts == 0, f"{last.rollouts} left {took:.1f} s after the last deletion"),
        Finding("queue empty", last.queue_depth == 0, f"{last.queue_depth} due; {describe(last)}"),
    ]


def _look(stage: Stage, actor: Actor) -> None:
    rollouts, leaves = stage.look()
    actor.look(rollouts.get(actor.name), leaves.get(actor.name))


def _seconds_until(stage: Stage, actor: Actor, is_so: Callable[[], bool]) -> float:
    """Return the seconds until it was so; after three times the time allowed it is given up."""
    began = time.monotonic()
    while time.monotonic() < began + 3 * NOTICED_WITHIN:
        _look(stage, actor)
        if is_so():
            break
        time.sleep(0.1)
    return time.monotonic() - began
