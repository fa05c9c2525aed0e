"""A user's own query for one version, as a PromQL parser reads it."""

import re
from typing import Any

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelrollout.metrics.placeholders import names_version, query_for

from tests.metrics.builders import track
from tests.metrics.test_queries import INJECTIONS, matchers_of, selectors_in

TEXT = st.one_of(st.text(st.characters(codec="utf-8"), max_size=128), st.sampled_from(INJECTIONS))


def only(query: str) -> set[tuple[str, str, str]]:
    (selector,) = selectors_in(query)
    return matchers_of(selector)


def matcher(label: str, op: Any, value: str) -> tuple[str, str, str]:
    return label, str(op), value


def test_placeholders_stand_for_the_versions_own() -> None:
    query = 'sum(score{namespace="$namespace",service="$service",version="$version"})'

    asked = query_for(query, track("fraud-v2"))

    assert asked == 'sum(score{namespace="models",service="fraud-v2",version="2026.11.2"})'


@settings(deadline=None)
@given(value=TEXT)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_no_value_changes_the_query_that_it_is_put_into(quote: str, value: str) -> None:
    query = f"avg(score{{a={quote}x-$version-y{quote},b={quote}z{quote}}}) / 2"

    asked = query_for(query, track(version=value))

    equal = promql_parser.MatchOp.Equal
    assert only(asked) == {matcher("a", equal, f"x-{value}-y"), matcher("b", equal, "z")}


@settings(deadline=None)
@given(value=TEXT)
def test_in_an_expression_a_value_matches_itself_only(value: str) -> None:
    ((_, _, expression),) = only(query_for('score{a =~ # "\n "$version"}', track(version=value)))

    assert re.fullmatch(expression, value)
    assert expression.replace("\\", "") == value.replace("\\", "")
    assert not re.fullmatch(expression, f"{value}x")


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        pytest.param('x{a="$version+"}', 'x{a="1.2+"}', id="with more in the text"),
        pytest.param("x{a='$version'}", "x{a='1.2'}", id="between single quotes"),
        pytest.param("x{a=~`$version`}", r"x{a=~`1\.2`}", id="between back quotes an expression is not escaped twice"),
        pytest.param("x{a=`$version`}", "x{a=`1.2`}", id="between back quotes"),
        pytest.param('x{a=~"$version"} + x{a="$version"}', 'x{a=~"1\\\\.2"} + x{a="1.2"}', id="each as it stands"),
        pytest.param('x{a="\\"$version"}', 'x{a="\\"1.2"}', id="after a quote within the text"),
        pytest.param('x # "$version\n{a="$version"}', 'x # "$version\n{a="1.2"}', id="not in a comment"),
        pytest.param('x{a="#$version"}', 'x{a="#1.2"}', id="after what is no comment"),
        pytest.param('x{a="$versions"}', 'x{a="$versions"}', id="not in another word"),
        pytest.param(
            'label_replace(x, "a", "$1", "b", "(.*)$")', 'label_replace(x, "a", "$1", "b", "(.*)$")', id="groups stay"
        ),
    ],
)
def test_a_placeholder_is_found_where_it_is_one(query: str, asked: str) -> None:
    assert query_for(query, track(version="1.2")) == asked


@pytest.mark.parametrize("query", ["x{a=$service}", "$version", 'x{a="b"} > $namespace', 'x{a="never closed $service}'])
def test_a_placeholder_outside_of_quotes_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match="in quotes"):
        query_for(query, track())


def test_a_value_that_back_quotes_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="use double quotes"):
        query_for("x{a=`$version`}", track(version="`"))


@pytest.mark.parametrize(
    ("query", "is_asked_of_both"),
    [
        ('x{a="$service"}', True),
        ('x{a="$version"}', True),
        ('x{a="$namespace"}', False),
        ("x # $service", False),
        ("x", False),
    ],
)
def test_a_query_is_asked_of_either_version_if_it_names_it(query: str, is_asked_of_both: bool) -> None:
    assert names_version(query) is is_asked_of_both
