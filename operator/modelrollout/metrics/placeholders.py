"""A user's own query for one version: `$service`, `$version` and `$namespace` within its texts stand for the version's.

A value is put in escaped for the text that it stands in, so that none can end the text, and after `=~` and `!~` for the
expression as well, so that it matches itself only. What else begins with `$` stays: `label_replace` has its `$1`.
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from modelrollout.core.evidence import Track
from modelrollout.metrics.queries import PromQL, escaped

Placeholder = Literal["service", "version", "namespace"]

# In the order in which they are tried. A comment may hold a quote, and a text may hold a '#'.
_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)|(?P<matches>[=!]~)"""
    r"""|(?P<space>\s+)|(?P<other>[^\s\#"'`=!$]+|.)""",
    re.DOTALL,
)
_PLACEHOLDER = re.compile(r"\$(service|version|namespace)(?![a-zA-Z0-9_])", re.ASCII)


class _Slot(NamedTuple):
    """Where a value goes: within quotes of this kind, as an expression or literally."""

    name: Placeholder
    quote: str
    is_expression: bool


def names_version(query: str) -> bool:
    """Whether the query can be asked of one version at a time.

    Raises:
        ValueError: as `query_for`.
    """
    return any(isinstance(part, _Slot) and part.name != "namespace" for part in _parts(query))


def query_for(query: str, track: Track) -> PromQL:
    """Return the query with each placeholder replaced by what it stands for.

    Raises:
        ValueError: a placeholder stands outside of quotes, or its value cannot be written where it stands.
    """
    values: dict[Placeholder, str] = {
        "service": track.service,
        "version": track.version,
        "namespace": track.namespace,
    }
    return PromQL(
        "".join(part if isinstance(part, str) else _filled(part, values[part.name]) for part in _parts(query))
    )


def _filled(slot: _Slot, value: str) -> str:
    text = re.escape(value) if slot.is_expression else value
    if slot.quote != "`":
        return escaped(text, slot.quote)
    if "`" in text or "\r" in text:
        raise ValueError(f"${slot.name} cannot be written between back quotes here: use double quotes")
    return text


@lru_cache(maxsize=1024)
def _parts(query: str) -> tuple[str | _Slot, ...]:
    parts: list[str | _Slot] = []
    is_expression = False
    for token in _TOKEN.finditer(query):
        text = token[0]
        match token.lastgroup:
            case "text":
                parts += _parts_of_text(text, is_expression=is_expression)
                is_expression = False
            case "comment" | "space":
                parts.append(text)
            case kind:
                if found := _PLACEHOLDER.match(query, token.start()):
                    raise ValueError(f"{found[0]} stands outside of quotes: write it as a label's value, in quotes")
                parts.append(text)
                is_expression = kind == "matches"
    return tuple(parts)


def _parts_of_text(text: str, *, is_expression: bool) -> list[str | _Slot]:
    parts: list[str | _Slot] = []
    for index, piece in enumerate(_PLACEHOLDER.split(text)):
        match piece:
            case ("service" | "version" | "namespace") as name if index % 2:
                parts.append(_Slot(name, text[0], is_expression))
            case _:
                parts.append(piece)
    return parts
