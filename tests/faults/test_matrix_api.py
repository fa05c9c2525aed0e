"""Rows of the fault matrix (docs/reliability.md) that a proxy before the API server can play, each under its number."""

import itertools
import json
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.faults.case import STEPS, Case, Ground
from tests.faults.mishaps import Deaf, Kill, LoseReplies, Once, Slow
from tests.faults.proxy import Answer, Call, Past, refusal
from tests.faults.witness import LEAVES, ROLLOUTS

pytestmark = pytest.mark.cluster

AT_60 = "v1 40, v2 60"
STAYS = [
    {"name": "canary", "canary": {"weights": [10, 50]}, "minDuration": "0s"},
    {"name": "bake", "canary": {"weights": [60]}, "minDuration": "1h"},
    {"name": "full", "full": {}, "minDuration": "0s"},
]
BACK = "v1 100"
STATUS = "modelrollouts/status"
SHORTLY = timedelta(seconds=15)


def writes(resource: str, verb: str = "patch") -> Callable[[Call], bool]:
    """Return what matches these writes of the operator."""
    return lambda call: (call.resource, call.verb) == (resource, verb)


def gives(call: Call, weight: int) -> bool:
    """Whether a call gives the candidate this weight."""
    return bool(call.write) and call.resource == LEAVES and f'"weight": {weight}' in json.dumps(json.loads(call.body))


def stays_at_60(ground: Ground) -> Case:
    """Return a case whose rollout stays at 60 %, applied and quiet."""
    case = ground.case(stages=STAYS)
    case.apply()
    case.start_operator()
    case.until_shares(AT_60)
    case.until("applied", lambda: "appliedAt" in case.status().get("attempt", {}))
    case.until_quiet()
    return case


@pytest.fixture
def staying(ground: Ground):
    """Yield such a case."""
    case = stays_at_60(ground)
    yield case
    case.end()


def assert_golden(case: Case) -> None:
    """Check that it comes to the end of the plan, each step once."""
    assert case.until_over() == "Promoted"
    case.until_quiet()

    assert case.shares_seen() == STEPS
    assert len(case.steps_seen()) == len(STEPS)


def assert_killed_at(case: Case, matches: Callable[[Call], bool], *, is_sent: bool) -> None:
    """Let the rollout begin, and its operator be killed at such a call."""
    kill = Kill(matches, lambda: case.operator.kill(), is_sent=is_sent)  # noqa: PLW0108 - the one that runs by then
    case.proxy.faults = (kill,)
    case.apply()
    case.start_operator()
    case.until("killed", lambda: kill.killed_at is not None)
    assert case.operator.wait_ended() < 0


def test_row_01_killed_before_it_wrote_its_intent_nothing_has_changed(case: Case):
    assert_killed_at(case, writes(STATUS), is_sent=False)

    assert (case.shares(), "attempt" in case.status()) == ("", False)
    case.restart_operator()
    assert_golden(case)


def test_row_02_killed_between_intent_and_route_the_step_is_applied_once(case: Case):
    assert_killed_at(case, lambda call: gives(call, 10), is_sent=False)

    assert (case.shares(), case.status()["attempt"]["stage"]) == (STEPS[0], "canary")
    case.restart_operator()
    assert_golden(case)


def test_row_03_killed_after_the_route_write_the_steps_clock_goes_on(ground: Ground):
    case = ground.case(stages=STAYS[1:])
    assert_killed_at(case, lambda call: gives(call, 60) or writes(LEAVES, "create")(call), is_sent=True)
    before = case.status()["attempt"]
    assert (case.shares(), "appliedAt" in before) == (AT_60, False)

    case.restart_operator()
    case.until("applied", lambda: "appliedAt" in case.status()["attempt"])

    assert (case.status()["attempt"]["stepStartedAt"], case.shares_seen()) == (before["stepStartedAt"], [AT_60])
    case.end()


def test_row_04_killed_before_the_status_that_ends_it_the_end_is_written_once(case: Case):
    assert_killed_at(case, lambda call: writes(STATUS)(call) and b'"Promoted"' in call.body, is_sent=False)

    assert (case.shares(), case.status()["phase"] == "Promoted") == (STEPS[-1], False)
    case.restart_operator()
    assert_golden(case)


def test_row_05_a_rollback_that_was_cut_goes_on_before_any_gate_is_looked_at(staying: Case):
    kill = Kill(writes(LEAVES), staying.operator.kill, is_sent=False)
    staying.proxy.faults = (kill,)
    staying.ask(rollback={"reason": "row 5"})
    staying.until("killed", lambda: kill.killed_at is not None)
    assert staying.shares() == AT_60
    queries = staying.numbers.queries

    staying.restart_operator()
    staying.until_shares(BACK)

    assert staying.numbers.queries == queries


@pytest.mark.parametrize(
    ("resource", "verb"), [(STATUS, "patch"), (LEAVES, "create"), (LEAVES, "patch"), ("events", "create")]
)
def test_row_06_a_write_whose_reply_is_lost_is_done_once(case: Case, resource: str, verb: str):
    lost = LoseReplies(writes(resource, verb), times=2)
    case.proxy.faults = (lost,)
    case.apply()
    case.start_operator()

    assert_golden(case)
    assert lost.met
    assert set(case.events().values()) == {1}


def test_row_08_told_to_stop_in_mid_pass_it_ends_in_time_and_writes_no_more(case: Case):
    slow = Slow(writes(LEAVES), seconds=1.5)
    case.proxy.faults = (slow,)
    case.apply()
    case.start_operator()
    case.until("in a write", lambda: bool(slow.met))

    case.operator.ask_to_stop()
    code = case.operator.wait_ended(timedelta(seconds=20))
    after = len(case.proxy.writes)
    time.sleep(0.5)

    assert (code, len(case.proxy.writes)) == (0, after)
    case.proxy.faults = ()
    case.start_operator()
    assert_golden(case)


def test_row_09_an_old_generation_is_not_acted_on(staying: Case):
    last = staying.witness.versions(staying.namespace, ROLLOUTS)[-1].number
    staying.proxy.live_in(Past(last, frozenset({ROLLOUTS})))
    staying.edit({"stages": [STAYS[0], {**STAYS[1], "minDuration": "0s"}, STAYS[2]], "paused": True})
    staying.numbers.errors_now = lambda: {"fraud-v2": 0.4}
    time.sleep(2.5)
    shares, status = staying.shares(), staying.status()

    staying.proxy.live_in(None)
    staying.until("seen", lambda: staying.status().get("observedGeneration") == 2)

    # What it wanted on the old generation was refused; a failed gate rolls back on the new one, paused or not.
    assert (shares, status["observedGeneration"]) == (AT_60, 1)
    staying.until_shares(BACK)


def test_row_10_an_old_route_is_not_written_over(staying: Case):
    last = staying.witness.versions(staying.namespace, LEAVES)[-1].number
    staying.proxy.live_in(Past(last, frozenset({LEAVES}), gets=False))
    services = [
        {"name": f"fraud-{v}", "kind": "Service", "port": 8080, "weight": w} for v, w in (("v1", 75), ("v2", 25))
    ]
    staying.write_route({"weighted": {"services": services}})

    staying.edit({"stages": [STAYS[0], {**STAYS[1], "minDuration": "0s"}, STAYS[2]]})
    staying.until("held", lambda: staying.status().get("phase") == "Held")

    assert staying.shares() == "v1 75, v2 25"
    assert staying.condition("Held") == ("True", "RouteChanged")


def test_row_11_a_rollback_that_the_watch_kept_back_is_told_by_a_new_watch(staying: Case):
    def is_second(call: Call) -> bool:
        return (call.verb, call.resource) == ("watch", ROLLOUTS) and not call.agent.startswith("kopf/")

    staying.until("watched a second time", lambda: any(map(is_second, tuple(staying.proxy.calls))))
    kept_back = Deaf(lambda call, _: call.resource == ROLLOUTS and not is_second(call))
    staying.proxy.faults = (kept_back,)

    staying.ask(rollback={"reason": "row 11"})

    staying.until_shares(BACK, SHORTLY)
    assert kept_back.dropped


def test_row_19_a_real_servers_wiped_status_is_restored_and_the_step_goes_on(staying: Case):
    before = staying.status()["attempt"]

    staying.wipe_status()
    staying.until("restored", lambda: "appliedAt" in staying.status().get("attempt", {}))
    staying.until_quiet()

    after = staying.status()["attempt"]
    assert (after["number"], after["stage"], after["step"]) == (1, "bake", 0)
    assert after["record"] == before["record"]
    assert after["appliedAt"] >= before["appliedAt"]
    assert staying.shares_seen() == ["v1 90, v2 10", "v1 50, v2 50", AT_60]
    assert staying.lies() == []
    assert [note for note in staying.events() if note.startswith("StatusRecalled")]


@pytest.mark.parametrize("restarts", [False, True])
def test_row_19_a_real_servers_wiped_status_does_not_forget_a_rollback(staying: Case, restarts: bool):
    staying.ask(rollback={"reason": "row 19"})
    staying.until_over()
    staying.until_recorded()
    if restarts:
        staying.operator.kill()

    staying.wipe_status()
    if restarts:
        staying.restart_operator()
    staying.until("rolled back again", lambda: staying.status().get("phase") == "RolledBack")
    staying.until_quiet()

    assert staying.status()["attempt"]["rollback"]["cause"] == "Manual"
    assert "row 19" in staying.message("Ready")
    assert staying.shares_seen()[-2:] == [AT_60, BACK]
    assert len(staying.records()) == 1
    assert staying.lies() == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refusal(409), id="409"),
        pytest.param(refusal(429, retry_after=1), id="429"),
        pytest.param(refusal(500), id="500"),
        pytest.param(refusal(504), id="504"),
        pytest.param(Answer(503, b"<html>upstream", {"Content-Type": "text/html"}), id="503 in HTML"),
        pytest.param(None, id="no answer"),
    ],
)
@pytest.mark.parametrize("resource", [STATUS, LEAVES])
def test_row_21_refused_writes_are_tried_again_until_they_pass(case: Case, resource: str, answer: Answer | None):
    refused = Once(writes(resource), answer, times=3)
    case.proxy.faults = (refused,)
    case.apply()
    case.start_operator()

    assert_golden(case)
    assert len(refused.met) == 3


def test_row_21_whoever_asks_for_a_pause_gets_it(case: Case):
    refused = Once(writes(LEAVES), refusal(429, retry_after=2))
    case.proxy.faults = (refused,)
    case.apply()
    case.start_operator()
    assert_golden(case)

    number = case.proxy.calls.index(refused.met[0])
    again = next(n for n, call in enumerate(case.proxy.calls) if n > number and writes(LEAVES)(call))
    assert case.proxy.times[again] - case.proxy.times[number] >= 2


def test_row_21_a_rollback_is_tried_again_every_two_seconds_at_least(staying: Case):
    refused = Once(writes(LEAVES), refusal(429, retry_after=30), times=4)
    staying.proxy.faults = (refused,)

    staying.ask(rollback={"reason": "row 21"})
    staying.until_shares(BACK, SHORTLY)

    tries = [at for call, at in zip(staying.proxy.calls, staying.proxy.times, strict=True) if call in refused.met]
    assert max(later - earlier for earlier, later in itertools.pairwise(tries)) < 5


def test_row_22_a_missing_verb_is_said_and_stops_no_other_rollout(case: Case):
    forbidden = refusal(
        403, 'traefikservices "fraud" is forbidden: User "x" cannot get resource "traefikservices" in …'
    )
    refused = Once(lambda call: call.resource == LEAVES and call.name == "fraud", forbidden, times=10**6)
    lists = Once(lambda call: call.resource == "gateways", refusal(403), times=10**6)
    case.proxy.faults = (refused, lists)
    case.apply()
    case.apply_another("other")
    case.start_operator()

    case.until("said", lambda: case.condition("Stalled") == ("True", "RouteRefused"))
    case.until("over", lambda: case.status("other").get("phase") == "Promoted")

    assert "may not get traefikservices: grant it that verb" in case.message("Stalled")


def test_row_23_an_api_server_that_is_down_ends_nothing(case: Case):
    case.apply()
    case.start_operator()
    case.until_shares(STEPS[1])
    case.proxy.stop()
    down = case.shares()
    time.sleep(6)

    assert case.operator.exit_code() is None
    assert case.shares() in STEPS[STEPS.index(down) :][:2]  # One write may have been under way.
    case.proxy.start()
    assert_golden(case)


def test_row_24_a_command_given_while_the_watches_were_lost_is_obeyed(staying: Case):
    gone = {"type": "ERROR", "object": json.loads(refusal(410, "too old resource version").body)}
    lost = Once(lambda call: call.verb == "watch", Answer(200, json.dumps(gone).encode() + b"\n"), times=20)
    staying.proxy.faults = (lost, Once(lambda call: call.verb == "list", refusal(503), times=4))
    staying.proxy.end_watches()

    staying.ask(rollback={"reason": "row 24"})

    staying.until_shares(BACK, timedelta(seconds=40))
    assert lost.met
