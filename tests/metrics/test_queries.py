"""The queries that are built, as a PromQL parser reads them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelrollout.metrics import queries
from modelrollout.metrics.queries import Matcher, Selector

_OPS = {"=": str(promql_parser.MatchOp.Equal), "!=": str(promql_parser.MatchOp.NotEqual)}
_TEXT = st.text(st.characters(codec="utf-8"), max_size=256)
INJECTIONS = (
    'a"}[5m])) * 0 # ',
    'x",namespace=~".+',
    "a\\",
    '\\"} or vector(0) #',
    "a\nb",
    "}{",
    "$__range",
    "'`",
    "\x00\x1b",
)


def selectors_in(query: str) -> list[Any]:
    """Return all vector selectors of a query, wherever they stand."""
    found: list[Any] = []
    todo = [promql_parser.parse(query)]
    while todo:
        match todo.pop():
            case promql_parser.VectorSelector() as selector:
                found.append(selector)
            case promql_parser.MatrixSelector() as matrix:
                found.append(matrix.vector_selector)
            case promql_parser.Call() as call:
                todo += call.args
            case promql_parser.AggregateExpr() as aggregate:
                todo += [aggregate.expr, *([aggregate.param] if aggregate.param else [])]
            case promql_parser.ParenExpr() | promql_parser.UnaryExpr() as outer:
                todo.append(outer.expr)
            case promql_parser.SubqueryExpr() as inner:
                todo.append(inner.expr)
            case promql_parser.BinaryExpr() as binary:
                todo += [binary.lhs, binary.rhs]
            case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
                pass
            case other:
                pytest.fail(f"unexpected part: {other!r}")
    return found


def matchers_of(selector: Any) -> set[tuple[str, str, str]]:
    return {(matcher.name, str(matcher.op), matcher.value) for matcher in selector.matchers.matchers}


@settings(deadline=None)
@given(values=st.lists(st.one_of(_TEXT, st.sampled_from(INJECTIONS)), max_size=4), equal=st.booleans())
def test_every_query_holds_exactly_the_matchers_that_were_given(values: list[str], equal: bool) -> None:
    op: queries.Op = "=" if equal else "!="
    selector = Selector("err_total", tuple(Matcher(f"l{n}", op, text) for n, text in enumerate(values)))
    window = timedelta(minutes=5)

    for query in (
        queries.count(selector, window),
        queries.age(selector),
        queries.bounds(selector, window),
        queries.buckets(selector, window),
        queries.coverage(selector, window, timedelta(minutes=1)),
        queries.over_minutes("sum", queries.square_share(*[queries.each_minute(selector)] * 2), window),
    ):
        read = selectors_in(query)

        assert read
        assert {found.name for found in read} <= {"err_total", "err_total_bucket"}
        wanted = {(f"l{n}", _OPS[op], text) for n, text in enumerate(values)}
        assert all(matchers_of(found) == wanted for found in read)


def test_counting_is_one_number_by_last_value_for_newborns_and_increase_for_the_rest() -> None:
    query = queries.count(Selector("x", (Matcher("a", "=", "b"),)), timedelta(minutes=5))

    old = '(present_over_time(x{a="b"}[3600s] offset 300s) or resets(x{a="b"}[300s]) > 0)'
    assert query == (f'sum((last_over_time(x{{a="b"}}[300s]) unless {old}) or (increase(x{{a="b"}}[300s]) and {old}))')
    promql_parser.parse(query)


@pytest.mark.parametrize(
    ("window", "text"), [(timedelta(seconds=90), "[90s]"), (timedelta(seconds=1, milliseconds=1), "[1001ms]")]
)
def test_a_window_is_written_in_whole_seconds_or_milliseconds(window: timedelta, text: str) -> None:
    assert text in queries.count(Selector("x"), window)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        queries.count(Selector("x"), timedelta(0))


@pytest.mark.parametrize("name", ["", "1x", "a b", 'a{b="c"}', "a\n", "é", "sum(x)"])
def test_a_metric_or_label_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no metric name"):
        Selector(name)
    with pytest.raises(ValueError, match="no label"):
        Matcher(name, "=", "x")


def test_the_metric_cannot_be_matched_on_again() -> None:
    with pytest.raises(ValueError, match="__name__"):
        Matcher("__name__", "=~", ".+")


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        Matcher("a", "=", "\ud800")


@pytest.mark.parametrize(
    ("bound", "spellings"),
    [
        pytest.param("0.3", {"0.3"}, id="a fraction has one spelling"),
        pytest.param("0.30", {"0.3"}, id="trailing zeros do not matter"),
        pytest.param("1", {"1", "1.0"}, id="Prometheus 3 writes 1.0 where a client said 1"),
        pytest.param("300", {"300", "300.0"}, id="whole milliseconds"),
        pytest.param("1500000", {"1500000", "1500000.0", "1.5e+06"}, id="Go writes exponents from a million on"),
        pytest.param("1000000", {"1000000", "1000000.0", "1e+06"}, id="a million"),
    ],
)
def test_a_bucket_is_found_in_each_spelling_of_its_bound(bound: str, spellings: set[str]) -> None:
    selector = queries.bucket(Selector("h"), Decimal(bound))

    (matcher,) = selector.matchers
    assert matcher.label == "le"
    assert set(matcher.value.replace("\\", "").split("|")) == spellings
    (read,) = selectors_in(str(selector))
    assert read.name == "h_bucket"
