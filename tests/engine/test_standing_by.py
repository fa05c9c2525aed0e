"""An engine that is run again: what a standby does when its turn comes."""

import asyncio

from modelrollout.engine.accounts import Accounts
from modelrollout.engine.apply import Applier
from modelrollout.engine.observe import Drivers, Observer
from modelrollout.engine.outbox import Outbox
from modelrollout.engine.recollection import Recollection
from modelrollout.engine.recorder import Recorder
from modelrollout.engine.returner import Returner
from modelrollout.engine.store import Store
from modelrollout.engine.worker import Engine
from modelrollout.engine.workqueue import WorkQueue

from tests.engine.stage import LIMITS, ROUTES, Stage
from tests.support.fake_api import ROLLOUTS
from tests.support.virtual_time import virtual_now


class Standby:
    """An engine that hears of everything and works only when told."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._complete = asyncio.Event()
        self._complete.set()
        self.queue = WorkQueue()
        store = Store()
        drivers = Drivers(http_route=stage.driver, grpc_route=stage.driver, traefik_service=stage.driver)
        outbox = Outbox(stage.api, lambda: self.queue.is_behind)
        recorder = Recorder(stage.api)
        self.engine = Engine(
            store=store,
            queue=self.queue,
            observer=Observer(drivers=drivers, source=stage.source, cluster=stage.api),
            applier=Applier(drivers=drivers, cluster=stage.api, store=store, outbox=outbox),
            returner=Returner(drivers=drivers, cluster=stage.api, recorder=recorder, clock=virtual_now),
            accounts=Accounts(recorder, store, stage.telemetry),
            recollection=Recollection(stage.api),
            outbox=outbox,
            cluster=stage.api,
            clock=virtual_now,
            limits=LIMITS,
            telemetry=stage.telemetry,
        )

    def hear(self) -> None:
        self.engine.seen(self._stage.api.object(ROLLOUTS, "models", "fraud"))
        self.engine.touched([("models", "fraud")])

    async def work_for(self, seconds: float) -> None:
        task = asyncio.ensure_future(self.engine.run(2, self._complete))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait({task})


async def test_a_standby_takes_note_and_writes_nothing():
    stage = Stage()
    stage.apply()
    standby = Standby(stage)

    standby.hear()
    await asyncio.sleep(3600)

    assert stage.api.calls == []
    assert (standby.queue.depth, standby.queue.lateness) == (0, 0)


async def test_all_it_knows_is_due_when_its_turn_comes():
    stage = Stage()
    stage.apply()
    standby = Standby(stage)
    standby.hear()

    await standby.work_for(1)

    assert stage.status()["phase"] == "Shadow"
    assert stage.route() == "v1 100, 100% copied to v2"


async def test_a_rollback_asked_for_between_two_turns_is_done_in_the_next_without_asking_metrics():
    stage = Stage()
    stage.apply()
    standby = Standby(stage)
    standby.hear()
    await standby.work_for(1)

    stage.control(rollback={"reason": "nobody leads"})
    standby.hear()
    await asyncio.sleep(60)
    assert stage.route() == "v1 100, 100% copied to v2"
    asked = stage.source.asked
    await standby.work_for(0.1)

    assert stage.route() == "v1 100"
    assert stage.source.asked == asked


async def test_a_rollout_deleted_between_two_turns_is_given_back_in_the_next():
    stage = Stage()
    stage.apply()
    standby = Standby(stage)
    standby.hear()
    await standby.work_for(1)
    gone = stage.api.object(ROLLOUTS, "models", "fraud")

    stage.api.delete(ROLLOUTS, "models", "fraud")
    standby.engine.dropped(gone)
    await asyncio.sleep(60)
    assert stage.route() == "v1 100, 100% copied to v2"
    await standby.work_for(1)

    assert stage.route() == "v1 100"


async def test_nothing_is_left_behind_by_a_turn_that_was_cut_short():
    stage = Stage()
    stage.apply()
    standby = Standby(stage)
    standby.hear()
    await standby.work_for(1)
    calls = len(stage.api.calls)

    stage.api.edit(ROUTES, "models", "fraud", {"metadata": {"labels": {"a": "b"}}})
    standby.hear()
    await asyncio.sleep(3600)

    assert len(stage.api.calls) == calls
    assert standby.queue.depth == 0
    assert standby.engine.longest_pass == 0


async def test_the_age_of_a_pass_that_hangs_is_known():
    stage = Stage()
    stage.apply()
    standby = Standby(stage)
    standby.hear()
    forever = asyncio.Event()

    async def hang(*_: object) -> None:
        await forever.wait()

    stage.source.act = hang
    task = asyncio.ensure_future(standby.engine.run(2, standby._complete))
    await asyncio.sleep(400)

    assert standby.engine.longest_pass > 120
    task.cancel()
    await asyncio.wait({task})
