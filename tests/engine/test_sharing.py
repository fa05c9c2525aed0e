"""What is kept once, and that nothing else changes."""

import json
import sys
import tracemalloc
from typing import Any

from modelrollout.core.rollout import Rollout, parse_rollout
from modelrollout.engine.sharing import Sharing, shared

from tests.core.builders import spec


def rollout(number: int = 0) -> Rollout:
    conditions = [
        {
            "type": kind,
            "status": "True",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-11-24T18:44:55Z",
            "reason": "Progressing",
            "message": f"{kind} of {number}",
        }
        for kind in ("Ready", "Reconciling", "Held")
    ]
    metadata = {"name": f"r{number}", "namespace": "models", "uid": f"u{number}", "resourceVersion": "1"}
    text = json.dumps({"metadata": metadata, "spec": spec(), "status": {"conditions": conditions}})
    return parse_rollout(json.loads(text))


def test_what_a_model_says_stays_the_same():
    plain, slim = rollout(), rollout()

    Sharing().share(slim.status)

    assert slim.status == plain.status
    assert slim.status.render() == plain.status.render()
    assert slim.status.model_dump(exclude_unset=True) == plain.status.model_dump(exclude_unset=True)


def test_two_models_share_their_words_and_their_sets_of_fields():
    sharing, one, other = Sharing(), rollout(1), rollout(2)

    sharing.share(one.status)
    sharing.share(other.status)

    (first, *_), (second, *_) = one.status.conditions, other.status.conditions
    assert first.__pydantic_fields_set__ is second.__pydantic_fields_set__
    assert first.reason is second.reason


def test_a_changed_copy_leaves_the_others_sets_alone():
    sharing, one, other = Sharing(), rollout(1), rollout(2)
    sharing.share(one.status)
    sharing.share(other.status)

    one.status.model_copy(update={"weight": "5%"})

    assert "weight" not in other.status.model_fields_set


def test_json_keeps_its_value_and_shares_its_words():
    text = json.dumps({"spec": {"weighted": [{"name": "v1", "weight": 5}]}, "note": "x" * 100})

    one, other = shared(json.loads(text)), shared(json.loads(text))

    assert one == json.loads(text)
    assert next(iter(one)) is next(iter(other)) is sys.intern("spec")
    assert one["spec"]["weighted"][0]["name"] is other["spec"]["weighted"][0]["name"]


def test_shared_statuses_take_less_than_two_thirds_of_the_memory():
    def bytes_of(share: Any) -> int:
        tracemalloc.start()
        kept = [rollout(number).status for number in range(100)]
        for status in kept:
            share(status)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    bytes_of(lambda _: None)  # What is made once for all.
    assert bytes_of(Sharing().share) < 0.67 * bytes_of(lambda _: None)
