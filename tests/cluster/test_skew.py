"""How far our clock is off, by what the API server says in its answers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from modelrollout.cluster.skew import ServerClock

NOW = datetime(2026, 11, 17, 15, 47, 0, 500_000, tzinfo=UTC)


def date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def clock(ahead: timedelta, answers: int = 3) -> ServerClock:
    """Return a clock that so many answers have been noted on, in the second before monotonic 100 and `NOW`."""
    made = ServerClock()
    for _ in range(answers):
        made.note(date(NOW - ahead), 99.9, 100.1)
    return made


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1), -timedelta(minutes=3)])
def test_row_44_the_skew_is_what_the_answers_say(ahead: timedelta):
    found = clock(ahead).skew(NOW, 100)

    assert found is not None
    assert abs(found - ahead) <= timedelta(seconds=1)


def test_row_44_a_jump_of_the_clock_shows_at_once():
    found = clock(timedelta(0)).skew(NOW + timedelta(hours=1, seconds=10), 110)

    assert found == pytest.approx(timedelta(hours=1), abs=timedelta(seconds=1))


def test_row_44_two_answers_are_not_enough():
    assert clock(timedelta(0), answers=2).skew(NOW, 100) is None


def test_row_44_one_odd_answer_in_between_says_nothing():
    made = clock(timedelta(0))
    made.note(date(NOW - timedelta(days=1)), 99.9, 100.1)

    assert made.skew(NOW, 100) == pytest.approx(timedelta(0), abs=timedelta(seconds=1))


@pytest.mark.parametrize("odd", [None, "", "yesterday"])
def test_row_44_an_answer_without_a_date_is_not_counted(odd: str | None):
    made = ServerClock()
    for _ in range(5):
        made.note(odd, 1, 2)

    assert made.skew(NOW, 100) is None
