"""What the largest rollout costs, counted in calls rather than seconds: bounded, and a small multiple of what it has more."""

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from modelrollout.core.case import Case
from modelrollout.core.decide import decide
from modelrollout.core.evidence import Answer, Counted
from modelrollout.core.looking import judge_all, questions
from modelrollout.core.rollout import Rollout, parse_rollout
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import BASELINE_ONLY

from local.hostile import manifests
from local.hostile.texts import Size
from tests.core.builders import LIMITS, NOW, routed, spec, world

META = {"name": "fraud", "namespace": "models", "uid": "u1", "generation": 1, "resourceVersion": "7"}
STEPS = 20
GATES = 40
Count = Callable[[Callable[[], Any]], tuple[int, Any]]
BIG = 10**14


def plain() -> dict[str, Any]:
    canary = {"name": "canary", "canary": {"weights": list(range(1, STEPS + 1))}, "minDuration": "1m"}
    return spec(stages=[canary, {"name": "full", "full": {}}], analysis={"warmup": "0s", "ingestDelay": "0s"})


def largest() -> dict[str, Any]:
    """Return the plain one with everything that may be more: gates, stages, texts, lineage."""
    made = manifests.spec(0, Size.LARGEST)
    gates = [{"name": f"g{n}", "errorRate": {"max": "99%", "maxIncrease": "9999%"}} for n in range(GATES // 2)]
    canary = {"name": "canary", "canary": {"weights": list(range(1, STEPS + 1))}, "minDuration": "1m"}
    others = [
        {"name": f"s{n}", "canary": {"weights": [30 + n]}, "gates": [{**g, "name": f"s{g['name']}"} for g in gates]}
        for n in range(18)
    ]
    stage_gates = [{**gate, "name": f"s{gate['name']}"} for gate in gates]
    stages = [{**canary, "gates": stage_gates}, *others, {"name": "full", "full": {}, "gates": stage_gates}]
    return {
        **made,
        "paused": False,
        "stages": stages,
        "gates": gates,
        "analysis": {"warmup": "0s", "ingestDelay": "0s"},
    }


def calls_of(act: Callable[[], Any]) -> tuple[int, Any]:
    """Return how many calls of Python functions it took, and what it returned."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        del frame, argument
        count += event == "call"

    sys.setprofile(note)
    try:
        found = act()
    finally:
        sys.setprofile(None)
    return count, found


class Life:
    """A rollout whose gates pass at each look, so that each pass is one step on."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.rollout = parse_rollout({"metadata": META, "spec": body})
        self.now = NOW
        self.shares = BASELINE_ONLY
        self.judging = self.deciding = 0

    def go_on(self, after: timedelta = timedelta(minutes=10), count: Count = lambda act: (0, act())) -> Rollout:
        """Let a pass happen, and note what it took."""
        self.now += after
        asked = questions(self.rollout, "TraefikService", "fraud", self.now)
        counted = Counted(Counts(BIG, BIG // 1000), Counts(BIG, BIG // 1000))
        answers: dict[str, Answer] = dict.fromkeys(asked, counted)
        self.judging, gates = count(lambda: tuple(judge_all(self.rollout, answers, self.now)))
        seen = world(self.rollout, route=routed(self.rollout, self.shares), gates=gates, looked=bool(asked))
        self.deciding, decision = count(lambda: decide(Case(self.rollout, seen, self.now, LIMITS)))
        if decision.write and decision.write.shares:
            self.shares = decision.write.shares
        self.status = decision.status.render()
        self.rollout = parse_rollout({"metadata": META, "status": self.status}, self.rollout)
        assert not self.rollout.ignored
        return self.rollout

    def at_step(self, step: int) -> "Life":
        """Return it after a look in this step of its canary."""
        for _ in range(5 * step + 10):
            attempt = self.go_on().status.attempt
            if attempt and (attempt.stage, attempt.step) == ("canary", step) and attempt.applied_at:
                # All its gates are judged; it is too early for the next step.
                self.go_on(timedelta(seconds=30), calls_of)
                return self
        raise AssertionError(f"never at step {step}: {self.status}")


@pytest.fixture(scope="module")
def lives() -> tuple[Life, Life]:
    return Life(plain()).at_step(STEPS - 1), Life(largest()).at_step(STEPS - 1)


def test_judging_costs_no_more_a_limit_than_one_gate_does(lives):
    small, large = lives

    # Two limits each for the one of the plain rollout, which is plainly kept: that is known without an integral.
    assert 0 < large.judging <= 3 * GATES * small.judging


def test_deciding_costs_little_more_than_in_the_plain_one(lives):
    small, large = lives

    assert large.deciding <= 5 * small.deciding


def test_reading_costs_what_there_is_to_read():
    bodies = [{"metadata": META, "spec": body} for body in (plain(), largest())]
    (few, _), (many, rollout) = (calls_of(lambda body=body: parse_rollout(body)) for body in bodies)
    plan, _ = calls_of(lambda: rollout.plan(has_baseline=True))

    assert many <= 420 * few
    assert plan <= 30 * 420


def test_status_of_the_largest_with_all_its_numbers_stays_far_below_what_etcd_takes(lives):
    _, large = lives
    size = len(json.dumps(large.status, ensure_ascii=False).encode())
    attempt = large.status["attempt"]

    assert len(attempt["gates"]) == GATES
    assert len(attempt["gates"][0]["earlier"]) >= STEPS - 2
    assert size < 200_000
