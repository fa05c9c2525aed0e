"""Workers take due keys and run a pass for each; here alone is any other error caught."""

import asyncio
import random
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from modelrollout.core.case import Case, Limits, is_urgent
from modelrollout.core.decide import decide
from modelrollout.core.projection import Decision
from modelrollout.core.recall import Recalled, settled
from modelrollout.core.record import goes_back, is_recorded
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import Route, Routed, way_back_in
from modelrollout.engine.accounts import Accounts
from modelrollout.engine.apply import Applier
from modelrollout.engine.memory import Memory, Notes, next_look
from modelrollout.engine.observe import Observer
from modelrollout.engine.outbox import BREATH, Outbox
from modelrollout.engine.ports import Clock, Cluster, Conflict, Gone, Refused, Telemetry, Unavailable
from modelrollout.engine.recollection import Recollection, recalled_event
from modelrollout.engine.returner import Returner
from modelrollout.engine.store import Key, Store
from modelrollout.engine.turns import Interrupted, Turns
from modelrollout.engine.workqueue import AFTERWARDS_ONLY, ALL_LANES, URGENT_ONLY, Lane, WorkQueue

log = structlog.get_logger(__name__)

LONGEST_BACKOFF = 30.0
LONGEST_URGENT_BACKOFF = 2.0
# A rollback is two API calls, one after another: with eight at a time the machine is the limit, not the waiting.
URGENT_WORKERS = 8
# And so many write down what is left to write once a route is back, slowly while there is more urgent work.
AFTERWARDS = 2
WRITES_AT_ONCE = 3
CONFLICTS_AT_ONCE = 3


def most_of_a_namespace(workers: int) -> dict[Lane, int]:
    """Return how many passes of one namespace may be under way at once, out of each lane.

    With so many of both, the workers that serve rollbacks only are still free for the others.
    """
    quarter, eighth = max(1, workers // 4), max(1, workers // 8)
    return {Lane.ROLLBACK: quarter, Lane.NORMAL: max(1, workers - quarter - eighth), Lane.AFTER: eighth}


class Engine:
    """Objects in, passes out. `seen`, `dropped` and `touched` only take note; the workers do the rest."""

    def __init__(  # noqa: PLR0913 - each is one thing that the engine needs
        self,
        *,
        store: Store,
        queue: WorkQueue,
        observer: Observer,
        applier: Applier,
        cluster: Cluster,
        clock: Clock,
        limits: Limits,
        telemetry: Telemetry,
        returner: Returner,
        accounts: Accounts,
        recollection: Recollection,
        outbox: Outbox,
    ) -> None:
        self._store = store
        self._queue = queue
        self._observer = observer
        self._applier = applier
        self._cluster = cluster
        self._clock = clock
        self._limits = limits
        self._telemetry = telemetry
        self._returner = returner
        self._accounts = accounts
        self._recollection = recollection
        self._outbox = outbox
        self._turns = Turns()
        self._memory = Memory()
        self._is_working = False
        self._passes: dict[Key, float] = {}

    @property
    def longest_pass(self) -> float:
        """Seconds that the longest of the passes under way has been so; 0 without any."""
        return asyncio.get_running_loop().time() - min(self._passes.values()) if self._passes else 0.0

    def seen(self, obj: dict[str, Any]) -> bool:
        """Take note of a rollout as the watch has it; return whether it was news."""
        is_news = self._store.put(obj)
        if is_news:
            self._wake(obj["metadata"]["uid"])
        return is_news

    def dropped(self, obj: dict[str, Any]) -> None:
        """Take note that a rollout is gone; what its route still gives its candidate goes back."""
        self._forget(obj["metadata"]["uid"])

    def give_back(self) -> None:
        """Give back what rollouts that were deleted unseen have left; to be called when all of them are listed."""
        for key in self._returner.left():
            if key not in self._store:
                self._hurry(key)

    def touched(self, names: Iterable[tuple[str, str]]) -> None:
        """Take note that a Service or routing object of such a namespace and name has changed."""
        for name in names if self._is_working else ():
            for key in self._store.concerned(*name):
                # Our own write of a rollback is told of, too: what ends it must not wait behind metrics that hang.
                urgent = is_urgent(self._store.get(key).rollout)
                self._queue.add(key, Lane.AFTER if self._memory.is_back(key) else _lane(urgent=urgent))

    async def run(self, workers: int, complete: asyncio.Event) -> None:
        """Work until cancelled. Some workers serve rollbacks only, so that slow metrics never occupy all of them.

        Before `complete` is set, the copies of what is watched may lack something that is there: until then only
        rollbacks are worked on. It begins with nothing remembered and everything due, and may be run again: in
        between, the engine takes note of objects and does nothing.
        """
        self._memory = Memory()
        self._is_working = True
        for stored in self._store.all():
            self._wake(stored.rollout.uid)
        if complete.is_set():
            self.give_back()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.run())
                for _ in range(URGENT_WORKERS):
                    group.create_task(self._work(URGENT_ONLY))
                for _ in range(AFTERWARDS):
                    group.create_task(self._work(AFTERWARDS_ONLY))
                await complete.wait()
                for _ in range(workers):
                    group.create_task(self._work(ALL_LANES))
        finally:
            self._is_working = False
            self._queue.clear()

    def _hurry(self, key: Key) -> None:
        if self._is_working:
            self._queue.add(key, Lane.ROLLBACK)

    def _wake(self, key: Key) -> None:
        if not self._is_working:
            return
        if is_urgent(self._store.get(key).rollout):
            self._memory.interrupt(key)
            self._queue.add(key, Lane.ROLLBACK)
        else:
            self._queue.add(key)

    async def _work(self, lanes: tuple[Lane, ...]) -> None:
        while True:
            if lanes is AFTERWARDS_ONLY and self._queue.is_behind:
                await asyncio.sleep(BREATH)
            key = await self._queue.get(lanes)
            try:
                if not self._is_left_alone(key):
                    await self._guarded_pass(key)
            finally:
                self._queue.done(key)

    def _is_left_alone(self, key: Key) -> bool:
        """Return whether the API server asked for a pause that still lasts: news, such as our own, do not end it."""
        pause = self._memory.pause_of(key, asyncio.get_running_loop().time())
        try:
            waits = pause > 0 and not is_urgent(self._store.get(key).rollout)
        except Gone:
            waits = False
        if waits:
            self._queue.add_after(key, pause)
        return waits

    async def _guarded_pass(self, key: Key) -> None:
        """Run a pass and turn each way of failing into when to come back."""
        self._passes[key] = started = asyncio.get_running_loop().time()
        outcome = "ok"
        try:
            await (self._pass(key) if key in self._store else self._return(key))
            self._memory.succeeded(key)
        except Interrupted:
            outcome = "interrupted"
        except Gone:
            outcome = "gone"
            self._forget(key)
        except Conflict:
            outcome = "conflict"
            await self._read_again(key)
        except Unavailable as error:
            outcome = "unavailable"
            log.warning("pass put off", error=str(error))
            self._back_off(key, _asked_to_wait(error))
        except Refused as error:
            outcome = "refused"
            log.error("pass refused by the API server", error=str(error))  # noqa: TRY400 - its sentence is enough
            self._back_off(key, refused=True)
        except Exception:
            outcome = "bug"
            log.exception("pass failed")
            self._back_off(key)
        finally:
            del self._passes[key]
            self._telemetry.pass_ended(outcome, asyncio.get_running_loop().time() - started)
            structlog.contextvars.clear_contextvars()

    async def _pass(self, key: Key) -> None:
        stored = self._store.get(key)
        rollout = stored.rollout
        attempt = rollout.status.attempt
        structlog.contextvars.bind_contextvars(
            namespace=rollout.namespace, name=rollout.name, uid=key, attempt=attempt.number if attempt else 0
        )
        notes = self._memory.of(rollout)
        if self._must_wait(key, rollout, notes):
            return
        notes.interrupt.clear()  # This pass knows of every rollback asked for so far; later ones set it again.
        now = self._clock()
        recalled = await self._recollection.of(rollout, notes, now)
        if isinstance(recalled, Recalled):
            rollout = replace(rollout, status=recalled.status)
        seen = await self._observer.observe(rollout, notes, now)
        if isinstance(recalled, Recalled):
            where = f"{seen.route_kind} {seen.route_name}"
            rollout = replace(rollout, status=settled(recalled, rollout, seen.route, where))
        elif recalled:
            seen = replace(seen, lost=recalled)
        if (left := way_back_in(seen.route)) and left.uid not in self._store:
            self._hurry(left.uid)  # Of a deleted rollout of this name: ours waits for it.
        seen = replace(
            seen,
            recorded=is_recorded(rollout, seen),
            unwritten=notes.unwritten.said if notes.unwritten else None,
            neighbours=self._store.number_in(rollout.namespace),
        )
        case = Case(rollout, seen, self._clock(), self._limits)
        decision = decide(case)
        async with self._turn_to_write(rollout, decision, notes):
            if not goes_back(decision.verb):
                decision = await self._accounts.allow(case, decision, notes, now)
                stored = self._store.newest(stored)
            route = await self._applier.apply(stored, decision)
        notes.given_back = _guard_if_back(decision, route)  # Before anything waits: the watch tells of it any moment.
        if goes_back(decision.verb):  # Nothing may keep it waiting: it is written down afterwards.
            await self._accounts.fill_in(case, notes, now, self._store.get(key).rollout)
        if decision.status.held != rollout.status.held:
            await self._accounts.note_hold(case, decision.status.held, notes, now)
        if isinstance(recalled, Recalled):
            self._outbox.tell(stored.head, (recalled_event(rollout, now),))
        self._telemetry.decided(rollout.status, decision.status)
        notes.note_write(decision.write, seen.route, now)
        self._plan_next(key, decision)

    def _turn_to_write(self, rollout: Rollout, decision: Decision, notes: Notes) -> AbstractAsyncContextManager[None]:
        """Return what has to be held while a decision is recorded and carried out: a turn, where it writes and can wait."""
        writes = decision.write is not None or decision.status is not rollout.status
        can_wait = not is_urgent(rollout) and not (decision.write and decision.write.outranks)
        return self._turns.taken(rollout.namespace, notes.interrupt) if writes and can_wait else nullcontext()

    def _must_wait(self, key: Key, rollout: Rollout, notes: Notes) -> bool:
        """Whether a race is being waited out, though the other side's write has woken us; people are heard at once."""
        until, notes.patience_until = notes.patience_until, None
        left = (until - self._clock()).total_seconds() if until else 0.0
        if not 0 < left <= LONGEST_BACKOFF or is_urgent(rollout) or rollout.status.control:
            return False
        notes.patience_until = until
        self._queue.add_after(key, left)
        return True

    async def _return(self, key: Key) -> None:
        structlog.contextvars.bind_contextvars(uid=key)
        again = await self._returner.give_back(key)
        self._memory.drop(key)
        if again:
            self._queue.add_after(key, again)

    def _plan_next(self, key: Key, decision: Decision) -> None:
        now = self._clock()
        rollout = self._store.get(key).rollout
        notes = self._memory.of(rollout)
        at = decision.look_again_at
        if decision.write and (notes.writes_in_a_row > WRITES_AT_ONCE or notes.is_contested(now)):
            # Something undoes what we write, under our own name: another operator. Do not race it.
            rounds = 20 if notes.is_contested(now) else min(notes.writes_in_a_row, 20)
            patience = min(LONGEST_BACKOFF, 0.1 * 2**rounds)
            notes.patience_until = now + timedelta(seconds=patience)
            self._queue.add_after(key, patience)
        elif decision.write or (at is not None and at <= now):
            # Read back what was written, in the lane that the rollout is in.
            self._queue.add(key, Lane.AFTER if notes.given_back else _lane(urgent=is_urgent(rollout)))
        elif due := [moment for moment in (at, next_look(rollout, notes, now)) if moment]:
            self._queue.add_after(key, (min(due) - now).total_seconds())
        if notes.unwritten:
            self._queue.add_after(key, max(1.0, (notes.unwritten.again_at - now).total_seconds()))

    async def _read_again(self, key: Key) -> None:
        """Get the object as it is now, and decide anew: at once, unless that has led nowhere several times in a row."""
        try:
            known = self._store.get(key).rollout
            found = await self._cluster.get_rollout(known.namespace, known.name)
        except Gone:
            self._forget(key)
        except (Refused, Unavailable) as error:
            log.warning("could not read the rollout again", error=str(error))
            self._back_off(key, _asked_to_wait(error))
        else:
            if found["metadata"]["uid"] != key:  # It was deleted, and another one has its name.
                self._forget(key)
                self.seen(found)
                return
            self._store.put(found)
            self._come_back(key)

    def _come_back(self, key: Key) -> None:
        """Have the key decided anew after a conflict."""
        in_a_row = self._memory.conflicted(key)
        urgent = is_urgent(self._store.get(key).rollout)
        if in_a_row <= CONFLICTS_AT_ONCE:
            self._queue.add(key, _lane(urgent=urgent))
        else:  # What we are told is old, or somebody writes all the time: asking faster makes it no newer.
            self._queue.add_after(key, _backoff(in_a_row - CONFLICTS_AT_ONCE, urgent=urgent), _lane(urgent=urgent))

    def _back_off(self, key: Key, at_least: float = 0.0, *, refused: bool = False) -> None:
        """Come back later: exponentially, with jitter; a rollback comes back within two seconds.

        So does what a deleted rollout has left, unless it is refused: its namespace may be on its way out.
        """
        failures = self._memory.failed(key)
        urgent = is_urgent(self._store.get(key).rollout) if key in self._store else not refused
        wait = _backoff(failures, urgent=urgent)
        if at_least:
            self._memory.leave_alone(key, asyncio.get_running_loop().time() + at_least)
        self._queue.add_after(key, wait if urgent else max(wait, at_least), _lane(urgent=urgent))

    def _forget(self, key: Key) -> None:
        self._store.drop(key)
        self._memory.drop(key)
        self._queue.forget(key)
        self._hurry(key)


def _guard_if_back(decision: Decision, route: Route | None) -> str | None:
    """Return the guard of a route that a rollback's own write has left as it should be."""
    write = decision.write
    if write and write.outranks and isinstance(route, Routed) and route.shares == write.shares:
        return route.guard
    return None


def _lane(*, urgent: bool) -> Lane:
    return Lane.ROLLBACK if urgent else Lane.NORMAL


def _backoff(failures: int, *, urgent: bool) -> float:
    """Return the seconds to wait after so many failures in a row, with jitter."""
    longest = LONGEST_URGENT_BACKOFF if urgent else LONGEST_BACKOFF
    return min(longest, 0.1 * 2.0 ** min(failures, 20)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


def _asked_to_wait(error: Refused | Unavailable) -> float:
    """Return for how many seconds the server asked to be left alone."""
    return error.retry_after.total_seconds() if isinstance(error, Unavailable) and error.retry_after else 0.0
