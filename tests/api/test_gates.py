"""Gates: each asks for one thing."""

import pytest
from modelrollout.api.gates import KINDS, ErrorRate, Gate, Kind
from pydantic import ValidationError


def test_every_kind_has_its_field_and_every_field_of_a_kind_is_one_of_the_kinds() -> None:
    fields = {field.alias for field in Gate.model_fields.values() if _kinds_in(field.annotation) & _kinds_in(Kind)}

    assert fields == set(KINDS)


def _kinds_in(annotation: object) -> set[object]:
    return set(getattr(annotation, "__args__", ())) - {type(None)}


def test_a_gate_knows_its_kind() -> None:
    assert Gate(name="errors", error_rate=ErrorRate(max=0.01)).kind == ErrorRate(max=0.01)


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param({}, id="none"),
        pytest.param({"fromTheFuture": {"max": "1%"}}, id="one that only a newer operator knows"),
        pytest.param({"errorRate": {"max": "1%"}, "value": {"query": "x", "max": "1"}}, id="two"),
    ],
)
def test_a_gate_of_no_or_several_kinds_is_not_read(kinds: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="give exactly one of errorRate, latency"):
        Gate.model_validate({"name": "odd", **kinds})
