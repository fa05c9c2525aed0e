"""The invariants of the design, over cases that nobody thought of."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.status import Cause, GateStatus, ModelRolloutStatus, Outcome, Phase, RollbackStatus, Verdict
from modelrollout.core.case import Case, Observed
from modelrollout.core.decide import decide
from modelrollout.core.inbox import rollback_answer, take_commands
from modelrollout.core.projection import Decision
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import (
    BASELINE_ONLY,
    CANDIDATE_ONLY,
    Acceptance,
    Blocked,
    Endpoints,
    Foreign,
    Routed,
    Shares,
    Unmanaged,
    WayBack,
)
from modelrollout.core.verbs import Begin, Go, Promote, Rest, RollBack

from tests.core.builders import (
    CAN_MIRROR,
    CANNOT_MIRROR,
    LIMITS,
    NOW,
    asking,
    ended,
    gate,
    new,
    running,
    service,
    spec,
    world,
)

MANY = settings(max_examples=40, deadline=None, derandomize=True, database=None)
STEPS = [("shadow", 0), ("canary", 0), ("canary", 1), ("full", 0)]
V3 = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}
CLOSED = [{"start": "0 9 * * *", "duration": "1h"}]
APPROVED_STAGES = [{**stage, "approval": {"required": 2}} for stage in spec()["stages"]]
OTHER_STAGES = [
    {"name": "canary", "canary": {"weights": [1, 30, 80]}, "minDuration": "1m"},
    {"name": "full", "full": {}},
]

percents = st.sampled_from([0, 1, 500, 5000, 9000, 10_000]).map(Percent)
shares = st.builds(Shares, percents, st.just(NONE)) | st.just(Shares(NONE, ALL))
AGES = [timedelta(seconds=seconds) for seconds in (0, 30, 599, 600, 3600, 7200, 100_000)]
HOUR = timedelta(hours=1)
STATES = [
    new(),
    *[running(*step, applied=age) for step in STEPS for age in (*AGES[::2], None)],
    *[running("full", 0, applied=age, baseline=None) for age in AGES[::3]],
    *[running(*step, applied=HOUR, stages=APPROVED_STAGES) for step in STEPS],
    *[ended(outcome, age) for outcome in Outcome for age in AGES[::3]],
]
ages = st.sampled_from(AGES)
notes = st.sampled_from([None, *(WayBack(uid, service("fraud-v1"), service("fraud-v2")) for uid in ("u1", "u0"))])
requests = st.fixed_dictionaries({}, optional={"reason": st.text(max_size=3), "requestedBy": st.just("sam")})
advances: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"reason": st.just("enough")}, optional={"overrideGates": st.booleans()}
)
approvals = st.lists(
    st.fixed_dictionaries({}, optional={"requestedBy": st.sampled_from(["ada", "eve"]), "stage": st.just("canary")}),
    max_size=3,
)
COMMANDS = ("rollback", "hold", "resume", "retry")
inboxes: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(COMMANDS, requests), "advance": advances, "approve": approvals}
)
specs: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "candidate": st.just(V3),
        "stages": st.just(OTHER_STAGES) | st.just(OTHER_STAGES[1:]) | st.just(APPROVED_STAGES),
        "windows": st.just(CLOSED),
        "paused": st.booleans(),
        "gates": st.sampled_from(
            [
                [{"name": "errors", "errorRate": {"max": "1%"}, "onFail": "Hold"}],
                [{"name": "a", "errorRate": {"max": "1%"}}, {"name": "b", "value": {"query": "q", "max": "1"}}],
            ]
        ),
        "analysis": st.sampled_from(
            [{"onMetricsLost": "Rollback", "metricsLostTimeout": "0s"}, {"onDeadline": "Rollback"}, {"interval": "2s"}]
        ),
        "rollback": st.sampled_from(
            [{"retainBaseline": "0s"}, {"unreadyGrace": "0s"}, {"drill": {}}, {"drill": {"every": "1m"}}]
        ),
        "baseline": st.none(),
        "broken": st.just(1),
    },
)


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    """Return a rollout in any state that the operator may have left it in, under a spec that may have changed since."""
    rollout, age = draw(st.sampled_from(STATES)), draw(ages)
    status, attempt = rollout.status, rollout.status.attempt
    if attempt:
        update: dict[str, Any] = {}
        if attempt.outcome is None and attempt.baseline and draw(st.integers(0, 3)) == 0:
            update["rollback"] = RollbackStatus(cause=draw(st.sampled_from(Cause)), message="so it is", since=NOW - age)
            update["target"] = attempt.target.model_copy(update={"candidate": NONE, "mirror": NONE})
        for since in ("unready_since", "metrics_lost_since", "resumed_at"):
            update[since] = draw(st.none() | st.just(NOW - age))
        attempt = attempt.model_copy(update=update)
    phase = draw(st.sampled_from([status.phase, status.phase, Phase.ROLLING_BACK, None]))
    status = status.model_copy(update={"attempt": attempt, "phase": phase})
    changes = draw(specs)
    if changes.pop("broken", None):
        changes["candidate"] = {"version": "v2"}
    return asking(replace(new(**changes), status=status), **draw(inboxes))


def gates() -> st.SearchStrategy[tuple[GateStatus, ...]]:
    verdicts = st.sampled_from(
        [
            (Verdict.PASS, "BelowLimit"),
            (Verdict.FAIL, "AboveLimit"),
            (Verdict.FAIL, "Catastrophe"),
            (Verdict.UNKNOWN, "NeedRequests"),
            (Verdict.UNKNOWN, "Unreachable"),
            (Verdict.UNKNOWN, "CountsShrank"),
            (Verdict.UNKNOWN, "BaselineAlsoFailing"),
        ]
    )
    one = verdicts.map(lambda verdict: (gate(*verdict, "errors"),))
    two = st.tuples(verdicts, verdicts).map(lambda both: (gate(*both[0], "a"), gate(*both[1], "b")))
    return st.just(()) | one | two


def worlds(rollout: Rollout) -> st.SearchStrategy[Observed]:
    """Return any world: mostly one in which the route is as it should be."""
    as_it_should = world(rollout).route
    said, other = st.sampled_from(Acceptance), st.just("other backends")
    route = st.one_of(
        st.just(as_it_should),
        st.just(as_it_should),
        st.builds(Routed, shares, st.just("1"), said, st.just(""), notes),
        st.builds(Foreign, shares | st.none(), st.just("kubectl"), st.just("2"), other, notes),
        st.just(Unmanaged()),
        st.just(Blocked("RouteMissing", "create it")),
    )
    ready = st.sampled_from([Endpoints.READY] * 3 + list(Endpoints))
    return st.builds(
        world,
        st.just(rollout),
        route=route,
        baseline=ready,
        candidate=ready,
        workload=st.sampled_from([None, None, "1 of 3 replicas"]),
        metrics=st.sampled_from([None, None, None, Blocked("UnknownMetricsSource", "name one")]),
        capabilities=st.sampled_from([CAN_MIRROR, CAN_MIRROR, CANNOT_MIRROR, None, Blocked("GatewayUnknown", "wait")]),
        gates=gates(),
        looked=st.booleans(),
        frozen=st.sampled_from([None, None, None, "audit"]),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Return one rollout in one world."""
    rollout = draw(rollouts())
    return Case(rollout, draw(worlds(rollout)), NOW, LIMITS)


def grows(decision: Decision, seen: Observed) -> bool:
    """Whether a write gives the candidate more than it has, of requests or of copies."""
    if decision.write is None or decision.write.shares is None:
        return False
    now = seen.route.shares if isinstance(seen.route, Routed | Foreign) else None
    now = now or BASELINE_ONLY
    return decision.write.shares.candidate > now.candidate or decision.write.shares.mirror > now.mirror


@MANY
@given(cases())
def test_whatever_is_decided_can_be_written_and_read_again(case):
    decision = decide(case)

    assert ModelRolloutStatus.model_validate(decision.status.render()).render() == decision.status.render()
    assert all(len(event.note) <= 1000 for event in decision.events)


@MANY
@given(cases())
def test_nothing_is_promoted_without_fresh_passing_gates(case):
    decision = decide(case)

    promotes = isinstance(decision.verb, Promote) or (
        isinstance(decision.verb, Go) and decision.verb.cause is Cause.GATES_PASSED
    )
    if promotes and not (isinstance(decision.verb, Promote) and decision.verb.cause is Cause.GATES_OVERRIDDEN):
        assert case.seen.looked
        assert case.seen.gates
        assert all(g.verdict is Verdict.PASS for g in case.seen.gates)


@MANY
@given(cases())
def test_gates_are_overridden_only_at_a_persons_word_and_that_is_kept(case):
    decision = decide(case)

    if getattr(decision.verb, "cause", None) is Cause.GATES_OVERRIDDEN:
        assert case.status.control.advance.override_gates
        assert decision.status.attempt.overrides[-1].reason == "enough"
        assert not any(g.verdict is Verdict.FAIL and g.reason == "Catastrophe" for g in case.seen.gates)


@MANY
@given(cases())
def test_what_people_say_to_go_on_stops_no_rollback(case):
    control = case.status.control.model_copy(update={"advance": None, "approve": None})
    without = replace(case, rollout=replace(case.rollout, status=case.status.model_copy(update={"control": control})))

    if isinstance(decide(without).verb, RollBack):
        assert decide(case).verb == decide(without).verb


@MANY
@given(cases())
def test_a_possible_rollback_is_decided_and_written_in_one_pass(case):
    asked = replace(case, rollout=asking(case.rollout, rollback={"reason": "p99"}))
    assume(rollback_answer(take_commands(asked)).possible)

    decision = decide(asked)

    assert isinstance(decision.verb, RollBack)
    assert decision.status.attempt.target.candidate == decision.status.attempt.target.mirror == NONE
    back_already = isinstance(case.seen.route, Routed) and case.seen.route.shares == BASELINE_ONLY
    dead_baseline = case.seen.baseline is not Endpoints.READY
    if not (back_already or dead_baseline or isinstance(case.seen.route, Blocked)):
        assert decision.write.shares == BASELINE_ONLY
        assert decision.write.outranks


@MANY
@given(cases())
def test_no_weight_grows_on_a_backend_without_ready_endpoints(case):
    decision = decide(case)

    # At rest a route that was deleted is made again for the version that serves, ready or not.
    if grows(decision, case.seen) and not isinstance(decision.verb, Rest):
        assert case.seen.candidate is Endpoints.READY
        assert case.seen.baseline in {Endpoints.READY, None} or decision.write.shares == CANDIDATE_ONLY


@MANY
@given(cases())
def test_while_a_person_holds_no_weight_grows_beyond_the_target(case):
    decision = decide(case)

    if decision.status.held and case.attempt and decision.status.attempt:
        target = decision.status.attempt.target
        assert target.candidate <= case.target.candidate or case.attempt.candidate != decision.status.attempt.candidate


@MANY
@given(cases())
def test_in_a_freeze_and_outside_of_windows_no_weight_grows_but_what_users_had_is_given_back(case):
    decision = decide(case)

    is_closed = case.rollout.calendar is not None and case.rollout.calendar.opens_at(case.now) is not None
    if (case.seen.frozen or is_closed) and grows(decision, case.seen) and not isinstance(decision.verb, Rest):
        assert isinstance(case.seen.route, Unmanaged)
        assert case.attempt.applied_at


@MANY
@given(cases())
def test_where_a_drill_is_demanded_no_candidate_goes_live_without_one(case):
    decision = decide(case)

    spec, attempt = case.rollout.spec, decision.status.attempt
    if spec and spec.rollback.drill and attempt and attempt.baseline and attempt.outcome is None:
        was_live = case.attempt is not None and case.target.candidate > NONE
        if attempt.target.candidate > NONE and not was_live:
            on_drill = attempt.target.cause is Cause.DRILL and attempt.target.candidate <= Percent(100)
            assert on_drill or attempt.drill.ok


@MANY
@given(cases())
def test_no_stage_is_entered_without_its_approvals(case):
    decision = decide(case)

    attempt = decision.status.attempt
    if isinstance(decision.verb, Begin) or (isinstance(decision.verb, Go) and attempt.stage != case.attempt.stage):
        step = case.rollout.plan(has_baseline=attempt.baseline is not None).step(attempt.stage, attempt.step)
        people = {one.requested_by for one in attempt.approvals if one.stage == attempt.stage}
        assert not step.approval or len(people) >= step.approval.required or not grows(decision, case.seen)


@MANY
@given(cases())
def test_without_a_baseline_the_candidate_has_everything(case):
    decision = decide(case)

    if decision.write and decision.write.shares and decision.write.place.baseline is None:
        assert decision.write.shares == CANDIDATE_ONLY


@MANY
@given(cases())
def test_conditions_never_contradict_each_other(case):
    true = {c.type for c in decide(case).status.conditions if c.status == "True"}

    assert not {"Reconciling", "Stalled"} <= true
    assert not ({"Ready"} <= true and true & {"Reconciling", "Stalled", "Held"})
    assert true & {"Ready", "Reconciling", "Stalled"}


@MANY
@given(cases())
def test_each_message_is_filed_or_still_there(case):
    decision = decide(case)

    inbox, left = case.status.control, decision.status.control
    for name in (*COMMANDS, "advance"):
        asked = getattr(inbox, name) if inbox else None
        filed = [c for c in decision.status.commands if c.command == name and c.handled_at == NOW]
        still = getattr(left, name) if left else None
        if asked:
            assert (still == asked) != bool(filed)
        else:
            assert still is None


@MANY
@given(cases())
def test_deciding_again_without_news_comes_to_rest(case):
    """Given that writes of the route take effect, and that a new step has no verdicts yet."""
    for _ in range(10):
        decision = decide(case)
        if decision.status == case.status and not decision.write:
            break
        case = _followed(case, decision)

    assert decision.status == case.status
    assert decision.write is None
    assert decision.events == ()


def _followed(case: Case, decision: Decision) -> Case:
    seen = case.seen
    if write := decision.write:
        route: Routed | Foreign
        if write.shares:
            route = Routed(write.shares, "3", way_back=write.way_back)
        else:
            assert isinstance(seen.route, Routed | Foreign)
            route = replace(seen.route, guard="3", way_back=write.way_back)
        seen = replace(seen, route=route)
    old, attempt = case.status.attempt, decision.status.attempt
    if not (old and attempt and (old.number, old.step_started_at) == (attempt.number, attempt.step_started_at)):
        seen = replace(seen, gates=(), looked=False)
    return replace(case, rollout=replace(case.rollout, status=decision.status), seen=seen)
