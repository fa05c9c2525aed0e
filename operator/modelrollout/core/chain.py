"""The hash chain of a record: each segment names the hash of what stood before it, the first one that of spec.

Hashes are of what is stored, not of what we read of it: a later release's fields count too. A chain shows that nothing
was changed or taken out between its ends; who can write a record can still write a whole new one, so the hashes that
went out with the log are what it can be compared with.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain does not hold: the record, the segment (`None`: its spec), and a sentence."""

    record: str
    seq: int | None
    message: str


def hash_of(value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON value as 64 hex digits: keys sorted, no spaces, ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def end_of_chain(record: Mapping[str, Any]) -> str:
    """Return the hash that the next segment of a record has to name, or a continuation of it."""
    segments = segments_of(record)
    return hash_of(segments[-1] if segments else record["spec"])


def segments_of(record: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the segments as they are stored."""
    return (record.get("status") or {}).get("segments") or []


def attempts_of(records: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the parts of each attempt together, in order."""

    def attempt(record: Mapping[str, Any]) -> tuple[str, ...]:
        return record["metadata"].get("namespace", ""), record["spec"]["rollout"]["uid"], first_name(record)

    ordered = sorted(records, key=lambda record: (attempt(record), record["spec"].get("part", 1)))
    for _, parts in groupby(ordered, attempt):
        yield list(parts)


def first_name(record: Mapping[str, Any]) -> str:
    """Return the name of the first part of a record's attempt."""
    name: str = record["metadata"]["name"]
    return name.removesuffix(f".{record['spec'].get('part', 1)}") if record["spec"].get("part", 1) > 1 else name


def verify(records: Iterable[Mapping[str, Any]]) -> Iterator[Break]:
    """Yield what does not hold in the records of one attempt, which come in the order of their parts."""
    before: Mapping[str, Any] | None = None
    part = 1
    for record in records:
        yield from _verify_start(record, part, before)
        yield from _verify_segments(record)
        before, part = record, record["spec"].get("part", 1) + 1


def _verify_start(record: Mapping[str, Any], part: int, before: Mapping[str, Any] | None) -> Iterator[Break]:
    name, spec = record["metadata"]["name"], record["spec"]
    if spec.get("part", 1) != part:
        yield Break(name, None, f"it is part {spec.get('part', 1)} of its attempt, and part {part} is missing")
        return
    continues = spec.get("continues")
    if before is None:
        if continues:
            yield Break(name, None, f"it goes on with {continues['record']}, which is missing")
    elif not continues or continues["record"] != before["metadata"]["name"]:
        yield Break(name, None, f"it does not go on with {before['metadata']['name']}")
    elif continues["hash"] != end_of_chain(before):
        yield Break(name, None, f"{before['metadata']['name']} does not end as it did when this part began")


def _verify_segments(record: Mapping[str, Any]) -> Iterator[Break]:
    name, expected = record["metadata"]["name"], hash_of(record["spec"])
    for place, segment in enumerate(segments_of(record)):
        if segment["seq"] != place:
            yield Break(name, segment["seq"], f"it stands at place {place}: one was taken out, or put in")
        if segment["previous"] != expected:
            what = f"segment {place - 1}" if place else "spec"
            yield Break(name, segment["seq"], f"it was made after another {what} than the one that stands")
        expected = hash_of(segment)
