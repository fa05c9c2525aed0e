"""A query as its words and marks, and where in it series are selected.

It reads less than Prometheus does and refuses the rest: what is understood here means the same to Prometheus, Thanos,
Mimir and VictoriaMetrics. Comments are left out, because not all agree where one ends.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_PARTS = 250
"""Operators and brackets of a query, at most: the parser takes time by the square of how deep they nest, 13 ms for these."""

_TOKEN = re.compile(
    r"""(?P<space>[ \t\n\r]+)|(?P<comment>\#[^\n\r]*)"""
    r"""|(?P<text>"(?:[^"\\\n\r]|\\[^\n\r])*"|'(?:[^'\\\n\r]|\\[^\n\r])*'|`[^`\r]*`)"""
    r"""|(?P<number>[0-9.][0-9a-zA-Z_.]*)|(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)"""
    r"""|(?P<compare>==|=~|!=|!~|>=|<=|>|<|=)|(?P<operator>[-+*/%^@])|(?P<mark>[(){}\[\],])""",
    re.ASCII,
)
_MATCHERS = re.compile("(?:(?:[wt]ct|t)(?:,(?:[wt]ct|t))*,?)?")
_KINDS = {"word": "w", "text": "t", "compare": "c", "mark": ","}
_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_BETWEEN = frozenset({"and", "or", "unless", "atan2", "offset"})
_NUMBERS = frozenset({"inf", "nan"})


class _Token(NamedTuple):
    kind: str
    text: str


@dataclass(slots=True)
class _Reader:
    """What is left to read, and what has been written so far."""

    tokens: list[_Token]
    matcher: tuple[str, str, str]
    """Label, operator and quoted value of the matcher that each selector gets."""
    at: int = 0
    written: list[str] = field(default_factory=list)
    selectors: int = 0
    parts: int = 0
    wants_operand: bool = True

    def next_is(self, text: str) -> bool:
        place = self.at
        while place < len(self.tokens) and self.tokens[place].kind == "space":
            place += 1
        return place < len(self.tokens) and self.tokens[place].text == text

    def rest_up_to(self, closing: str) -> Iterator[_Token]:
        """Yield the tokens up to the next `closing`, which is taken, too."""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            if token.text == closing:
                return
            yield token
        raise ValueError(f"{closing!r} is missing in it")


def with_matcher(query: str, label: str, value: str) -> tuple[str, int]:
    """Return the query with `label="value"` in each selector that has no such matcher, and how many selectors there are.

    Neither label nor value may need an escape.

    Raises:
        ValueError: something in it cannot be read for certain.
    """
    reader = _Reader(list(_tokens(query)), (label, "=", f'"{value}"'))
    while reader.at < len(reader.tokens):
        token = reader.tokens[reader.at]
        reader.at += 1
        _read(reader, token)
        if reader.parts > MOST_PARTS:
            raise ValueError(f"it has more than {MOST_PARTS} operators and brackets: ask for less, or record a rule")
    return "".join(reader.written), reader.selectors


def _tokens(query: str) -> Iterator[_Token]:
    at = 0
    while at < len(query):
        found = _TOKEN.match(query, at)
        if found is None:
            raise ValueError(f"{query[at : at + 12]!r} in it is no PromQL that can be read for certain")
        at = found.end()
        match found.lastgroup:
            case "comment":
                yield _Token("space", " ")
            case "space":
                yield _Token("space", found[0].replace("\r", " "))
            case kind:
                yield _Token(str(kind), found[0])


def _read(reader: _Reader, token: _Token) -> None:
    match token:
        case _Token("space"):
            reader.written.append(token.text)
        case _Token("text" | "number"):
            _write(reader, token.text, wants_operand=False)
        case _Token("word"):
            _read_word(reader, token.text)
        case _Token(_, "{"):
            _read_selector(reader, "")
        case _Token(_, "["):
            span = "".join(_span(part) for part in reader.rest_up_to("]"))
            _write(reader, f"[{span}]", wants_operand=False)
        case _Token(_, ")"):
            _write(reader, ")", wants_operand=False)
        case _Token(_, "}" | "]" | "=" | "=~" | "!~"):
            raise ValueError(f"{token.text!r} stands in it where none can")
        case _:
            reader.parts += 1
            _write(reader, token.text, wants_operand=True)
            if token.kind == "compare":
                _read_bool(reader)


def _write(reader: _Reader, text: str, *, wants_operand: bool) -> None:
    reader.written.append(text)
    reader.wants_operand = wants_operand


def _read_bool(reader: _Reader) -> None:
    """Take `bool` after a comparison; elsewhere it is a metric's name."""
    place = reader.at
    while place < len(reader.tokens) and reader.tokens[place].kind == "space":
        place += 1
    if place < len(reader.tokens) and reader.tokens[place].text.lower() == "bool":
        reader.written += [one.text for one in reader.tokens[reader.at : place + 1]]
        reader.at = place + 1


def _read_word(reader: _Reader, word: str) -> None:
    name = word.lower()
    if name in _LISTS and reader.next_is("("):
        labels = "".join(_label(part) for part in reader.rest_up_to(")"))
        _write(reader, f"{word}{labels})", wants_operand=name not in {"by", "without"})
    elif not reader.wants_operand:
        if name not in _BETWEEN:
            raise ValueError(f"{word[:40]!r} stands in it where an operator is expected")
        reader.parts += 1
        _write(reader, word, wants_operand=True)
    elif name in _NUMBERS:
        _write(reader, word, wants_operand=False)
    elif name in {"group_left", "group_right"} or reader.next_is("(") or _is_followed_by_list(reader):
        _write(reader, word, wants_operand=True)
    elif reader.next_is("{"):
        for part in reader.rest_up_to("{"):
            word += part.text
        _read_selector(reader, word)
    else:
        reader.selectors += 1
        _write(reader, f"{word}{{{''.join(reader.matcher)}}}", wants_operand=False)


def _is_followed_by_list(reader: _Reader) -> bool:
    """Whether it is an aggregation whose labels come first: `sum by (le) (…)`."""
    following = [token.text.lower() for token in reader.tokens[reader.at : reader.at + 4] if token.kind != "space"]
    return len(following) > 1 and following[0] in {"by", "without"} and following[1] == "("


def _label(part: _Token) -> str:
    if part.kind not in {"space", "word", "text"} and part.text not in {"(", ","}:
        raise ValueError(f"{part.text!r} stands in it where labels are listed")
    return part.text


def _span(part: _Token) -> str:
    if part.kind not in {"space", "number"} and not part.text.startswith(":"):
        raise ValueError(f"{part.text!r} stands in it where a span of time is written")
    return part.text


def _read_selector(reader: _Reader, name: str) -> None:
    """Write what stands between braces, with the matcher in front unless it is there word for word."""
    parts = [part for part in reader.rest_up_to("}") if part.kind != "space"]
    texts = [part.text for part in parts]
    kinds = "".join(_KINDS.get(part.kind, "?") if part.kind != "mark" or part.text == "," else "?" for part in parts)
    if not reader.wants_operand or not _MATCHERS.fullmatch(kinds):
        raise ValueError(f"{{{''.join(texts)[:60]}}} is no list of matchers, each a label, =, !=, =~ or !~ and a text")
    has_own = any(tuple(texts[place : place + 3]) == reader.matcher for place in range(len(texts)))
    own = [] if has_own else ["".join(reader.matcher), *([","] if texts else [])]
    reader.selectors += 1
    _write(reader, f"{name}{{{''.join([*own, *texts])}}}", wants_operand=False)
