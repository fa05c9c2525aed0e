"""Bytes of an HTTP answer to values, strictly: whatever is odd is `NoData` with a reason of its own."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Never

from modelrollout.core.evidence import NoData, Unknown

LONGEST_QUOTE = 200
"""Characters of Prometheus' own words that a message may repeat. Nothing else of an answer is ever repeated."""

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_LONGEST_NUMBER = 400


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an answer; the value is still text."""

    labels: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """A complete answer without warnings: a vector, or a scalar as one sample without labels."""

    samples: tuple[Sample, ...]


def parse_reply(reply: Reply, source: str) -> Found | NoData:
    """Return the samples of an instant query's answer, or why there are none to rely on."""
    if reply.status != 200:
        return _refusal(reply, source)
    document = _document(reply.body)
    if document is None or document.get("status") != "success":
        return NoData(
            Unknown.MALFORMED,
            f"source {source} answered 200 with something other than a query's result, such as a login page:"
            " check that its address is Prometheus itself, and its credentials",
        )
    if warnings := document.get("warnings"):
        first = warnings[0] if isinstance(warnings, list) else warnings
        return NoData(
            Unknown.WARNINGS,
            f"source {source} answers with a warning, so the numbers may be partial: {quote(first)}",
        )
    try:
        return Found(_samples(document["data"]))
    except _OddError as odd:
        return NoData(Unknown.MALFORMED, f"source {source} answers with {odd}")
    except (KeyError, TypeError, ValueError):
        return NoData(
            Unknown.MALFORMED,
            f"source {source} answers in a shape unlike Prometheus' own: check what its address serves",
        )


def number_of(found: Found, source: str, *, what: str) -> float | NoData:
    """Return the one finite number of an answer; `what` names it in sentences."""
    match found.samples:
        case ():
            return NoData(Unknown.NO_DATA, f"source {source} has no series for {what}")
        case (sample,):
            return _parse_number(sample.text, source, what)
        case many:
            return NoData(
                Unknown.MANY_SERIES,
                f"source {source} has {len(many)} series for {what} where one number is needed:"
                " aggregate them, for example with sum() or max()",
            )


def _parse_number(text: str, source: str, what: str) -> float | NoData:
    if text == "NaN":
        return NoData(
            Unknown.NOT_A_NUMBER, f"{what} is NaN in source {source}: often 0/0, a share of no requests at all"
        )
    if text in {"+Inf", "-Inf", "Inf"}:
        return NoData(Unknown.INFINITE, f"{what} is infinite in source {source}: often a division by 0")
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return NoData(Unknown.MALFORMED, f"source {source} gives something that is no number for {what}")
    value = float(text)
    if math.isinf(value):
        return NoData(Unknown.INFINITE, f"{what} is too large a number in source {source}")
    return value


def _refusal(reply: Reply, source: str) -> NoData:
    document = _document(reply.body) or {}
    own_words = f": {quote(document['error'])}" if isinstance(document.get("error"), str) else ""
    if document.get("errorType") == "timeout":
        return NoData(Unknown.TIMED_OUT, f"source {source} gave up on the query{own_words}")
    if 300 <= reply.status < 400:
        return NoData(
            Unknown.REFUSED,
            f"source {source} answers with a redirect ({reply.status}), which is not followed:"
            " the administrator has to give the address behind it",
        )
    if reply.status in {401, 403}:
        return NoData(
            Unknown.REFUSED,
            f"source {source} refuses the operator's credentials ({reply.status}): the administrator has to mend them",
        )
    if 400 <= reply.status < 500:
        remedy = "" if own_words else ", without saying why: check its address"
        return NoData(Unknown.REFUSED, f"source {source} refuses the query ({reply.status}){own_words}{remedy}")
    return NoData(Unknown.UNREACHABLE, f"source {source} cannot answer now ({reply.status}){own_words}")


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _refuse_constant(_: str) -> Never:
    raise ValueError("NaN and Infinity are not JSON")


class _OddError(Exception):
    """A well-formed answer of a kind that gives no number; the argument says which."""


def _samples(data: dict[str, Any]) -> tuple[Sample, ...]:
    match data["resultType"]:
        case "scalar":
            return (_sample({}, data["result"]),)
        case "vector":
            return tuple(_series(series) for series in _list(data["result"]))
        case "matrix":
            raise _OddError(
                "a range of values where one number is needed: wrap the range in a function such as increase()"
            )
        case "string":
            raise _OddError("text where a number is needed")
        case _:
            raise ValueError("unknown resultType")


def _series(series: dict[str, Any]) -> Sample:
    if "histogram" in series:
        raise _OddError("a native histogram where a number is needed: take its count, sum or fraction")
    return _sample(series["metric"], series["value"])


def _sample(labels: object, value: object) -> Sample:
    match labels, value:
        case dict(), [int() | float(), str(text)] if all(isinstance(label, str) for label in labels.values()):
            return Sample(labels, text)
        case _:
            raise ValueError("no sample")


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def quote(text: object) -> str:
    """Return another's own words on one printable line, bounded."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)[: 4 * LONGEST_QUOTE]).split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[: LONGEST_QUOTE - 1]}…"
