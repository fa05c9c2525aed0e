"""The reference page of the API, made from its models: `python -m modelrollout.api.reference --write`."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from modelrollout.api.crd import GROUP, KIND, VERSION, custom_resource_definition, run
from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.api.status import ModelRolloutStatus
from modelrollout.api.structural import Schema, flatten

PAGE = Path("docs/api.md")
_REFERENCE = "#/$defs/"
_HEAD = f"""\
<!-- Made by `python -m modelrollout.api.reference --write`: edit the models, not this page. -->
# API reference

`{GROUP}/{VERSION}`, kind `{KIND}`, short name `mr`, namespaced. [`examples/`](../examples) has manifests to start
from; `kubectl explain mr.spec` prints the same descriptions. **Bold** fields are required. What is left out has
the default that its description names; the API server fills in nothing, so that what you applied is what is stored.

`kubectl get mr` prints {{usual}}; `-o wide` adds {{wide}}.

A bad manifest is refused by the API server with one of the sentences in italics.
"""


def render_reference() -> str:
    """Return the page as Markdown: an object of the API a section, in the order in which they are mentioned."""
    (version,) = custom_resource_definition()["spec"]["versions"]
    columns = version["additionalPrinterColumns"]
    head = _HEAD.format(
        usual=", ".join(column["name"] for column in columns if not column.get("priority")),
        wide=", ".join(column["name"] for column in columns if column.get("priority")),
    )
    spec = _sections(ModelRolloutSpec, "spec", written=set())
    written = {name for name, _ in spec}
    status = _sections(ModelRolloutStatus, "status", written=written)
    return "\n".join([head, *(text for _, text in [*spec, *status])])


def _sections(model: type[BaseModel], name: str, *, written: set[str]) -> list[tuple[str, str]]:
    """Return name and text of a model's section and of those that it leads to, each once."""
    printed = model.model_json_schema(by_alias=True, mode="validation")
    definitions = printed.get("$defs", {})
    waiting, found = [name], dict[str, str]()
    while waiting:
        here = waiting.pop(0)
        if here in found or here in written:
            continue
        schema = printed if here == name else definitions[here]
        found[here] = _section(here, schema, definitions)
        waiting = [*_objects(schema, definitions), *waiting]
    return list(found.items())


def _section(name: str, schema: Schema, definitions: Mapping[str, Schema]) -> str:
    lines = [f"## {name}", "", schema["description"], ""]
    fields = schema.get("properties", {})
    if fields:
        lines += ["| field | type | description |", "| --- | --- | --- |"]
        required = schema.get("required", [])
        lines += [_row(field, about, definitions, is_required=field in required) for field, about in fields.items()]
        lines += [""]
    lines += [f"- {sentence}" for sentence in _sentences(schema)]
    return "\n".join([*lines, ""] if _sentences(schema) else lines)


def _row(name: str, about: Schema, definitions: Mapping[str, Schema], *, is_required: bool) -> str:
    schema = flatten(about, definitions)
    shown = f"**{name}**" if is_required else name
    items = flatten(schema["items"], definitions) if "items" in schema else {}
    # A rule of an object stands in its own section.
    rules = [sentence for part in (schema, items) if part.get("type") != "object" for sentence in _sentences(part)]
    description = "<br>".join([schema["description"], *rules])
    return f"| {shown} | {_type(about, definitions)} | {_cell(description)} |"


def _type(about: Schema, definitions: Mapping[str, Schema]) -> str:
    schema = flatten(about, definitions)
    match schema:
        case {"items": items}:
            return f"list of {_type(items, definitions)}, {_between(schema.get('minItems', 0), schema['maxItems'])}"
        case {"x-kubernetes-int-or-string": True}:
            return "integer or string"
        case {"enum": choices} | {"const": choices}:
            return " \\| ".join(f"`{choice}`" for choice in ([choices] if isinstance(choices, str) else choices))
        case {"type": "object"}:
            name = _name(about)
            return f"[{name}](#{name.lower()})"
        case {"type": "integer", "minimum": low, "maximum": high}:
            return f"integer, {_between(low, high)}"
        case {"type": "string", "format": "date-time"}:
            return "time"
        case {"type": "string", "maxLength": longest}:
            return f"string, at most {longest:,}"
        case _:
            return str(schema["type"])


def _between(low: int, high: int) -> str:
    return f"{low:,} to {high:,}" if low else f"at most {high:,}"


def _objects(schema: Schema, definitions: Mapping[str, Schema]) -> Iterator[str]:
    """The names of the objects that the fields lead to, in order."""
    for about in schema.get("properties", {}).values():
        inner = flatten(about, definitions).get("items", about)
        if flatten(inner, definitions).get("type") == "object":
            yield _name(inner)


def _name(about: Schema) -> str:
    choices: list[Schema] = [about, *about.get("anyOf", ())]
    return next(str(choice["$ref"]).removeprefix(_REFERENCE) for choice in choices if "$ref" in choice)


def _sentences(schema: Mapping[str, Any]) -> list[str]:
    return [f"*{_escape(item['message'])}*" for item in schema.get("x-kubernetes-validations", ())]


def _escape(sentence: str) -> str:
    return sentence.replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(run({PAGE: render_reference()}, "modelrollout.api.reference"))
