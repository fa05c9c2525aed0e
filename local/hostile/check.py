"""What a structural schema has against a value; its CEL rules aside, which only the API server knows to read."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
}


def problems(schema: Mapping[str, Any], value: object, path: str = "") -> Iterator[str]:
    """Yield what is wrong with a JSON value, each with the place of it."""
    if schema.get("x-kubernetes-int-or-string"):
        wanted: type | tuple[type, ...] = (int, str)
    else:
        wanted = _TYPES[schema["type"]]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        yield f"{path}: {value!r} is no {schema.get('type', 'number or text')}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    elif isinstance(value, dict):
        yield from _in_object(schema, value, path)
    elif isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{path}: {len(value)} items"
        for number, item in enumerate(value):
            yield from problems(schema["items"], item, f"{path}[{number}]")
    elif isinstance(value, str):
        yield from _in_text(schema, value, path)
    elif isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", 2**63 - 1):
        yield f"{path}: {value} is out of bounds"


def _in_object(schema: Mapping[str, Any], value: Mapping[str, Any], path: str) -> Iterator[str]:
    fields = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name}: missing"
    for name, inner in value.items():
        if name not in fields:
            yield f"{path}.{name}: unknown"
        else:
            yield from problems(fields[name], inner, f"{path}.{name}")


def _in_text(schema: Mapping[str, Any], value: str, path: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{path}: {len(value)} characters"
    if schema.get("format") == "date-time" and not _TIME.fullmatch(value):
        yield f"{path}: {value!r} is no time"
    try:
        value.encode()
    except UnicodeEncodeError:
        yield f"{path}: {value!r} is no text that JSON can carry"
