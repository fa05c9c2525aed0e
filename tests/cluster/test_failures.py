"""What the API server's refusals become."""

import json
from datetime import timedelta

import pytest
from modelrollout.cluster.failures import failure_of
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable


def status(message: str) -> bytes:
    return json.dumps({"kind": "Status", "message": message}).encode()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, Refused),
        (401, Unavailable),
        (403, Refused),
        (404, Gone),
        (405, Refused),
        (408, Unavailable),
        (409, Conflict),
        (413, Refused),
        (415, Refused),
        (422, Refused),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
def test_each_code_is_named_after_what_the_caller_does(code: int, kind: type[Exception]) -> None:
    failure = failure_of(code, status("because"))

    assert type(failure) is kind
    assert "because" in str(failure)


def test_a_missing_right_names_the_verb_and_the_resource() -> None:
    said = 'httproutes "x" is forbidden: User "sa" cannot patch resource "httproutes" in API group "g" in the namespace "m"'

    failure = failure_of(403, status(said))

    assert str(failure).startswith("the operator's ServiceAccount may not patch httproutes: grant it that verb")


def test_an_admission_policys_own_words_are_kept() -> None:
    assert str(failure_of(403, status("ValidatingAdmissionPolicy 'freeze' denied request: no"))) == (
        "ValidatingAdmissionPolicy 'freeze' denied request: no"
    )


def test_long_messages_are_cut_and_other_bodies_are_not_quoted() -> None:
    assert len(str(failure_of(422, status("x" * 10_000)))) == 500
    assert str(failure_of(422, b"<html>login")) == "the API server answered 422"
    assert str(failure_of(422, b'["not", "a", "status"]')) == "the API server answered 422"


@pytest.mark.parametrize(
    ("header", "wait"),
    [("3", timedelta(seconds=3)), ("86400", timedelta(minutes=1)), ("Wed, 21 Oct 2026", None), (None, None)],
)
def test_the_server_says_when_to_come_back_within_reason(header: str | None, wait: timedelta | None) -> None:
    failure = failure_of(429, status("too many requests"), header)

    assert isinstance(failure, Unavailable)
    assert failure.retry_after == wait
