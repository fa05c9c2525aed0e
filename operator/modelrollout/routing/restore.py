"""An adopted rule as it was before our first write: what is noted of it, and whether it can be put back."""

from collections.abc import Mapping
from typing import Any

OWN_FIELDS = {"group", "kind", "name", "namespace", "port", "weight"}
_REF_DEFAULTS = {"group": "", "kind": "Service"}


def before_of(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a write of ours may change of a rule: its references, and whether it has an empty list of filters."""
    before = {"backendRefs": rule["backendRefs"]} if "backendRefs" in rule else {}
    return {**before, **({"filters": []} if rule.get("filters") == [] else {})}


def put_back(rule: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rule as `before` says; filters that somebody has added meanwhile stay."""
    rest = {name: value for name, value in rule.items() if name != "backendRefs"}
    filters = {} if rule.get("filters") else {name: before[name] for name in ("filters",) if name in before}
    return {**rest, **{name: before[name] for name in ("backendRefs",) if name in before}, **filters}


def same_refs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the references of two rules that carry something of their own are the same, in the same order.

    Weights are ours to set, and so is which plain reference to our two backends there is.
    """
    return _told(one) == _told(other)


def _told(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {**_REF_DEFAULTS, **{name: value for name, value in ref.items() if name != "weight"}}
        for ref in rule.get("backendRefs") or []
        if set(ref) - OWN_FIELDS
    ]
