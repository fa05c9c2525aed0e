"""Values that a structural schema lets through, at the ends of its bounds or anywhere between."""

import random
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local.hostile.texts import TIMES, Size, ruled, text

CRD = Path(__file__).parents[2] / "crds/modelrollout.dev_modelrollouts.yaml"
Schema = Mapping[str, Any]
_EXACTLY_ONE = re.compile(r"^\[(.*)\]\.filter\(given, given\)\.size\(\) == 1$|^(has\(self\.\w+\) != has\(self\.\w+\))$")
_AT_LEAST_ONE = re.compile(r"^has\(self\.\w+\)( \|\| has\(self\.\w+\))+$")
_FIELD = re.compile(r"has\(self\.(\w+)\)")
_MOST = 2**63 - 1


@cache
def load(crd: Path = CRD) -> Schema:
    """Return the schema of the CRD's one version, which is read once: nobody may change it."""
    schema: Schema = yaml.safe_load(crd.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def make(schema: Schema, picks: random.Random, size: Size) -> Any:  # noqa: ANN401 - JSON
    """Return a value that meets the schema and the rules of its fields; rules over several fields are for the caller."""
    if "enum" in schema:
        return picks.choice(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return _weight(picks, size)
    match schema["type"]:
        case "object":
            return {name: make(schema["properties"][name], picks, size) for name in _chosen_fields(schema, picks, size)}
        case "array":
            count = _between(schema.get("minItems", 0), schema["maxItems"], picks, size)
            return [make(schema["items"], picks, size) for _ in range(count)]
        case "string":
            return _text(schema, picks, size)
        case "integer":
            return _between(schema.get("minimum", -_MOST - 1), schema.get("maximum", _MOST), picks, size)
        case "boolean":
            return picks.random() < 0.5
        case other:
            raise ValueError(f"no value is known of type {other}")


def _chosen_fields(schema: Schema, picks: random.Random, size: Size) -> list[str]:
    fields, required = list(schema.get("properties", {})), set(schema.get("required", ()))
    match size:
        case Size.SMALLEST:
            chosen = required
        case Size.LARGEST:
            chosen = set(fields)
        case Size.ANY:
            chosen = required | {field for field in fields if picks.random() < 0.6}
    for item in schema.get("x-kubernetes-validations", ()):
        named = _FIELD.findall(item["rule"])
        if _EXACTLY_ONE.match(item["rule"]):
            chosen = (chosen - set(named)) | {picks.choice(named)}
        elif _AT_LEAST_ONE.match(item["rule"]) and not chosen & set(named):
            chosen = chosen | {picks.choice(named)}
    return [field for field in fields if field in chosen]


def _text(schema: Schema, picks: random.Random, size: Size) -> str:
    if schema.get("format") == "date-time":
        return picks.choice(TIMES)
    longest = schema["maxLength"]
    ruling = schema.get("x-kubernetes-validations")
    return (ruled(ruling[0]["rule"]) if ruling else text)(picks, size, longest)


def _weight(picks: random.Random, size: Size) -> int | str:
    match size:
        case Size.SMALLEST:
            return "0.01"
        case Size.LARGEST:
            return "99.99"
        case Size.ANY:
            others: list[int | str] = ["0.01", "99.99", 1, 100, "100", "100.00", "001.50", picks.randint(1, 100)]
            return picks.choice(others)


def _between(least: int, most: int, picks: random.Random, size: Size) -> int:
    match size:
        case Size.SMALLEST:
            return least
        case Size.LARGEST:
            return most
        case Size.ANY:
            return picks.choice([least, most, picks.randint(least, most)])
