"""Programs and custom resource definitions, built from pinned sources into a cache: `python -m local.build kube …`.

A program's place in the cache is named after everything that goes into it (go.mod, go.sum, Go's version, flags), so a
stale one is never used, and two versions of the project can share the cache.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import yaml

from local.golang import BuildFailed, Go, find_go
from local.paths import TOOLS, cache_directory, cache_lock
from local.progress import Progress, run
from local.python_tool import PRESET_SERVERS, PYTHON_TOOLS, find_environment, find_python_tool
from local.targets import (
    ENVOY_GATEWAY,
    GATEWAY_API,
    PROMETHEUS_OPERATOR,
    TARGETS,
    TRAEFIK,
    TRAEFIK_ROLES,
    Definitions,
    Target,
)

_ENVTEST = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager")
_DEFINITIONS = {
    "kube": (GATEWAY_API, TRAEFIK, TRAEFIK_ROLES),
    "envoy-gateway": (ENVOY_GATEWAY,),
    "kubeconform": (PROMETHEUS_OPERATOR,),
}


def find_programs(names: Iterable[str]) -> dict[str, Path]:
    """Return where each program is; those that are nowhere yet are built, which may take minutes.

    KUBEBUILDER_ASSETS is looked at first for the control plane, the PATH for a Prometheus of major version 3.

    Raises:
        BuildFailed: a build failed, or there is no Go and none could be installed.
    """
    wanted = list(names)
    found = {name: path for name in wanted if (path := _given(name))}
    for target in TARGETS.values():
        missing = [name for name in wanted if name in target.packages and name not in found]
        if missing:
            found |= _build(target, missing)
    if unknown := [name for name in wanted if name not in found]:
        raise BuildFailed(f"nothing here builds {', '.join(unknown)}")
    return found


def find_definitions(definitions: Definitions) -> Path:
    """Return a JSON file with a list of manifests, taken from their Go module.

    Raises:
        BuildFailed: the module cannot be fetched, or is not the one whose checksum is pinned.
    """
    key = hashlib.sha256(repr(definitions).encode()).hexdigest()[:12]
    place = cache_directory() / "crds" / f"{definitions.name}-{key}.json"
    if place.exists():
        return place
    with cache_lock(f"crds-{definitions.name}"):
        if not place.exists():
            progress = Progress(f"{definitions.name} definitions")
            _write_atomically(place, json.dumps(_read_definitions(definitions)))
            progress.tick(final="done")
    return place


def _given(name: str) -> Path | None:
    """Return a program that the user brings, if there is one."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and name in _ENVTEST and (path := Path(assets).expanduser().absolute() / name).exists():
        return path
    if name == "prometheus" and (found := shutil.which(name)):
        answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
        if re.search(r"version v?3\.", answer.stdout + answer.stderr):
            return Path(found)
    return None


def _build(target: Target, names: list[str]) -> dict[str, Path]:
    go = find_go()
    place = cache_directory() / "bin" / f"{target.name}-{_key(target, go)}"
    paths = {name: place / name for name in names}
    if all(path.exists() for path in paths.values()):
        return paths
    with cache_lock(target.name):
        missing = [name for name in names if not paths[name].exists()]
        if missing:
            place.mkdir(parents=True, exist_ok=True)
            _compile(target, missing, go, place)
    return paths


def _compile(target: Target, names: list[str], go: Go, place: Path) -> None:
    sources, environment = TOOLS / (target.folder or target.name), go.environment()
    packages = [target.packages[name] for name in names]
    for left_over in place.glob(".build-*"):  # of a build that was killed: only the holder of the lock gets here
        shutil.rmtree(left_over, ignore_errors=True)
    progress = Progress(f"{target.name} ({', '.join(names)})")
    with tempfile.TemporaryDirectory(dir=place, prefix=".build-") as scratch:
        listing, out = Path(scratch) / "packages", Path(scratch) / "out"
        tags = ["-tags", target.tags] if target.tags else []
        command: list[str | Path] = [go.command, "list", "-mod=readonly", "-deps", *tags, *packages]
        run(command, cwd=sources, environment=environment, progress=progress, output=listing)
        progress.packages = len(listing.read_text().splitlines())
        out.mkdir()
        command = [go.command, "build", "-v", *target.flags(), "-o", f"{out}/", *packages]
        run(command, cwd=sources, environment=environment, progress=progress, output=Path(scratch) / "stdout")
        for name in names:
            (out / _binary(target.packages[name])).replace(place / name)
    progress.tick(final="done")


def _binary(package: str) -> str:
    """Return what `go build` calls the program of a package: its last element that is not a major version."""
    return next(part for part in reversed(package.split("/")) if not re.fullmatch(r"v\d+", part))


def _key(target: Target, go: Go) -> str:
    digest = hashlib.sha256(json.dumps([go.version, target.flags(), sorted(target.packages.items())]).encode())
    for name in ("go.mod", "go.sum"):
        digest.update((TOOLS / (target.folder or target.name) / name).read_bytes())
    return digest.hexdigest()[:12]


def _read_definitions(definitions: Definitions) -> list[object]:
    go = find_go()
    answer = subprocess.run(
        [go.command, "mod", "download", "-json", definitions.module],
        capture_output=True, text=True, check=False, env=go.environment(), cwd=TOOLS,
    )  # fmt: skip
    if answer.returncode:
        raise BuildFailed(f"{definitions.module} could not be fetched: {(answer.stderr or answer.stdout).strip()}")
    fetched = json.loads(answer.stdout)
    if fetched["Sum"] != definitions.checksum:
        raise BuildFailed(f"{definitions.module} has checksum {fetched['Sum']}, pinned is {definitions.checksum}")
    files = sorted(Path(fetched["Dir"]).glob(definitions.pattern))
    documents = [one for file in files for one in yaml.load_all(file.read_text(), yaml.CSafeLoader)]
    return [one for one in documents if one and one["kind"] == definitions.kind]


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


def main() -> int:
    """Build the targets that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.build", description="Build what the local stack runs.")
    environments = tuple(f"presets/{server}" for server in PRESET_SERVERS)
    names = (*TARGETS, *PYTHON_TOOLS, *environments)
    parser.add_argument("targets", nargs="+", choices=sorted(names), metavar="TARGET", help=", ".join(names))
    wanted = parser.parse_args().targets
    try:
        for name in (one for one in wanted if one in PYTHON_TOOLS):
            print(f"{name}: {find_python_tool(name)}")
        for name in (one for one in wanted if one in environments):
            print(f"{name}: {find_environment(name)}")
        for target in (TARGETS[one] for one in wanted if one in TARGETS):
            for name, path in find_programs(target.packages).items():
                print(f"{name}: {path}")
            for definitions in _DEFINITIONS.get(target.name, ()):
                print(f"{definitions.name}: {find_definitions(definitions)}")
    except BuildFailed as failure:
        print(f"\nbuild failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbuild interrupted; what was compiled is kept in Go's cache", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
