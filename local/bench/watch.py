"""A watch of one kind of object that notes when each change arrived."""

import http.client
import json
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
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
        self._path = path
        self._headers = {"Authorization": f"Bearer {token}"}
        context = ssl.create_default_context(cafile=str(ca_file))
        self._connection = http.client.HTTPSConnection(urlsplit(server).netloc, context=context)
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

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

    def _run(self) -> None:
        with suppress(OSError, http.client.HTTPException):  # The API server has ended, and the bench with it.
            self._follow()

    def _follow(self) -> None:
        """Follow for good: the API server ends a watch that falls behind, and what came meanwhile is in a list."""
        while True:
            version = self._list()
            response = self._get(f"{self._path}?watch=true&resourceVersion={version}")
            while line := response.readline():
                at, obj = time.monotonic(), json.loads(line)["object"]
                if "name" not in obj.get("metadata", {}):
                    break  # An error in place of an object: too old a version, say.
                self._note(at, [obj])
            self._connection.close()

    def _list(self) -> str:
        found = json.loads(self._get(self._path).read())
        self._note(time.monotonic(), found["items"])
        return str(found["metadata"]["resourceVersion"])

    def _get(self, path: str) -> http.client.HTTPResponse:
        self._connection.request("GET", path, headers=self._headers)
        return self._connection.getresponse()

    def _note(self, at: float, objects: Iterable[dict[str, Any]]) -> None:
        states = [(obj["metadata"]["name"], self._read(obj)) for obj in objects]
        with self._news:
            for name, state in states:
                self._seen[name].append((at, state))
            self._news.notify_all()
