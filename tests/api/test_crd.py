"""The generated CRD: complete, bounded, structural, and the one that is committed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from kubernetes.client import V1CustomResourceDefinition
from modelrollout.api.crd import COPIES, custom_resource_definition, render_crd
from modelrollout.api.fields import Model, rule, rules
from modelrollout.api.structural import structural_schema
from pydantic import BaseModel, Field

from tests.support.chart import TOP

Schema = dict[str, Any]
MAX_BYTES = 256 * 1024
NOT_STRUCTURAL = {"$ref", "$defs", "allOf", "oneOf", "const", "title", "examples", "additionalProperties", "nullable"}


def schemas() -> Iterator[tuple[str, Schema]]:
    """Every schema of the CRD with its path; a list's items are called `[]`."""
    (version,) = custom_resource_definition()["spec"]["versions"]
    yield from walk("", version["schema"]["openAPIV3Schema"])


def walk(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(f"{path}.{name}", field)
    if "items" in schema:
        yield from walk(f"{path}[]", schema["items"])


def fields() -> Iterator[tuple[str, Schema]]:
    return ((path, schema) for path, schema in schemas() if path and not path.endswith("[]") and path != ".metadata")


def test_the_committed_copies_are_what_the_models_say() -> None:
    stale = [str(path) for path in COPIES if (TOP / path).read_text("utf-8") != render_crd()]

    assert stale == [], "run `python -m modelrollout.api.crd --write`"


def test_every_field_is_described_in_a_sentence() -> None:
    wanting = [path for path, schema in fields() if not schema.get("description", "").endswith((".", "…"))]

    assert wanting == []


def test_everything_is_bounded() -> None:
    assert [path for path, schema in schemas() if path != ".metadata" and not is_bounded(path, schema)] == []


def is_bounded(path: str, schema: Schema) -> bool:
    match schema.get("type"):
        case "string":
            return "maxLength" in schema or "enum" in schema or path in {".apiVersion", ".kind"}
        case "array":
            return "maxItems" in schema
        case "integer":
            return not path.startswith(".spec") or {"minimum", "maximum"} <= schema.keys()
        case "object":
            return "properties" in schema
        case "boolean":
            return True
        case None:
            return schema["x-kubernetes-int-or-string"] is True
        case _:
            return False


def test_it_is_structural_and_keeps_defaults_in_python() -> None:
    odd = {path: sorted(NOT_STRUCTURAL & schema.keys()) for path, schema in schemas()}
    defaults = {path: schema["default"] for path, schema in schemas() if "default" in schema}

    assert {path: words for path, words in odd.items() if words} == {}
    assert defaults == {".status": {"observedGeneration": -1}}


def test_every_rule_says_what_to_write() -> None:
    sentences = [item["message"] for _, schema in schemas() for item in schema.get("x-kubernetes-validations", ())]

    assert len(sentences) > 40
    assert [sentence for sentence in sentences if not any(word in sentence for word in REMEDIES)] == []


REMEDIES = ("write ", "give ", "name ", "add ", "move ", "remove ", "create ", "each version needs")


def test_conditions_are_a_map_by_type() -> None:
    conditions = dict(schemas())[".status.conditions"]

    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert "type" in conditions["items"]["required"]


def test_it_is_small_enough_to_be_applied_by_every_client() -> None:
    # The annotation of a client-side apply holds the whole object, and annotations end at 256 KiB.
    assert len(json.dumps(custom_resource_definition())) < MAX_BYTES
    assert len(render_crd().encode()) < MAX_BYTES


def test_the_kubernetes_client_knows_every_word_of_it() -> None:
    # It refuses words that no CRD may hold, such as const, $defs or numeric exclusive bounds.
    V1CustomResourceDefinition.model_validate(custom_resource_definition())


class Inner(Model):
    """An inner thing."""

    size: int = Field(3, ge=1, le=9, description="Its size.")


class Outer(Model):
    """An outer thing."""

    inner: Inner | None = Field(
        None, description="The one inside.", json_schema_extra=rules(rule("true", "of the field"))
    )
    word: Literal["only"] = Field("only", description="A word.")


def test_references_and_nulls_are_inlined_and_the_nearer_description_wins() -> None:
    schema = structural_schema(Outer)

    assert schema["properties"]["inner"]["description"] == "The one inside."
    assert schema["properties"]["inner"]["properties"]["size"] == {
        "type": "integer", "format": "int64", "minimum": 1, "maximum": 9, "description": "Its size.",
    }  # fmt: skip
    assert schema["properties"]["word"]["enum"] == ["only"]
    assert "required" not in schema


def test_a_union_that_no_crd_can_hold_is_refused() -> None:
    class Choice(BaseModel):
        either: Inner | Outer

    with pytest.raises(ValueError, match="write optional fields and a rule"):
        structural_schema(Choice)


def test_a_field_called_like_a_word_of_the_schema_stays() -> None:
    class Odd(Model):
        """Odd names."""

        default: str = Field(description="Not a default.")
        title: str = Field(description="Not a title.")

    assert list(structural_schema(Odd)["properties"]) == ["default", "title"]


def test_the_yaml_is_the_crd() -> None:
    assert yaml.safe_load(Path(TOP / COPIES[0]).read_text("utf-8")) == custom_resource_definition()
