"""The hash chain of records, and the words that they share with status."""

import copy
import json
from typing import Any

import pytest
from modelrollout.api.record import Why
from modelrollout.api.status import Cause
from modelrollout.core.chain import end_of_chain, hash_of, verify


def record(name: str = "fraud", count: int = 3, **spec: object) -> dict[str, Any]:
    made: dict[str, Any] = {"metadata": {"name": name}, "spec": {"attempt": 1, **spec}, "status": {"segments": []}}
    for seq in range(count):
        made["status"]["segments"].append({"seq": seq, "shares": [{"weight": seq}], "previous": end_of_chain(made)})
    return made


def continued(first: dict[str, Any], **changes: object) -> dict[str, Any]:
    continues = {"record": first["metadata"]["name"], "hash": end_of_chain(first), **changes}
    return record("fraud.2", part=2, continues=continues)


def test_every_cause_of_a_target_is_one_of_a_segment():
    assert {cause.value for cause in Cause} <= {why.value for why in Why}


def test_a_hash_does_not_depend_on_the_order_of_fields():
    value = {"b": [1, {"d": "ä", "c": None}], "a": "x"}

    assert hash_of(value) == hash_of(json.loads(json.dumps(dict(reversed(value.items())))))
    assert hash_of(value) == "628142969091d3a4a43a805fd69de5ce7e25829ff38ec5b9fce576604cfda1bf"


def test_what_was_written_holds():
    first = record()

    assert list(verify([first])) == []
    assert list(verify([first, continued(first)])) == []


@pytest.mark.parametrize(
    ("edit", "seq"),
    [
        pytest.param(lambda one: one["status"]["segments"][1]["shares"].clear(), 2, id="shares"),
        pytest.param(lambda one: one["spec"].update(attempt=2), 0, id="spec"),
        pytest.param(lambda one: one["status"]["segments"].pop(0), 1, id="the first one is gone"),
        pytest.param(lambda one: one["status"]["segments"].pop(1), 2, id="one in the middle is gone"),
        pytest.param(lambda one: one["status"]["segments"][0].update(later="x"), 1, id="a field that we do not know"),
    ],
)
def test_what_was_changed_shows(edit, seq):
    forged = copy.deepcopy(record())

    edit(forged)

    assert seq in [one.seq for one in verify([forged])]


def test_a_part_that_does_not_go_on_where_the_one_before_ends_shows():
    first = record()
    second = continued(first)
    first["status"]["segments"].pop()

    assert [(one.record, one.seq) for one in verify([first, second])] == [("fraud.2", None)]


def test_a_part_that_is_missing_shows():
    second = continued(record())

    assert [one.message for one in verify([second])] == ["it is part 2 of its attempt, and part 1 is missing"]
