"""Whatever a source answers, a gate comes to Pass, Fail or Unknown, and nothing is raised."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelrollout.api.status import Verdict

from tests.fuzz.history import json_values
from tests.fuzz.verdicts import GATES, STATUSES, live, vector

NUMBERS = st.one_of(
    st.integers(0, 2000).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        ["NaN", "+Inf", "-Inf", "0", "-0", "-1", "1e15", "1e16", "1e30", "1e308", "1e309", "5e-324", "1e-320", "0.1", "300",
         "1794930420", "", " 1", "1_000", "0x10", "१", "nan", "inf", "1" * 400, "1e" + "9" * 400, "true", "1;DROP"]
    ),
)  # fmt: skip
LABELS = st.dictionaries(
    st.sampled_from(["le", "part", "n", "__name__", ""]),
    st.sampled_from(["0", "1", "1.0", "2", "64", "-1", "+Inf", "NaN", "0.3", "1e400", "x", "", "²"]),
    max_size=2,
)
SERIES = st.lists(st.tuples(NUMBERS, LABELS), max_size=8)
VECTORS = SERIES.map(lambda series: vector([text for text, _ in series], [labels for _, labels in series]))
HISTOGRAMS = st.lists(NUMBERS, min_size=3, max_size=3).map(
    lambda texts: vector(texts, [{"le": bound} for bound in ("0.3", "1", "+Inf")])
)


def _document(parts: dict[str, Any]) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}, **parts}).encode()


ODD = st.one_of(
    st.fixed_dictionaries({"warnings": json_values}).map(_document),
    st.fixed_dictionaries({"data": json_values}).map(_document),
    st.fixed_dictionaries(
        {"data": st.fixed_dictionaries({
            "resultType": st.sampled_from(["vector", "scalar", "matrix", "string", "streams", None, 1]),
            "result": st.one_of(json_values, st.lists(st.fixed_dictionaries({}, optional={
                "metric": json_values, "value": json_values, "histogram": json_values, "values": json_values,
            }), max_size=3)),
        })}
    ).map(_document),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40),
    st.just(b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,NaN]}]}}'),
)  # fmt: skip
ANSWERS = st.lists(
    st.tuples(st.sampled_from(STATUSES), st.one_of(VECTORS, VECTORS, HISTOGRAMS, ODD)), min_size=1, max_size=14
)


@pytest.mark.parametrize("gate", range(len(GATES)), ids=lambda gate: f"{GATES[gate][0]['name']}-{gate}")
@settings(deadline=None, max_examples=30)
@given(answers=ANSWERS, batched=st.booleans(), clock=st.booleans())
def test_any_answers_come_to_a_verdict(gate: int, answers: list[tuple[int, bytes]], batched: bool, clock: bool) -> None:
    live(gate, answers, batched=batched, clock=clock)


@pytest.mark.parametrize("gate", range(len(GATES)), ids=lambda gate: f"{GATES[gate][0]['name']}-{gate}")
@settings(deadline=None, max_examples=20)
@given(texts=st.lists(NUMBERS, min_size=1, max_size=12))
def test_any_numbers_come_to_a_verdict(gate: int, texts: list[str]) -> None:
    live(gate, [(200, vector([text])) for text in texts], batched=False, clock=False)


def test_an_hour_with_requests_and_no_minute_that_had_any_is_no_reason_to_raise() -> None:
    hour = ["65", "0", "10000", "50", "3"]
    answers = [(200, vector([text])) for text in ("1", "10000", "20", "10000", "20", *hour)]

    assert live(0, answers, batched=False, clock=False).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("gate", "numbers", "verdict"),
    [
        pytest.param(0, ["1", "10000", "20", "10000", "20"], Verdict.PASS, id="few errors"),
        pytest.param(0, ["1", "10000", "900", "10000", "20"], Verdict.FAIL, id="many errors"),
        pytest.param(0, ["1", "NaN", "20", "10000", "20"], Verdict.UNKNOWN, id="no number"),
        pytest.param(7, ["0.1"], Verdict.PASS, id="a low value"),
        pytest.param(7, ["0.3"], Verdict.FAIL, id="a high value"),
        pytest.param(7, ["-Inf"], Verdict.UNKNOWN, id="an infinite value"),
    ],
)
def test_each_verdict_can_be_come_to(gate: int, numbers: list[str], verdict: Verdict) -> None:
    answers = [(200, vector([text])) for text in numbers]

    assert live(gate, answers, batched=False, clock=False).verdict is verdict
