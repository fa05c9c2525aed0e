"""What is remembered between passes, and when the metrics are looked at next."""

from dataclasses import replace
from datetime import timedelta

from modelrollout.engine.memory import Memory, Notes, next_look

from tests.core.builders import NOW, new, passing, running

MINUTE = timedelta(minutes=1)


def looked(ago: timedelta) -> Notes:
    return Notes(looked_at=NOW - ago)


class TestNextLook:
    def test_nothing_is_looked_at_before_an_attempt(self):
        assert next_look(new(), Notes(), NOW) is None

    def test_nothing_is_looked_at_before_the_shares_are_applied(self):
        assert next_look(running("canary", 0, applied=None), Notes(), NOW) is None

    def test_the_first_look_is_at_once(self):
        assert next_look(running("canary", 0), Notes(), NOW) == NOW

    def test_looks_are_an_interval_apart(self):
        rollout = running("canary", 0, applied=MINUTE)

        assert next_look(rollout, looked(timedelta(seconds=10)), NOW) == NOW + timedelta(seconds=20)

    def test_the_end_of_the_minimum_time_is_looked_at_at_once(self):
        rollout = running("canary", 0, applied=timedelta(minutes=9, seconds=55))

        assert next_look(rollout, looked(timedelta(seconds=10)), NOW) == NOW + timedelta(seconds=5)

    def test_after_the_minimum_looks_are_an_interval_apart_again(self):
        rollout = running("canary", 0, applied=timedelta(minutes=11))

        assert next_look(rollout, looked(timedelta(seconds=10)), NOW) == NOW + timedelta(seconds=20)

    def test_two_looks_are_never_closer_than_a_second(self):
        rollout = running("canary", 0, applied=timedelta(minutes=10))

        assert next_look(rollout, looked(timedelta(milliseconds=1)), NOW) >= NOW + timedelta(milliseconds=999)


class TestNotes:
    def test_verdicts_of_the_same_step_are_remembered(self):
        memory, rollout = Memory(), running("canary", 0)
        memory.of(rollout).gates = (passing(),)

        assert memory.of(rollout).gates == (passing(),)

    def test_verdicts_of_an_earlier_step_are_void(self):
        memory = Memory()
        memory.of(running("canary", 0)).gates = (passing(),)

        notes = memory.of(running("canary", 1))

        assert (notes.gates, notes.looked_at) == ((), None)

    def test_verdicts_of_another_rollout_are_not_mixed_in(self):
        memory, rollout = Memory(), running("canary", 0)
        memory.of(rollout).gates = (passing(),)

        assert memory.of(replace(rollout, uid="u2")).gates == ()

    def test_failures_count_until_a_pass_succeeds(self):
        memory = Memory()

        assert [memory.failed("u1") for _ in range(3)] == [1, 2, 3]
        memory.succeeded("u1")
        assert memory.failed("u1") == 1

    def test_what_is_dropped_is_forgotten(self):
        memory = Memory()
        memory.failed("u1")
        memory.drop("u1")
        memory.drop("u1")
        memory.interrupt("u1")

        assert memory.failed("u1") == 1
