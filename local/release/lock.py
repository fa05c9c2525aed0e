"""The part of requirements.lock that given packages need: versions and hashes are chosen in one place only.

Needs nothing but the standard library, because the image is built with it before anything is installed:
`python lock.py requirements.lock NAME… > requirements.txt`, and `pyproject.toml` in place of the names for what
the image's operator needs.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = re.compile(r"\(pyproject\.toml\)$")


class LockIncomplete(Exception):
    """A package that is needed has no entry in the lock file."""


@dataclass(frozen=True)
class Locked:
    """One package of the lock file."""

    name: str
    version: str
    text: str
    """The requirement as pip reads it: version, marker, hashes."""
    wanted_by: frozenset[str]
    """The packages that need it, of those in the file."""


def read_lock(text: str) -> dict[str, Locked]:
    """Return the packages of a lock file, as `uv pip compile` writes it, by normalised name."""
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {one.name: one for one in map(_read_entry, entries) if one}


def _read_entry(entry: str) -> Locked | None:
    if not (head := re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", entry)):
        return None
    requirement, _, reasons = entry.partition("    # via")
    wanted_by = (line.strip(" #") for line in reasons.splitlines())
    return Locked(
        name=normalised(head[1]),
        version=head[2],
        text=requirement.rstrip() + "\n",
        wanted_by=frozenset(normalised(one) for one in wanted_by if one and not _ROOT.search(one)),
    )


def needed(lock: dict[str, Locked], roots: Iterable[str]) -> list[Locked]:
    """Return the roots and all that they need, in the lock's order.

    Raises:
        LockIncomplete: a root is not in the lock.
    """
    found: set[str] = set()
    waiting = [normalised(root) for root in roots]
    while waiting:
        name = waiting.pop()
        if name not in lock:
            raise LockIncomplete(f"{name} is not in the lock file: run `make lock`")
        if name not in found:
            found.add(name)
            waiting += [other.name for other in lock.values() if name in other.wanted_by]
    return [one for one in lock.values() if one.name in found]


def operator_needs(pyproject: str) -> Iterator[str]:
    """Yield the names of what the image's operator needs: its own dependencies, and those of the extra `notify`.

    The other extras are for people's machines, demo and tests.
    """
    project = tomllib.loads(pyproject)["project"]
    for requirement in (*project["dependencies"], *project["optional-dependencies"]["notify"]):
        yield re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def normalised(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: Sequence[str]) -> None:
    """Print the part of a lock file that the named packages, or a pyproject.toml, need."""
    lock, *names = arguments
    roots = [
        root
        for name in names
        for root in (operator_needs(Path(name).read_text("utf-8")) if name.endswith(".toml") else [name])
    ]
    sys.stdout.writelines(one.text for one in needed(read_lock(Path(lock).read_text("utf-8")), roots))


if __name__ == "__main__":
    main(sys.argv[1:])
