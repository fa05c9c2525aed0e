"""What the records of a stage tell, and whether it is true."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from modelrollout.core.chain import verify

from tests.engine.stage import Stage

MOMENT = timedelta(milliseconds=50)
"""Between a change of the route and the watch's word of it."""


def told(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without times, hashes and numbers."""
    spec, status = record["spec"], record["status"]
    return {
        "attempt": (spec["attempt"], spec["candidate"]["version"], spec["trigger"]["cause"]),
        "found": shares_text(spec.get("found", [])),
        "segments": [
            (shares_text(one["shares"]), one["stage"], one["step"], one["cause"], one.get("outcome"))
            for one in status["segments"]
        ],
        "outcome": status.get("outcome"),
    }


def spans(stage: Stage) -> list[str]:
    """Return the shares that the records tell of, in order, each span once."""
    texts = [shares_text(one["shares"]) for record in stage.api.records() for one in record["status"]["segments"]]
    return [text for text, _ in groupby(texts)]


def shares_text(shares: list[dict[str, Any]]) -> str:
    """Return shares as a stage's route tells them, such as `v1 95, v2 5`."""
    served = [f"{_short(one)} {one['weight']}" for one in shares if one["weight"] not in {0, "0"}]
    copied = [f"{one['mirror']}% copied to {_short(one)}" for one in shares if "mirror" in one]
    return ", ".join([*served, *copied]) or "none"


def _short(share: Mapping[str, Any]) -> str:
    return str(share["version"])[:2]


def lies(stage: Stage) -> list[str]:
    """Return what the records say and what was not so: broken chains, shares that the route did not have."""
    records = sorted(stage.api.records(), key=lambda one: (one["spec"]["attempt"], one["spec"].get("part", 1)))
    found = [f"{one.record} {one.seq}: {one.message}" for record in records for one in verify([record])]
    for record in stage.api.records():
        for segment in record["status"]["segments"]:
            moment = datetime.fromisoformat(segment["confirmedAt"])
            text = shares_text(segment["shares"])
            if text != "none" and text not in _routes_at(stage, moment):
                name = f"{record['metadata']['name']} {segment['seq']}"
                found.append(f"{name} says {text} at {moment}, but it was {_routes_at(stage, moment)}")
    return found


def untold(stage: Stage) -> list[str]:
    """Return what the route had, by the operator's hand or to the end, and no record tells of."""
    records = sorted(stage.api.records(), key=lambda one: (one["spec"]["decidedAt"], one["spec"].get("part", 1)))
    if not records:
        return []
    told = {shares_text(record["spec"].get("found", [])) for record in records} | set(spans(stage))
    # Before the first attempt it is nobody's candidate that has anything.
    begin = datetime.fromisoformat(records[0]["spec"]["decidedAt"]) + MOMENT
    had = dict.fromkeys(shares for moment, shares in stage.routes if moment >= begin and shares != "none")
    found = [f"no record tells of {shares}" for shares in had if shares not in told]
    last = next((one["status"]["segments"][-1] for one in reversed(records) if one["status"]["segments"]), None)
    if last and shares_text(last["shares"]) != stage.route():
        found.append(f"the record ends with {shares_text(last['shares'])}, the route has {stage.route()}")
    return found


def _routes_at(stage: Stage, moment: datetime) -> list[str]:
    """Return what the route gave about then."""
    before = [text for at, text in stage.routes if at <= moment][-1:]
    return before + [text for at, text in stage.routes if moment - MOMENT <= at <= moment + MOMENT]
