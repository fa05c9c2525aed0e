"""What the operator is made of: a CycloneDX bill of materials, and the licences.

Versions and who needs whom come from requirements.lock; licences from the installed packages, which have to be those
very versions.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from local.release.lock import Locked

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "modelrollout.dev")
_SPEC = "1.6"
_SEE = "see its licence file"
_OF_ITS_FILE = {
    # Its metadata say nothing; the LICENSE in its wheel and in its repository (messense/py-promql-parser) is MIT's text.
    "promql-parser": "MIT",
}


class NotInstalled(Exception):
    """A package is not installed in the locked version, so nothing can be said of its licence."""


def installed(packages: Sequence[Locked]) -> dict[str, Distribution]:
    """Return the installed package of each locked one.

    Raises:
        NotInstalled: one is missing, or has another version than the lock file's.
    """
    found = {}
    for one in packages:
        try:
            found[one.name] = distribution(one.name)
        except PackageNotFoundError as error:
            raise NotInstalled(f"{one.name} is not installed: run `make setup`") from error
        if found[one.name].version != one.version:
            raise NotInstalled(f"{one.name} {found[one.name].version} is installed, {one.version} is locked")
    return found


def licence_of(package: Distribution) -> str:
    """Return what a package says of its licence: an SPDX expression if it has one, else its own words on one line."""
    if expression := _field(package, "License-Expression"):
        return expression
    classified = [
        line.rpartition(" :: ")[2]
        for line in package.metadata.get_all("Classifier", [])
        if line.startswith("License :: OSI Approved :: ")
    ]
    written = _field(package, "License")
    if written and "\n" not in written:
        return written
    return ", ".join(classified) or _OF_ITS_FILE.get(package.name, _SEE)


def _field(package: Distribution, name: str) -> str:
    return "".join(package.metadata.get_all(name, [])[:1]).strip()


def bill_of_materials(
    own: tuple[str, str],
    direct: Sequence[str],
    packages: Sequence[Locked],
    found: Mapping[str, Distribution],
    *,
    made: datetime,
) -> str:
    """Return the bill as CycloneDX JSON; the same input gives the same text.

    `own` is our name and version, `direct` the names of the packages that we need ourselves; `made` is aware.
    """
    reference = {one.name: _purl(one.name, one.version) for one in packages}
    needs = {
        reference[one.name]: sorted(reference[other.name] for other in packages if one.name in other.wanted_by)
        for one in packages
    }
    tree = {_purl(*own): sorted(reference[name] for name in direct), **needs}
    body: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": _SPEC,
        "version": 1,
        "metadata": {
            "timestamp": made.isoformat(),
            "component": _component("application", *own, licences=[{"license": {"id": "Apache-2.0"}}]),
        },
        "components": [
            _component("library", one.name, one.version, licences=_licences(found[one.name])) for one in packages
        ],
        "dependencies": [{"ref": package, "dependsOn": others} for package, others in tree.items()],
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(body, sort_keys=True))
    return json.dumps({**body, "serialNumber": f"urn:uuid:{serial}"}, indent=2) + "\n"


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def _component(kind: str, name: str, version: str, *, licences: list[dict[str, Any]]) -> dict[str, Any]:
    purl = _purl(name, version)
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl, "licenses": licences}


def _licences(package: Distribution) -> list[dict[str, Any]]:
    if expression := _field(package, "License-Expression") or _OF_ITS_FILE.get(package.name, ""):
        return [{"expression": expression}]
    return [{"license": {"name": licence_of(package)}}]


def licence_list(packages: Sequence[Locked], found: Mapping[str, Distribution]) -> str:
    """Return a line for each package, then the text of each package's licence files."""
    width = max(len(f"{one.name} {one.version}") for one in packages)
    lines = [f"{f'{one.name} {one.version}':<{width}}  {licence_of(found[one.name])}\n" for one in packages]
    texts = [
        f"\n{'=' * 78}\n{one.name} {one.version}: {file}\n{'=' * 78}\n\n{text.rstrip()}\n"
        for one in packages
        for file, text in _licence_files(found[one.name]).items()
    ]
    return "".join(("The operator comes with these packages.\n\n", *lines, *texts))


def _licence_files(package: Distribution) -> dict[str, str]:
    """Return the texts of a package's licence files by their names, wherever its metadata keeps them."""
    named = {str(name) for name in package.metadata.get_all("License-File", [])}
    texts = {}
    for file in package.files or []:
        _, inside, rest = str(file).partition(".dist-info/")
        name = rest.removeprefix("licenses/").removeprefix("license_files/")
        if inside and (name in named or name.upper().startswith(("LICEN", "COPYING", "NOTICE"))):
            texts[name] = file.read_text("utf-8")
    return texts
