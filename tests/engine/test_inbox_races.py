"""Again and again a person writes into the inbox while the engine is about to write status: nothing is lost."""

import asyncio
import random
from datetime import timedelta

from tests.engine.stage import Stage
from tests.support.fake_api import Call

COMMANDS = ("hold", "resume", "retry")
RACES = 100  # A thousand are raced against the real API server, in tests/system.


class Person:
    """Writes numbered messages without a guard, as `kubectl patch` does, and keeps what became of them."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self._stage = stage
        self._chance = chance
        self.written: list[str] = []
        self.handled: list[str] = []
        self.races = 0

    def write(self) -> bool:
        """Write one message, where none of its kind lies unread: people do overwrite each other."""
        inbox = self._stage.status().get("control") or {}
        free = [command for command in COMMANDS if command not in inbox]
        if free:
            self.written.append(f"message {len(self.written)}")
            self._stage.control("fraud", **{self._chance.choice(free): {"reason": self.written[-1]}})
        return bool(free)

    def note_handled(self) -> None:
        """Keep what has been filed since the last time: status itself has the last 20 only."""
        filed = [handled["reason"] for handled in self._stage.status().get("commands", [])]
        self.handled += [reason for reason in filed if reason not in self.handled[-40:]]


async def test_no_message_is_lost_in_races_with_status_writes():
    stage, chance = Stage(), random.Random("inbox")
    person = Person(stage, chance)

    def before(call: Call) -> None:
        if call.verb == "patch status" and chance.random() < 0.8:
            person.races += person.write()

    def after(call: Call) -> None:
        if call.verb == "patch status":
            person.note_handled()

    stage.apply()
    async with stage.engine():
        await stage.until(lambda: stage.route() == "v1 95, v2 5")
        stage.before, stage.after = before, after
        while person.races < RACES:
            person.write()
            await asyncio.sleep(chance.uniform(0, 0.02))
        await stage.until(lambda: not stage.status().get("control"), within=timedelta(seconds=1))

    assert sorted(person.handled) == sorted(person.written)
    # A message may also come in the middle of a pass, and cost it a conflict of its own.
    assert stage.telemetry.outcomes.count("conflict") >= person.races
