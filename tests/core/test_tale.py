"""What the records of attempts come to: ends, ways back, people, and what does not hold."""

from datetime import timedelta
from typing import Any

import pytest
from modelrollout.api.status import Outcome
from modelrollout.core.chain import hash_of
from modelrollout.core.rollout import parse_rollout
from modelrollout.core.summary import Period, Report, hands_of, report_of, totals_of
from modelrollout.core.tale import Tale

from tests.api.manifests import good
from tests.support.records import NOON, asked, promoted, record, rolled_back, segment, share, shares, version

HOUR = timedelta(hours=1)
MONTH = Period(NOON - timedelta(days=15), NOON + timedelta(days=15))


def report(*records: dict[str, Any], period: Period = MONTH) -> Report:
    return report_of(records, period)


def tale(*records: dict[str, Any]) -> Tale:
    (found,) = report(*records).tales
    return found


class TestTheWayBack:
    def test_takes_from_the_decision_until_the_candidate_was_seen_to_have_nothing(self):
        back = tale(rolled_back(took=2.4)).way_back

        assert back is not None
        assert back.took == timedelta(seconds=2.4)
        assert (back.cause, [one.name for one in back.gates]) == ("GateFailed", ["errors"])

    def test_of_an_attempt_that_was_promoted_first_is_told_with_both_ends(self):
        late = NOON + 30 * HOUR
        command = asked("rollback", "ana", late, reason="p99")
        back = segment(
            shares(0), late, cause="Manual", actor="ana", verified=True, outcome="RolledBack", commands=[command]
        )
        stored = promoted()
        whole = record(*({**one, "previous": ""} for one in stored["status"]["segments"]), back)

        found = tale(whole)

        assert [end.outcome for end in found.ends] == [Outcome.PROMOTED, Outcome.ROLLED_BACK]
        assert found.way_back is not None
        assert (found.way_back.actor, found.way_back.took) == ("ana", timedelta(seconds=1.2))

    def test_whose_decision_no_record_tells_of_has_no_time(self):
        found = tale(rolled_back(took=None))

        assert found.way_back is not None
        assert found.way_back.took is None
        assert totals_of([found], MONTH).back_unknown == 1

    def test_is_not_a_rehearsal(self):
        found = tale(
            record(
                segment([share("v1", 100), share("v2", 0, 100)], NOON, cause="Drill"),
                segment(shares(0), NOON + HOUR, cause="Rehearsed"),
                segment(shares(5), NOON + 2 * HOUR),
                segment(shares(0), NOON + 3 * HOUR, took=5, cause="Deadline", outcome="RolledBack"),
            )
        )

        assert found.way_back is not None
        assert (found.way_back.cause, found.way_back.took) == ("Deadline", timedelta(seconds=5))

    def test_that_somebody_else_went_by_hand_has_the_end_as_its_cause(self):
        found = tale(
            record(
                segment(shares(5), NOON),
                segment(shares(0), NOON + HOUR, took=None, cause="External", actor="kubectl-edit"),
                segment(shares(0), NOON + 2 * HOUR, cause="GateFailed", outcome="RolledBack"),
            )
        )

        assert found.way_back is not None
        assert (found.way_back.cause, found.way_back.took) == ("GateFailed", None)


class TestPeople:
    def test_approvals_holds_overrides_and_starts_are_acts_with_their_names(self):
        commands = [asked("approve", "ada", NOON), asked("hold", "eve", NOON + HOUR, verified=False)]
        override = segment(
            shares(50),
            NOON + 2 * HOUR,
            cause="GatesOverridden",
            actor="bo",
            verified=True,
            message="Prometheus is gone",
        )
        found = tale(
            record(
                segment(shares(5), NOON, commands=commands),
                override,
                trigger={"cause": "Retry", "actor": "cy", "verified": True, "reason": "fixed"},
            )
        )

        assert sorted((act.what, act.who, act.verified) for act in found.acts) == [
            ("approve", "ada", True),
            ("hold", "eve", False),
            ("override", "bo", True),
            ("start", "cy", True),
        ]
        totals = totals_of([found], MONTH)
        assert (totals.approvals, totals.holds, totals.overrides, totals.unverified) == (1, 1, 1, 1)

    def test_what_was_refused_is_no_approval(self):
        found = tale(promoted(commands=[asked("approve", "ada", NOON, result="refused: ada edited spec last")]))

        assert totals_of([found], MONTH).approvals == 0
        assert [hand.counts for hand in hands_of([found], MONTH)] == [{"approve": 1}]

    def test_one_name_with_and_without_a_voucher_is_two_hands(self):
        found = tale(promoted(commands=[asked("hold", "eve", NOON), asked("resume", "eve", NOON, verified=False)]))

        assert [(hand.who, hand.verified) for hand in hands_of([found], MONTH)] == [("eve", False), ("eve", True)]

    def test_what_was_asked_for_since_the_last_segment_is_in_the_rollouts_status(self):
        told = asked("hold", "eve", NOON)
        stored = record(segment(shares(5), NOON, commands=[told]))
        new = {**told, "command": "approve", "requestedBy": "ada", "handledAt": told["at"]}
        old = {**told, "requestedBy": "eve", "handledAt": told["at"]}
        handled = [{name: value for name, value in one.items() if name not in {"actor", "at"}} for one in (old, new)]
        rollout = good("fraud", "models")
        rollout["metadata"] |= {"uid": "u", "resourceVersion": "1"}
        rollout["status"] = {"commands": handled, "attempt": attempt_status(stored["metadata"]["name"])}

        (found,) = report_of([stored], MONTH, {("models", "fraud"): parse_rollout(rollout)}).tales

        assert [(act.what, act.who) for act in found.acts] == [("hold", "eve"), ("approve", "ada")]


def attempt_status(record_name: str) -> dict[str, Any]:
    at = "2026-11-17T12:00:00.000Z"
    return {
        "number": 1,
        "record": record_name,
        "candidate": version("v2"),
        "plan": "p",
        "stage": "canary",
        "step": 0,
        "startedAt": at,
        "stageStartedAt": at,
        "stepStartedAt": at,
        "target": {"candidate": 5, "mirror": 0, "since": at, "cause": "Started"},
    }


class TestWhatDoesNotHold:
    def test_sound_records_have_no_flaw(self):
        assert tale(promoted()).flaws == tale(rolled_back()).flaws == ()

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            pytest.param(
                lambda one: one["status"].update(outcome="RolledBack"), "its status says RolledBack", id="end"
            ),
            pytest.param(lambda one: one["status"]["segments"].pop(1), "one was taken out", id="segment taken out"),
            pytest.param(
                lambda one: one["status"]["segments"][0]["shares"][0].update(weight=94),
                "its shares make 99 %",
                id="sum",
            ),
            pytest.param(
                lambda one: one["status"]["segments"][1].update(confirmedAt="2026-11-01T00:00:00.000Z"),
                "earlier than the one before",
                id="times",
            ),
        ],
    )
    def test_a_lie_is_told_of(self, change, sentence):
        stored = promoted()
        change(stored)

        assert sentence in " ".join(tale(stored).flaws)

    def test_attempts_that_no_record_tells_of_are_named(self):
        (model,) = report(promoted(), promoted(attempt=4, decided=NOON + 9 * HOUR)).models

        assert [(one.first, one.last, one.by_retention) for one in model.absent] == [(2, 3, False)]

    def test_a_record_that_cannot_be_read_is_named_and_the_others_are_told_of(self):
        broken = promoted(attempt=2)
        del broken["spec"]["candidate"]

        found = report(promoted(), broken)

        assert len(found.tales) == 1
        assert found.unread == ("models/fraud-11111111-g2-2: RecordSpec, candidate: Field required",)


class TestContinuations:
    def parts(self) -> list[dict[str, Any]]:
        first = record(segment(shares(5), NOON, cause="Started"), rollout="fraud.scorer")
        end = {"record": first["metadata"]["name"], "hash": hash_of(first["status"]["segments"][-1])}
        more = segment(shares(0), NOON + HOUR, cause="GateFailed", outcome="RolledBack")
        return [first, record(more, rollout="fraud.scorer", part=2, continues=end, found=shares(5))]

    def test_are_one_attempt_also_of_a_rollout_with_a_dot_in_its_name(self):
        found = tale(*self.parts())

        assert [part.spec.part for part in found.parts] == [1, 2]
        assert found.flaws == ()
        assert found.outcome is Outcome.ROLLED_BACK

    def test_without_their_first_part_are_told_of_with_that_flaw(self):
        found = tale(self.parts()[1])

        assert "part 1 is missing" in found.flaws[0]


class TestThePeriod:
    def test_has_what_reaches_into_it_and_counts_what_happened_in_it(self):
        early = promoted(decided=NOON - timedelta(days=15, hours=1))
        late = promoted(decided=NOON + timedelta(days=20), attempt=3)
        before = rolled_back(decided=NOON - timedelta(days=20), attempt=2)

        found = report(early, late, before)

        (totals,) = [totals_of(found.tales, MONTH)]
        assert [one.spec.attempt for one in found.tales] == [1]
        assert (totals.attempts, totals.begun, totals.promoted) == (1, 0, 1)

    def test_an_attempt_without_an_end_reaches_into_all_that_comes(self):
        open_one = record(segment(shares(5), NOON - timedelta(days=100)), decided=NOON - timedelta(days=100))
        unbegun = record(decided=NOON - timedelta(days=100), attempt=2)

        assert [one.spec.attempt for one in report(open_one, unbegun).tales] == [1]

    def test_models_of_one_name_in_two_namespaces_are_two(self):
        found = report(promoted(), promoted(namespace="other"))

        assert [(model.namespace, model.name) for model in found.models] == [("models", "fraud"), ("other", "fraud")]
