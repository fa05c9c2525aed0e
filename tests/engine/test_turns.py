"""Turns to write: few of a namespace at once, and never in a rollback's way."""

import asyncio
from typing import Any

import pytest
from modelrollout.engine.turns import AT_ONCE, Interrupted, Turns

from tests.engine.stage import Stage


class Street:
    """Passes that hold a turn until told to leave."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.leave = asyncio.Event()
        self.inside = 0

    async def walk(self, namespace: str, interrupt: asyncio.Event | None = None) -> None:
        async with self.turns.taken(namespace, interrupt or asyncio.Event()):
            self.inside += 1
            await self.leave.wait()


async def full(street: Street) -> list[asyncio.Task[None]]:
    holders = [asyncio.ensure_future(street.walk("hostile")) for _ in range(AT_ONCE)]
    await asyncio.sleep(1)
    return holders


async def test_no_more_of_a_namespace_write_at_once_and_all_do_in_the_end():
    street = Street()
    passes = [asyncio.ensure_future(street.walk("hostile")) for _ in range(100)]
    await asyncio.sleep(60)
    assert street.inside == AT_ONCE

    street.leave.set()
    await asyncio.gather(*passes)

    assert street.inside == 100


async def test_another_namespace_has_turns_of_its_own():
    street = Street()
    holders = await full(street)

    other = asyncio.ensure_future(street.walk("models"))
    await asyncio.sleep(1)

    assert street.inside == AT_ONCE + 1
    street.leave.set()
    await asyncio.gather(*holders, other)


async def test_who_waits_gives_up_when_a_rollback_is_asked_for():
    street = Street()
    holders = await full(street)
    interrupt = asyncio.Event()
    waiting = asyncio.ensure_future(street.walk("hostile", interrupt))
    await asyncio.sleep(1)

    interrupt.set()

    with pytest.raises(Interrupted):
        await waiting
    street.leave.set()
    await asyncio.gather(*holders)


@pytest.mark.parametrize("ending", ["interrupted", "cancelled"])
@pytest.mark.parametrize("is_turn_first", [True, False])
async def test_a_turn_that_comes_at_the_moment_of_giving_up_is_not_lost(ending: str, is_turn_first: bool):
    street = Street()
    holders = await full(street)
    interrupt = asyncio.Event()
    waiting = asyncio.ensure_future(street.walk("hostile", interrupt))
    await asyncio.sleep(1)

    if is_turn_first:
        street.leave.set()
        await asyncio.sleep(0)
    interrupt.set() if ending == "interrupted" else waiting.cancel()
    street.leave.set()
    await asyncio.wait({waiting, *holders})

    late = [asyncio.ensure_future(street.walk("hostile")) for _ in range(AT_ONCE)]
    await asyncio.wait_for(asyncio.gather(*late), 1)


async def test_a_rollback_goes_ahead_while_every_turn_of_its_namespace_is_taken():
    stage = Stage()
    names = [f"fraud{number}" for number in range(AT_ONCE)]
    async with stage.engine(workers=8):
        stage.apply()
        await stage.phase("Canary")
        hold = asyncio.Event()

        real = stage.api.patch_status

        async def patch_status(namespace: str, name: str, guard: str, patch: dict[str, Any]) -> Any:
            if name in names:
                await hold.wait()
            return await real(namespace, name, guard, patch)

        stage.api.patch_status = patch_status
        for name in names:
            stage.apply(name)
        await asyncio.sleep(10)

        stage.control(rollback={"reason": "p99"})
        await asyncio.sleep(1)

        assert stage.route() == "v1 100"
        hold.set()


async def test_what_ends_a_rollback_is_not_read_again_where_its_own_write_was_answered():
    stage = Stage()
    read = stage.api.read
    read_anew: list[str] = []

    async def noted(resource: str, namespace: str, name: str, *, live: bool = False) -> Any:
        if live:
            read_anew.append(resource)
        return await read(resource, namespace, name, live=live)

    async with stage.engine():
        stage.apply()
        await stage.phase("Canary")
        stage.api.read = noted
        read_anew.clear()

        stage.control(rollback={"reason": "p99"})
        await stage.phase("RolledBack")

    assert read_anew == []
