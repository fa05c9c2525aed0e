"""What goes on in one namespace costs the others no time; in virtual time, so to the second."""

import asyncio
from datetime import timedelta
from typing import Any

from modelrollout.core.evidence import Answer, NoData, Question, Unknown

from tests.engine.stage import STAGES, Stage
from tests.support.fake_api import ROLLOUTS, Call

NEIGHBOURS = 40
WORKERS = 8


COUNTS = {"errorRate": {"max": "1%"}}
OWN_QUERY = {"value": {"query": "sum(up)", "max": "1"}}


class Street(Stage):
    """A stage with many rollouts of another namespace, whose metrics take as long as they may."""

    def __init__(self, neighbours: int, gate: dict[str, Any] = COUNTS) -> None:
        super().__init__()
        self.in_flight = self.most_in_flight = 0
        self.source.act = self._answer
        for version in ("v1", "v2"):
            self.api.set_backend("hostile", f"fraud-{version}")
        gates = [{"name": f"g{number}", **gate} for number in range(12)]
        self.neighbours = [f"h{number}" for number in range(neighbours)]
        self._news_of = set(self.neighbours)
        for name in self.neighbours:
            body = {**self._spec, "gates": gates, "traffic": {"traefikService": {"name": name}}}
            self.api.add(ROLLOUTS, {"metadata": {"name": name, "namespace": "hostile"}, "spec": body})

    async def _answer(self, question: Question) -> Answer:
        if question.candidate.namespace == "models":
            return await self.source.count(question)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(5)
        self.in_flight -= 1
        return NoData(Unknown.TIMED_OUT, "it takes its time")

    def ask_neighbours_back(self) -> None:
        """Ask for a rollback of each of them."""
        for name in self.neighbours:
            self.api.edit(ROLLOUTS, "hostile", name, {"status": {"control": {"rollback": {}}}}, status=True)
        self.hear_of(*self.neighbours)

    def hear_of(self, *names: str) -> None:
        """Let the watches tell of these neighbours."""
        self._news_of |= set(names)
        self.deliver()

    def _after(self, call: Call) -> None:
        if call.namespace == "hostile":
            self._news_of.add(call.name)
        super()._after(call)

    def _deliver(self) -> None:
        super()._deliver()
        news, self._news_of = self._news_of, set()
        for name in news:
            for engine in self._engines:
                engine.seen(self.api.object(ROLLOUTS, "hostile", name))
                engine.touched([("hostile", name)])


async def time_to_promotion(neighbours: int) -> tuple[float, Street]:
    street = Street(neighbours)
    async with street.engine(WORKERS):
        await asyncio.sleep(60)  # The neighbours are in mid-attempt by then.
        street.apply()
        began = asyncio.get_running_loop().time()
        await street.phase("Promoted", within=timedelta(hours=1))
        return asyncio.get_running_loop().time() - began, street


async def test_many_rollouts_of_slow_gates_do_not_delay_one_of_another_namespace():
    alone, _ = await time_to_promotion(0)

    beside, street = await time_to_promotion(NEIGHBOURS)

    assert beside - alone < 1  # of some eight minutes
    assert street.most_in_flight == 40  # Five of eight workers, eight of twelve questions.


async def test_queries_of_their_own_take_few_of_the_sources_threads():
    street = Street(NEIGHBOURS, OWN_QUERY)

    async with street.engine(WORKERS):
        await asyncio.sleep(60)

    assert street.most_in_flight == 4  # A source has 16 threads, unless its administrator says otherwise.


async def test_rollbacks_that_the_router_does_not_answer_delay_none_of_another_namespace():
    street = Street(NEIGHBOURS)
    stalled: set[str] = set()
    patch = street.api.patch

    async def slow_patch(resource, namespace, name, body):
        if namespace == "hostile":
            stalled.add(name)
            await asyncio.sleep(600)
        return await patch(resource, namespace, name, body)

    street.apply()
    async with street.engine(WORKERS):
        await street.until(lambda: street.route() == "v1 95, v2 5")
        street.api.patch = slow_patch
        street.ask_neighbours_back()
        await asyncio.sleep(5)
        began = asyncio.get_running_loop().time()
        street.control(rollback={"reason": "p99"})
        await street.until(lambda: street.route() == "v1 100")

    assert stalled
    assert asyncio.get_running_loop().time() - began < 1


async def test_a_rollback_is_over_soon_though_its_whole_namespace_waits_for_metrics():
    street = Street(NEIGHBOURS)
    name, patch = street.neighbours[0], street.api.patch
    street.api.edit(ROLLOUTS, "hostile", name, {"spec": {"stages": STAGES[1:]}})

    async def late_patch(*arguments: Any) -> dict[str, Any]:
        done: dict[str, Any] = await patch(*arguments)
        await asyncio.sleep(0.1)  # The watch tells of it before the answer is here.
        return done

    async with street.engine(WORKERS):
        await asyncio.sleep(60)
        street.api.patch = late_patch
        began = asyncio.get_running_loop().time()
        street.api.edit(ROLLOUTS, "hostile", name, {"status": {"control": {"rollback": {}}}}, status=True)
        street.hear_of(name)
        await street.until(lambda: street.api.object(ROLLOUTS, "hostile", name)["status"]["phase"] == "RolledBack")

    assert asyncio.get_running_loop().time() - began < 1  # A look of theirs takes five seconds, and there are forty.
