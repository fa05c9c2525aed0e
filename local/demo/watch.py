"""Looks at everything again and again: status, events, clients; measures, and shows it."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta

from local.cluster import LocalCluster
from local.demo.installed import Installed
from local.demo.manifest import NAME, NAMESPACE, PATH, Mark
from local.demo.measure import Recorder
from local.demo.picture import RECENT_SECONDS, Picture, Told
from local.demo.screen import Screen
from local.demo.sight import Sight, parse_sight
from local.load import Load, Snapshot
from local.process import ProcessFailed
from local.serving import ModelServer

_EVENTS = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
_LOOK_SECONDS = 0.2
_EVENTS_SECONDS = 1.0
_TOLD_MAX = 4


class NotSo(Exception):
    """Something that an act waits for did not come; the message says what, and where things stood."""


class Watch:
    """The eyes of the demo: one thread, which looks while it waits."""

    def __init__(
        self,
        cluster: LocalCluster,
        screen: Screen,
        *,
        operator: Installed,
        models: Mapping[str, ModelServer],
        load: Load,
    ) -> None:
        self.recorder = Recorder()
        self.remark = ""
        self.sight = Sight()
        self._cluster = cluster
        self._screen = screen
        self._operator = operator
        self._models = models
        self._load = load
        self._started = time.monotonic()
        self._title = ""
        self._track: tuple[Mark, ...] = ()
        self._recent: deque[Snapshot] = deque()
        self._known: set[str] = set()
        self._told: deque[Told] = deque(maxlen=_TOLD_MAX)
        self._events_due = 0.0

    @property
    def elapsed(self) -> timedelta:
        """How long the show has been on."""
        return timedelta(seconds=time.monotonic() - self._started)

    def announce(self, title: str, track: list[Mark]) -> None:
        """From now on the view has this title and this plan."""
        self._title, self._track = title, tuple(track)

    def snapshot(self) -> Snapshot:
        """Return what users got until now."""
        return self._load.snapshot()

    def until(self, what: str, holds: Callable[[Sight], bool], within: timedelta) -> Sight:
        """Return the first sight that `holds` is true of.

        Raises:
            NotSo: `within` went by.
            ProcessFailed: a part of the stack has ended by itself.
        """
        limit = time.monotonic() + within.total_seconds()
        while not holds(self.look()):
            if time.monotonic() > limit:
                stands = f"phase {self.sight.phase}, stage {self.sight.stage}, {self.sight.held or self.sight.why}"
                raise NotSo(f"not within {within.total_seconds():.0f} s: {what} (it stands at {stands})")
            time.sleep(_LOOK_SECONDS)
        return self.sight

    def linger(self, span: timedelta) -> None:
        """Go on looking for a while, so that people can read and clients' counts settle."""
        end = time.monotonic() + span.total_seconds()
        while time.monotonic() < end:
            self.look()
            time.sleep(_LOOK_SECONDS)

    def look(self) -> Sight:
        """Return where the rollout stands now; everything is measured and shown on the way."""
        self._check()
        # Clients before status: what they got until now, they got under shares no newer than those that status names.
        seen, copies = self._load.snapshot(), self._copies()
        self.sight = parse_sight(self._cluster.api.call("GET", PATH))
        self.recorder.note(self.sight, seen, copies)
        self._hear()
        self._screen.show(self._picture(seen, copies))
        return self.sight

    def _check(self) -> None:
        self._cluster.check()
        if not self._operator.process.running:
            raise ProcessFailed(self._operator.process.describe("has ended"))

    def _copies(self) -> int | None:
        """Return what the candidate's server has counted, while requests are copied to it."""
        sight = self.sight
        if not (sight.is_steady and sight.target and sight.target.mirror):
            return None
        try:
            return self._models[sight.candidate].requests.total()
        except OSError:  # a server that is choking on its copies
            return None

    def _hear(self) -> None:
        """Take up events that are new."""
        if time.monotonic() < self._events_due:
            return
        self._events_due = time.monotonic() + _EVENTS_SECONDS
        items = self._cluster.api.call("GET", _EVENTS)["items"]
        new = [one for one in items if one["metadata"]["uid"] not in self._known and one["regarding"]["name"] == NAME]
        for event in sorted(new, key=lambda one: one["eventTime"]):
            self._known.add(event["metadata"]["uid"])
            told = Told(time.time(), event["type"] == "Warning", event["reason"], event["note"])
            self._told.append(told)
            self._screen.tell(told, self.elapsed.total_seconds())

    def _picture(self, seen: Snapshot, copies: int | None) -> Picture:
        self._recent.append(seen)
        while self._recent[0].at < seen.at - RECENT_SECONDS:
            self._recent.popleft()
        return Picture(
            title=self._title,
            elapsed=self.elapsed.total_seconds(),
            sight=self.sight,
            track=self._track,
            recent=seen.since(self._recent[0]),
            total=seen,
            copies=copies,
            told=tuple(self._told),
            remark=self.remark,
        )
