"""On a source that enforces namespaces a rollout reads its own namespace, whatever its gates ask."""

import re
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelrollout.api.gates import Gate
from modelrollout.api.metrics import Metrics
from modelrollout.core.evidence import Asked, Before, Gap, NoData, Track, Unknown, digest_of_queries
from modelrollout.core.traffic import Blocked
from modelrollout.metrics import queries
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.queries import Matcher, PromQL, Selector
from modelrollout.metrics.sources import Sources
from modelrollout.metrics.tenancy import Tenancy

from tests.metrics.builders import COMPARED, CUSTOM, DISAGREEMENT, LATENCY, LOAD, SCORES, question, track, value
from tests.metrics.conftest import Calls, now
from tests.metrics.scripted import Scripted
from tests.metrics.test_queries import INJECTIONS, matchers_of, selectors_in

ENFORCED = Tenancy(SourceConfig(url="http://x", enforce_namespace=True))
OWN = ("namespace", str(promql_parser.MatchOp.Equal), "models")
BASELINE = track("fraud-v1", version="2026.10.4")


def confined(query: str) -> str:
    return ENFORCED.confine(PromQL(query), "models")


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        pytest.param("x", 'x{namespace="models"}', id="a bare metric"),
        pytest.param('x{a="b"}', 'x{namespace="models",a="b"}', id="one with matchers"),
        pytest.param("x{ }", 'x{namespace="models"}', id="one with empty braces"),
        pytest.param('{a="b",}', '{namespace="models",a="b",}', id="one without a name"),
        pytest.param('{"m.x",a="b"}', '{namespace="models","m.x",a="b"}', id="a name in quotes"),
        pytest.param('x{a="}"} + y', 'x{namespace="models",a="}"} + y{namespace="models"}', id="a brace in a text"),
        pytest.param(
            "sum by (le) (rate(x[5m]))", 'sum by (le) (rate(x{namespace="models"}[5m]))', id="labels are no metrics"
        ),
        pytest.param("sum(x) without (a, b)", 'sum(x{namespace="models"}) without (a, b)', id="nor after"),
        pytest.param(
            "a / on (pod) group_left (b) c",
            'a{namespace="models"} / on (pod) group_left (b) c{namespace="models"}',
            id="nor where two vectors are matched",
        ),
        pytest.param("a * on (b) group_left c", 'a{namespace="models"} * on (b) group_left c{namespace="models"}', id="or none"),
        pytest.param("a > bool b", 'a{namespace="models"} > bool b{namespace="models"}', id="bool after a comparison"),
        pytest.param("a > bool inf", 'a{namespace="models"} > bool inf', id="infinity is a number"),
        pytest.param("x offset -5m @ start()", 'x{namespace="models"} offset -5m @ start()', id="another moment"),
        pytest.param(
            "max_over_time(sum(x)[1h:5m])", 'max_over_time(sum(x{namespace="models"})[1h:5m])', id="a subquery"
        ),
        pytest.param("sum(sum)", 'sum(sum{namespace="models"})', id="a metric called as an aggregation"),
        pytest.param("x # y\n or z", 'x{namespace="models"}  \n or z{namespace="models"}', id="a comment goes"),
        pytest.param("x # y\r or z", 'x{namespace="models"}    or z{namespace="models"}', id="which some end at a return"),
        pytest.param('x{a="#"} # "', 'x{namespace="models",a="#"}  ', id="and is none within a text"),
        pytest.param("time() - 3", "time() - 3", id="what selects nothing stays as it is"),
        pytest.param("topk(scalar(y), x)", 'topk(scalar(y{namespace="models"}), x{namespace="models"})', id="a parameter"),
        pytest.param(
            'label_replace(x, "namespace", "other", "", "")',
            'label_replace(x{namespace="models"}, "namespace", "other", "", "")',
            id="a label may be faked once the series are one's own",
        ),
        pytest.param('x{namespace="models"}', 'x{namespace="models"}', id="who says it needs nothing more"),
        pytest.param('x{"namespace"="models"}', 'x{namespace="models","namespace"="models"}', id="in other words too"),
    ],
)  # fmt: skip
def test_each_selector_gets_the_matcher(query: str, sent: str) -> None:
    assert confined(query) == sent
    assert all(OWN in matchers_of(selector) for selector in selectors_in(sent))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        pytest.param('x{namespace="other"}', 'reads namespace="other"', id="another namespace"),
        pytest.param('x{namespace="\\x6fther"}', 'reads namespace="other"', id="spelt by numbers"),
        pytest.param('x{"namespace"="other"}', 'reads namespace="other"', id="with the label in quotes"),
        pytest.param('x{namespace="models"} or y{namespace="other"}', 'reads namespace="other"', id="beside one's own"),
        pytest.param('x{namespace=~"models|other"}', "on label namespace with =~", id="one of several"),
        pytest.param('x{namespace=~".+"}', "on label namespace with =~", id="any"),
        pytest.param('x{namespace!="models"}', "on label namespace with !=", id="any other"),
        pytest.param('x{namespace!~"a"}', "on label namespace with !~", id="any but one"),
        pytest.param('x{a="b" or c="d"}', "no list of matchers", id="or within braces"),
        pytest.param('x{a="b"}{c="d"}', "no list of matchers", id="braces twice"),
        pytest.param("info(x)", "calls info()", id="a function that reads more"),
        pytest.param('info(x, {a="b"})', "calls info()", id="whatever it is told"),
        pytest.param("x\u00a0or y", "no PromQL that can be read", id="a space that is none"),
        pytest.param("x\u2028or y", "no PromQL that can be read", id="the end of a line that is none"),
        pytest.param("x \x0b or y", "no PromQL that can be read", id="a vertical tab"),
        pytest.param("x{a=\u201cb\u201d}", "no PromQL that can be read", id="quotes that are none"),
        pytest.param("n\u0430mespace", "no PromQL that can be read", id="a letter that is another alphabet's"),
        pytest.param('x{a="\ny"}', "no PromQL that can be read", id="a text over two lines"),
        pytest.param('x{a="b', "no PromQL that can be read", id="a text without end"),
        pytest.param('x{a="b"', "'}' is missing", id="a brace without end"),
        pytest.param("x}", "stands in it where none can", id="a brace without beginning"),
        pytest.param("x y", "where an operator is expected", id="two metrics side by side"),
        pytest.param("x keep_metric_names", "where an operator is expected", id="another dialect's word"),
        pytest.param("x if y", "where an operator is expected", id="another dialect's operator"),
        pytest.param("WITH (y = z) y", "'=' stands in it", id="another dialect's macro"),
        pytest.param("x[y]", "where a span of time is written", id="a metric as a span of time"),
        pytest.param("sum by (a, {b}) (x)", "where labels are listed", id="a selector among labels"),
        pytest.param("no_such_function(x)", "unknown function", id="a function nobody knows"),
        pytest.param("sum(x", "cannot be kept to the rollout's namespace", id="no PromQL"),
        pytest.param("x{a=`\\d`}", "unknown escape sequence", id="back quotes that readers differ in"),
        pytest.param("(" * 300 + "x" + ")" * 300, "more than 250 operators", id="a deep nest"),
        pytest.param("-" * 2000 + "x", "more than 250 operators", id="a long row"),
    ],
)
def test_what_cannot_be_proven_is_refused_with_a_sentence(query: str, words: str) -> None:
    started = time.process_time()

    with pytest.raises(ValueError, match=re.escape(words)):
        confined(query)

    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("namespace", ["", 'a"', "a,b", "*", "A", "a\n", "ä"])
def test_what_is_no_namespace_confines_nothing(namespace: str) -> None:
    with pytest.raises(ValueError, match="is no namespace"):
        ENFORCED.confine(PromQL("x"), namespace)


PARTS = st.sampled_from(
    [*INJECTIONS, "x", "y", "sum", "by", "on", "offset", "or", "and", "bool", "(", ")", "{", "}", "[5m]", "[1h:1m]",
     " ", "\n", "\r", "#", '"', "'", "`", "\\", ",", "=", "=~", '"a"', '"other"', "namespace", "+", "-", "==", "5m", "1e3",
     "inf", "@", "rate", "label_replace", "group_left", "ignoring", "é", "\u200b", 'namespace="other"', 'x{a="b"}', "y{}"]
)  # fmt: skip
WHOLE = st.recursive(
    st.sampled_from(["x", 'x{a="b"}', 'y{a=~"b|c",}', '{__name__="z"}', "sum", 'x{namespace="models"}']),
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["+", "or", "unless on (a)", "> bool", "* on (a) group_left (b)"]), inner),
        st.builds("{}({})".format, st.sampled_from(["sum by (a) ", "max", "abs", "-"]), inner),
        st.builds("avg_over_time(({})[{}:])".format, inner, st.sampled_from(["5m", "1h30m"])),
        st.builds("({}) # {}\n".format, inner, PARTS.filter(lambda part: "\n" not in part)),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(parts=st.lists(PARTS, max_size=12))
def test_whatever_is_written_is_confined_or_refused(parts: list[str]) -> None:
    try:
        sent = confined("".join(parts))
    except ValueError:
        return

    assert all(OWN in matchers_of(selector) for selector in selectors_in(sent))


@settings(deadline=None, max_examples=150)
@given(query=WHOLE)
def test_nothing_but_the_matcher_changes(query: str) -> None:
    before, after = promql_parser.parse(query), promql_parser.parse(confined(query))

    assert str(after).replace('{namespace="models",', "{").replace('{namespace="models"}', "{}") == str(before).replace(
        '{namespace="models"}', "{}"
    )


def test_a_query_of_another_window_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def parse(text: str, really: Callable[[str], Any] = promql_parser.parse) -> Any:
        read.append(text)
        return really(text)

    monkeypatch.setattr(promql_parser, "parse", parse)
    selector = Selector("fresh_total", (Matcher("a", "=", "[7s] offset 7s"),))

    sent = [confined(queries.count(selector, timedelta(seconds=window))) for window in range(1, 500)]

    assert len(read) == 1
    assert 'fresh_total{namespace="models",a="[7s] offset 7s"}[499s]' in sent[-1]
    assert "offset 499s" in sent[-1]


def test_where_nothing_is_enforced_a_query_leaves_as_it_is() -> None:
    assert Tenancy(SourceConfig(url="http://x", namespace_label="ns")).confine(PromQL("x{"), "models") == "x{"


def test_the_label_is_namespace_unless_another_is_named() -> None:
    named = SourceConfig.model_validate({"url": "http://x", "enforceNamespace": True, "namespaceLabel": "ns"})

    assert SourceConfig.model_validate({"url": "http://x", "enforceNamespace": True}).namespace_label == "namespace"
    assert Tenancy(named).confine(PromQL("x"), "models") == 'x{ns="models"}'
    assert SourceConfig(url="http://x").namespace_label is None


TOKENS = Metrics.model_validate({"preset": "vllm"})
KINDS: list[tuple[dict[str, Any], Metrics]] = [
    (COMPARED, CUSTOM),
    (COMPARED, Metrics(preset="traefik")),
    (COMPARED, Metrics(preset="istio")),
    (LATENCY, CUSTOM),
    (LOAD, CUSTOM),
    (SCORES, CUSTOM),
    (DISAGREEMENT, CUSTOM),
    ({"name": "t", "timeToFirstToken": {"threshold": "310ms", "maxAbove": "5%"}}, TOKENS),
    ({"name": "i", "interTokenLatency": {"threshold": "50ms", "maxAbove": "5%", "maxIncrease": "10%"}}, TOKENS),
    ({"name": "q", "queueTime": {"threshold": "300ms", "maxAbove": "5%"}}, TOKENS),
    ({"name": "s", "saturation": {"max": "0.9"}}, TOKENS),
    (value('sum(rate(score[5m])) / sum(rate(total{service="$service"}[5m]))'), CUSTOM),
]


@pytest.fixture
async def enforced(scripted: Scripted, calls: Calls) -> AsyncIterator[Sources]:
    made = Sources({"default": SourceConfig(url=scripted.url, enforce_namespace=True, raw_queries=True)}, now, calls)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("gate", "metrics"), KINDS, ids=lambda one: one["name"] if isinstance(one, dict) else one.preset
)
async def test_no_kind_of_gate_asks_for_another_namespaces_series(
    enforced: Sources, scripted: Scripted, gate: dict[str, Any], metrics: Metrics
) -> None:
    until = datetime.now(UTC)
    asked = question(gate, metrics=metrics, baseline=BASELINE, before=Before(BASELINE, until))

    answer = await enforced.measure(asked)

    sent = [query for query in scripted.queries if query != queries.CLOCK]
    assert sent
    assert not isinstance(answer, NoData) or answer.reason is not Unknown.REFUSED
    for query in sent:
        assert selectors_in(query)
        assert all(OWN in matchers_of(selector) for selector in selectors_in(query)), query


async def test_what_a_source_saw_is_asked_of_the_own_namespace(enforced: Sources, scripted: Scripted) -> None:
    gap = Gap(
        metrics=CUSTOM, gates=(Gate.model_validate(COMPARED),), candidate=track(),
        since=datetime.now(UTC) - timedelta(minutes=5), until=datetime.now(UTC), freshness=timedelta(minutes=1),
    )  # fmt: skip

    await enforced.covered(gap)

    (query,) = scripted.queries
    assert all(OWN in matchers_of(selector) for selector in selectors_in(query))


async def test_rollouts_of_two_namespaces_share_a_request_and_no_series(enforced: Sources, scripted: Scripted) -> None:
    until = datetime.now(UTC) - timedelta(seconds=1)
    ours = question(COMPARED, until=until)
    theirs = question(COMPARED, until=until, candidate=track(namespace="other"))

    for asked in (ours, theirs):
        await enforced.measure(asked)

    for namespace in ("models", "other"):
        mine = [query for query in scripted.queries if f'namespace="{namespace}"' in query]
        assert mine
        assert all(
            ("namespace", OWN[1], namespace) in matchers_of(selector)
            for query in mine
            for selector in selectors_in(query)
        )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ('sum(x{namespace=~".+"})', "on label namespace with =~"),
        ("sum(info(x))", "calls info()"),
        ("sum(x", "cannot be kept to the rollout's namespace"),
    ],
)
async def test_a_query_that_no_namespace_could_ask_blocks_before_traffic_moves(
    enforced: Sources, scripted: Scripted, query: str, words: str
) -> None:
    gate = value(query)

    blocked = enforced.check(CUSTOM, [Gate.model_validate(gate)])
    answer = await enforced.measure(question(gate))

    assert isinstance(blocked, Blocked)
    assert blocked.reason == "BadMetrics"
    assert words in blocked.message
    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.REFUSED
    assert scripted.requests == []


@pytest.mark.parametrize("field", ["custom", "ratio", "drift"])
def test_a_matcher_on_the_namespace_that_is_no_plain_one_blocks(enforced: Sources, field: str) -> None:
    wide = {"metric": "m", "matchers": [{"label": "namespace", "op": "=~", "value": ".+"}]}
    metrics, gate = CUSTOM, COMPARED
    match field:
        case "custom":
            metrics = Metrics.model_validate(
                {"preset": "custom", "custom": {**CUSTOM.model_dump(by_alias=True)["custom"], "requests": wide}}
            )
        case "ratio":
            gate = {"name": "r", "ratio": {"bad": wide, "total": {"metric": "m"}, "max": "1%"}}
        case _:
            gate = {"name": "d", "drift": {"histogram": wide}}

    blocked = enforced.check(metrics, [Gate.model_validate(gate)])

    assert isinstance(blocked, Blocked)
    assert "m matches on label namespace with =~" in blocked.message


async def test_a_query_for_anothers_namespace_is_refused_when_the_rollouts_is_known(
    enforced: Sources, scripted: Scripted
) -> None:
    gate = value('sum(x{namespace="other"})')

    blocked = enforced.check(CUSTOM, [Gate.model_validate(gate)])
    answer = await enforced.measure(question(gate))

    assert blocked is None  # it is fine in `other`
    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.REFUSED
    assert 'reads namespace="other", where source and rollout allow namespace="models" alone' in answer.message
    assert [query for query in scripted.queries if query != queries.CLOCK] == []


async def test_the_digest_is_of_the_queries_as_they_left(enforced: Sources, scripted: Scripted) -> None:
    asked = question(value("sum(x)"))

    answer = await enforced.measure(asked)

    assert not isinstance(answer, NoData)
    assert answer.asked == Asked(asked.since, asked.until, digest_of_queries(['sum(x{namespace="models"})']))
    assert 'sum(x{namespace="models"})' in scripted.queries


def test_confining_known_queries_costs_next_to_nothing() -> None:
    made = [
        queries.count(Selector(f"m{n}_total", (Matcher("service", "=", "fraud"),)), timedelta(seconds=7))
        for n in range(20)
    ]
    for query in made:
        confined(query)

    started = time.process_time()
    for seconds in range(50):
        for query in made:
            confined(query.replace("[7s]", f"[{100 + seconds}s]"))

    assert (time.process_time() - started) / 50 < 0.002  # 20 queries of one look


def test_a_track_is_asked_for_in_its_own_namespace() -> None:
    asked = Track("team-a", "HTTPRoute", "fraud", "fraud-v2", 8080, "1")

    assert ENFORCED.confine(PromQL("x"), asked.namespace) == 'x{namespace="team-a"}'
