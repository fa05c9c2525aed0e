"""Plans, policies, identities, and what a router has to be able to do for them."""

from datetime import timedelta

import pytest
from modelrollout.api.fields import ALL, NONE
from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.core.panel import panel_of
from modelrollout.core.plan import identity_of, plan_of, policy_of, unmet_need
from modelrollout.core.traffic import CANDIDATE_ONLY, Capabilities, Shares

from tests.core.builders import CAN_MIRROR, CANNOT_MIRROR, percent, spec

CANARY = {"name": "canary", "canary": {"weights": [1, "2.5", 50]}}
FULL = {"name": "full", "full": {}}


def parsed(**changes):
    values = spec(**changes)
    return ModelRolloutSpec.model_validate({key: value for key, value in values.items() if value is not ...})


def plan(*, has_baseline=True, **changes):
    return plan_of(parsed(**changes), has_baseline=has_baseline)


def minimal(**changes):
    return {"stages": ..., "gates": ..., **changes}


class TestDefaults:
    @pytest.mark.parametrize(
        ("risk", "weights", "shadow", "step", "bake"),
        [
            ("low", [5, 25, 50], "10m", "5m", "30m"),
            ("medium", [1, 5, 10, 25, 50], "1h", "15m", "4h"),
            ("high", [1, 2, 5, 10, 25, 50], "28d", "1h", "24h"),
        ],
    )
    def test_risk_picks_the_plan(self, risk, weights, shadow, step, bake):
        steps = plan(**minimal(risk=risk)).steps

        assert [(s.stage, s.shares) for s in steps] == [
            ("shadow", Shares(NONE, ALL)),
            *(("canary", Shares(percent(weight), NONE)) for weight in weights),
            ("full", CANDIDATE_ONLY),
        ]
        expected = parsed(stages=[{**FULL, "minDuration": each} for each in (shadow, step, bake)]).stages
        durations = [stage.min_duration for stage in expected]
        assert [steps[0].min_duration, steps[1].min_duration, steps[-1].min_duration] == durations

    def test_risk_is_medium_unless_said(self):
        assert plan(**minimal()) == plan(**minimal(risk="medium"))

    def test_no_rollout_is_without_a_gate(self):
        (gate,) = plan(**minimal()).steps[0].gates

        assert (gate.name, gate.error_rate.max, gate.error_rate.max_increase) == ("errors", 0.02, 0.25)

    def test_a_stage_lasts_five_minutes_unless_said(self):
        assert plan(stages=[FULL]).steps[0].min_duration == timedelta(minutes=5)

    def test_policy_has_an_answer_for_everything(self):
        policy = policy_of(parsed())

        assert policy.interval == timedelta(seconds=30)
        assert policy.warmup == timedelta(minutes=2)
        assert policy.min_requests == 300
        assert policy.retain_baseline == timedelta(hours=24)
        assert policy.deadline == timedelta(hours=1)

    def test_a_duration_of_nothing_is_an_answer_too(self):
        policy = policy_of(parsed(analysis={"warmup": "0s"}, rollback={"retainBaseline": "0s"}))

        assert (policy.warmup, policy.retain_baseline) == (timedelta(0), timedelta(0))


class TestSteps:
    def test_each_weight_is_a_step(self):
        steps = plan(stages=[CANARY, FULL]).steps

        assert [(s.stage, s.index, str(s.shares)) for s in steps] == [
            ("canary", 0, "1%"),
            ("canary", 1, "2.5%"),
            ("canary", 2, "50%"),
            ("full", 0, "100%"),
        ]

    def test_a_stage_s_gates_come_on_top(self):
        own = {**CANARY, "gates": [{"name": "own", "latency": {"threshold": "1s", "maxAbove": "1%"}}]}
        steps = plan(stages=[own, FULL]).steps

        assert [gate.name for gate in steps[0].gates] == ["errors", "own"]
        assert [gate.name for gate in steps[-1].gates] == ["errors"]

    def test_limits_are_counted_not_gates(self):
        gates = [
            {"name": "a", "errorRate": {"max": "1%", "maxIncrease": "5%"}},
            {"name": "b", "latency": {"threshold": "1s", "maxIncrease": "5%"}},
            {"name": "c", "value": {"query": "q", "min": "0", "max": "1"}},
        ]

        assert panel_of(plan(stages=[FULL], gates=gates).steps[0].gates).limits == 4

    def test_a_gate_for_some_stages_is_in_those_alone(self):
        gates = [
            {"name": "all", "errorRate": {"max": "1%"}},
            {"name": "early", "errorRate": {"max": "1%"}, "stages": ["canary"]},
        ]
        steps = plan(stages=[CANARY, FULL], gates=gates).steps

        assert [[gate.name for gate in step.gates] for step in (steps[0], steps[-1])] == [["all", "early"], ["all"]]

    def test_a_first_deployment_only_bakes(self):
        assert [s.stage for s in plan(stages=[CANARY, FULL], has_baseline=False).steps] == ["full"]

    def test_after_the_last_step_there_is_none(self):
        found = plan(stages=[CANARY, FULL])

        assert found.after(found.steps[2]) == found.steps[3]
        assert found.after(found.steps[3]) is None
        assert found.step("canary", 7) is None


class TestDigests:
    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"stages": [FULL]}, id="stages"),
            pytest.param({"gates": [{"name": "errors", "errorRate": {"max": "2%"}}]}, id="gates"),
        ],
    )
    def test_a_plan_s_digest_changes_with(self, change):
        assert plan(**change).digest != plan().digest

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"paused": True}, id="paused"),
            pytest.param({"owner": {"team": "others"}}, id="owner"),
            pytest.param({"analysis": {"interval": "10s"}}, id="analysis"),
            pytest.param({"candidate": {"version": "v9", "service": {"name": "x", "port": 1}}}, id="candidate"),
        ],
    )
    def test_a_plan_s_digest_stays_with(self, change):
        assert plan(**change).digest == plan().digest

    @pytest.mark.parametrize(
        ("change", "same"),
        [
            pytest.param({}, True, id="nothing"),
            pytest.param({"workload": {"kind": "Deployment", "name": "w"}}, True, id="workload"),
            pytest.param({"version": "v9"}, False, id="version"),
            pytest.param({"service": {"name": "fraud-v2", "port": 9090}}, False, id="port"),
            pytest.param({"artifact": {"digest": "sha256:1"}}, False, id="artifact"),
        ],
    )
    def test_an_identity_covers_version_service_and_artifact(self, change, same):
        candidate = spec()["candidate"]

        changed = identity_of(parsed(candidate={**candidate, **change}).candidate)

        assert (changed.digest == identity_of(parsed().candidate).digest) is same


class TestResuming:
    @pytest.mark.parametrize(
        ("stage", "shares", "index"),
        [
            pytest.param("canary", Shares(percent(2.5), NONE), ("canary", 1), id="the same weight"),
            pytest.param("canary", Shares(percent(40), NONE), ("canary", 1), id="the next lower weight"),
            pytest.param("canary", Shares(percent(60), NONE), ("canary", 2), id="never beyond the stage"),
            pytest.param("canary", Shares(percent(0.5), NONE), ("canary", 0), id="below all of them"),
            pytest.param("other", Shares(percent(40), NONE), ("canary", 0), id="a stage that is gone"),
            pytest.param("full", CANDIDATE_ONLY, ("full", 0), id="the bake"),
        ],
    )
    def test_a_changed_plan_goes_on_in_the_stage_of_that_name_at(self, stage, shares, index):
        found = plan(stages=[CANARY, FULL]).resume_at(stage, shares)

        assert (found.stage, found.index) == index

    def test_copies_are_no_weight(self):
        stages = [{"name": "one", "shadow": {"percent": 50}}, {**CANARY, "name": "two"}, FULL]

        assert plan(stages=stages).resume_at("two", Shares(NONE, ALL)).stage == "one"


class TestNeeds:
    WHOLE = Capabilities(mirror=True, mirror_percent=True, fractional_mirror=False)
    ALL_OR_NOTHING = Capabilities(mirror=True, mirror_percent=False, fractional_mirror=False, remedy="write 100")

    @pytest.mark.parametrize(
        ("share", "capabilities", "met"),
        [
            pytest.param(100, CAN_MIRROR, True, id="everything"),
            pytest.param("0.5", CAN_MIRROR, True, id="a broken percent"),
            pytest.param(100, CANNOT_MIRROR, False, id="no mirror at all"),
            pytest.param(50, WHOLE, True, id="a whole percent"),
            pytest.param("0.5", WHOLE, False, id="a broken percent on whole ones"),
            pytest.param(100, ALL_OR_NOTHING, True, id="all on all or nothing"),
            pytest.param(50, ALL_OR_NOTHING, False, id="a part on all or nothing"),
        ],
    )
    def test_a_shadow_of_a_share(self, share, capabilities, met):
        need = unmet_need(plan(stages=[{"name": "s", "shadow": {"percent": share}}, FULL]), capabilities)

        assert (need is None) is met
        assert met or ("stage 's' copies" in need.message and need.reason == "CannotMirror")

    def test_a_plan_without_shadow_needs_no_mirror(self):
        assert unmet_need(plan(stages=[CANARY, FULL]), CANNOT_MIRROR) is None
