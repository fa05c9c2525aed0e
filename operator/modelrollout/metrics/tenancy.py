"""Queries that read one namespace only: proven of each, before it leaves, or refused.

Two readers must agree. Ours (`promql`) finds every selector in the text and puts the matcher in; the PromQL parser then
reads the text that is sent, and has to find as many selectors, each with that matcher. Its own printing is never sent:
it drops escapes.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, NewType

import promql_parser
from promql_parser import MatchOp

from modelrollout.api.metrics import Series
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.promql import with_matcher
from modelrollout.metrics.queries import PromQL

Confined = NewType("Confined", PromQL)
"""A query that may leave for its source. `Tenancy.confine` is the only place that makes one."""

REMEMBERED_TEXTS = 1024
"""The gates of one look often ask the same; a text of another window is another text."""
REMEMBERED_SHAPES = 16 * 1024
"""Texts but for their spans of time, which change from look to look: those of some 1,000 rollouts with 4 gates."""

_SPAN = re.compile(r"([0-9]+m?s)(?=[\]: )])", re.ASCII)
_ANY_SPAN = "1s"
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_ANY = "*"
"""Stands for the namespace of a rollout that is not known yet; no namespace is called so."""
_READS_MORE = {
    "info": "it calls info(), which reads series that no selector names: join them by `* on (…) group_left (…)`"
}
_OPS = {str(op): text for op, text in ((MatchOp.NotEqual, "!="), (MatchOp.Re, "=~"), (MatchOp.NotRe, "!~"))}


class Tenancy:
    """What the administrator says of one source: whether a rollout's queries are kept to its own namespace."""

    def __init__(self, config: SourceConfig) -> None:
        self._label = config.namespace_label if config.enforce_namespace else None

    def confine(self, query: PromQL, namespace: str) -> Confined:
        """Return the query as it may be sent: on a source that enforces namespaces, kept to this one.

        Raises:
            ValueError: it cannot be proven to read that namespace alone.
        """
        if self._label is None:
            return Confined(query)
        found = _confined(query, self._label, namespace)
        if isinstance(found, _Problem):
            raise ValueError(found.text)  # noqa: TRY004 a sentence, not a type
        return Confined(PromQL(found))

    def check(self, query: str) -> None:
        """Accept a query that could be kept to the namespace that it names, whichever is the rollout's.

        Raises:
            ValueError: it could not.
        """
        if self._label is not None and isinstance(problem := _proven(query, self._label, _ANY), _Problem):
            raise ValueError(problem.text)

    def check_series(self, named: Iterable[Series]) -> None:
        """Accept series of the user's own whose matchers leave the namespace alone, or name one.

        Raises:
            ValueError: a matcher on its label is no plain one.
        """
        for series in named:
            for matcher in series.matchers:
                if matcher.label == self._label and matcher.op != "=":
                    raise ValueError(_second(f"{series.metric} matches", matcher.label, matcher.op))


class _Problem(NamedTuple):
    text: str


class _Shape(NamedTuple):
    """A query with the matcher in each selector, `None` where it had them all, and cut at its spans of time."""

    text: str | None
    cut: tuple[str, ...]


@lru_cache(maxsize=REMEMBERED_TEXTS)
def _confined(query: str, label: str, namespace: str) -> str | _Problem:
    if not _NAMESPACE.fullmatch(namespace):
        return _Problem(f"{namespace[:63]!r} is no namespace")
    # Text, span, text, …: digits are digits wherever they stand, so what holds with others holds with these.
    parts = _SPAN.split(query)
    shape = _proven(_ANY_SPAN.join(parts[::2]), label, namespace)
    if isinstance(shape, _Shape):
        if shape.text is None:
            return query
        if len(shape.cut) == len(parts):
            parts[::2] = shape.cut[::2]
            return "".join(parts)
    # A span within an escape, or a comment that is gone.
    shape = _proven(query, label, namespace)
    return (shape.text or query) if isinstance(shape, _Shape) else shape


@lru_cache(maxsize=REMEMBERED_SHAPES)
def _proven(query: str, label: str, namespace: str) -> _Shape | _Problem:
    """Return the query with the matcher. With `_ANY` the matchers that it has may name any namespace."""
    try:
        text, selectors = with_matcher(query, label, namespace)
        read = promql_parser.parse(text)
        found = list(_parts(read))
    except (ValueError, RecursionError) as error:
        return _Problem(f"it cannot be kept to the rollout's namespace: {error}")
    if problem := next((problem for part in found if (problem := _problem(part, label, namespace))), None):
        return _Problem(problem)
    if selectors != sum(isinstance(part, promql_parser.VectorSelector) for part in found):
        return _Problem(
            "it cannot be kept to the rollout's namespace, because it can be read in two ways: name no metric like a"
            " word of PromQL's own"
        )
    return _Shape(None if text == query else text, tuple(_SPAN.split(text)))


def _parts(expression: Any) -> Iterator[Any]:  # noqa: ANN401 - the parser has no types of its own
    """Yield all selectors and calls.

    Raises:
        ValueError: there is something in it that we know nothing of.
    """
    todo = [expression]
    while todo:
        part = todo.pop()
        match part:
            case promql_parser.VectorSelector():
                yield part
            case promql_parser.MatrixSelector():
                yield part.vector_selector
            case promql_parser.Call():
                yield part
                todo += part.args
            case promql_parser.AggregateExpr():
                todo += [part.expr, *([part.param] if part.param is not None else [])]
            case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
                todo.append(part.expr)
            case promql_parser.BinaryExpr():
                todo += [part.lhs, part.rhs]
            case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
                pass
            case _:
                raise ValueError(f"it has a {type(part).__name__}")


def _problem(part: Any, label: str, namespace: str) -> str | None:  # noqa: ANN401 - as above
    if isinstance(part, promql_parser.Call):
        return _READS_MORE.get(part.func.name)
    matchers = part.matchers
    if matchers.or_matchers:
        return "it has matchers joined by `or` within braces: write two selectors and `or` between them"
    on_label = [matcher for matcher in matchers.matchers if matcher.name == label]
    for matcher in on_label:
        if matcher.op != MatchOp.Equal:
            return _second("it matches", label, _OPS[str(matcher.op)])
        if namespace not in {matcher.value, _ANY}:
            return (
                f"it reads {label}={json.dumps(matcher.value[:63])}, where source and rollout allow {label}="
                f'"{namespace}" alone: leave that matcher out, it is added, or write "$namespace"'
            )
    if not any(matcher.value == namespace for matcher in on_label):
        return "it cannot be kept to the rollout's namespace: a selector takes no matcher"
    return None


def _second(what: str, label: str, op: str) -> str:
    return f"{what} on label {label} with {op}, where this source allows the rollout's own namespace alone: leave it out, it is added"
