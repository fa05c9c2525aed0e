"""Whatever happens to a rollout, each decision of its life keeps the invariants."""

from hypothesis import HealthCheck, Phase, given, settings
from modelrollout.api.fields import NONE

from tests.fuzz.history import OPERATOR, histories, live

MANY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@MANY
@given(histories)
def test_every_decision_of_any_history_keeps_the_invariants(happenings):
    live(happenings)


def test_a_history_gets_somewhere():
    history = live([("counts", (10**6, 0, 10**6, 0)), *[("pass", 3600)] * 40])

    assert {"Begin", "Go", "Promote"} <= set(history.verbs)


def test_an_adopted_route_of_the_longest_name_is_written_down():
    """Its name once fitted into no status, and every pass failed."""
    history = live([("shares", (NONE, OPERATOR))])

    assert history.status["route"]["name"] == "n" * 253
