"""The scalar types of the API: parse, print, bounds, and the schema the API server checks them by.

Formats are checked by CEL rules rather than by `pattern`, because only a rule can carry a sentence that says
what to write instead.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

DNS_LABEL = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?(?:(\d{1,8})ms)?", re.ASCII)
_PERCENT = re.compile(r"\d{1,3}(?:\.\d{1,2})?", re.ASCII)
_SHARE = re.compile(r"(\d{1,4}(?:\.\d{1,4})?)%", re.ASCII)
_MULTIPLE = re.compile(r"(\d{1,3}(?:\.\d{1,2})?)x", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?", re.ASCII)

DURATION_REMEDY = "write a duration such as 30s, 10m, 672h or 14d: whole numbers with d, h, m, s or ms, largest first"
SHARE_REMEDY = 'write a share with its sign, such as "1%" or "0.5%": digits, at most four decimals, no exponent'
WEIGHT_REMEDY = 'write a weight above 0 and up to 100: an integer such as 5, or a string such as "0.5" (two decimals)'
MULTIPLE_REMEDY = 'write a multiple above 1 with an x, such as "2x" or "1.5x" (two decimals)'
NUMBER_REMEDY = 'write a plain number in quotes, such as "0.2" or "-3": no exponent, no NaN, no infinity'
NAME_REMEDY = "write a DNS label: lower-case letters, digits and '-', at most 63 characters, such as fraud-scorer-v2"


class Model(BaseModel):
    """A frozen part of the contract: camelCase outside, snake_case inside; unknown fields are ignored.

    Unknown fields can only come from a CRD newer than this operator: the API server prunes the rest.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def render(self) -> dict[str, Any]:
        """Return the plain JSON value, as it stands in the object; absent fields are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rule(expression: str, message: str) -> dict[str, str]:
    """Return one CEL rule with the sentence the API server answers when it does not hold."""
    return {"rule": expression, "message": message}


def distinct(values: str) -> str:
    """Return the CEL expression that no two items of a list are equal, given that of a list of plain values.

    The values are named once, as CEL has no variables, and compared by the list's own functions: each reading of an
    object's field makes the API server list all the fields that its type has, which for twenty gates, each beside each,
    took more of its CPU than everything else of a write of status.
    """
    return f"[{values}].all(held, held.all(one, held.indexOf(one) == held.lastIndexOf(one)))"


def rules(*items: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema extension that carries CEL rules."""
    return {"x-kubernetes-validations": [dict(item) for item in items]}


@dataclass(frozen=True, order=True, slots=True)
class Percent:
    """A percentage of requests in hundredths of a percent, exact; between 0 and 100."""

    hundredths: int

    def __post_init__(self) -> None:
        if not 0 <= self.hundredths <= 10_000:
            raise ValueError(f"a percentage lies between 0 and 100, not {self.hundredths / 100}")

    def __str__(self) -> str:
        return f"{Decimal(self.hundredths) / 100:f}"

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole number of percent."""
        return self.hundredths % 100 == 0

    @property
    def rest(self) -> "Percent":
        """What is left to 100."""
        return Percent(10_000 - self.hundredths)

    @property
    def fraction(self) -> float:
        """The same as a fraction between 0 and 1."""
        return self.hundredths / 10_000


NONE = Percent(0)
ALL = Percent(10_000)


def parse_percent(value: object) -> Percent:
    """Return a percentage from an integer or a string such as `"0.5"`.

    Raises:
        ValueError: it is neither, or outside 0 to 100.
    """
    match value:
        case Percent():
            return value
        case bool():
            pass
        case int() if 0 <= value <= 100:
            return Percent(value * 100)
        case str() if _PERCENT.fullmatch(value) and Decimal(value) <= 100:
            return Percent(int(Decimal(value) * 100))
        case _:
            pass
    raise ValueError(f"{value!r}: {WEIGHT_REMEDY}")


def render_percent(value: Percent) -> int | str:
    """Return an integer where the percentage is whole, else a string."""
    return value.hundredths // 100 if value.is_whole else str(value)


def parse_duration(value: object) -> timedelta:
    """Return a span of time from a string such as `1h30m`; units d, h, m, s, ms, largest first.

    Raises:
        ValueError: the text is anything else.
    """
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        raise ValueError(f"{value!r}: {DURATION_REMEDY}")
    days, hours, minutes, seconds, milliseconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)


def render_duration(value: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back as the same span."""
    rest = round(value / timedelta(milliseconds=1))
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def parse_share(value: object) -> float:
    """Return a fraction from a string such as `"1%"`: 0.01.

    Raises:
        ValueError: the text is not a plain number with a percent sign.
    """
    if isinstance(value, float):
        return value
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r}: {SHARE_REMEDY}")
    return float(Decimal(found[1]) / 100)


def render_share(value: float) -> str:
    """Return a fraction as people read it: 0.0125 is `1.25%`."""
    return f"{Decimal(str(round(value * 100, 4))).normalize():f}%"


def parse_number(value: object) -> float:
    """Return a plain decimal number from a string.

    Raises:
        ValueError: it has an exponent, is not finite, or is no number.
    """
    if isinstance(value, float):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    raise ValueError(f"{value!r}: {NUMBER_REMEDY}")


def render_number(value: float) -> str:
    """Return a number with at most six significant digits and no exponent."""
    return f"{Decimal(f'{value:.6g}'):f}"


def parse_time(value: object) -> datetime:
    """Return an aware UTC time from RFC 3339 text.

    Raises:
        ValueError: the text is no time, or has no offset.
    """
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    # Beyond these years, adding a duration may leave the calendar; an offset may lead there, and out of it.
    if moment.tzinfo is None or not (1970 <= moment.year <= 2200 and 1970 <= moment.astimezone(UTC).year <= 2200):
        raise ValueError(f"{value!r}: write a time of this age with its offset, such as 2026-11-17T15:47:00Z")
    return moment.astimezone(UTC)


def render_time(value: datetime) -> str:
    """Return RFC 3339 text in UTC, to the millisecond."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def checked_text(expression: str, remedy: str, longest: int) -> WithJsonSchema:
    """Return the schema of a text that a CEL rule checks; `remedy` is what the API server says where it does not hold."""
    # No minLength: the API server would refuse an empty text with a sentence of its own, and not say the remedy.
    return WithJsonSchema({"type": "string", "maxLength": longest, **rules(rule(expression, remedy))})


def parse_multiple(value: object) -> float:
    """Return a factor above 1 from a string such as `"2x"`.

    Raises:
        ValueError: the text is anything else.
    """
    if isinstance(value, float):
        return value
    found = _MULTIPLE.fullmatch(value) if isinstance(value, str) else None
    if found is None or float(found[1]) <= 1:
        raise ValueError(f"{value!r}: {MULTIPLE_REMEDY}")
    return float(found[1])


def render_multiple(value: float) -> str:
    """Return the factor as it was written: 2.0 is `2x`."""
    return f"{render_number(value)}x"


_DURATION_CEL = (
    "self != '' && self.matches('^([0-9]{1,4}d)?([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?([0-9]{1,8}ms)?$')"
)
_WEIGHT_CEL = (
    "type(self) == int ? (self > 0 && self <= 100) :"
    " (self.matches('^[0-9]{1,3}([.][0-9]{1,2})?$') && double(self) > 0.0 && double(self) <= 100.0)"
)
_SHARE_CEL = "self.matches('^[0-9]{1,4}([.][0-9]{1,4})?%$')"

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(render_duration),
    checked_text(_DURATION_CEL, DURATION_REMEDY, 24),
]
Interval = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(render_duration),
    checked_text(
        "self.matches('^[0-9]{1,4}[smh]$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')",
        "write an interval between 1s and 1h, such as 30s",
        8,
    ),
]
Every = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(render_duration),
    checked_text(
        "self.matches('^[1-9][0-9]{0,3}[mhd]$')",
        "write minutes, hours or days, such as 12h or 7d",
        5,
    ),
]
Drain = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(render_duration),
    checked_text(
        "self.matches('^[0-9]{1,5}[smh]$') && duration(self) <= duration('24h')",
        "write how long a request may take, up to 24h, such as 5m",
        8,
    ),
]
Weight = Annotated[
    Percent,
    BeforeValidator(parse_percent),
    PlainSerializer(render_percent),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "maxLength": 6,
            **rules(rule(_WEIGHT_CEL, WEIGHT_REMEDY)),
        }
    ),
]
AnyPercent = Annotated[
    Percent,
    BeforeValidator(parse_percent),
    PlainSerializer(render_percent),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "maxLength": 6,
        }
    ),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    PlainSerializer(render_share),
    checked_text(
        f"{_SHARE_CEL} && double(self.replace('%', '')) > 0.0 && double(self.replace('%', '')) < 100.0",
        f"{SHARE_REMEDY}; above 0% and below 100%",
        10,
    ),
]
Increase = Annotated[
    float, BeforeValidator(parse_share), PlainSerializer(render_share), checked_text(_SHARE_CEL, SHARE_REMEDY, 10)
]
Multiple = Annotated[
    float,
    BeforeValidator(parse_multiple),
    PlainSerializer(render_multiple),
    checked_text(
        "self.matches('^[0-9]{1,3}([.][0-9]{1,2})?x$') && double(self.replace('x', '')) > 1.0", MULTIPLE_REMEDY, 7
    ),
]
Number = Annotated[
    float,
    BeforeValidator(parse_number),
    PlainSerializer(render_number),
    checked_text("self.matches('^-?[0-9]{1,15}([.][0-9]{1,9})?$')", NUMBER_REMEDY, 26),
]
Time = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(render_time),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 40}),
]
Name = Annotated[str, checked_text(f"self.matches('{DNS_LABEL}')", NAME_REMEDY, 63)]
ObjectName = Annotated[
    str,
    checked_text(
        f"self.matches('{DNS_SUBDOMAIN}')",
        "write the object's name: lower-case letters, digits, '-' and '.', at most 253 characters",
        253,
    ),
]
Version = Annotated[
    str,
    checked_text(
        "self.matches('^[A-Za-z0-9]([A-Za-z0-9._+-]*[A-Za-z0-9])?$')",
        "write a version of letters, digits, '.', '_', '+' and '-', at most 128 characters, such as 2026.11.2",
        128,
    ),
]
Text = Annotated[str, Field(min_length=1, max_length=256)]
Link = Annotated[str, Field(min_length=1, max_length=1024)]
