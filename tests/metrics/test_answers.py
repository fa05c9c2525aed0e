"""What bytes become: one finite number, or a reason."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelrollout.core.evidence import NoData, Unknown
from modelrollout.metrics.answers import LONGEST_QUOTE, Found, Reply, number_of, parse_reply


def success(data: Any, **more: Any) -> Reply:
    return Reply(200, json.dumps({"status": "success", "data": data, **more}).encode())


def vector(*series: Any, **more: Any) -> Reply:
    return success({"resultType": "vector", "result": list(series)}, **more)


def one(text: str) -> Any:
    return {"metric": {}, "value": [1763712000.123, text]}


def read(reply: Reply) -> float | NoData:
    found = parse_reply(reply, "default")
    return number_of(found, "default", what="errors") if isinstance(found, Found) else found


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        pytest.param(vector(one("3")), 3, id="one series"),
        pytest.param(success({"resultType": "scalar", "result": [1, "3.5"]}), 3.5, id="a scalar"),
        pytest.param(vector(one("-1.5e-05")), -0.000015, id="an exponent"),
        pytest.param(vector(one("3"), infos=["metric might not be a counter"]), 3, id="infos are no warnings"),
        pytest.param(vector(one("3"), warnings=[]), 3, id="no warnings"),
    ],
)
def test_a_good_answer_is_its_number(reply: Reply, number: float) -> None:
    assert read(reply) == number


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(vector(), Unknown.NO_DATA, id="an empty vector is not 0"),
        pytest.param(vector(one("NaN")), Unknown.NOT_A_NUMBER, id="NaN"),
        pytest.param(vector(one("+Inf")), Unknown.INFINITE, id="infinite"),
        pytest.param(vector(one("-Inf")), Unknown.INFINITE, id="infinite below"),
        pytest.param(vector(one("1e400")), Unknown.INFINITE, id="more than a float holds"),
        pytest.param(vector(one("1"), one("1")), Unknown.MANY_SERIES, id="two series, even if equal"),
        pytest.param(vector(one("1"), warnings=["partial"]), Unknown.WARNINGS, id="a partial answer"),
        pytest.param(vector(warnings=["partial"]), Unknown.WARNINGS, id="a partial answer that is empty"),
        pytest.param(Reply(200, b"<html>log in</html>"), Unknown.MALFORMED, id="a login page"),
        pytest.param(Reply(200, b""), Unknown.MALFORMED, id="nothing"),
        pytest.param(Reply(200, b"[" * 100_000), Unknown.MALFORMED, id="a bottomless list"),
        pytest.param(Reply(200, b'{"status":"success","data":NaN}'), Unknown.MALFORMED, id="a bare NaN"),
        pytest.param(Reply(200, b'{"status":"success"}'), Unknown.MALFORMED, id="no data"),
        pytest.param(Reply(200, b'{"status":"error","error":"x"}'), Unknown.MALFORMED, id="an error with 200"),
        pytest.param(success({"resultType": "matrix", "result": []}), Unknown.MALFORMED, id="a range"),
        pytest.param(success({"resultType": "string", "result": [1, "3"]}), Unknown.MALFORMED, id="a string"),
        pytest.param(vector({"metric": {}, "histogram": [1, {}]}), Unknown.MALFORMED, id="a native histogram"),
        pytest.param(vector({"metric": {}, "value": [1, 3]}), Unknown.MALFORMED, id="a number that is no text"),
        pytest.param(vector({"metric": {"a": 1}, "value": [1, "3"]}), Unknown.MALFORMED, id="a label that is no text"),
        pytest.param(vector(one("1_000")), Unknown.MALFORMED, id="what only Python reads as a number"),
        pytest.param(vector(one(" 1")), Unknown.MALFORMED, id="a blank"),
        pytest.param(vector(one("nan")), Unknown.MALFORMED, id="a NaN that Prometheus does not write"),
        pytest.param(vector(one("\u0661")), Unknown.MALFORMED, id="digits of another script"),
        pytest.param(vector(one("0x10")), Unknown.MALFORMED, id="hexadecimal"),
        pytest.param(vector(one("1" * 500)), Unknown.MALFORMED, id="a number without end"),
        pytest.param(Reply(400, b'{"status":"error","errorType":"bad_data","error":"parse error"}'), Unknown.REFUSED,
                     id="a bad query"),
        pytest.param(Reply(422, b'{"status":"error","errorType":"execution","error":"too many"}'), Unknown.REFUSED,
                     id="a query that fails"),
        pytest.param(Reply(401, b"secret"), Unknown.REFUSED, id="no credentials"),
        pytest.param(Reply(404, b"<html>"), Unknown.REFUSED, id="no such path"),
        pytest.param(Reply(302, b""), Unknown.REFUSED, id="a redirect"),
        pytest.param(Reply(503, b'{"status":"error","errorType":"timeout","error":"query timed out"}'), Unknown.TIMED_OUT,
                     id="a query that takes too long there"),
        pytest.param(Reply(502, b"<html>bad gateway"), Unknown.UNREACHABLE, id="a proxy without its Prometheus"),
        pytest.param(Reply(204, b""), Unknown.UNREACHABLE, id="a success that says nothing"),
    ],
)  # fmt: skip
def test_an_odd_answer_is_unknown_with_its_own_reason(reply: Reply, reason: Unknown) -> None:
    found = read(reply)

    assert isinstance(found, NoData)
    assert found.reason is reason
    assert "default" in found.message


def test_a_refusal_repeats_prometheus_own_words_within_bounds() -> None:
    found = read(Reply(400, json.dumps({"error": "parse error:\n\x1b[31m unexpected " + "x" * 5000}).encode()))

    assert isinstance(found, NoData)
    assert "parse error: [31m unexpected" in found.message
    assert len(found.message) < LONGEST_QUOTE + 100


@pytest.mark.parametrize("status", [200, 302, 401, 404, 502])
def test_nothing_else_of_a_body_is_repeated(status: int) -> None:
    found = read(Reply(status, b"<html>SECRET</html>"))

    assert isinstance(found, NoData)
    assert "SECRET" not in found.message


@settings(deadline=None)
@given(st.floats())
def test_every_number_that_go_prints_is_read_or_named(value: float) -> None:
    text = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(str(value), repr(value))

    found = read(vector(one(text)))

    assert found == value or isinstance(found, NoData)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["status", "data", "resultType", "result", "metric", "value", "warnings", "error"]), inner
    ),
)  # fmt: skip


@settings(deadline=None)
@given(
    document=_JSON, kind=st.sampled_from(["vector", "scalar", "matrix", "x"]), status=st.sampled_from([200, 400, 503])
)
def test_no_shape_of_json_raises(document: Any, kind: str, status: int) -> None:
    for body in (document, {"status": "success", "data": document},
                 {"status": "success", "data": {"resultType": kind, "result": document}},
                 {"status": "success", "data": {"resultType": "vector", "result": [document]}}):  # fmt: skip
        assert isinstance(parse_reply(Reply(status, json.dumps(body).encode()), "default"), Found | NoData)
