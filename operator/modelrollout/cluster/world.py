"""What the watches said last: enough of each object to route by, and no more."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelrollout.api.versions import ServiceRef
from modelrollout.core.traffic import WAY_BACK_PREFIX, Endpoints
from modelrollout.engine.ports import Unavailable
from modelrollout.engine.sharing import shared

Key = tuple[str, str]
"""Namespace (empty for a kind without) and name."""


@dataclass(frozen=True, slots=True)
class _Entry:
    version: int
    kept: dict[str, Any]


class World:
    """The newest known version of each watched object, by resource (`services`, `httproutes`, …).

    `put` and `drop` take note of what a watch said, and return the keys for which something changed that
    matters here: of the Service for an EndpointSlice, of the object itself for all others.
    """

    def __init__(self) -> None:
        self._entries: dict[str, dict[Key, _Entry]] = {resource: {} for resource in _KEEP}
        self._slices: dict[Key, dict[Key, int]] = {}
        self._newest: dict[str, int] = dict.fromkeys(_KEEP, 0)
        self._synced: set[str] = set()
        self._absent: dict[str, set[Key]] = {resource: set() for resource in _KEEP}

    def put(self, resource: str, obj: Mapping[str, Any]) -> set[Key]:
        """Take note of an object, unless a newer one is known already."""
        version = _version_of(obj)
        self._newest[resource] = max(self._newest[resource], version)
        return self._keep(resource, obj, version)

    def remember(self, resource: str, obj: Mapping[str, Any]) -> None:
        """Take note of the answer to a read or write of ours, so that the next look sees it.

        What is not watched is not remembered: nobody would tell of its end. Nor is what the watch has passed:
        it may have told of the end already.
        """
        version = _version_of(obj)
        if resource in self._synced and version > self._newest[resource]:
            self._keep(resource, obj, version)

    def newest(self, resource: str) -> int:
        """Return the newest resourceVersion that a watch has told of; 0 before there is one."""
        return self._newest[resource]

    def note_absent(self, resource: str, key: Key, newest: int) -> None:
        """Take note that the API server has no such object, so that nobody has to ask again until a watch tells of one.

        `newest` is from before it was asked: if a watch has spoken since, it may have told of this very object. What is
        not watched is not noted, and each complete list begins anew.
        """
        if resource in self._synced and newest == self._newest[resource]:
            self._absent[resource].add(key)

    def is_absent(self, resource: str, key: Key) -> bool:
        """Whether the API server is known to have no such object."""
        return key in self._absent[resource]

    def drop(self, resource: str, obj: Mapping[str, Any]) -> set[Key]:
        """Take note of an object's end, unless one of its name is known that is newer than that end."""
        version = _version_of(obj)
        self._newest[resource] = max(self._newest[resource], version)
        entry = self._entries[resource].get(_key_of(obj))
        return set() if entry and entry.version > version else self.forget(resource, _key_of(obj))

    def forget(self, resource: str, key: Key) -> set[Key]:
        """Take note that an object is not there, whatever was known of it."""
        self._absent[resource].discard(key)
        entry = self._entries[resource].pop(key, None)
        if entry is None:
            return set()
        return self._unlink(key, entry) if resource == "endpointslices" else {key}

    def replace(self, resource: str, objects: Iterable[Mapping[str, Any]], version: int) -> set[Key]:
        """Take note of a complete list as of a resourceVersion, and that the list is complete from now on.

        What the list lacks has ended, unless it is newer than the list.
        """
        listed = {_key_of(obj): obj for obj in objects}
        ended = [
            key for key, entry in self._entries[resource].items() if key not in listed and entry.version <= version
        ]
        concerned = set().union(*(self.forget(resource, key) for key in ended))
        for obj in listed.values():
            concerned |= self.put(resource, obj)
        self._absent[resource].clear()
        self.mark_synced(resource)
        return concerned

    def mark_synced(self, resource: str) -> None:
        """Take note that the first list is complete: what is not known does not exist."""
        self._synced.add(resource)

    def object(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return what is kept of an object; `None` if it is not known."""
        entry = self._entries[resource].get((namespace, name))
        return entry.kept if entry else None

    def objects(self, resource: str) -> Iterator[dict[str, Any]]:
        """Return what is kept of all objects of a kind, in no promised order."""
        return iter([entry.kept for entry in self._entries[resource].values()])

    def endpoints(self, namespace: str, service: ServiceRef) -> Endpoints:
        """Return what stands behind a port of a Service.

        Raises:
            Unavailable: the first lists are not complete yet, so nothing can be said to be missing.
        """
        for resource in ("services", "endpointslices"):
            if resource not in self._synced:
                raise Unavailable(f"the first list of {resource} is not complete yet")
        kept = self.object("services", namespace, service.name)
        if kept is None:
            return Endpoints.NO_SERVICE
        if service.port not in kept["ports"]:
            return Endpoints.NO_PORT
        ready = self.ready_replicas(namespace, service)
        return Endpoints.READY if ready else Endpoints.NONE_READY

    def ready_replicas(self, namespace: str, service: ServiceRef) -> int | None:
        """Return how many ready endpoints a Service has; `None` before the first list of them is complete."""
        if "endpointslices" not in self._synced:
            return None
        return sum(self._slices.get((namespace, service.name), {}).values())

    def _keep(self, resource: str, obj: Mapping[str, Any], version: int) -> set[Key]:
        key = _key_of(obj)
        old = self._entries[resource].get(key)
        if old and old.version >= version:
            return set()
        self._absent[resource].discard(key)
        kept = _KEEP[resource](obj)
        self._entries[resource][key] = _Entry(version, kept)
        if resource == "endpointslices":
            return self._link(key, old, kept)
        return set() if old and _same(old.kept, kept) else {key}

    def _link(self, key: Key, old: _Entry | None, kept: Mapping[str, Any]) -> set[Key]:
        if old and old.kept == kept:
            return set()
        concerned = self._unlink(key, old) if old else set()
        service = (key[0], kept["service"])
        self._slices.setdefault(service, {})[key] = kept["ready"]
        return concerned | {service}

    def _unlink(self, key: Key, entry: _Entry) -> set[Key]:
        service = (key[0], entry.kept["service"])
        slices = self._slices.get(service, {})
        slices.pop(key, None)
        if not slices:
            self._slices.pop(service, None)
        return {service}


def _keep_service(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {"ports": frozenset(port["port"] for port in obj["spec"].get("ports") or [])}


def _keep_slice(obj: Mapping[str, Any]) -> dict[str, Any]:
    # The API reads a missing `ready` as true, Traefik as false (it then answers 503): count what all agree on.
    # Kubernetes' own controller always writes it.
    endpoints = obj.get("endpoints") or []
    ready = sum(1 for endpoint in endpoints if (endpoint.get("conditions") or {}).get("ready") is True)
    return {"service": (obj["metadata"].get("labels") or {}).get("kubernetes.io/service-name", ""), "ready": ready}


def _keep_object(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "annotations"}
    if "managedFields" in metadata:
        metadata["managedFields"] = [_owned_spec(entry) for entry in metadata["managedFields"]]
    annotations = obj["metadata"].get("annotations") or {}
    if notes := {name: text for name, text in annotations.items() if name.startswith(WAY_BACK_PREFIX)}:
        metadata["annotations"] = notes
    kept: dict[str, Any] = shared(
        {"metadata": metadata, "spec": obj.get("spec") or {}, "status": obj.get("status") or {}}
    )
    return kept


def _owned_spec(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out which fields beside spec a writer owns: shares stand in spec alone."""
    owned = (entry.get("fieldsV1") or {}).get("f:spec")
    return {**entry, "fieldsV1": {"f:spec": owned} if owned is not None else {}}


_KEEP: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "services": _keep_service,
    "endpointslices": _keep_slice,
    "httproutes": _keep_object,
    "grpcroutes": _keep_object,
    "traefikservices": _keep_object,
    "gateways": _keep_object,
    "gatewayclasses": _keep_object,
}


def _key_of(obj: Mapping[str, Any]) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _version_of(obj: Mapping[str, Any]) -> int:
    """Return the resourceVersion as the number that it is, by the API's rules since Kubernetes 1.35."""
    return int(obj["metadata"]["resourceVersion"])


def _same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two versions differ in nothing that anybody here reads."""
    if "metadata" not in old:
        return old == new
    parts = ("spec", "status")
    return all(old[part] == new[part] for part in parts) and _marks(old["metadata"]) == _marks(new["metadata"])


def _marks(metadata: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(metadata.get(name) for name in ("generation", "labels", "uid", "deletionTimestamp", "annotations"))
