"""What a real server exposed, kept for the tests that have no such server: only what matters, the same from run to run."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.presets.servers import Instance

KEPT = Path(__file__).parents[1] / "metrics" / "expositions" / "real"
# What differs from one run to the next without meaning anything.
_OF_ONE_RUN = ("WorkerId", "SessionName", "NodeAddress", "actor_id", "handle", "replica", "pid")
_LABEL = re.compile(r'(?P<name>\w+)="(?P<value>[^"]*)"')


def keep(version: str, instance: Instance) -> None:
    """Write down what it exposes; `git diff` then shows what has changed since the last time."""
    KEPT.mkdir(exist_ok=True)
    place = KEPT / f"{instance.server.preset}-{version}.txt"
    place.write_text(trimmed(instance.exposition(), instance.server.keeps), "utf-8")


def trimmed(text: str, prefixes: tuple[str, ...]) -> str:
    """Return the families whose names begin so, in order, with names of our own for what lives for one run only."""
    families: dict[str, list[str]] = {}
    for line in text.splitlines():
        if found := re.match(r"# TYPE (\S+) ", line):
            family = families.setdefault(found[1], [line])
        elif not line.startswith("#") and line.strip():
            family.append(line)
    kept = {name: lines for name, lines in sorted(families.items())
            if name.startswith(prefixes) and not name.endswith("_created")}  # fmt: skip
    return "".join(f"{line}\n" for line in _renamed(line for head, *rest in kept.values()
                                                    for line in (head, *sorted(rest, key=_place))))  # fmt: skip


def _place(line: str) -> tuple[object, ...]:
    """Where a sample stands in its family: by its labels, buckets in the order of their bounds."""
    labels = {found["name"]: found["value"] for found in _LABEL.finditer(line)}
    bound = float(labels.pop("le", "inf"))
    meant = sorted((name, value) for name, value in labels.items() if name not in _OF_ONE_RUN)
    return (meant, re.split(r"[{ ]", line, maxsplit=1)[0], bound)


def _renamed(lines: Iterator[str]) -> Iterator[str]:
    seen: dict[str, dict[str, str]] = defaultdict(dict)

    def name(found: re.Match[str]) -> str:
        if found["name"] not in _OF_ONE_RUN:
            return found[0]
        names = seen[found["name"]]
        return f'{found["name"]}="{names.setdefault(found["value"], str(len(names) + 1))}"'

    for line in lines:
        yield line if line.startswith("#") else _LABEL.sub(name, line)
