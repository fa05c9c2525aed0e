"""A whole rollout on the real API server, and what its record answers afterwards."""

from datetime import timedelta

import pytest
from modelrollout.core.chain import verify
from modelrollout.core.history import Changing, NotKnown, Served, parse_account, served_at, spans_of

from tests.faults.case import STEPS, Ground, recorded_shares

pytestmark = pytest.mark.cluster

MOMENT = timedelta(milliseconds=1)


def test_the_record_of_a_rollout_answers_who_served_at_each_moment_of_it(ground: Ground) -> None:
    case = ground.case()
    case.numbers.errors_now = lambda: {"fraud-v2": 0.4} if case.shares() == STEPS[2] else {}
    try:
        case.apply()
        case.start_operator()
        case.until_over()
        case.until_recorded()
        records = case.records()
    finally:
        case.end()

    spans = spans_of(parse_account(record) for record in records)
    moments = [span.since for span in spans if span.segment and span.segment.intent_at]
    answers = [served_at(spans, moment) for moment in moments]
    served = [answer.span.shares for answer in answers if isinstance(answer, Served)]
    assert [recorded_shares([one.render() for one in shares]) for shares in served] == [*STEPS[:3], "v1 100"]
    assert all(isinstance(served_at(spans, moment - MOMENT), Changing) for moment in moments)
    assert isinstance(served_at(spans, spans[0].since - MOMENT), NotKnown)
    assert list(verify(records)) == []
    assert case.lies() == []
