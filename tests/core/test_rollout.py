"""Parsing: what cannot be read is set aside and named, and never costs the rest."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelrollout.api.status import ModelRolloutStatus
from modelrollout.core.case import is_urgent, place_of
from modelrollout.core.rollout import parse_rollout

from tests.core.builders import asking, decided, running, spec, world

STATUS = decided(asking(running("canary", 1), hold={"reason": "audit", "requestedBy": "sam"})).status.render()
METADATA = {"name": "fraud", "namespace": "models", "uid": "u1", "generation": 1, "resourceVersion": "7"}
PARTS = sorted(field.alias or name for name, field in ModelRolloutStatus.model_fields.items())


def parsed(**parts: Any):
    return parse_rollout({"metadata": METADATA, "spec": spec(), **parts})


def test_what_was_written_is_read():
    rollout = parsed(status=STATUS)

    assert rollout.ignored == ()
    assert rollout.status.render() == STATUS
    assert (rollout.name, rollout.guard, rollout.problem) == ("fraud", "7", "")


@pytest.mark.parametrize("garbage", [5, "x", [None], {"a": {}}, True])
@pytest.mark.parametrize("part", ["attempt", "serving", "conditions", "commands", "held", "route", "phase"])
def test_garbage_in_a_part_of_status_is_named_and_costs_no_other(part, garbage):
    rollout = parsed(status={**STATUS, part: garbage})

    assert rollout.ignored == (part,)
    kept = {key: value for key, value in STATUS.items() if key != part}
    assert rollout.status.render() == {
        **kept,
        "conditions": kept.get("conditions", []),
        "commands": kept.get("commands", []),
    }


@pytest.mark.parametrize("garbage", [5, "x", [], ["attempt"], True, [{}]])
def test_a_status_that_is_no_object_is_ignored_as_a_whole(garbage):
    rollout = parsed(status=garbage)

    assert rollout.status == ModelRolloutStatus()
    assert rollout.ignored == ("status",) if garbage else rollout.ignored == ()


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "x"])
def test_a_time_that_utc_has_no_year_for_is_garbage(time):
    rollout = parsed(status={**STATUS, "attempt": {**STATUS["attempt"], "appliedAt": time}})

    assert rollout.ignored == ("attempt",)


def test_a_rollback_that_garbage_stands_beside_is_obeyed():
    status = {**STATUS, "conditions": "broken", "control": {"rollback": {"reason": "p99"}}}

    assert is_urgent(parsed(status=status))


@pytest.mark.parametrize("garbage", [None, 5, [], {}, {"traffic": 5}, {"candidate": []}])
def test_a_spec_that_cannot_be_read_says_what_is_wrong(garbage):
    rollout = parse_rollout({"metadata": METADATA, "spec": garbage})

    assert rollout.spec is None
    assert rollout.problem.startswith("spec.")


def test_the_route_is_known_though_the_rest_of_spec_cannot_be_read():
    rollout = parse_rollout({"metadata": METADATA, "spec": {**spec(), "gates": "broken"}, "status": STATUS})

    assert rollout.spec is None
    assert "gates" in rollout.problem
    assert place_of(rollout).traffic.traefik_service.name == "fraud"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(status=st.dictionaries(st.sampled_from(PARTS) | st.text(max_size=5), JSON, max_size=5) | JSON)
def test_no_json_in_status_raises_and_what_is_decided_on_it_can_be_written(status):
    rollout = parsed(status=status)

    decision = decided(rollout, world(rollout))

    assert ModelRolloutStatus.model_validate(decision.status.render())


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """Return a real status with JSON in place of one value somewhere within it."""
    status: dict[str, Any] = {**STATUS}
    node: Any = status
    while True:
        key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        inner = node[key]
        if not inner or not isinstance(inner, dict | list) or draw(st.booleans()):
            node[key] = draw(JSON)
            return status
        node[key] = inner.copy()
        node = node[key]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(status=damaged())
def test_no_damage_to_a_real_status_raises(status):
    rollout = parsed(status=status)

    assert decided(rollout, world(rollout)).status.render()
