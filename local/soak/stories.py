"""What happens to rollouts, as generators: each acts, and yields what has to be so before it goes on."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from local.soak.actor import Actor, Asked
from local.soak.manifest import OTHER_GATES

PATIENCE = 90.0


class Until(NamedTuple):
    """What is waited for, and for how many seconds at most."""

    what: str
    is_so: Callable[[], bool]
    within: float = PATIENCE


Story = Callable[[Actor], Iterator[Until]]


def promote_twice(actor: Actor) -> Iterator[Until]:
    """A version goes all the way, and then the next one."""
    actor.create()
    yield _serves(actor, "v2")
    actor.apply(candidate="v3")
    yield _serves(actor, "v3")


def roll_back_and_retry(actor: Actor) -> Iterator[Until]:
    """On call rolls back in mid-canary; later the same version is tried again."""
    actor.create()
    yield _reaches(actor, "canary")
    yield _answered(actor, actor.ask("rollback"))
    yield Until("rolled back", lambda: actor.phase == "RolledBack" and actor.gives("v1") == 100)
    yield _answered(actor, actor.ask("retry"))
    yield _serves(actor, "v2")


def catch_a_bad_one(actor: Actor) -> Iterator[Until]:
    """A bad version is caught by its gate; the next one is good."""
    actor.set_bad("v2", bad=True)
    actor.create()
    yield Until("rolled back by its gate", lambda: actor.phase == "RolledBack")
    actor.set_bad("v2", bad=False)
    actor.apply(candidate="v3")
    yield _serves(actor, "v3")


def edit_and_hold(actor: Actor) -> Iterator[Until]:
    """Gates are edited in mid-canary; a person holds, and resumes."""
    actor.create()
    yield _reaches(actor, "canary")
    plan = actor.status["attempt"]["plan"]
    actor.apply(gates=OTHER_GATES)
    yield Until("on the changed plan", lambda: actor.status["attempt"]["plan"] != plan)
    yield _answered(actor, actor.ask("hold"))
    yield _answered(actor, actor.ask("resume"))
    yield _serves(actor, "v2")


def delete_and_create_again(actor: Actor) -> Iterator[Until]:
    """A rollout is deleted in mid-canary, and another of its name follows."""
    actor.create()
    yield _reaches(actor, "canary")
    actor.delete()
    yield Until("deleted", lambda: actor.rollout is None)
    actor.create()
    yield _serves(actor, "v2")


def roll_back_after_promotion(actor: Actor) -> Iterator[Until]:
    """The new version serves already when on call goes back."""
    actor.create()
    yield _serves(actor, "v2")
    yield _answered(actor, actor.ask("rollback"))
    yield Until("the baseline serves", lambda: actor.phase == "RolledBack" and actor.serving == "v1")


def lose_endpoints(actor: Actor) -> Iterator[Until]:
    """The candidate's pods fail their probes in mid-canary."""
    actor.create()
    yield _reaches(actor, "canary")
    actor.set_ready("v2", is_ready=False)
    yield Until("rolled back for want of endpoints", lambda: actor.phase == "RolledBack")


def change_the_route(actor: Actor) -> Iterator[Until]:
    """Somebody changes the weights by hand; the operator says who, and goes on when told to."""
    actor.create()
    yield _reaches(actor, "canary")
    actor.edit_leaf(30)
    yield Until("held for the foreign weights", lambda: actor.is_held_for("RouteChanged"))
    yield _answered(actor, actor.ask("resume"))
    yield _serves(actor, "v2")


def supersede(actor: Actor) -> Iterator[Until]:
    """A newer candidate comes in mid-canary."""
    actor.create()
    yield _reaches(actor, "canary")
    actor.apply(candidate="v3")
    yield _serves(actor, "v3")


STORIES: tuple[Story, ...] = (
    promote_twice,
    roll_back_and_retry,
    catch_a_bad_one,
    edit_and_hold,
    delete_and_create_again,
    roll_back_after_promotion,
    lose_endpoints,
    change_the_route,
    supersede,
)


def _serves(actor: Actor, version: str) -> Until:
    return Until(f"{version} serves", lambda: actor.phase == "Promoted" and actor.serving == version)


def _reaches(actor: Actor, stage: str) -> Until:
    return Until(f"in stage {stage}", lambda: actor.is_in(stage))


def _answered(actor: Actor, asked: Asked) -> Until:
    return Until(f"{asked.command} answered", lambda: asked.reason in actor.answered)
