"""Which records may go, which never do, and what is said of those that have gone."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelrollout.core.chain import hash_of
from modelrollout.core.history import NotKnown, parse_account, served_at, spans_of
from modelrollout.core.retention import Old, Open, Policy, absences, cut_short, entry_of, may_go

from tests.support.records import NOON, promoted, record, segment, shares

DAY = timedelta(days=1)
LATER = NOON + 1000 * DAY
POLICY = Policy()
Records = Sequence[dict[str, Any]]


def attempts(count: int, *, every: timedelta = DAY, **fields: Any) -> list[dict[str, Any]]:
    return [promoted(attempt=one, decided=NOON + every * (one - 1), **fields) for one in range(1, count + 1)]


def gone(records: Records, policy: Policy = POLICY, now: datetime = LATER) -> list[str]:
    found = may_go(map(entry_of, records), policy, now)
    return [part.name for one in found if isinstance(one, Old) for part in one.parts]


def names(records: Records) -> list[str]:
    return [one["metadata"]["name"] for one in records]


def parts(attempt: int, decided: datetime) -> list[dict[str, Any]]:
    """An attempt with two records, of which the second tells of the end."""
    first = record(segment(shares(5), decided, cause="Started"), attempt=attempt, decided=decided)
    before = {"record": first["metadata"]["name"], "hash": hash_of(first["status"]["segments"][-1])}
    end = segment(shares(0), decided + timedelta(hours=1), cause="GateFailed", outcome="RolledBack")
    return [first, record(end, attempt=attempt, decided=decided + timedelta(minutes=9), part=2, continues=before)]


class TestWhatMayGo:
    def test_is_old_and_beyond_the_newest_twenty(self):
        records = attempts(25)

        assert gone(records) == names(records[:5])

    def test_is_nothing_while_there_are_no_more_than_stay(self):
        assert gone(attempts(20)) == []

    def test_is_counted_from_when_the_next_attempt_began(self):
        # The first one's last shares were served for all of 200 days.
        records = [promoted(), *(promoted(attempt=one, decided=NOON + 200 * DAY + one * DAY) for one in range(2, 30))]

        assert gone(records, now=NOON + 202 * DAY + 89 * DAY) == []
        assert gone(records, now=NOON + 202 * DAY + 90 * DAY) == names(records[:1])

    def test_is_counted_by_the_later_of_the_two_clocks(self):
        records = attempts(25)
        records[1]["metadata"]["creationTimestamp"] = "2029-08-01T00:00:00Z"

        assert gone(records) == []

    def test_goes_with_all_parts_of_its_attempt_the_first_one_first(self):
        records = [*parts(1, NOON), *attempts(25)[1:]]

        assert gone(records[::-1])[:3] == [*names(records[:2]), records[2]["metadata"]["name"]]

    @pytest.mark.parametrize("left", [0, 1], ids=["both parts", "the rest of one that was begun with"])
    def test_goes_on_where_it_was_interrupted(self, left: int):
        records = [*parts(1, NOON)[left:], *attempts(25)[1:]]

        assert gone(records)[: 2 - left] == names(records[: 2 - left])

    def test_is_never_an_open_one_nor_what_is_newer_than_that(self):
        records = attempts(25)
        del records[2]["status"]["outcome"]
        records[2]["status"]["segments"][-1].pop("outcome")

        found = list(may_go(map(entry_of, records), POLICY, LATER))

        assert gone(records) == names(records[:2])
        assert found[-1] == Open(records[2]["metadata"]["name"], ("models", "fraud"))

    def test_is_not_one_whose_status_alone_says_that_it_has_ended(self):
        records = attempts(25)
        records[0]["status"]["segments"][-1].pop("outcome")

        assert gone(records) == []

    def test_may_be_one_that_never_began(self):
        records = [record(), *attempts(25)[1:]]

        assert gone(records) == names(records[:5])

    def test_of_a_rollout_that_was_made_again_is_counted_by_its_name(self):
        first = attempts(10, uid="aaaaaaaa")
        second = [promoted(attempt=one, decided=NOON + 50 * DAY + one * DAY, uid="bbbbbbbb") for one in range(1, 16)]

        assert gone([*second, *first]) == names(first[:5])

    def test_is_another_matter_in_another_namespace(self):
        assert gone([*attempts(15), *attempts(15, namespace="other")]) == []


@given(
    count=st.integers(1, 45),
    days=st.integers(90, 400),
    keep=st.integers(20, 40),
    now=st.integers(0, 600),
    unended=st.sets(st.integers(0, 44), max_size=3),
)
def test_what_goes_is_always_the_oldest_and_leaves_enough(count, days, keep, now, unended):
    records = attempts(count, every=3 * DAY)
    for at in unended & set(range(count)):
        del records[at]["status"]["outcome"]
    policy, moment = Policy(days * DAY, keep), NOON + now * DAY

    found = gone(records, policy, moment)

    assert found == names(records[: len(found)])
    assert count - len(found) >= min(count, keep)
    assert not unended & set(range(len(found)))
    # Who served in the last days can still be said, if it could.
    stay = spans_of(parse_account(one) for one in records[len(found) :])
    asked = moment - days * DAY
    known = served_at(spans_of(parse_account(one) for one in records), asked)
    assert isinstance(known, NotKnown) or not isinstance(served_at(stay, asked), NotKnown)


class TestWhatHasGone:
    def test_of_before_the_answer_is_that_it_is_not_known(self):
        stay = attempts(25)[5:]

        answer = served_at(spans_of(map(parse_account, stay)), NOON + 2 * DAY)

        assert answer == NotKnown(NOON + 5 * DAY)

    def test_is_told_of_as_taken_by_retention(self):
        (found,) = absences(map(entry_of, attempts(25)[5:]))

        assert (found.first, found.last, found.by_retention) == (1, 5, True)
        assert "models/fraud: no record tells of attempts 1 to 5 any more: retention takes the oldest" in found.message

    @pytest.mark.parametrize(
        "left",
        [
            pytest.param(attempts(25)[6:], id="fewer stay than retention leaves"),
            pytest.param([*attempts(30)[:3], *attempts(30)[4:]], id="an older one stays"),
        ],
    )
    def test_is_not_put_down_to_retention_where_it_would_have_stayed(self, left: Records):
        (found,) = absences(map(entry_of, left))

        assert not found.by_retention
        assert "somebody deleted it" in found.message

    def test_is_nothing_where_all_are_there(self):
        assert list(absences(map(entry_of, attempts(3)))) == []

    def test_in_the_middle_of_an_attempt_is_an_interruption_only_where_enough_stay(self):
        rest = parts(1, NOON)[1:]

        assert list(cut_short(map(entry_of, [*rest, *attempts(21)[1:]]))) == names(rest)
        assert list(cut_short(map(entry_of, [*rest, *attempts(20)[1:]]))) == []
