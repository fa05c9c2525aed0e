"""What the demo measures and how it judges that, without running it."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from local.demo.measure import SETTLE_SECONDS, Recorder, StepMeasured
from local.demo.outcome import Outcome, expect_no_errors, expect_shares
from local.demo.sight import Shares, Sight, parse_sight
from local.demo.summary import is_good, verdict
from local.load import Snapshot

APPLIED = 1_000.0


def snapshot(at: float = 0.0, failures: int = 0, errors: int = 0, **answers: int) -> Snapshot:
    counts = Counter({(200, version): count for version, count in answers.items()}) + Counter({(503, "v3"): errors})
    return Snapshot(at, counts.total() + failures, counts, Counter(refused=failures), {}, {}, {})


def sight(stage: str = "canary", step: int = 0, candidate: float = 10, mirror: float = 0, **more) -> Sight:
    shares = Shares(candidate, mirror)
    known: dict[str, Any] = {"number": 1, "candidate": "v2", "applied_at": APPLIED, "target": shares} | more
    return Sight(stage=stage, step=step, **known)


def step(of_candidate: int, answers: int, wanted: float, copies: int | None = None, mirror: float = 0) -> StepMeasured:
    return StepMeasured(1, "v2", "canary", 0, Shares(wanted, mirror), 5.0, answers, answers, of_candidate, copies)


class TestSight:
    def test_a_rollout_without_status_is_pending(self):
        assert parse_sight({"spec": {}}) == Sight()

    def test_status_becomes_values(self):
        found = parse_sight(
            {
                "status": {
                    "phase": "Held",
                    "serving": {"version": "v1"},
                    "conditions": [{"type": "Held", "status": "True", "reason": "NoData", "message": "why"}],
                    "route": {},
                    "attempt": {
                        "number": 3,
                        "candidate": {"version": "v2"},
                        "stage": "canary",
                        "step": 1,
                        "appliedAt": "1970-01-01T00:16:40Z",
                        "target": {"candidate": "0.5", "mirror": 0},
                        "gates": [{"name": "errors", "verdict": "Pass", "reason": "BelowLimit", "message": "fine"}],
                    },
                }
            }
        )

        assert (found.phase, found.serving, found.held, found.has_route) == ("Held", "v1", "NoData: why", True)
        assert found.is_at("canary", 1, "v2")
        assert found.applied_at == APPLIED
        assert found.target == Shares(0.5, 0)
        assert [(gate.name, gate.verdict, gate.samples) for gate in found.gates] == [("errors", "Pass", None)]

    @pytest.mark.parametrize("over", [{"outcome": "RolledBack"}, {"cause": "Manual"}, {"applied_at": None}])
    def test_a_step_that_is_over_or_not_applied_is_not_steady(self, over):
        assert not sight(**over).is_at("canary", 0, "v2")


class TestRecorder:
    def test_a_step_is_measured_from_when_it_has_settled_to_the_last_look_at_it(self):
        recorder = Recorder()

        recorder.note(sight(), snapshot(APPLIED + SETTLE_SECONDS / 2, v1=50), None)
        recorder.note(sight(), snapshot(APPLIED + 1, v1=100, v2=5), None)
        recorder.note(sight(), snapshot(APPLIED + 9, v1=190, v2=15), None)
        recorder.note(sight(step=1, applied_at=None), snapshot(APPLIED + 10, v1=200, v2=30), None)

        (done,) = recorder.steps
        assert (done.stage, done.step, done.answers, done.of_candidate, done.seconds) == ("canary", 0, 100, 10, 8)
        assert done.share == pytest.approx(10)

    def test_copies_are_counted_between_the_same_two_looks(self):
        recorder, shadow = Recorder(), sight("shadow", candidate=0, mirror=100)

        recorder.note(shadow, snapshot(APPLIED + 1, v1=100), None)
        recorder.note(shadow, snapshot(APPLIED + 2, v1=200), 150)
        recorder.note(shadow, snapshot(APPLIED + 3, v1=300), 249)
        recorder.note(shadow, snapshot(APPLIED + 4, v1=400), None)
        recorder.close()

        (done,) = recorder.steps
        assert (done.sent, done.copies) == (100, 99)
        assert done.copied == pytest.approx(99)

    def test_the_same_step_of_a_later_attempt_is_another_one(self):
        recorder = Recorder()

        for number in (1, 2):
            recorder.note(sight(number=number), snapshot(APPLIED + 1, v1=10), None)
        recorder.close()

        assert [done.attempt for done in recorder.steps] == [1, 2]

    def test_nothing_is_measured_once_a_rollback_is_decided(self):
        recorder = Recorder()

        recorder.note(sight(), snapshot(APPLIED + 1, v1=10), None)
        recorder.note(sight(cause="GateFailed"), snapshot(APPLIED + 2, v1=500), None)
        recorder.close()

        assert [done.answers for done in recorder.steps] == [0]


class TestJudgement:
    @pytest.mark.parametrize(
        ("measured", "expected"),
        [
            pytest.param(step(100, 1000, 10), True, id="as wanted"),
            pytest.param(step(128, 1000, 10), True, id="within three standard deviations"),
            pytest.param(step(135, 1000, 10), False, id="beyond them"),
            pytest.param(step(0, 1000, 0), True, id="none where none is wanted"),
            pytest.param(step(1, 1000, 0), False, id="one where none is wanted"),
            pytest.param(step(0, 0, 10), False, id="nobody asked"),
        ],
    )
    def test_a_share_is_as_wanted_within_what_chance_allows(self, measured, expected):
        assert measured.is_as_wanted is expected

    @pytest.mark.parametrize(("copies", "expected"), [(1000, True), (800, True), (700, False), (None, False)])
    def test_a_shadow_needs_its_copies(self, copies, expected):
        outcome = Outcome("act")

        expect_shares(outcome, [step(0, 1000, 0, copies=copies, mirror=100)])

        assert [check.is_met for check in outcome.checks] == [expected]

    @pytest.mark.parametrize(
        ("users", "expected"),
        [
            pytest.param(snapshot(v1=10), True, id="all well"),
            pytest.param(snapshot(v1=10, errors=1), False, id="an error"),
            pytest.param(snapshot(v1=10, failures=1), False, id="no answer"),
            pytest.param(snapshot(), False, id="nobody asked"),
        ],
    )
    def test_users_saw_no_error_only_if_there_were_users(self, users, expected):
        outcome = Outcome("act")

        expect_no_errors(outcome, users)

        assert [check.is_met for check in outcome.checks] == [expected]

    def test_the_demo_is_good_only_if_every_act_was_played_and_is(self):
        good = Outcome("Act 1", users=snapshot(v1=1))
        good.expect("this", is_met=True)
        bad = Outcome("Act 2", users=snapshot(v1=1))
        bad.expect("that", is_met=False)
        unplayed = Outcome("Act 3")

        assert is_good([good])
        assert not is_good([good, bad])
        assert not is_good([good, unplayed])
        assert not is_good([])

    def test_the_last_sentence_names_the_acts_that_went_wrong(self):
        good = Outcome("Act 1", users=snapshot(v1=1))
        good.expect("this", is_met=True)
        told = verdict([good, Outcome("Act 2")], timedelta(seconds=90))

        assert told == "Not as it should be: Act 2 (after 90 s)."
