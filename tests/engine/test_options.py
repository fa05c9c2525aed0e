"""What a gate's options do to a whole rollout."""

from tests.engine.stage import Stage

ERRORS = {"name": "errors", "errorRate": {"max": "2%"}}
V3 = {"version": "v3", "service": {"name": "fraud-v3", "port": 8080}}


async def test_after_a_failed_safety_gate_the_next_candidate_waits_for_a_person():
    stage = Stage(gates=[{**ERRORS, "severity": "safety"}])
    stage.source.errors["v2"] = 0.1
    stage.apply()

    async with stage.engine():
        await stage.phase("RolledBack")
        stage.apply(candidate=V3)
        await stage.until(lambda: stage.condition("Held") == ("True", "SafetyStop"))
        assert stage.route() == "v1 100"
        assert stage.status()["safetyStop"]["version"] == "v2"

        stage.control(retry={"reason": "the labels were wrong"})
        await stage.phase("Promoted")

    assert "safetyStop" not in stage.status()
    assert stage.route() == "v3 100"


async def test_a_warning_that_fails_all_the_time_is_told_once_a_step_and_stops_nothing():
    stage = Stage(gates=[ERRORS, {"name": "strict", "errorRate": {"max": "0.1%"}, "severity": "warning"}])
    stage.source.errors["v2"] = 0.004
    stage.apply()

    async with stage.engine():
        await stage.phase("Promoted")

    told = [event.reason for event in stage.api.events if event.reason in {"GateWarns", "GateFailed"}]
    assert set(told) == {"GateWarns"}
    assert len(told) <= len(stage.shares)
