"""The rules of a CRD, evaluated without an API server: the part of CEL that such rules are written in.

Anything else is `Unsupported`, which is said, never guessed. Source: the language definition of cel-spec, and the
libraries that Kubernetes adds for strings and lists.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

Value = Any
"""What stands in a manifest: dict, list, str, int, float, bool, None; and timedelta."""

Env = Mapping[str, Value]
Expr = Callable[[Env], Value]


class Unsupported(Exception):
    """The rule uses something that is not understood here."""


class Failed(Exception):
    """The rule cannot be evaluated on this object: the API server would refuse it, too."""


def evaluate(rule: str, value: Value) -> bool:
    """Return whether a rule holds of `self`.

    Raises:
        Unsupported: it is written in more than is understood here.
        Failed: it fails on this value, for instance as a field that it reads is not there.
    """
    result = parse(rule)({"self": value})
    if not isinstance(result, bool):
        raise Failed(f"the rule gives {result!r}")
    return result


@lru_cache(maxsize=512)
def parse(rule: str) -> Expr:
    """Return the rule as a function of its variables.

    Raises:
        Unsupported: it is written in more than is understood here.
    """
    parser = _Parser(rule)
    parsed = parser.ternary()
    parser.expect("")
    return parsed


_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<raw>[rR]?)(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<op>&&|\|\||[<>=!]=|[-+*/%<>!?:.,()\[\]]))""",
    re.ASCII,
)
_WORDS = {"true": True, "false": False, "null": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})


class _Parser:
    """Recursive descent, one method for each level of precedence, loosest first."""

    def __init__(self, rule: str) -> None:
        self._tokens = list(_tokens(rule))
        self._at = 0
        self._last_field: tuple[Expr, str] | None = None
        """Of the member that was parsed last: what it is a field of, and the field's name."""

    def ternary(self) -> Expr:
        condition = self._binary(0)
        if not self._take("?"):
            return condition
        then = self.ternary()
        self.expect(":")
        other = self.ternary()
        return lambda env: then(env) if _truth(condition(env)) else other(env)

    def expect(self, op: str) -> None:
        if self._tokens[self._at] != ("op", op):
            raise Unsupported(f"{self._tokens[self._at][1]!r} where {op!r} is expected")
        self._at += 1

    def _binary(self, level: int) -> Expr:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while (op := self._tokens[self._at]) in _LEVELS[level]:
            self._at += 1
            left = _LEVELS[level][op](left, self._binary(level + 1))
        return left

    def _unary(self) -> Expr:
        if self._take("!"):
            operand = self._unary()
            return lambda env: not _truth(operand(env))
        if self._take("-"):
            operand = self._unary()
            return lambda env: -_number(operand(env))
        return self._member()

    def _member(self) -> Expr:
        found, field = self._primary(), None
        while True:
            if self._take("."):
                name = self._name()
                is_method = self._take("(")
                field = None if is_method else (found, name)
                found = self._method(found, name) if is_method else _field(found, name)
            elif self._take("["):
                index = self.ternary()
                self.expect("]")
                found, field = _index(found, index), None
            else:
                self._last_field = field
                return found

    def _primary(self) -> Expr:
        kind, value = self._tokens[self._at]
        self._at += 1
        if kind in {"number", "text"}:
            return lambda _: value
        if kind == "name":
            return self._named(value)
        if value == "(":
            inner = self.ternary()
            self.expect(")")
            return inner
        if value == "[":
            items = self._arguments("]")
            return lambda env: [item(env) for item in items]
        raise Unsupported(f"{value!r} begins no expression")

    def _named(self, name: str) -> Expr:
        if name in _WORDS:
            return lambda _: _WORDS[name]
        if not self._take("("):
            return lambda env: _variable(env, name)
        if name == "has":
            return self._has()
        if name not in _FUNCTIONS:
            raise Unsupported(f"function {name}")
        (argument,) = self._one_of(self._arguments(")"), name)
        return lambda env: _FUNCTIONS[name](argument(env))

    def _has(self) -> Expr:
        self._member()
        self.expect(")")
        if self._last_field is None:
            raise Unsupported("has() of something that is no field")
        parent, field = self._last_field
        return lambda env: isinstance(held := parent(env), Mapping) and field in held

    def _method(self, target: Expr, name: str) -> Expr:
        if name in _MACROS:
            variable = self._name()
            self.expect(",")
            (body,) = self._one_of(self._arguments(")"), name)
            return _macro(name, target, variable, body)
        if name not in _METHODS:
            raise Unsupported(f"method {name}")
        arguments = self._arguments(")")
        return lambda env: _called(name, target(env), [one(env) for one in arguments])

    def _arguments(self, end: str) -> list[Expr]:
        found: list[Expr] = []
        while not self._take(end):
            if found:
                self.expect(",")
            found.append(self.ternary())
        return found

    def _one_of(self, arguments: list[Expr], name: str) -> list[Expr]:
        if len(arguments) != 1:
            raise Unsupported(f"{name} with {len(arguments)} arguments")
        return arguments

    def _name(self) -> str:
        kind, value = self._tokens[self._at]
        if kind != "name":
            raise Unsupported(f"{value!r} where a name is expected")
        self._at += 1
        return str(value)

    def _take(self, op: str) -> bool:
        if self._tokens[self._at] != ("op", op):
            return False
        self._at += 1
        return True


def _tokens(rule: str) -> list[tuple[str, Value]]:
    found: list[tuple[str, Value]] = []
    at, end = 0, len(rule.rstrip())
    while at < end:
        match = _TOKEN.match(rule, at)
        if match is None:
            raise Unsupported(f"{rule[at : at + 10]!r}")
        at = match.end()
        if match["number"]:
            found.append(("number", float(match["number"]) if "." in match["number"] else int(match["number"])))
        elif match["text"]:
            found.append(("text", match["text"][1:-1] if match["raw"] else _unescaped(match["text"][1:-1])))
        elif match["name"] == "in":
            found.append(("op", "in"))
        else:
            found.append(("name", match["name"]) if match["name"] else ("op", match["op"]))
    return [*found, ("op", "")]


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text)


def _either(stop: bool, left: Expr, right: Expr) -> Expr:  # noqa: FBT001 - which of two operators it is
    """Return `||` (which stops at true) or `&&`: an error on one side does not matter where the other one decides."""

    def decide(env: Env) -> bool:
        try:
            if _truth(left(env)) is stop:
                return stop
        except Failed:
            if _truth(right(env)) is stop:
                return stop
            raise
        return _truth(right(env))

    return decide


def _compare(test: Callable[[Any, Any], bool]) -> Callable[[Expr, Expr], Expr]:
    def comparing(left: Expr, right: Expr) -> Expr:
        def compare(env: Env) -> bool:
            try:
                return bool(test(left(env), right(env)))
            except TypeError as error:
                raise Failed(str(error)) from error

        return compare

    return comparing


def _equal(left: Value, right: Value) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _arithmetic(count: Callable[[Any, Any], Any]) -> Callable[[Expr, Expr], Expr]:
    def counting(left: Expr, right: Expr) -> Expr:
        def compute(env: Env) -> Value:
            try:
                return count(left(env), right(env))
            except (TypeError, ZeroDivisionError) as error:
                raise Failed(str(error)) from error

        return compute

    return counting


_LEVELS: tuple[dict[tuple[str, str], Callable[[Expr, Expr], Expr]], ...] = (
    {("op", "||"): lambda left, right: _either(True, left, right)},  # noqa: FBT003
    {("op", "&&"): lambda left, right: _either(False, left, right)},  # noqa: FBT003
    {
        ("op", "=="): _compare(_equal),
        ("op", "!="): _compare(lambda a, b: not _equal(a, b)),
        ("op", "<="): _compare(lambda a, b: a <= b),
        ("op", ">="): _compare(lambda a, b: a >= b),
        ("op", "<"): _compare(lambda a, b: a < b),
        ("op", ">"): _compare(lambda a, b: a > b),
        ("op", "in"): _compare(lambda a, b: any(_equal(a, one) for one in b)),
    },
    {("op", "+"): _arithmetic(lambda a, b: a + b), ("op", "-"): _arithmetic(lambda a, b: a - b)},
    {
        ("op", "*"): _arithmetic(lambda a, b: a * b),
        ("op", "/"): _arithmetic(lambda a, b: a / b if isinstance(a, float) else a // b),
        ("op", "%"): _arithmetic(lambda a, b: a % b),
    },
)


def _truth(value: Value) -> bool:
    if not isinstance(value, bool):
        raise Failed(f"{value!r} is neither true nor false")
    return value


def _number(value: Value) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Failed(f"{value!r} is no number")
    return value


def _variable(env: Env, name: str) -> Value:
    if name in env:
        return env[name]
    if name in _TYPES:
        return _TYPES[name]
    raise Unsupported(f"variable {name}")


def _field(target: Expr, name: str) -> Expr:
    def get(env: Env) -> Value:
        held = target(env)
        if not isinstance(held, Mapping) or name not in held:
            raise Failed(f"no such key: {name}")
        return held[name]

    return get


def _index(target: Expr, index: Expr) -> Expr:
    def get(env: Env) -> Value:
        held, at = target(env), index(env)
        if isinstance(held, list) and isinstance(at, int) and 0 <= at < len(held):
            return held[at]
        if isinstance(held, Mapping) and at in held:
            return held[at]
        raise Failed(f"nothing at {at!r}")

    return get


def _macro(name: str, target: Expr, variable: str, body: Expr) -> Expr:
    def judge(env: Env) -> Value:
        items = target(env)
        if not isinstance(items, list | Mapping):
            raise Failed(f"{items!r} is no list")
        results = [(item, body({**env, variable: item})) for item in items]
        if name == "map":
            return [result for _, result in results]
        kept = [item for item, result in results if _truth(result)]
        match name:
            case "all":
                return len(kept) == len(results)
            case "exists":
                return bool(kept)
            case "exists_one":
                return len(kept) == 1
            case _:
                return kept

    return judge


def _called(name: str, target: Value, arguments: list[Value]) -> Value:
    try:
        return _METHODS[name](target, *arguments)
    except (TypeError, AttributeError, ValueError) as error:
        raise Failed(f"{name}: {error}") from error


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    """Return an RE2 expression as Python has it: `$` is the very end, and classes are of ASCII."""
    in_class, previous, translated = False, "", ""
    for letter in text:
        if letter == "[" and previous != "\\":
            in_class = True
        elif letter == "]" and previous != "\\":
            in_class = False
        translated += r"\Z" if letter == "$" and not in_class and previous != "\\" else letter
        previous = "" if previous == "\\" else letter
    return re.compile(translated, re.ASCII)


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


def _duration(text: Value) -> timedelta:
    if not isinstance(text, str) or not re.fullmatch(f"({_DURATION.pattern})+", text):
        raise Failed(f"{text!r} is no duration")
    return sum((float(count) * _UNITS[unit] for count, unit in _DURATION.findall(text)), timedelta())


def _double(value: Value) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise Failed(f"{value!r} is no number") from error


def _int(value: Value) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise Failed(f"{value!r} is no whole number") from error


def _size(value: Value) -> int:
    if not isinstance(value, str | list | Mapping):
        raise Failed(f"{value!r} has no size")
    return len(value)


_TYPES = {"int": int, "string": str, "double": float, "bool": bool, "list": list, "map": dict}
_FUNCTIONS: dict[str, Callable[[Value], Value]] = {
    "size": _size,
    "double": _double,
    "int": _int,
    "string": str,
    "type": type,
    "duration": _duration,
    "dyn": lambda value: value,
}
_METHODS: dict[str, Callable[..., Value]] = {
    "size": _size,
    "matches": lambda text, pattern: _pattern(pattern).search(text) is not None,
    "startsWith": lambda text, start: text.startswith(start),
    "endsWith": lambda text, end: text.endswith(end),
    "contains": lambda text, part: part in text,
    "replace": lambda text, old, new: text.replace(old, new),
    "lowerAscii": lambda text: text.lower(),
    "split": lambda text, by: text.split(by),
    "indexOf": lambda items, item: items.index(item) if item in items else -1,
    "lastIndexOf": lambda items, item: len(items) - 1 - items[::-1].index(item) if item in items else -1,
    "isSorted": lambda items: all(a <= b for a, b in pairwise(items)),
    "sum": sum,
    "max": max,
    "min": min,
    "join": lambda items, by="": by.join(items),
}
