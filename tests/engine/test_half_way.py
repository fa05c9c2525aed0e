"""Steps that are two writes, on a rule where each backend has a cluster of its own: cut between them, a new engine goes on."""

from datetime import timedelta
from typing import Any

import pytest
from modelrollout.routing.gateway import Gateways
from modelrollout.routing.httproute import httproute_driver

from tests.engine.stage import Stage
from tests.engine.test_crash import kill_at, run
from tests.support.fake_api import ROLLOUTS, Call

pytestmark = pytest.mark.slow

CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
TRUE = [{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}]
PARENT = {"name": "web"}
HEADER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}}
TRAFFIC = {"httpRoute": {"adopt": {"name": "fraud", "rule": "score"}}}
CANARY = [
    {"name": "canary", "canary": {"weights": [5, 50]}, "minDuration": "20s"},
    {"name": "full", "full": {}, "minDuration": "20s"},
]
UP = ["v1 1", "v1 999999, v2 1", "v1 95, v2 5", "v1 50, v2 50"]


class RuleStage(Stage):
    """A world whose traffic is on a user's rule."""

    def __init__(self) -> None:
        super().__init__(stages=CANARY)
        self.driver = httproute_driver(self.api, Gateways(self.api, {}))
        web = {"metadata": {"name": "web", "namespace": "models"}, "spec": {"gatewayClassName": "envoy"}}
        self.api.add("gateways", web)
        self.api.add("gatewayclasses", {"metadata": {"name": "envoy"}, "spec": {"controllerName": CONTROLLER}})
        ref = {"name": "fraud-v1", "port": 8080, "weight": 1, "filters": [HEADER]}
        rules = [{"name": "score", "backendRefs": [ref]}]
        spec = {"parentRefs": [PARENT], "rules": rules}
        self.api.add("httproutes", {"metadata": {"name": "fraud", "namespace": "models"}, "spec": spec})
        said = {"parents": [{"parentRef": PARENT, "controllerName": CONTROLLER, "conditions": TRUE}]}
        self.api.edit("httproutes", "models", "fraud", {"status": said}, status=True)
        self._note_shares()

    def apply(self, name: str = "fraud", **changes: Any) -> None:
        body = {**self._spec, **changes, "traffic": TRAFFIC}
        self.api.add(ROLLOUTS, {"metadata": {"name": name, "namespace": "models"}, "spec": body})
        self._names.add(name)
        self.deliver()

    def route(self, name: str = "fraud") -> str:
        rule = self.api.object("httproutes", "models", name)["spec"]["rules"][0]
        return ", ".join(f"{ref['name'][6:]} {ref['weight']}" for ref in rule["backendRefs"])


def promoted() -> RuleStage:
    return RuleStage()


def rolled_back() -> RuleStage:
    """Return a stage whose candidate breaks as soon as it has half of the requests."""
    stage = RuleStage()

    def after(_: Call) -> None:
        if stage.route() == "v1 50, v2 50":
            stage.source.errors["v2"] = 0.4

    stage.after = after
    return stage


ENDS = {
    "Promoted": (promoted, [*UP, "v1 1, v2 999999", "v1 0, v2 100"]),
    "RolledBack": (rolled_back, [*UP, "v1 999999, v2 1", "v1 1"]),
}


@pytest.mark.parametrize("phase", ENDS)
async def test_each_step_from_and_to_nothing_goes_by_way_of_one_in_a_million(phase: str) -> None:
    begin, shares = ENDS[phase]
    stage = begin()

    await run(stage)

    assert stage.status()["phase"] == phase
    assert stage.shares == shares
    assert "conflict" not in stage.telemetry.outcomes


@pytest.mark.parametrize("phase", ENDS)
async def test_killed_after_any_write_it_takes_the_same_way(phase: str) -> None:
    begin, shares = ENDS[phase]
    whole = begin()
    await run(whole)

    for number in range(1, len(whole.writes)):
        stage = begin()
        stage.after = kill_at(number, stage.after)
        await run(stage)

        assert stage.status()["phase"] == phase
        assert stage.shares == shares, number


async def test_a_rollback_asked_for_half_way_up_leaves_nothing() -> None:
    stage = RuleStage()
    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == UP[1], within=timedelta(minutes=10))

        stage.control(rollback={"reason": "p99"})
        await stage.phase("RolledBack", within=timedelta(seconds=10))

    assert stage.route() == "v1 1"
