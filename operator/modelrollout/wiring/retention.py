"""`modelrollout-retention`: deletes old records, as a job of its own and under an account of its own.

The operator has no right to delete a record; this has no right to do anything else.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

from modelrollout import __version__
from modelrollout.api.fields import render_duration, render_time
from modelrollout.cluster.failures import Caller
from modelrollout.cluster.kubernetes import RECORDS
from modelrollout.cluster.server import ApiServer, connect
from modelrollout.core.retention import LEAST_AGE, LEAST_KEPT, Entry, Old, Open, Policy, entry_of, may_go
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable
from modelrollout.wiring.settings import LogFormat, explain
from modelrollout.wiring.telemetry import set_up_logging

log = structlog.get_logger(__name__)

CALLER = Caller("modelrollout-retention", "the retention job's ServiceAccount", "grant it that verb")
CALL_LIMIT = timedelta(seconds=30)
TRIES = 5
FIRST_PAUSE = timedelta(seconds=1)
WORST_SKEW = timedelta(hours=1)
"""A clock that is off by more must not say what is old."""


def _enough_days(days: int) -> int:
    if days < LEAST_AGE.days:
        raise ValueError(f"{days}: records are kept for at least {LEAST_AGE.days} days; write that or more")
    return days


def _enough_attempts(keep: int) -> int:
    if keep < LEAST_KEPT:
        raise ValueError(f"{keep}: the newest {LEAST_KEPT} attempts of each rollout stay at least; write that or more")
    return keep


class RetentionSettings(BaseSettings):
    """What may go, and where. Each is a flag (--days 180) and a variable (MODELROLLOUT_RETENTION_DAYS=180)."""

    model_config = SettingsConfigDict(
        env_prefix="MODELROLLOUT_RETENTION_",
        cli_parse_args=False,
        cli_prog_name="modelrollout-retention",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        extra="forbid",
    )

    days: Annotated[int, AfterValidator(_enough_days)] = Field(
        LEAST_AGE.days, description="Days since the next attempt began for which an attempt's records stay."
    )
    keep: Annotated[int, AfterValidator(_enough_attempts)] = Field(
        LEAST_KEPT, description="Newest attempts of each rollout that stay, however old."
    )
    dry_run: bool = Field(default=False, description="Whether to say what would be deleted, and delete nothing.")
    namespaces: list[str] = Field(
        [], description="Namespaces to look at, as a JSON list; all of the cluster when empty."
    )
    kubeconfig: Path | None = Field(None, description="Kubeconfig to use instead of the pod's own credentials.")
    log_format: LogFormat = Field(LogFormat.AUTO, description="json, text, or auto: text on a terminal.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    @property
    def policy(self) -> Policy:
        """What may go."""
        return Policy(timedelta(days=self.days), self.keep)


def main(arguments: Sequence[str] | None = None) -> int:
    """Delete what may go; return 0 if all of it has gone, 1 if some could not."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--version" in given:
        print(f"modelrollout {__version__}")
        return 0
    try:
        settings = CliApp.run(RetentionSettings, cli_args=given)
    except (ValidationError, SettingsError) as error:
        print(f"modelrollout-retention: cannot start: {explain(error)}", file=sys.stderr)
        return 1
    set_up_logging(settings.log_format, settings.log_level)
    try:
        return asyncio.run(run(settings, clock=lambda: datetime.now(UTC)))
    except (Conflict, Gone, Refused, Unavailable) as error:
        return _fail(str(error))


def _fail(sentence: str) -> int:
    log.error("retention failed", error=sentence)
    return 1


async def run(settings: RetentionSettings, *, clock: Callable[[], datetime]) -> int:
    """Delete what may go; return the exit code.

    Raises:
        Conflict, Gone, Refused, Unavailable: the records cannot be listed, or the clock is not to be trusted.
    """
    server = await connect(settings.kubeconfig, call_limit=CALL_LIMIT, caller=CALLER)
    try:
        cleaner = Cleaner(server, settings.policy, dry_run=settings.dry_run)
        namespaces: Sequence[str | None] = settings.namespaces or [None]
        await cleaner.check_clock(clock, namespaces[0])
        entries = [entry for namespace in namespaces for entry in await cleaner.list(namespace)]
        return 0 if await cleaner.clean(entries, clock()) else 1
    finally:
        await server.close()


class Cleaner:
    """Lists records and deletes those that may go, one after the other."""

    def __init__(
        self, server: ApiServer, policy: Policy, *, dry_run: bool = False, pause: timedelta = FIRST_PAUSE
    ) -> None:
        self._server = server
        self._policy = policy
        self._dry_run = dry_run
        self._pause = pause
        self._failed: set[tuple[str, str]] = set()
        self._deleted = 0

    async def check_clock(self, clock: Callable[[], datetime], namespace: str | None) -> None:
        """Return if this machine's clock agrees with the API server's.

        Raises:
            Refused: it does not.
        """
        for _ in range(3):
            await self._server.newest_version(RECORDS, namespace)
        skew = self._server.clock.skew(clock(), time.monotonic())
        if skew is None or abs(skew) > WORST_SKEW:
            off = "cannot be compared with" if skew is None else f"is {render_duration(abs(skew))} off"
            raise Refused(f"this machine's clock {off} the API server's: set it right; nothing was deleted")

    async def list(self, namespace: str | None) -> list[Entry]:
        """Return all records of a namespace, or of all. Of one that cannot be read its rollout is left alone."""
        found: list[Entry] = []
        async for page in self._server.labelled_pages(RECORDS, namespace, ""):
            for record in page["items"]:
                try:
                    found.append(entry_of(record))
                except (KeyError, TypeError, ValueError) as error:
                    self._leave(record, error)
            log.info("records listed", namespace=namespace or "all", records=len(found))
        return found

    async def clean(self, entries: Sequence[Entry], now: datetime) -> bool:
        """Delete what may go; return whether all of it has gone."""
        before = len(self._failed)
        for found in may_go([one for one in entries if one.place not in self._failed], self._policy, now):
            match found:
                case Open(first, (namespace, rollout)):
                    reason = "it has no end, and newer attempts have followed: nothing newer goes before it"
                    log.warning("record stays", namespace=namespace, rollout=rollout, record=first, reason=reason)
                case Old(parts, until):
                    await self._delete_all(parts, until)
        log.info(
            "retention done",
            records=len(entries),
            deleted=self._deleted,
            dry_run=self._dry_run,
            rollouts_left=len(self._failed),
        )
        return len(self._failed) == before == 0

    def _leave(self, record: object, error: Exception) -> None:
        spec = record.get("spec") or {} if isinstance(record, dict) else {}
        metadata = record.get("metadata") or {} if isinstance(record, dict) else {}
        rollout = (spec.get("rollout") or {}).get("name", "")
        place = (str(metadata.get("namespace", "")), str(rollout))
        self._failed.add(place)
        log.warning(
            "record stays",
            namespace=place[0],
            rollout=rollout,
            record=metadata.get("name"),
            reason=f"unreadable: {error!r}",
        )

    async def _delete_all(self, parts: Sequence[Entry], until: datetime) -> None:
        """Delete the parts of one attempt in their order; a failure leaves the rest of its rollout alone."""
        for part in parts:
            if part.place in self._failed:
                return
            if not self._dry_run and not await self._delete(part):
                self._failed.add(part.place)
                return
            self._deleted += 1
            log.info(
                "record would be deleted" if self._dry_run else "record deleted",
                namespace=part.place[0],
                rollout=part.place[1],
                record=part.name,
                attempt=part.attempt,
                part=part.part,
                segments=part.segments,
                hash=part.end,
                decided_at=render_time(part.decided_at),
                followed_at=render_time(until),
            )

    async def _delete(self, part: Entry) -> bool:
        """Return whether the record is gone."""
        pause = self._pause
        for attempt in range(1, TRIES + 1):
            try:
                await self._server.delete(RECORDS, part.place[0], part.name, uid=part.uid, guard=part.guard)
            except Gone:
                return True  # Somebody was faster; that is what was wanted.
            except Conflict as error:
                self._tell(part, f"it has changed since it was listed: {error}")
                return False
            except Refused as error:
                self._tell(part, str(error))
                return False
            except Unavailable as error:
                if attempt == TRIES:
                    self._tell(part, str(error))
                    return False
                await asyncio.sleep((error.retry_after or pause).total_seconds())
                pause *= 2
            else:
                return True
        return False

    def _tell(self, part: Entry, reason: str) -> None:
        log.warning("record stays", namespace=part.place[0], rollout=part.place[1], record=part.name, reason=reason)


if __name__ == "__main__":
    sys.exit(main())
