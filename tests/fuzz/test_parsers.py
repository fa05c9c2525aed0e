"""No parser raises anything but the error that it promises."""

import json

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.history import json_values
from tests.fuzz.targets import SEEDS, TARGETS

FEW = settings(max_examples=80, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
odd_texts = st.text(st.characters(codec="utf-8"), max_size=30).map(str.encode)
documents = json_values.map(lambda value: json.dumps(value).encode())
keys = st.sampled_from(
    [
        "status",
        "data",
        "result",
        "resultType",
        "metric",
        "value",
        "warnings",
        "error",
        "spec",
        "control",
        "attempt",
        "manager",
    ]
)
like_ours = st.dictionaries(keys, json_values, max_size=4).map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("target", list(TARGETS))
@FEW
@given(head=st.binary(max_size=2), data=st.binary(max_size=40) | odd_texts | documents | like_ours)
def test_a_parser_takes_anything(target, head, data):
    TARGETS[target](data)
    TARGETS[target](head + data)


@pytest.mark.parametrize("target", list(TARGETS))
@FEW
@given(data=st.data())
def test_a_parser_takes_what_is_nearly_right(target, data):
    seed = bytearray(data.draw(st.sampled_from(SEEDS[target])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(seed) - 1))
        seed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        seed = seed or bytearray(b"0")
    TARGETS[target](bytes(seed))


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "settings"])
def test_a_parser_takes_what_is_nested_a_hundred_thousand_times(target):
    for opening in (b"[", b'{"status":', b'{"message":[', b'{"warnings":['):
        TARGETS[target](b"\0" + opening * 100_000)
        TARGETS[target](opening * 900 + b"1" + (b"]" if opening[-1:] == b"[" else b"}") * 900)
