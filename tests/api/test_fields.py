"""Scalars of the API: what is read, what is refused, and that what is printed is read back."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelrollout.api.fields import (
    Percent,
    parse_duration,
    parse_number,
    parse_percent,
    parse_share,
    parse_time,
    render_duration,
    render_number,
    render_percent,
    render_share,
    render_time,
)

NOT_NUMBERS: list[object] = [
    "",
    " 1",
    "1 ",
    "1e3",
    "1e400",
    "NaN",
    "inf",
    "-Infinity",
    "0x10",
    "1_000",
    "٣",
    "1,5",
    "--1",
    None,
    True,
    [],
]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("672h", timedelta(days=28)),
        ("14d", timedelta(days=14)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
        ("300ms", timedelta(milliseconds=300)),
        ("0s", timedelta()),
    ],
)
def test_a_duration_is_read(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize("value", [*NOT_NUMBERS, "30", "1.5h", "-5m", "30m1h", "3w", "1h 30m", "PT5M", "1H", 30])
def test_what_is_no_duration_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match="write a duration such as 30s"):
        parse_duration(value)


@given(st.integers(min_value=0, max_value=9999 * 86_400_000 - 1))
def test_a_printed_duration_is_read_back(milliseconds: int) -> None:
    span = timedelta(milliseconds=milliseconds)

    assert parse_duration(render_duration(span)) == span


@pytest.mark.parametrize(("value", "hundredths"), [(0, 0), (5, 500), ("0.5", 50), ("12.25", 1225), ("100", 10_000)])
def test_a_percentage_is_read_exactly(value: object, hundredths: int) -> None:
    assert parse_percent(value) == Percent(hundredths)


@pytest.mark.parametrize("value", [*NOT_NUMBERS, "0.125", "5%", -1, 101, "100.01", 0.5, ".5", "5."])
def test_what_is_no_percentage_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match="write a weight above 0 and up to 100"):
        parse_percent(value)


@given(st.integers(min_value=0, max_value=10_000))
def test_a_printed_percentage_is_read_back(hundredths: int) -> None:
    percent = Percent(hundredths)

    assert parse_percent(render_percent(percent)) == percent
    assert percent.rest.rest == percent
    assert parse_percent(str(percent)) == percent


@pytest.mark.parametrize(("percent", "printed"), [(Percent(500), 5), (Percent(50), "0.5"), (Percent(1225), "12.25")])
def test_a_whole_percentage_is_printed_as_a_number(percent: Percent, printed: object) -> None:
    assert render_percent(percent) == printed


@pytest.mark.parametrize(("text", "fraction"), [("1%", 0.01), ("0.5%", 0.005), ("25%", 0.25), ("0.0001%", 1e-6)])
def test_a_share_is_read_as_a_fraction(text: str, fraction: float) -> None:
    assert parse_share(text) == fraction


@pytest.mark.parametrize("value", [*NOT_NUMBERS, "1", "-1%", "+1%", "1e1%", "1e400%", "NaN%", "%", "1 %", "1%%", 1])
def test_what_is_no_share_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match="write a share with its sign"):
        parse_share(value)


@given(st.integers(min_value=0, max_value=99_999_999))
def test_a_printed_share_is_read_back(ten_thousandths: int) -> None:
    text = f"{ten_thousandths // 10_000}.{ten_thousandths % 10_000:04d}%"

    assert parse_share(render_share(parse_share(text))) == parse_share(text)


@pytest.mark.parametrize(
    ("text", "number"), [("0.2", 0.2), ("-3", -3.0), ("0", 0.0), ("999999999999999", 999999999999999.0)]
)
def test_a_number_is_read(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize("value", [*NOT_NUMBERS, "+1", ".5", "5.", 0])
def test_what_is_no_number_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match="write a plain number in quotes"):
        parse_number(value)


@given(st.floats(min_value=-1e12, max_value=1e12).filter(lambda value: value == 0 or abs(value) > 1e-4))
def test_a_number_is_printed_without_exponent_and_read_back_as_near(value: float) -> None:
    assert parse_number(render_number(value)) == pytest.approx(value, rel=1e-5)


def test_a_time_is_read_with_its_offset_and_printed_in_utc() -> None:
    moment = parse_time("2026-11-17T16:47:00+01:00")

    assert moment == datetime(2026, 11, 17, 15, 47, tzinfo=UTC)
    assert render_time(moment) == "2026-11-17T15:47:00.000Z"


@pytest.mark.parametrize("value", ["2026-11-17T15:47:00", "Tuesday", "", None, 7, "2200-12-31T23:59:59-23:59"])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"offset|isoformat"):
        parse_time(value)


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001 - hypothesis adds it
    st.integers(min_value=-12, max_value=14),
)
def test_a_printed_time_is_read_back_to_the_millisecond(moment: datetime, hours: int) -> None:
    local = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone(timedelta(hours=hours)))

    assert parse_time(render_time(local)) == local


@pytest.mark.parametrize("parse", [parse_duration, parse_percent, parse_share, parse_number, parse_time])
@given(value=st.one_of(st.text(max_size=30), st.integers(), st.none(), st.lists(st.integers(), max_size=2)))
def test_a_parser_answers_or_refuses_whatever_it_is_given(parse: Callable[[object], object], value: object) -> None:
    with contextlib.suppress(ValueError):
        parse(value)
