"""Decisions as people and machines read them: conditions, phase, events, and what is not worth a write."""

from dataclasses import replace
from datetime import timedelta

import pytest
from modelrollout.api.fields import NONE
from modelrollout.api.status import Outcome, Phase, Tally, Verdict
from modelrollout.core.traffic import BASELINE_ONLY, Blocked, Endpoints, Foreign, Shares, Unmanaged

from tests.core.builders import (
    CANNOT_MIRROR,
    NOW,
    asking,
    conditions,
    decided,
    ended,
    failing,
    gate,
    looked,
    new,
    passing,
    percent,
    running,
    unknown,
    world,
)

MIN = timedelta(minutes=1)


def settled(rollout, seen=None):
    """Return the rollout as the next pass finds it."""
    return replace(rollout, status=decided(rollout, seen).status)


def going_back():
    rollout = asking(running("canary", 1), rollback={"reason": "p99"})
    return settled(rollout)


class TestConditions:
    """What kstatus makes of it: the first of Reconciling and Stalled that is True, else Ready."""

    @pytest.mark.parametrize(
        ("rollout", "seen", "ready", "reconciling", "stalled", "held"),
        [
            pytest.param(new(), {}, "Unknown", "True", None, "False", id="started"),
            pytest.param(running("shadow", 0), {}, "False", "True", None, "False", id="shadow is running"),
            pytest.param(running("canary", 1), {}, "False", "True", None, "False", id="canary is running"),
            pytest.param(running("full", 0), {}, "False", "True", None, "False", id="baking"),
            pytest.param(
                asking(running("canary", 0), hold={}), {}, "False", "True", None, "True", id="held by a person"
            ),
            pytest.param(
                running("canary", 0, applied=timedelta(hours=2)),
                {"gates": (unknown("NeedRequests"),), "looked": True},
                "False",
                "True",
                None,
                "True",
                id="too little traffic until the deadline",
            ),
            pytest.param(
                running("canary", 0, applied=10 * MIN),
                {"gates": (unknown("Unreachable"),), "looked": True},
                "False",
                "True",
                None,
                "True",
                id="metrics lost",
            ),
            pytest.param(new(), {"candidate": Endpoints.NONE_READY}, "False", "True", None, "True", id="not ready yet"),
            pytest.param(ended(Outcome.PROMOTED), {}, "True", None, None, "False", id="promoted"),
            pytest.param(
                going_back(), {"shares": Shares(percent(50), NONE)}, "False", "True", None, "False", id="back"
            ),
            pytest.param(
                going_back(), {"shares": BASELINE_ONLY}, "False", None, "True", "False", id="just rolled back"
            ),
            pytest.param(ended(Outcome.ROLLED_BACK), {}, "False", None, "True", "False", id="rolled back"),
            pytest.param(new(candidate={}), {}, "False", None, "True", "False", id="invalid spec"),
            pytest.param(new(), {"capabilities": CANNOT_MIRROR}, "False", None, "True", "False", id="cannot be done"),
            pytest.param(new(), {"candidate": Endpoints.NO_SERVICE}, "False", None, "True", "False", id="missing"),
        ],
    )
    def test_in_this_situation_they_are(self, rollout, seen, ready, reconciling, stalled, held):
        found = conditions(decided(rollout, world(rollout, **seen)))

        assert found["Ready"][0] == ready
        assert found.get("Reconciling", (None,))[0] == reconciling
        assert found.get("Stalled", (None,))[0] == stalled
        assert found["Held"][0] == held

    def test_each_speaks_of_the_generation_that_was_seen(self):
        decision = decided(replace(new(), generation=7))

        assert {c.observed_generation for c in decision.status.conditions} == {7}
        assert decision.status.observed_generation == 7

    def test_the_time_of_the_last_change_stays_while_only_words_change(self):
        rollout = settled(running("canary", 0))

        held = decided(asking(rollout, hold={}), after="5m")
        times = {c.type: c.last_transition_time for c in held.status.conditions}

        assert times["Reconciling"] < NOW + 5 * MIN
        assert times["Held"] == NOW + 5 * MIN

    @pytest.mark.parametrize(
        ("rollout", "seen", "answer"),
        [
            pytest.param(new(baseline=None), {"baseline": None}, ("False", "NoBaseline"), id="first deployment"),
            pytest.param(running("canary", 0), {}, ("True", "BaselineReady"), id="running"),
            pytest.param(
                running("canary", 0), {"baseline": Endpoints.NONE_READY}, ("False", "BaselineNotReady"), id="dead"
            ),
            pytest.param(ended(Outcome.PROMOTED), {}, ("True", "BaselineReady"), id="promoted"),
            pytest.param(
                ended(Outcome.PROMOTED, timedelta(days=2)), {}, ("False", "RetentionOver"), id="long promoted"
            ),
            pytest.param(ended(Outcome.ROLLED_BACK), {}, ("False", "NothingToRollBack"), id="rolled back"),
        ],
    )
    def test_rollback_ready_says_whether_the_way_back_is_open(self, rollout, seen, answer):
        assert conditions(decided(rollout, world(rollout, **seen)))["RollbackReady"] == answer

    @pytest.mark.parametrize(
        ("route", "answer"),
        [
            pytest.param(None, ("True", "InSync"), id="as it should be"),
            pytest.param(Foreign(Shares(percent(90), NONE), "kubectl", "2"), ("False", "ChangedByOther"), id="changed"),
            pytest.param(Unmanaged(), ("False", "NotCreated"), id="gone"),
            pytest.param(Blocked("RouteMissing", "create it"), ("False", "RouteMissing"), id="blocked"),
        ],
    )
    def test_route_in_sync_says_what_is_wrong_with_the_route(self, route, answer):
        rollout = running("canary", 0)

        assert conditions(decided(rollout, world(rollout, route=route)))["RouteInSync"] == answer

    def test_metrics_available_speaks_of_the_gates(self):
        rollout = running("canary", 0)

        def answer(*gates):
            return conditions(decided(rollout, looked(rollout, *gates)))["MetricsAvailable"]

        assert answer() == ("Unknown", "NotJudging")
        assert answer(passing()) == ("True", "Available")
        assert answer(unknown("NeedRequests")) == ("True", "Available")
        assert answer(passing("a"), unknown("NotANumber", "b")) == ("False", "NotANumber")


class TestPrinting:
    @pytest.mark.parametrize(
        ("rollout", "phase"),
        [
            (running("shadow", 0), Phase.SHADOW),
            (running("canary", 0), Phase.CANARY),
            (running("full", 0), Phase.FULL),
            (ended(Outcome.PROMOTED), Phase.PROMOTED),
            (ended(Outcome.ROLLED_BACK), Phase.ROLLED_BACK),
            (asking(running("canary", 0), hold={}), Phase.HELD),
            (asking(running("canary", 0), rollback={}), Phase.ROLLING_BACK),
            (new(candidate={}), Phase.INVALID),
            (new(paused=True), Phase.PENDING),
        ],
    )
    def test_the_phase_sums_it_up(self, rollout, phase):
        assert decided(rollout).status.phase is phase

    def test_the_weight_is_what_was_read_not_what_is_wanted(self):
        rollout = running("canary", 1)

        assert decided(rollout, world(rollout, shares=Shares(percent(5), NONE))).status.weight == "5%"
        assert decided(running("shadow", 0)).status.weight == "0% (+100% copied)"

    def test_gates_are_counted(self):
        rollout = running("canary", 0)

        assert decided(rollout, looked(rollout, passing("a"), unknown("NoData", "b"))).status.gates == "1/2"


class TestOldNews:
    """Numbers that move with every look are not worth a write each time."""

    def numbers(self, total, at, verdict=Verdict.UNKNOWN, reason="NeedRequests"):
        counted = gate(verdict, reason, "errors")
        more = {"tally": Tally(total=total, bad=0), "samples": total, "message": f"{total} are in", "evaluated_at": at}
        return counted.model_copy(update=more)

    def written(self):
        rollout = running("canary", 0)
        return settled(rollout, looked(rollout, self.numbers(100, NOW)))

    def test_numbers_alone_are_not_written(self):
        rollout = self.written()

        later = decided(rollout, looked(rollout, self.numbers(199, NOW + timedelta(seconds=59))), after="59s")

        assert later.status is rollout.status

    @pytest.mark.parametrize(
        ("before", "now", "verdict", "is_written"),
        [
            pytest.param((100, 0), (200, 0), Verdict.UNKNOWN, True, id="twice as many"),
            pytest.param((100, 0), (120, 1), Verdict.UNKNOWN, True, id="the first bad one"),
            pytest.param((100, 4), (120, 7), Verdict.UNKNOWN, False, id="a few more"),
            pytest.param((100, 4), (120, 8), Verdict.UNKNOWN, True, id="twice as many bad ones"),
            pytest.param((100, 1), (900, 5), Verdict.PASS, False, id="passing, and twice as many"),
            pytest.param((100, 1), (1000, 5), Verdict.PASS, True, id="passing, and ten times as many"),
            pytest.param((100, 1), (120, 10), Verdict.PASS, True, id="passing, and ten times as many bad ones"),
        ],
    )
    def test_numbers_that_have_grown_much_are_written(self, before, now, verdict, is_written):
        def counted(total, bad):
            return self.numbers(total, NOW, verdict).model_copy(update={"tally": Tally(total=total, bad=bad)})

        rollout = running("canary", 0)
        rollout = settled(rollout, looked(rollout, counted(*before)))

        later = decided(rollout, looked(rollout, counted(*now)), after="10s")

        assert (later.status is not rollout.status) == is_written

    @pytest.mark.parametrize(("after", "is_written"), [("49s", False), ("50s", True)])
    def test_a_hundred_rollouts_of_a_namespace_renew_their_numbers_in_turn(self, after, is_written):
        rollout = self.written()

        seen = replace(looked(rollout, self.numbers(1000, NOW)), neighbours=100)

        assert (decided(rollout, seen, after=after).status is not rollout.status) == is_written

    def test_another_verdict_waits_for_no_turn(self):
        rollout = self.written()

        seen = replace(looked(rollout, self.numbers(1000, NOW, Verdict.PASS, "BelowLimit")), neighbours=5000)

        assert decided(rollout, seen, after="1s").status is not rollout.status

    def test_a_step_of_weeks_costs_few_writes(self):
        rollout, writes = self.written(), 0
        for look in range(1, 1000):
            later = decided(rollout, looked(rollout, self.numbers(100 + 300 * look, NOW)))
            writes += later.status is not rollout.status
            rollout = replace(rollout, status=later.status)

        assert writes <= 12

    @pytest.mark.parametrize(("after", "is_written"), [("59s", False), ("60s", True)])
    def test_the_words_of_a_hold_are_renewed_each_minute(self, after, is_written):
        def stale(age):
            return self.numbers(100, NOW, reason="Stale").model_copy(update={"message": f"{age} s old"})

        rollout = running("canary", 0)
        rollout = settled(rollout, looked(rollout, stale(61)))

        later = decided(rollout, looked(rollout, stale(120)), after=after)

        assert (later.status is not rollout.status) == is_written

    def test_numbers_are_written_once_those_in_status_are_old(self):
        rollout = self.written()

        later = decided(rollout, looked(rollout, self.numbers(200, NOW + MIN)), after="60s")

        assert later.status.attempt.gates[0].samples == 200
        assert later.events == ()

    @pytest.mark.parametrize(
        ("verdict", "reason"),
        [(Verdict.PASS, "BelowLimit"), (Verdict.UNKNOWN, "NeedEvidence"), (Verdict.UNKNOWN, "NoData")],
    )
    def test_another_verdict_or_reason_is_written_at_once(self, verdict, reason):
        rollout = self.written()
        now = NOW + timedelta(seconds=1)

        later = decided(rollout, looked(rollout, self.numbers(200, now, verdict, reason)), after="1s")

        assert later.status.attempt.gates[0].reason == reason

    def test_a_message_is_filed_at_once(self):
        rollout = asking(self.written(), resume={})

        later = decided(rollout, looked(rollout, self.numbers(200, NOW)), after="1s")

        assert len(later.status.commands) == 1

    def test_garbage_is_written_over_at_once(self):
        rollout = replace(self.written(), ignored=("route",))

        later = decided(rollout, looked(rollout, self.numbers(200, NOW)), after="1s")

        assert later.status is not rollout.status
        assert [event.reason for event in later.events] == ["StatusIgnored"]


class TestEvents:
    def reasons(self, rollout, seen=None):
        return [event.reason for event in decided(rollout, seen).events]

    def test_they_tell_of_transitions_only(self):
        rollout = running("canary", 0)
        lost = looked(rollout, unknown("Unreachable"))

        first = self.reasons(rollout, lost)
        again = self.reasons(settled(rollout, lost), lost)

        assert first == ["GateUnknown", "Held"]
        assert again == []

    def test_the_end_of_a_hold_is_told(self):
        rollout = running("canary", 0)
        held = settled(rollout, looked(rollout, unknown("Unreachable")))

        assert [(e.type, e.reason) for e in decided(held, looked(held, passing())).events] == [
            ("Normal", "GatePassed"),
            ("Normal", "HoldOver"),
        ]

    def test_a_rollback_is_told_with_its_numbers_and_the_runbook(self):
        rollout = running("canary", 0)

        events = decided(rollout, looked(rollout, failing())).events

        assert [(e.type, e.reason) for e in events] == [("Warning", "GateFailed"), ("Warning", "RollingBack")]
        assert all(e.note.endswith("Runbook: https://runbooks/fraud") for e in events)

    def test_a_runbook_of_a_thousand_characters_leaves_the_news_their_place(self):
        rollout = running(owner={"team": "risk-ml", "runbookURL": "https://" + "x" * 1000})

        (note,) = [e.note for e in decided(asking(rollout, rollback={"reason": "p99"})).events if e.type == "Warning"]

        assert note.endswith("p99 Owner: risk-ml.")

    def test_every_event_has_its_owner_and_bad_news_say_whom_to_call(self):
        owner = {"team": "risk-ml", "contact": "#risk-oncall", "runbookURL": "https://runbooks/fraud"}
        rollout = running("canary", 0, owner=owner)

        bad = decided(asking(rollout, rollback={}))
        good = decided(new(owner=owner))

        assert {event.owner.contact for event in (*bad.events, *good.events)} == {"#risk-oncall"}
        warnings = [event.note for event in bad.events if event.type == "Warning"]
        assert warnings
        assert all("Owner: risk-ml (#risk-oncall). Runbook: https://runbooks/fraud" in note for note in warnings)
        assert not any("Owner:" in event.note for event in good.events)

    def test_a_gate_s_own_runbook_is_not_repeated(self):
        gates = [{"name": "errors", "errorRate": {"max": "1%"}, "runbookURL": "https://runbooks/fraud"}]
        rollout = running("canary", 0, gates=gates)

        (_, back) = decided(rollout, looked(rollout, failing())).events

        assert back.note.count("https://runbooks/fraud") == 1

    def test_how_long_a_rollback_took_is_told(self):
        back = going_back()

        (event,) = decided(back, world(back, shares=BASELINE_ONLY), after="2s").events

        assert event.reason == "RolledBack"
        assert "v1 serves in 2.00s" in event.note

    def test_a_note_never_exceeds_what_kubernetes_keeps(self):
        rollout = asking(running("canary", 0), rollback={"reason": "r" * 1024})

        assert {len(event.note) for event in decided(rollout).events} == {1000}


class TestLookingAgain:
    @pytest.mark.parametrize(
        ("rollout", "after"),
        [
            pytest.param(new(), timedelta(0), id="after a start at once"),
            pytest.param(running("canary", 0, applied=4 * MIN), 6 * MIN, id="when the minimum is over"),
            pytest.param(asking(running("canary", 0), hold={}), timedelta(seconds=15), id="in a hold soon"),
            pytest.param(ended(Outcome.PROMOTED, timedelta(hours=1)), timedelta(hours=23), id="when retention is over"),
            pytest.param(ended(Outcome.PROMOTED, timedelta(days=2)), None, id="after that never"),
            pytest.param(ended(Outcome.ROLLED_BACK), None, id="at rest never"),
        ],
    )
    def test_it_looks_again(self, rollout, after):
        expected = None if after is None else NOW + after

        assert decided(rollout).look_again_at == expected
