"""ModelRollouts in files, as `kubectl apply -f` takes them."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from modelrollout.api.crd import GROUP, KIND, VERSION
from modelrollout.cli.exits import Exit, Problem
from modelrollout.core.rollout import Rollout, parse_rollout

_ENDINGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One ModelRollout, and the file that it stands in."""

    file: str
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name, a dash where it has none."""
        metadata = self.content.get("metadata")
        return str((metadata if isinstance(metadata, dict) else {}).get("name") or "-")

    def parse(self, namespace: str) -> Rollout:
        """Return it as the operator would see it in a namespace, unless it names its own.

        Raises:
            Problem: its spec cannot be read.
        """
        metadata = {"namespace": namespace, **self.content["metadata"], "uid": "not-stored", "resourceVersion": "0"}
        rollout = parse_rollout({**self.content, "metadata": metadata, "status": {}})
        if rollout.spec is None:
            raise Problem(f"{self.file}: {self.name}: {rollout.problem}", Exit.NO)
        return rollout


def files_option(command: Any) -> Any:  # noqa: ANN401 - a decorator, as click's own
    """Add -f, which may be given several times, and names a file, a folder, or `-`."""
    return click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        required=True,
        help="File with manifests, a folder of them, or - for standard input; may be given several times.",
    )(command)


def read_manifests(files: tuple[str, ...]) -> list[Manifest]:
    """Return the ModelRollouts in these files, in order; other kinds are passed over.

    Raises:
        Problem: a file cannot be read, is no YAML, or there is no ModelRollout in any.
    """
    found = [one for file in files for path in _paths(file) for one in _manifests(path)]
    if not found:
        raise Problem(f"there is no {KIND} in {', '.join(files)}: name a file that has one")
    return found


def _paths(file: str) -> list[str]:
    if file != "-" and Path(file).is_dir():
        return [str(path) for path in sorted(Path(file).iterdir()) if path.suffix in _ENDINGS]
    return [file]


def _manifests(file: str) -> Iterator[Manifest]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
        documents = [json.loads(text)] if file.endswith(".json") else list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        raise Problem(f"{file} cannot be read: {error}") from error
    for document in documents:
        items = document.get("items") if isinstance(document, dict) and document.get("kind") == "List" else [document]
        for one in items if isinstance(items, list) else ():
            if isinstance(one, dict) and one.get("kind") == KIND:
                yield Manifest(file, one)


def version_fault(manifest: Manifest) -> str | None:
    """Return what is wrong with the manifest's apiVersion."""
    given, ours = manifest.content.get("apiVersion"), f"{GROUP}/{VERSION}"
    return None if given == ours else f"is {given!r}: write {ours}"
