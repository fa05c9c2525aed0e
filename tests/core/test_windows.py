"""When weights may grow: windows of spec and the administrator's freeze, and that neither stops a way back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from modelrollout.api.consent import Window
from modelrollout.api.fields import NONE
from modelrollout.core.case import Case
from modelrollout.core.decide import decide
from modelrollout.core.traffic import BASELINE_ONLY, Foreign, Shares, Unmanaged
from modelrollout.core.verbs import Begin, Go, Promote, RollBack, Stall, Wait
from modelrollout.core.windows import Calendar

from tests.core.builders import (
    LIMITS,
    NOW,
    asking,
    commands,
    conditions,
    decided,
    failing,
    looked,
    new,
    passing,
    percent,
    running,
    world,
)

# NOW is a Tuesday, 15:47 UTC: 16:47 in Berlin.
OPEN = [{"start": "0 9 * * MON-FRI", "duration": "8h", "timeZone": "Europe/Berlin"}]
CLOSED = [{"start": "0 9 * * MON-FRI", "duration": "8h", "timeZone": "Asia/Tokyo"}]
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def calendar(*windows):
    return Calendar([Window.model_validate({"duration": "1h", **window}) for window in windows])


class TestCalendar:
    @pytest.mark.parametrize(
        ("now", "opens"),
        [
            pytest.param(utc(2026, 11, 17, 7, 59, 59), utc(2026, 11, 17, 8), id="a second before"),
            pytest.param(utc(2026, 11, 17, 8), None, id="at its start"),
            pytest.param(utc(2026, 11, 17, 8, 59, 59, 999_999), None, id="at its last moment"),
            pytest.param(utc(2026, 11, 17, 9), utc(2026, 11, 18, 8), id="at its end"),
            pytest.param(utc(2026, 11, 20, 12), utc(2026, 11, 23, 8), id="over a weekend"),
        ],
    )
    def test_a_window_is_open_from_its_start_for_as_long_as_it_lasts(self, now, opens):
        assert calendar({"start": "0 9 * * MON-FRI", "timeZone": "Europe/Berlin"}).opens_at(now) == opens

    @pytest.mark.parametrize(
        ("now", "opens"),
        [
            pytest.param(utc(2026, 3, 28, 8, 30), utc(2026, 3, 29, 7), id="the day the clocks go forward"),
            pytest.param(utc(2026, 10, 24, 7, 30), utc(2026, 10, 25, 8), id="the day the clocks go back"),
        ],
    )
    def test_it_opens_by_the_clock_on_the_wall(self, now, opens):
        night = calendar({"start": "0 9 * * *", "timeZone": "Europe/Berlin", "duration": "10m"})

        assert night.opens_at(now) == opens

    def test_in_the_hour_that_the_clock_shows_twice_it_stays_open_for_its_length(self):
        night = {"start": "30 2 * * *", "timeZone": "Europe/Berlin", "duration": "1h30m"}
        begun = utc(2026, 10, 25, 0, 30)  # 02:30 of the first two.

        answers = [calendar(night).opens_at(begun + MINUTE * n) is None for n in range(-1, 120)]

        assert answers == [False] + [True] * 90 + [False] * 30

    def test_an_hour_that_does_not_exist_opens_after_the_gap(self):
        assert calendar({"start": "30 2 * * *", "timeZone": "Europe/Berlin"}).opens_at(utc(2026, 3, 29, 0, 30)) == (
            utc(2026, 3, 29, 1)
        )

    def test_of_several_windows_one_that_is_open_is_enough_and_the_next_one_counts(self):
        several = calendar({"start": "0 9 * * *"}, {"start": "0 20 * * *"})

        assert several.opens_at(utc(2026, 11, 17, 9, 30)) is None
        assert several.opens_at(utc(2026, 11, 17, 10)) == utc(2026, 11, 17, 20)
        assert several.opens_at(utc(2026, 11, 17, 20, 30)) is None

    def test_a_window_longer_than_its_period_is_always_open(self):
        assert calendar({"start": "*/30 * * * *"}).opens_at(NOW) is None

    def test_the_answer_does_not_depend_on_what_was_asked_before(self):
        asked = calendar({"start": "0 9 * * *"}, {"start": "30 9 * * *", "duration": "3h"})
        moments = [utc(2026, 11, 17, 6) + timedelta(minutes=7 * n) for n in range(200)]

        for moment in (*moments, *reversed(moments)):
            fresh = calendar({"start": "0 9 * * *"}, {"start": "30 9 * * *", "duration": "3h"})
            assert asked.opens_at(moment) == fresh.opens_at(moment)

    def test_most_looks_compute_nothing(self, monkeypatch):
        asked = calendar({"start": "0 9 * * *"})
        asked.opens_at(NOW)
        monkeypatch.setattr("modelrollout.core.windows.CronSim", None)

        assert asked.opens_at(NOW + MINUTE) == utc(2026, 11, 18, 9)

    @pytest.mark.parametrize(
        ("window", "said"),
        [
            pytest.param({"start": "0 0 30 2 *"}, "is no cron expression", id="30 February"),
            pytest.param({"start": "0 0 */31 2 MON#5"}, "never comes", id="never"),
            pytest.param({"start": "61 0 * * *"}, "Bad minute", id="minute 61"),
            pytest.param({"start": "0 0 * * *", "timeZone": "Europe/Atlantis"}, "an IANA name", id="no such zone"),
            pytest.param({"start": "0 0 * * *", "timeZone": "Z" * 64}, "an IANA name", id="no zone at all"),
        ],
    )
    def test_one_that_cannot_be_computed_is_refused_with_the_remedy(self, window, said):
        assert said in calendar(window).problem.message


class TestGrowth:
    def test_an_attempt_begins_in_a_window_only(self):
        assert isinstance(decided(new(windows=OPEN)).verb, Begin)
        assert decided(new(windows=CLOSED)).verb.reason == "OutsideWindow"

    def test_the_next_weight_waits_for_the_window_and_status_says_when(self):
        rollout = running("canary", 0, applied=HOUR, windows=CLOSED)

        decision = decided(rollout, looked(rollout, passing()))

        assert conditions(decision)["Held"] == ("True", "OutsideWindow")
        assert "opens Wed 2026-11-18 09:00 Asia/Tokyo (2026-11-18 00:00 UTC)" in decision.verb.message
        assert decision.status.next_window == utc(2026, 11, 18)
        opened = decided(rollout, looked(rollout, passing()), after="9h")
        assert isinstance(opened.verb, Go)
        assert opened.status.next_window is None

    def test_within_a_step_status_says_already_when_the_next_one_may_come(self):
        rollout = running("canary", 0, windows=CLOSED)

        assert decided(rollout).status.next_window == utc(2026, 11, 18)
        assert decided(running("canary", 0, windows=OPEN)).status.next_window is None

    def test_a_promotion_moves_nothing_and_needs_no_window(self):
        rollout = running("full", 0, applied=HOUR, windows=CLOSED)

        assert isinstance(decided(rollout, looked(rollout, passing())).verb, Promote)

    @pytest.mark.parametrize("frozen", [None, "year's end"])
    def test_a_failed_gate_and_a_person_roll_back_at_any_time(self, frozen):
        rollout = running("canary", 0, applied=HOUR, windows=CLOSED)

        assert isinstance(decided(rollout, looked(rollout, failing(), frozen=frozen)).verb, RollBack)
        assert isinstance(decided(asking(rollout, rollback={}), world(rollout, frozen=frozen)).verb, RollBack)

    def test_a_decided_increase_that_is_not_on_the_route_waits_too(self):
        rollout = running("canary", 1, applied=None, windows=CLOSED)

        decision = decided(rollout, world(rollout, shares=Shares(percent(5), NONE)))

        assert decision.verb.reason == "OutsideWindow"
        assert decision.write is None

    def test_what_users_had_already_is_given_back_when_the_route_was_deleted(self):
        rollout = running("canary", 1, applied=HOUR, windows=CLOSED)

        assert decided(rollout, world(rollout, route=Unmanaged())).write.shares == Shares(percent(50), NONE)

    def test_a_resume_after_somebody_took_shares_away_waits(self):
        rollout = asking(running("canary", 1, applied=HOUR), resume={})
        foreign = Foreign(BASELINE_ONLY, "kubectl", "2")

        assert decided(rollout, world(rollout, route=foreign, frozen="audit")).verb.reason == "Frozen"

    def test_a_plan_that_starts_higher_waits(self):
        rollout = running("canary", 0, applied=HOUR)
        higher = [{"name": "other", "canary": {"weights": [30]}}, {"name": "full", "full": {}}]
        edited = replace(new(stages=higher, windows=CLOSED), status=rollout.status)

        assert decided(edited).verb.reason == "OutsideWindow"

    def test_a_window_that_cannot_be_computed_stalls_the_start_and_guards_what_runs(self):
        bad = [{"start": "0 0 30 2 *", "duration": "1h"}]
        rollout = running("canary", 0, applied=HOUR, windows=bad)

        assert isinstance(decided(new(windows=bad)).verb, Stall)
        assert decided(rollout, looked(rollout, passing())).verb.reason == "BadWindow"
        assert isinstance(decided(rollout, looked(rollout, failing())).verb, RollBack)

    def test_an_advance_does_not_open_it(self):
        rollout = asking(running("canary", 0, applied=MINUTE, windows=CLOSED), advance={})

        decision = decided(rollout, looked(rollout, passing()))

        assert decision.verb.reason == "OutsideWindow"
        assert "OutsideWindow" in commands(decision)[0][1]


class TestFreeze:
    def test_nothing_grows_and_the_reason_is_said(self):
        rollout = running("canary", 0, applied=HOUR)

        decision = decided(rollout, looked(rollout, passing(), frozen="year's end, ask #platform"))

        assert conditions(decision)["Held"] == ("True", "Frozen")
        assert "year's end, ask #platform" in decision.verb.message
        assert decided(new(), world(new(), frozen="audit")).verb.reason == "Frozen"

    def test_gates_go_on_collecting_evidence(self):
        rollout = running("canary", 0, applied=MINUTE)

        assert isinstance(decided(rollout, looked(rollout, passing(), frozen="audit")).verb, Wait)

    def test_deciding_twice_writes_nothing_new(self):
        rollout = new(windows=CLOSED)
        first = replace(rollout, status=decided(rollout).status)

        again = decide(Case(first, world(rollout), NOW + MINUTE, LIMITS))

        assert again.status == first.status
        assert again.write is None
        assert again.events == ()
