"""The way-back note as it stands on a routing object: an annotation of ours, named after the rollout.

It says whose attempt it is, where its traffic belongs, and of a rule of somebody's how that was before our first write:
all that is needed to give the traffic back when the rollout has gone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelrollout.api.fields import Model
from modelrollout.api.traffic import Traffic
from modelrollout.api.versions import ServiceRef
from modelrollout.core.traffic import WAY_BACK_PREFIX, Place, WayBack
from modelrollout.engine.ports import Left


@dataclass(frozen=True, slots=True)
class Note:
    """`traffic` is spec's at the write that the note came with; `before` is what the driver's shape made of it."""

    way_back: WayBack
    traffic: Traffic
    before: Mapping[str, Any] | None


class _Text(Model):
    uid: str
    baseline: ServiceRef
    candidate: ServiceRef
    traffic: Traffic
    before: dict[str, Any] | None = None


def note_on(obj: Mapping[str, Any], rollout: str) -> Note | None:
    """Return the note that the object carries under this rollout's name; what cannot be read is none."""
    text = _texts_on(obj).get(WAY_BACK_PREFIX + rollout)
    return _parse(text) if text is not None else None


def lefts_on(obj: Mapping[str, Any], api_version: str, kind: str, uid: str) -> Iterator[Left]:
    """Return the notes on the object, each with the place it speaks of: those of this rollout, or of all for `""`.

    An object that is being deleted gives nothing.
    """
    metadata = obj["metadata"]
    if metadata.get("deletionTimestamp"):
        return
    for key, text in _texts_on(obj).items():
        # A thousand rollouts that are deleted at once ask a thousand routes: few are read to the end.
        note = _parse(text) if key.startswith(WAY_BACK_PREFIX) and uid in text else None
        if note is None or uid not in {"", note.way_back.uid}:
            continue
        about = {"apiVersion": api_version, "kind": kind, "metadata": {name: metadata[name] for name in _REFERENCE}}
        rollout, back = key.removeprefix(WAY_BACK_PREFIX), note.way_back
        yield Left(back, Place(metadata["namespace"], rollout, note.traffic, back.baseline, back.candidate), about)


def note_change(obj: Mapping[str, Any], place: Place, note: Note | None) -> dict[str, str | None]:
    """Return what to merge into the object's annotations so that it carries this note, or none of this rollout."""
    key = WAY_BACK_PREFIX + place.rollout
    text = _render(note) if note else None
    return {} if _texts_on(obj).get(key) == text else {key: text}


_REFERENCE = ("name", "namespace", "uid", "resourceVersion")


def _texts_on(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def _render(note: Note) -> str:
    back = note.way_back
    parts = {
        "uid": back.uid,
        "baseline": back.baseline.render(),
        "candidate": back.candidate.render(),
        "traffic": note.traffic.render(),
        **({"before": note.before} if note.before is not None else {}),
    }
    return json.dumps(parts, separators=(",", ":"), sort_keys=True)


def _parse(text: str) -> Note | None:
    try:
        read = _Text.model_validate_json(text)
    except ValidationError:
        return None
    return Note(WayBack(read.uid, read.baseline, read.candidate), read.traffic, read.before)
