"""The three acts: what people do, what is waited for, and what each act should show."""

import time
from collections.abc import Callable
from datetime import timedelta

from local.demo.manifest import manifest, track
from local.demo.measure import StepMeasured
from local.demo.outcome import Figure, Outcome, expect_no_errors, expect_shares
from local.demo.sight import Sight
from local.demo.stage import Stage
from local.demo.watch import NotSo

_GATES = {"GateFailed", "Catastrophe"}
_PATIENCE = timedelta(seconds=90)
_CALM = timedelta(seconds=4)
"""How long clients are watched after traffic should be back; people read meanwhile."""
_DRAIN = timedelta(seconds=6)
"""A slow version answers what it has already taken for so long."""
_CAUGHT_SECONDS = 20.0
_BACK_SECONDS = 5.0

Act = Callable[[Stage, Outcome], None]


def promote_v2(stage: Stage, outcome: Outcome) -> None:
    """v2 goes shadow, canary, full, and serves."""
    watch, before = stage.watch, stage.watch.snapshot()
    stage.screen.say("v1 serves all users. v2 should: the team writes what it wants, once, and applies it.")
    stage.apply(manifest("v2"), outcome.title)
    watch.until("the operator makes TraefikService fraud", lambda s: s.has_route, _PATIENCE)
    stage.point_to_leaf()
    stage.screen.say("From now on the team's HTTPRoute points to TraefikService fraud, which the operator keeps.")
    sight = _until_over(stage, "v2", after=0)
    promoted = watch.snapshot()
    watch.linger(_CALM)

    steps = _steps(stage, sight)
    planned = [(mark.stage, mark.step) for mark in track(stage.manifest)]
    outcome.expect(
        "v2 went through every step of the plan, in order, and serves",
        is_met=sight.phase == "Promoted" and sight.serving == "v2" and [(s.stage, s.step) for s in steps] == planned,
        found=f"{sight.phase}; {', '.join(f'{s.stage} {s.wanted.candidate:g}%' for s in steps)}",
    )
    expect_shares(outcome, steps)
    after = watch.snapshot().since(promoted)
    outcome.expect(
        "from then on v2 answered every user",
        is_met=set(after.versions) == {"v2"},
        found=f"{after.versions['v2']} of {after.answers.total()} answers",
    )
    outcome.users = watch.snapshot().since(before)
    expect_no_errors(outcome, outcome.users)
    outcome.steps = steps
    stage.kubectl("get", "mr")
    if sight.serving != "v2":
        raise NotSo(f"v2 does not serve, so there is nothing to play the other acts on: {sight.why}")


def catch_v3(stage: Stage, outcome: Outcome) -> None:
    """v3 is stopped by its gates: in shadow, where no user notices, and again in canary, where a few do.

    Two scenes, as each is convincing where the other is not: a shadow spares the users, so there is nothing for them
    to measure; only without one can they tell how long a bad version reached them.
    """
    before = stage.watch.snapshot()
    sight = _catch_in_shadow(stage, outcome)
    _catch_in_canary(stage, outcome, sight.number)
    outcome.users = stage.watch.snapshot().since(before)


def _catch_in_shadow(stage: Stage, outcome: Outcome) -> Sight:
    watch, before = stage.watch, stage.watch.snapshot()
    stage.screen.say("v3 looked as good as v2 in its evaluation. Its feature scaling was forgotten when it was packed.")
    stage.apply(manifest("v3"), f"{outcome.title} in shadow")
    sight = _until_over(stage, "v3", after=0)
    watch.linger(_CALM)

    users = watch.snapshot().since(before)
    outcome.expect(
        "a gate stopped v3 in shadow", is_met=_is_stopped_in(sight, "shadow"), found=f"{sight.cause}: {sight.why}"
    )
    outcome.expect(
        "no user got an answer of v3", is_met=users.versions["v3"] == 0, found=f"{users.versions['v3']} answers"
    )
    expect_no_errors(outcome, users)
    outcome.steps += _steps(stage, sight)
    if sight.applied_at and sight.rolled_back_at:
        took = sight.rolled_back_at - sight.applied_at
        outcome.figures.append(Figure("from the first copies for v3 to the decision against it", f"{took:.1f} s"))
    stage.screen.say(f"Stopped in shadow: {sight.why}. Users noticed nothing.")
    return sight


def _catch_in_canary(stage: Stage, outcome: Outcome, number: int) -> None:
    watch, before = stage.watch, stage.watch.snapshot()
    stage.screen.say(
        "And without a shadow stage? The team takes it out. A rolled-back version has to be asked for again."
    )
    stage.apply(manifest("v3", has_shadow=False), f"{outcome.title} in canary")
    stage.ask({"retry": {"reason": "without a shadow"}}, on_call=False)
    sight = _until_over(stage, "v3", after=number)
    stage.screen.say(f"Stopped in canary: {sight.why}. What v3 has taken already, it still answers, slowly.")
    watch.linger(_DRAIN)

    seen = watch.snapshot()
    users = seen.since(before)
    reached = "v3" in seen.first_sent
    seconds = seen.last_sent["v3"] - seen.first_sent["v3"] if reached else 0.0
    outcome.expect(
        "a gate stopped v3 in canary", is_met=_is_stopped_in(sight, "canary"), found=f"{sight.cause}: {sight.why}"
    )
    outcome.expect(
        f"v3 reached users for less than {_CAUGHT_SECONDS:.0f} s",
        is_met=reached and seconds < _CAUGHT_SECONDS,
        found=f"{seconds:.1f} s from the first request that v3 got to the last one" if reached else "it never did",
    )
    bad = sum(count for (status, version), count in users.answers.items() if version == "v3" and status >= 400)
    outcome.expect(
        "the errors that users saw were v3's, and v2 served all others",
        is_met=users.errors == bad and set(users.versions) <= {"v2", "v3"},
        found=f"{users.errors} errors, {bad} of them v3's, in {users.answers.total()} answers",
    )
    outcome.steps += _steps(stage, sight)
    outcome.figures.append(Figure("from v3's first request by a user to weight 0 at the clients", f"{seconds:.1f} s"))
    outcome.figures.append(Figure("errors that users saw of v3 in canary", f"{users.errors}"))


def roll_back_v4(stage: Stage, outcome: Outcome) -> None:
    """v4 is well as far as gates can tell; a person brings traffic back while Prometheus is down."""
    watch, before = stage.watch, stage.watch.snapshot()
    stage.screen.say("v4 is on its way, with the shadow stage back in the plan.")
    stage.apply(manifest("v4"), outcome.title)
    reached = watch.until("v4 has 50%", lambda s: s.is_at("canary", 1, "v4") or _is_over(s, "v4"), _PATIENCE)
    if reached.outcome:
        raise NotSo(f"v4 was rolled back before anybody asked for it: {reached.why}")
    watch.linger(_CALM)
    watch.remark = "Prometheus is stopped"
    stage.cluster.prometheus.stop()
    stage.screen.say("Prometheus is stopped: nobody knows any more whether v4 is well. No step forward, none back.")
    held = watch.until("the operator holds v4", lambda s: bool(s.held) or _is_over(s, "v4"), _PATIENCE)
    watch.linger(_CALM)
    stage.screen.say(
        "Somebody on call does. The on-call role may not change the rollout, only ask for what status offers:"
    )
    allowed = stage.kubectl("auth", "can-i", "patch", "modelrollouts", on_call=True, check=False)
    edited_at = time.time()
    stage.ask({"rollback": {"reason": "p99"}}, on_call=True)
    sight = _until_over(stage, "v4", after=0)
    watch.linger(_CALM)

    outcome.expect(
        "without Prometheus v4 was held at its share",
        is_met=bool(held.held) and not held.outcome and held.target is not None and held.target.candidate == 50,
        found=held.held or held.phase,
    )
    outcome.expect(
        "on call could not have changed the rollout's spec", is_met=allowed.strip() == "no", found=allowed.strip()
    )
    _judge_the_way_back(stage, outcome, sight, edited_at)
    outcome.steps = _steps(stage, sight)
    expect_shares(outcome, outcome.steps)
    outcome.users = watch.snapshot().since(before)
    expect_no_errors(outcome, outcome.users)
    stage.kubectl("get", "mr", on_call=True)
    stage.cluster.prometheus.start()
    watch.remark = ""


def _judge_the_way_back(stage: Stage, outcome: Outcome, sight: Sight, edited_at: float) -> None:
    seen = stage.watch.snapshot()
    sent = seen.last_sent.get("v4", edited_at) - edited_at
    answered = seen.last_answered.get("v4", edited_at) - edited_at
    outcome.expect(
        "the edit brought traffic back",
        is_met=sight.outcome == "RolledBack" and sight.cause == "Manual" and sight.serving == "v2",
        found=f"{sight.outcome} ({sight.cause}), {sight.serving} serves",
    )
    outcome.expect(
        f"v4's last answer came less than {_BACK_SECONDS:.0f} s after the edit",
        is_met=0 < answered < _BACK_SECONDS,
        found=f"{answered:.2f} s after the command was typed; the request had left after {sent:.2f} s",
    )
    outcome.figures.append(Figure("from the edit to weight 0 at the clients, without Prometheus", f"{answered:.2f} s"))


PROGRAMME: tuple[tuple[str, Act], ...] = (
    ("Act 1 of 3: v2 is promoted", promote_v2),
    ("Act 2 of 3: v3 is caught", catch_v3),
    ("Act 3 of 3: on call brings traffic back from v4", roll_back_v4),
)


def _until_over(stage: Stage, candidate: str, *, after: int) -> Sight:
    """Return where things stand when an attempt of `candidate` later than number `after` has ended, well or not."""
    sight = stage.watch.until(f"the attempt of {candidate} ends", lambda s: _is_over(s, candidate, after), _PATIENCE)
    stage.watch.recorder.close()
    return sight


def _is_over(sight: Sight, candidate: str, after: int = 0) -> bool:
    return sight.candidate == candidate and sight.number > after and bool(sight.outcome)


def _steps(stage: Stage, sight: Sight) -> list[StepMeasured]:
    return [step for step in stage.watch.recorder.steps if step.attempt == sight.number]


def _is_stopped_in(sight: Sight, name: str) -> bool:
    return (sight.outcome, sight.stage) == ("RolledBack", name) and sight.cause in _GATES
