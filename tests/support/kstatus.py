"""The rules by which kstatus, and with it Flux and `kubectl` plugins, take an object for done, failed or neither."""

from collections.abc import Mapping
from typing import Any

_NOT_READY = {"False", "Unknown"}


def kstatus_of(obj: Mapping[str, Any]) -> str:
    """Return Terminating, InProgress, Failed or Current.

    As in cli-utils, for a kind that it does not know: deletion, then the generation, then the first of Reconciling
    and Stalled that is True in the order of the list, then Ready. What says nothing counts as done.
    """
    metadata, status = obj["metadata"], obj.get("status") or {}
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if status.get("observedGeneration", metadata.get("generation")) != metadata.get("generation"):
        return "InProgress"
    conditions = status.get("conditions") or []
    for condition in conditions:
        match condition["type"], condition["status"]:
            case "Reconciling", "True":
                return "InProgress"
            case "Stalled", "True":
                return "Failed"
            case _:
                pass
    if any(c["type"] == "Ready" and c["status"] in _NOT_READY for c in conditions):
        return "InProgress"
    return "Current"
