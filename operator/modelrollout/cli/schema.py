"""What an API server would say of a manifest by the CRD's schema and rules, in its words, without one."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from modelrollout.cli.cel import Failed, Unsupported, evaluate

Schema = Mapping[str, Any]
_INT_OR_STRING = "x-kubernetes-int-or-string"
_RULES = "x-kubernetes-validations"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


class Fault(NamedTuple):
    """What is wrong at a field. `is_checked` is false for what only an API server can tell."""

    field: str
    message: str
    is_checked: bool = True


def faults_of(manifest: Mapping[str, Any], schema: Schema) -> list[Fault]:
    """Return what the schema and its rules refuse of a whole object: nothing, if it would be stored.

    Rules about changes are left out, as there is nothing that changes. Like the API server it asks no rules where the
    shape is wrong already.
    """
    shape = list(_shape(manifest, schema, ""))
    return shape or list(_broken_rules(manifest, schema, ""))


def _shape(value: object, schema: Schema, field: str) -> Iterator[Fault]:
    wrong = _wrong_type(value, schema)
    if wrong:
        wanted = "integer,string" if schema.get(_INT_OR_STRING) else schema["type"]
        yield Fault(field, f'must be of type {wanted}: "{wrong}"')
        return
    if isinstance(value, dict):
        yield from _shape_of_object(value, schema, field)
    elif isinstance(value, list):
        yield from _shape_of_list(value, schema, field)
    else:
        yield from _bounds(value, schema, field)


def _shape_of_object(value: Mapping[str, Any], schema: Schema, field: str) -> Iterator[Fault]:
    fields = schema.get("properties")
    for name in schema.get("required", ()):
        if value.get(name) is None:
            yield Fault(_join(field, name), "Required value")
    if fields is None:
        return
    for name, inner in value.items():
        if name in fields:
            # A field that is null counts as left out.
            yield from _shape(inner, fields[name], _join(field, name)) if inner is not None else ()
        else:
            yield Fault(_join(field, name), f'unknown field "{_join(field, name)}"')


def _shape_of_list(value: list[Any], schema: Schema, field: str) -> Iterator[Fault]:
    if len(value) < schema.get("minItems", 0):
        yield Fault(field, f"should have at least {schema['minItems']} items")
    if len(value) > schema.get("maxItems", len(value)):
        yield Fault(field, f"must have at most {schema['maxItems']} items")
        return
    for index, item in enumerate(value):
        yield from _shape(item, schema["items"], f"{field}[{index}]")


def _bounds(value: object, schema: Schema, field: str) -> Iterator[Fault]:
    if isinstance(value, str):
        if len(value) > schema.get("maxLength", len(value)):
            yield Fault(field, f"may not be more than {schema['maxLength']} bytes")
        if len(value) < schema.get("minLength", 0):
            yield Fault(field, f"should be at least {schema['minLength']} chars long")
    elif isinstance(value, int | float):
        if value < schema.get("minimum", value):
            yield Fault(field, f"should be greater than or equal to {schema['minimum']}")
        if value > schema.get("maximum", value):
            yield Fault(field, f"should be less than or equal to {schema['maximum']}")
    if "enum" in schema and value not in schema["enum"]:
        listed = ", ".join(f'"{one}"' for one in schema["enum"])
        yield Fault(field, f'Unsupported value: "{value}": supported values: {listed}')


def _broken_rules(value: object, schema: Schema, field: str) -> Iterator[Fault]:
    for rule in schema.get(_RULES, ()):
        if fault := _judged(rule, value, field):
            yield fault
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if value.get(name) is not None:
                yield from _broken_rules(value[name], inner, _join(field, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _broken_rules(item, schema["items"], f"{field}[{index}]")


def _judged(rule: Mapping[str, str], value: object, field: str) -> Fault | None:
    if "oldSelf" in rule["rule"]:
        return None
    try:
        holds = evaluate(rule["rule"], _without_nulls(value))
    except Unsupported as unsupported:
        return Fault(field, f"a rule was not checked, as it needs an API server ({unsupported})", is_checked=False)
    except Failed as failed:
        return Fault(field, f"{rule['message']} ({failed})")
    return None if holds else Fault(field, rule["message"])


def _without_nulls(value: object) -> object:
    """Return the value as the API server stores it: a field that is null is not there."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _wrong_type(value: object, schema: Schema) -> str | None:
    """Return what the value is called, if it is of the wrong type."""
    allowed = (int, str) if schema.get(_INT_OR_STRING) else _TYPES[schema["type"]]
    is_bool = isinstance(value, bool)
    if isinstance(value, allowed) and is_bool == (allowed == (bool,)):
        return None
    for name, types in (("boolean", (bool,)), *_TYPES.items()):
        if isinstance(value, types):
            return name
    return "null" if value is None else type(value).__name__


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
