"""Every CamelCase reason that the code can put into status or an event, found in the code itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import modelrollout
from modelrollout.api.status import Cause, Outcome, Phase
from modelrollout.core.evidence import Unknown

_SOURCE = Path(modelrollout.__file__).parent
# A call of one of these says a reason: as its argument of this index.
_SAID_BY = {
    "Stall": 0,
    "Hold": 0,
    "Rest": 0,
    "Wait": 0,
    "Blocked": 0,
    "_going": 0,
    "Finding": 1,
    "Event": 1,
    "_Statement": 2,
}
_CAMEL = re.compile(r"(?:[A-Z][a-z0-9]+)+")
# The two calls whose reason is put together: f"{what}NotReady", and the constants of core.counts.
_PUT_TOGETHER = frozenset({"BaselineNotReady", "CandidateNotReady", "BaselineAlsoFailing", "Catastrophe"})


def reasons() -> set[str]:
    """Return all of them."""
    enums = {str(member) for kind in (Unknown, Cause, Outcome, Phase) for member in kind}
    return {*_literal_reasons(), *_PUT_TOGETHER, *enums}


def _literal_reasons() -> Iterator[str]:
    for file in _SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield from _said_in(node)


def _said_in(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "id", "")
    index = _SAID_BY.get(name)
    if index is None or len(call.args) <= index:
        return
    # An argument may choose between two words.
    for part in ast.walk(call.args[index]):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and _CAMEL.fullmatch(part.value):
            yield part.value
