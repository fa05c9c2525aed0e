"""What served when: one line of time out of records, honest at its edges."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelrollout.core.history import Changing, NotKnown, Served, live_shares, parse_account, served_at, spans_of

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def share(version: str, weight: int) -> dict[str, Any]:
    return {"version": version, "digest": f"d-{version}", "weight": weight}


def segment(seq: int, shares: dict[str, int], *, intent: float | None, seen: float, **fields: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "shares": [share(*one) for one in shares.items()],
        **({"intentAt": text(at(intent))} if intent is not None else {}),
        "confirmedAt": text(at(seen)),
        "route": {"kind": "HTTPRoute", "name": "fraud"},
        "stage": "canary",
        "step": 0,
        "cause": "GatesPassed",
        "actor": "modelrollout-operator",
        "previous": "0" * 64,
        **fields,
    }


def record(*segments: dict[str, Any], decided: float = 0, found: dict[str, int] | None = None, attempt: int = 1) -> Any:
    service = {"name": "fraud-v2", "port": 8080}
    return parse_account(
        {
            "metadata": {"name": f"fraud-{attempt}"},
            "spec": {
                "rollout": {"name": "fraud", "uid": "u", "generation": 1},
                "attempt": attempt,
                "decidedAt": text(at(decided)),
                "specDigest": "d",
                "candidate": {"version": "v2", "digest": "d-v2", "service": service},
                "trigger": {"cause": "NewCandidate"},
                "found": [share(*one) for one in (found or {"v1": 100}).items()],
            },
            "status": {"segments": list(segments)},
        }
    )


CANARY = record(
    segment(0, {"v1": 95, "v2": 5}, intent=10, seen=10.5),
    segment(1, {"v2": 100}, intent=20, seen=20.5),
)


@pytest.mark.parametrize(
    ("minute", "served", "until"),
    [
        pytest.param(0, {"v1": "100"}, 10, id="as it was found"),
        pytest.param(9.9, {"v1": "100"}, 10, id="just before the first step"),
        pytest.param(10.5, {"v1": "95", "v2": "5"}, 20, id="when it was read back"),
        pytest.param(19.9, {"v1": "95", "v2": "5"}, 20, id="just before the next"),
        pytest.param(5000, {"v2": "100"}, None, id="long after the last one"),
    ],
)
def test_within_a_span_the_answer_is_certain(minute, served, until):
    answer = served_at(spans_of([CANARY]), at(minute))

    assert isinstance(answer, Served)
    assert {one.version: str(one.weight) for one in live_shares(answer.span)} == served
    assert answer.until == (at(until) if until is not None else None)


@pytest.mark.parametrize("minute", [10, 10.25, 10.49])
def test_between_intent_and_read_back_it_was_changing(minute):
    answer = served_at(spans_of([CANARY]), at(minute))

    assert isinstance(answer, Changing)
    assert answer.before is not None
    assert [one.version for one in live_shares(answer.before)] == ["v1"]
    assert [one.version for one in live_shares(answer.after)] == ["v1", "v2"]


def test_before_the_first_record_nothing_is_known():
    assert served_at(spans_of([CANARY]), at(-1)) == NotKnown(at(0))
    assert served_at([], at(0)) == NotKnown(None)


def test_somebody_elses_write_may_have_begun_when_the_api_server_noted_it():
    external = segment(
        0, {"v1": 50, "v2": 50}, intent=None, seen=9, cause="External", actor=f"helm (Update, {text(at(7))})"
    )

    spans = spans_of([record(external)])

    assert isinstance(served_at(spans, at(6)), Served)
    assert isinstance(served_at(spans, at(8)), Changing)


def test_a_record_that_finds_what_the_one_before_left_adds_no_span():
    second = record(decided=30, found={"v2": 100}, attempt=2)

    assert len(spans_of([second, CANARY])) == 3


def test_a_record_that_finds_something_else_says_so():
    second = record(decided=30, found={"v1": 100}, attempt=2)

    spans = spans_of([second, CANARY])

    assert [one.version for one in live_shares(spans[-1])] == ["v1"]
    assert spans[-1].segment is None


def test_the_end_of_an_attempt_changes_no_shares_and_makes_nothing_uncertain():
    ended = segment(2, {"v2": 100}, intent=None, seen=60, cause="Promoted", outcome="Promoted")
    spans = spans_of(
        [
            record(
                *[one.model_dump(by_alias=True, mode="json", exclude_none=True) for one in CANARY.status.segments],
                ended,
            )
        ]
    )

    answer = served_at(spans, at(59.99))

    assert isinstance(answer, Served)
    assert answer.until is None
