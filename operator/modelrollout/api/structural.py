"""JSON schemas as pydantic prints them, turned into the structural schemas that a CRD may hold.

Defaults stay in Python: a default in a CRD rewrites stored objects and shows up as drift in a GitOps pipeline.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_NAMED_SCHEMAS = "properties"
_NOT_FOR_CRDS = frozenset({"title", "default", "examples", "deprecated", "$defs", "additionalProperties"})
_RULES = "x-kubernetes-validations"
_INT_OR_STRING = "x-kubernetes-int-or-string"


def structural_schema(model: type[BaseModel]) -> Schema:
    """Return a model's schema with every reference inlined and nothing in it that an API server refuses.

    Raises:
        ValueError: a field has a type that no structural schema can hold, such as a union of models.
    """
    printed = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(printed, printed.get("$defs", {}))


def _convert(schema: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    flat = flatten(schema, definitions)
    result = {key: value for key, value in flat.items() if key not in _NOT_FOR_CRDS}
    if _NAMED_SCHEMAS in result:
        result[_NAMED_SCHEMAS] = {name: _convert(field, definitions) for name, field in result[_NAMED_SCHEMAS].items()}
    if "items" in result:
        result["items"] = _convert(result["items"], definitions)
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if result.get("type") == "integer":
        result.setdefault("format", "int64")
    if "type" not in result and not result.get(_INT_OR_STRING):
        raise ValueError(f"no structural schema for {dict(schema)}: a field has one type, or is an int or string")
    return result


def flatten(schema: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """Return the schema with what it refers to merged in; what stands closer to the field wins."""
    outer = {key: value for key, value in schema.items() if key not in {"$ref", "anyOf", "allOf"}}
    if "$ref" in schema:
        return _merge(flatten(definitions[str(schema["$ref"]).removeprefix("#/$defs/")], definitions), outer)
    if schema.get(_INT_OR_STRING):
        return dict(schema)
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) > 1:
        raise ValueError(f"no structural schema for the union {choices}: write optional fields and a rule")
    return _merge(flatten(choices[0], definitions), outer) if choices else outer


def _merge(inner: Schema, outer: Schema) -> Schema:
    merged = inner | outer
    if _RULES in inner and _RULES in outer:
        merged[_RULES] = [*inner[_RULES], *outer[_RULES]]
    return merged
