"""The administrator's freeze: a setting, or a ConfigMap that is there; while it lasts no weight grows."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from modelrollout.api.fields import parse_time
from modelrollout.cluster.server import ApiServer, Resource
from modelrollout.engine.ports import Clock, Conflict, Gone, Refused, Unavailable

log = structlog.get_logger(__name__)

CONFIG_MAPS = Resource("", "v1", "configmaps")
EVERY = 5.0
KEPT = timedelta(minutes=1)
"""How long the last look is good for while the ConfigMap cannot be read."""
LONGEST_REASON = 500


class Freeze:
    """Reads one ConfigMap every five seconds: that costs less than a watch of all of them, and needs no right to list.

    What cannot be read is a freeze: somebody may have asked for one.
    """

    def __init__(self, server: ApiServer, *, setting: str, config_map: tuple[str, str] | None, clock: Clock) -> None:
        self._server = server
        self._setting = setting
        self._config_map = config_map
        self._clock = clock
        self._found: Mapping[str, Any] | None = None
        self._seen_at: datetime | None = None
        self._problem = "it has not been read yet"

    @property
    def reason(self) -> str | None:
        """Why no weight may grow, `None` where weights may."""
        if self._setting or self._config_map is None:
            return self._setting or None
        namespace, name = self._config_map
        now = self._clock()
        if self._seen_at is None or now - self._seen_at > KEPT:
            return f"whether ConfigMap {name} of namespace {namespace} is there is not known: {self._problem}"
        return reason_in(self._found, now) if self._found is not None else None

    async def run(self) -> None:
        """Look until cancelled."""
        while self._config_map:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Take note of whether the ConfigMap is there, and of what it says."""
        if self._config_map is None:
            return
        was = self._found
        try:
            self._found = (await self._server.get(CONFIG_MAPS, *self._config_map)).get("data") or {}
        except Gone:
            self._found = None
        except (Conflict, Refused, Unavailable) as error:
            if self._problem != str(error):
                log.warning("the freeze cannot be looked at", error=str(error))
            self._problem = str(error)
            return
        self._problem, self._seen_at = "", self._clock()
        if (self._found is None) != (was is None):
            log.info("weights are frozen" if was is None else "weights are no longer frozen", reason=self.reason)


def reason_in(data: Mapping[str, Any], now: datetime) -> str | None:
    """Return the reason that a ConfigMap's data give, `None` where the time that they give is over."""
    reason = str(data.get("reason") or "no reason given").strip()[:LONGEST_REASON]
    if not (until := data.get("until")):
        return reason
    try:
        end = parse_time(str(until).strip())
    except ValueError as error:
        return f"{reason} (without an end: until: {error})"
    return f"{reason}, until {end:%Y-%m-%d %H:%M} UTC" if now < end else None
