"""The rollouts as the watch last said, by uid; the newest resourceVersion wins."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from modelrollout.api.status import VersionStatus
from modelrollout.api.versions import ModelVersion
from modelrollout.core.rollout import Rollout, parse_rollout
from modelrollout.engine.ports import Gone
from modelrollout.engine.sharing import Sharing

Key = str

_KEPT = ("name", "namespace", "uid", "resourceVersion", "generation")


class Stored(NamedTuple):
    """What patches and events need of the object as it came, and the object as it was read, for deciding.

    Status as it came is kept as text: it is needed for writes alone, and as objects it is half of all memory.
    """

    head: dict[str, Any]
    status_text: bytes
    rollout: Rollout

    @property
    def status(self) -> Any:  # noqa: ANN401 - whatever stands there
        """Status as it came, also what could not be read of it."""
        return json.loads(self.status_text)


class Store:
    """Objects by uid, each parsed once. What comes in late (a watch echo of our own write) never replaces what is newer."""

    def __init__(self) -> None:
        self._objects: dict[Key, Stored] = {}
        self._by_name: dict[tuple[str, str], set[Key]] = {}
        self._namespaces = Counter[str]()
        self._sharing = Sharing()

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: Key) -> bool:
        return key in self._objects

    def put(self, obj: dict[str, Any]) -> bool:
        """Keep the object if it is news; return whether it was."""
        uid = obj["metadata"]["uid"]
        known = self._objects.get(uid)
        if known is not None and _version(known.head) >= _version(obj):
            return False
        if known is not None:
            self._unindex(uid, known.rollout)
        else:
            self._namespaces[obj["metadata"]["namespace"]] += 1
        read = parse_rollout(obj, known.rollout if known else None)
        self._sharing.share(read.status)
        if read.spec is not None and not (known and known.rollout.spec is read.spec):
            self._sharing.share(read.spec)
        self._objects[uid] = stored = Stored(_head(obj), json.dumps(obj.get("status")).encode(), read)
        for name in _names(stored.rollout):
            self._by_name.setdefault(name, set()).add(uid)
        return True

    def get(self, key: Key) -> Stored:
        """Return the object.

        Raises:
            Gone: there is none (any more).
        """
        try:
            return self._objects[key]
        except KeyError:
            raise Gone(key) from None

    def newest(self, decided_on: Stored) -> Stored:
        """Return what a decision was made on as it stands by now, if nothing but its version is new; else as it was.

        The API server counts a write that stores a default for the first time as a change.
        """
        stands = self._objects.get(decided_on.rollout.uid, decided_on)
        if stands is decided_on:  # As at nearly every pass.
            return stands
        is_same = stands.status_text == decided_on.status_text and stands.rollout == replace(
            decided_on.rollout, guard=stands.rollout.guard
        )
        return stands if is_same else decided_on

    def namespace_of(self, key: Key) -> str:
        """Return the namespace of an object; that of one that is not known is empty."""
        known = self._objects.get(key)
        return known.rollout.namespace if known else ""

    def drop(self, key: Key) -> None:
        """Forget the object."""
        if known := self._objects.pop(key, None):
            self._unindex(key, known.rollout)
            self._namespaces[known.rollout.namespace] -= 1

    def number_in(self, namespace: str) -> int:
        """Return how many rollouts there are in a namespace."""
        return self._namespaces[namespace]

    def all(self) -> Iterator[Stored]:
        """Return the objects, in no promised order."""
        return iter(tuple(self._objects.values()))

    def concerned(self, namespace: str, name: str) -> frozenset[Key]:
        """Return the rollouts that name this Service or routing object."""
        return frozenset(self._by_name.get((namespace, name), ()))

    def _unindex(self, key: Key, rollout: Rollout) -> None:
        for name in _names(rollout):
            keys = self._by_name.get(name, set())
            keys.discard(key)
            if not keys:
                self._by_name.pop(name, None)


def _names(rollout: Rollout) -> set[tuple[str, str]]:
    """Return what the rollout's routing object and Services are called; an unreadable one names only itself."""
    names = {rollout.name}
    if rollout.traffic and rollout.traffic.traefik_service:
        names.add(rollout.traffic.traefik_service.name)
    route = rollout.traffic.gateway_route if rollout.traffic else None
    if route and route.adopt:
        names.add(route.adopt.name)
    spec, attempt, serving = rollout.spec, rollout.status.attempt, rollout.status.serving
    versions: list[ModelVersion | VersionStatus | None] = [serving]
    versions += [spec.candidate, spec.baseline] if spec else []
    versions += [attempt.candidate, attempt.baseline] if attempt else []
    names |= {version.service.name for version in versions if version}
    return {(rollout.namespace, name) for name in names}


def _head(obj: dict[str, Any]) -> dict[str, Any]:
    """Return what names the object and its version."""
    kept: dict[str, Any] = {key: obj[key] for key in ("apiVersion", "kind") if key in obj}
    return {**kept, "metadata": {key: obj["metadata"][key] for key in _KEPT if key in obj["metadata"]}}


def _version(obj: dict[str, Any]) -> int:
    """Kubernetes promises since 1.35 that resourceVersions of one resource are ordered integers."""
    return int(obj["metadata"]["resourceVersion"])
