"""Texts that somebody may write where a name is asked for, and what a query looks like but for its labels' values."""

from typing import Any

import promql_parser

VALUES = {
    "a quote": '"',
    "a single quote": "'",
    "a back quote": "`",
    "a backslash": "\\",
    "a backslash and a quote": '\\"',
    "two backslashes and a quote": '\\\\"',
    "a backslash at the end": "fraud\\",
    "an opening brace": "{",
    "a closing brace": "}",
    "braces the wrong way round": "}{",
    "a bracket": "]",
    "a parenthesis": ")",
    "a comma": ",",
    "a comment": "# fraud",
    "a comment after a line": "fraud\n# or",
    "a new line": "fraud\nv2",
    "a carriage return": "fraud\rv2",
    "a return and a new line": "fraud\r\nor up",
    "a tab": "fraud\tv2",
    "a null": "fraud\x00v2",
    "an escape": "\x1b[31mfraud",
    "a delete": "\x7f",
    "an end of the selector": 'a"}[5m])) * 0 # ',
    "an end of it in single quotes": "a'}[5m])) * 0 # ",
    "an end of it in back quotes": "a`}[5m])) * 0 # ",
    "a matcher on all namespaces": 'x",namespace=~".+',
    "a regular expression for a value": '=~".+"',
    "an operator before it": '"=~".+',
    "a metric's name": '",__name__=~".+',
    "another metric": '"} or up{a="',
    "a vector that always passes": '\\"} or vector(0) #',
    "or within braces": '" or namespace="other',
    "a batch's own end": '", "part", "0", "", "") or label_replace(up',
    "a subquery": 'x"}[1h:1s',
    "an offset": 'x"} offset 1w #',
    "an escape by number": "\\x22} or up{\\x22",
    "an octal escape": "\\042} or up",
    "an escape of unicode": "\\u0022} or up",
    "everything": ".*",
    "one or more": ".+",
    "an alternative": "fraud-v2|fraud-v3",
    "a group that never closes": "(fraud",
    "a class that never closes": "[fraud",
    "anchors": "^fraud$",
    "a dollar": "$service",
    "a group": "$1",
    "another's variable": "$__range",
    "a template": "{{ .Values.x }}",
    "a format": "{namespace}%s%(x)s",
    "curly quotes": "\u201cfraud\u201d",
    "a full-width quote": "fraud\uff02} or up",
    "a full-width brace": "fraud\uff5d",
    "a letter that looks like another": "fr\u0430ud",
    "a space that does not break": "fraud\u00a0v2",
    "a space of no width": "fraud\u200bv2",
    "another end of a line": "fraud\u2028or up",
    "a turn of direction": "fraud\u202e}\u202c",
    "a combining accent": "frau\u0301d",
    "an emoji": "fraud-\U0001f525",
    "a byte order mark": "\ufefffraud",
    "half of a pair": "fraud\ud800",
    "a long text": "x" * 300,
    "a word of PromQL": "by",
    "an aggregation": "sum",
    "no number": "NaN",
    "the label of the name": "__name__",
    "nothing": "",
    "a space": " ",
}
"""By what is odd about them."""


def shape_of(query: str) -> Any:
    """Return a query as nested tuples, its labels' values left out.

    Raises:
        ValueError: it is no PromQL: Prometheus refuses it.
    """
    return _shape(promql_parser.parse(query))


def _shape(part: Any) -> Any:
    match part:
        case promql_parser.VectorSelector():
            assert part.matchers.or_matchers == []
            matchers = [(matcher.name, str(matcher.op)) for matcher in part.matchers.matchers]
            return "selector", part.name, matchers, part.offset, str(part.at)
        case promql_parser.MatrixSelector():
            return "range", _shape(part.vector_selector), part.range
        case promql_parser.SubqueryExpr():
            return "subquery", _shape(part.expr), part.range, part.step, part.offset, str(part.at)
        case promql_parser.Call():
            return "call", part.func.name, [_shape(argument) for argument in part.args]
        case promql_parser.AggregateExpr():
            labels = part.modifier and (str(part.modifier.type), part.modifier.labels)
            return "aggregation", f"op {part.op}", labels, part.param and _shape(part.param), _shape(part.expr)
        case promql_parser.BinaryExpr():
            matching = part.modifier and part.modifier.matching
            on = matching and (str(matching.type), matching.labels)
            return "binary", f"op {part.op}", on, _shape(part.lhs), _shape(part.rhs)
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr():
            return type(part).__name__, _shape(part.expr)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return type(part).__name__, part.val
        case _:
            raise AssertionError(f"nothing is known of {part!r}")
