"""JSON schemas of kinds, as kubeconform reads them, from what the API server publishes of itself."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from local.api import Api
from local.process import wait_until

Kind = tuple[str, str]
"""apiVersion and kind."""

LOCATION = "{{ .Group }}_{{ .ResourceAPIVersion }}_{{ .ResourceKind }}.json"
"""Where `write_schemas` puts the schema of a kind, below its directory, in kubeconform's words."""
_GROUP_VERSION_KIND = "x-kubernetes-group-version-kind"


def write_schemas(api: Api, kinds: Iterable[Kind], place: Path) -> None:
    """Write the schema of each kind into `place`, with all that it refers to, and closed: unknown fields are errors."""
    by_version: dict[str, set[str]] = {}
    for version, kind in kinds:
        by_version.setdefault(version, set()).add(kind)
    for version, wanted in by_version.items():
        for kind, name, components in _published(api, version, wanted):
            schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": components}}
            group, _, short = version.rpartition("/")
            # kubeconform takes the version for the group of a kind of the core.
            file = place / f"{group or short}_{short}_{kind.lower()}.json"
            file.write_text(json.dumps(schema), "utf-8")


def _published(api: Api, version: str, wanted: set[str]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return kind, name and components of the wanted kinds, once the API server has published them all."""
    path = f"/openapi/v3/{'apis' if '/' in version else 'api'}/{version}"
    group, _, short = version.rpartition("/")
    found: dict[str, tuple[str, dict[str, Any]]] = {}

    def are_published() -> bool:
        if path.removeprefix("/openapi/v3/") not in api.call("GET", "/openapi/v3")["paths"]:
            return False
        components = api.call("GET", path)["components"]["schemas"]
        for name, schema in components.items():
            for one in schema.get(_GROUP_VERSION_KIND, ()):
                if (one["group"], one["version"]) == (group, short):
                    found[one["kind"]] = name, components
        return wanted <= found.keys()

    wait_until(are_published, f"the schemas of {', '.join(sorted(wanted))} in {version}")
    return [(kind, name, _closed(components)) for kind, (name, components) in found.items() if kind in wanted]


def _closed(schema: Any) -> Any:  # any JSON
    """Return a schema in which objects with properties have no others."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(one) for name, one in schema.items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict) and not is_open:
        closed["additionalProperties"] = False
    return closed
