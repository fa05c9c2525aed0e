"""A watch of one kind of object that notes when each change arrived."""

import http.client
import json
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

State = TypeVar("State")
_KEPT = 50


class NothingSeen(Exception):
    """What was waited for did not arrive in time."""


class Watch(Generic[State]):
    """From `with` to the end of its block, what `read` makes of each object as it arrives, by the object's name."""

    def __init__(
        self, server: str, ca_file: Path, token: str, path: str, read: Callable[[dict[str, Any]], State]
    ) -> None:
        self._read = read
        self._seen: dict[str, deque[tuple[float, State]]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._news = threading.Condition()
        context = ssl.create_default_context(cafile=str(ca_file))
        self._connection = http.client.HTTPSConnection(urlsplit(server).netloc, context=context)
        self._connection.request("GET", f"{path}?watch=true", headers={"Authorization": f"Bearer {token}"})
        self._thread = threading.Thread(target=self._follow, name=f"watch {path}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # The thread is a daemon that waits for bytes: it ends with the API server.
        pass

    def arrival(self, name: str, is_it: Callable[[State], bool], *, after: float, within: timedelta) -> float:
        """Return when the first state that `is_it` arrived after a time, waiting for it; monotonic seconds.

        Raises:
            NothingSeen: `within` went by.
        """
        found: list[float] = []

        def has_come() -> bool:
            found[:] = [at for at, state in self._seen[name] if at > after and is_it(state)]
            return bool(found)

        with self._news:
            if not self._news.wait_for(has_come, within.total_seconds()):
                raise NothingSeen(
                    f"{name}: nothing for {within.total_seconds():.0f} s; last {list(self._seen[name])[-3:]}"
                )
        return found[0]

    def _follow(self) -> None:
        response = self._connection.getresponse()
        while line := response.readline():
            at = time.monotonic()
            obj = json.loads(line)["object"]
            if "name" not in obj.get("metadata", {}):
                continue
            with self._news:
                self._seen[obj["metadata"]["name"]].append((at, self._read(obj)))
                self._news.notify_all()
