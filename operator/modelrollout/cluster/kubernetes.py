"""The engine's `Cluster` and the drivers' `Objects`, on an API server and the watches' copy of it."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from modelrollout.api.versions import ServiceRef, Workload
from modelrollout.cluster.admission import Admission
from modelrollout.cluster.freeze import Freeze
from modelrollout.cluster.server import ApiServer, Resource
from modelrollout.cluster.workloads import problem_of
from modelrollout.cluster.world import Key, World
from modelrollout.core.events import Event
from modelrollout.core.record import UID_LABEL
from modelrollout.core.traffic import Endpoints
from modelrollout.engine.ports import Clock, Conflict, Gone, Refused

REPORTER = "modelrollout.dev/operator"
LONGEST_NOTE = 1000
ROLLOUTS = Resource("modelrollout.dev", "v1alpha1", "modelrollouts")
RECORDS = Resource("modelrollout.dev", "v1alpha1", "modelrolloutrecords")
EVENTS = Resource("events.k8s.io", "v1", "events")
WORKLOADS = {
    "Deployment": Resource("apps", "v1", "deployments"),
    "StatefulSet": Resource("apps", "v1", "statefulsets"),
}
WATCHED = {
    resource.plural: resource
    for resource in (
        Resource("", "v1", "services"),
        Resource("discovery.k8s.io", "v1", "endpointslices"),
        Resource("gateway.networking.k8s.io", "v1", "httproutes"),
        Resource("gateway.networking.k8s.io", "v1", "grpcroutes"),
        Resource("gateway.networking.k8s.io", "v1", "gateways"),
        Resource("gateway.networking.k8s.io", "v1", "gatewayclasses"),
        Resource("traefik.io", "v1alpha1", "traefikservices"),
    )
}


class Kubernetes:
    """Reads, guarded writes and events. Every method may raise the engine's four errors.

    `identity` names this process (its host, at most 128 characters) as the reporter of events. Without `admission` no
    name in the inbox is relied on.
    """

    def __init__(
        self,
        server: ApiServer,
        world: World,
        *,
        clock: Clock,
        identity: str,
        admission: Admission | None = None,
        freeze: Freeze | None = None,
    ) -> None:
        self._server = server
        self._world = world
        self._clock = clock
        self._identity = identity
        self._freeze = freeze
        self._admission = admission

    async def get_rollout(self, namespace: str, name: str) -> dict[str, Any]:
        """Return the ModelRollout as it stands now."""
        return await self._server.get(ROLLOUTS, namespace, name)

    async def patch_status(self, namespace: str, name: str, guard: str, patch: dict[str, Any]) -> dict[str, Any]:
        """Merge `patch` into status if the object is still at resourceVersion `guard`; return the new object."""
        body = {"metadata": {"resourceVersion": guard}, "status": patch}
        return await self._server.patch(ROLLOUTS, namespace, name, body, subresource="status")

    async def confirm_rollout(self, namespace: str, name: str, guard: str) -> dict[str, Any]:
        """Return the rollout if it is still at resourceVersion `guard`.

        A read may be answered from a copy that is behind; a write is checked against what stands, an empty one too. The
        first write of any stores the schema's defaults, so what is returned may be at a later version.
        """
        # Not even an empty status: where there is none, that would be a change.
        body = {"metadata": {"resourceVersion": guard}}
        return await self._server.patch(ROLLOUTS, namespace, name, body, subresource="status")

    async def create_record(self, namespace: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a record and return it. A field that the server does not know is refused: nothing of it may get lost."""
        try:
            return await self._server.create(RECORDS, namespace, body, strict=True)
        except Gone:  # A path that the server does not have: no such kind, or the namespace is ending.
            await self._check_records()
            raise

    async def record_names(self, namespace: str, uid: str) -> list[str]:
        """Return the names of all records of the rollout of this uid."""
        try:
            return [
                item["metadata"]["name"]
                async for page in self._server.metadata_pages(RECORDS, namespace, f"{UID_LABEL}={uid}")
                for item in page["items"]
            ]
        except Gone:
            await self._check_records()
            raise

    async def get_record(self, namespace: str, name: str) -> dict[str, Any]:
        """Return the record as it stands now."""
        return await self._server.get(RECORDS, namespace, name)

    async def _check_records(self) -> None:
        if RECORDS.plural not in await self._server.served(RECORDS.group, RECORDS.version):
            raise Refused(
                f"the API server knows no kind ModelRolloutRecord: apply {RECORDS.plural} of this operator's CRDs"
            ) from None

    async def extend_record(
        self,
        namespace: str,
        name: str,
        guard: str,
        *,
        segment: Mapping[str, Any] | None,
        fields: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Add a segment to a record that is still at resourceVersion `guard`, and set these fields of its status."""
        steps: list[dict[str, Any]] = [{"op": "replace", "path": "/metadata/resourceVersion", "value": guard}]
        if segment is not None:
            # A merge patch would have to send all segments each time.
            steps.append({"op": "add", "path": "/status/segments/-", "value": segment})
        steps += [{"op": "add", "path": f"/status/{field}", "value": value} for field, value in fields.items()]
        return await self._server.json_patch(RECORDS, namespace, name, steps, subresource="status", strict=True)

    async def post_event(self, about: Mapping[str, Any], event: Event) -> None:
        """Post an event about the object; the same event about the same version of it is posted once."""
        body = render_event(about, event, at=self._clock(), identity=self._identity)
        try:
            await self._server.create(EVENTS, about["metadata"]["namespace"], body)
        except Conflict:
            return  # Posted before a restart.

    def endpoints(self, namespace: str, service: ServiceRef) -> Endpoints:
        """Return what stands behind a Service, as the watches last said."""
        return self._world.endpoints(namespace, service)

    def ready_replicas(self, namespace: str, service: ServiceRef) -> int | None:
        """Return how many ready endpoints a Service has, as the watches last said."""
        return self._world.ready_replicas(namespace, service)

    def clock_skew(self) -> timedelta | None:
        """Return how far this clock is ahead of the API server's, `None` before enough answers."""
        return self._server.clock.skew(self._clock(), time.monotonic())

    def frozen(self) -> str | None:
        """Return why the administrator lets no weight grow, `None` where weights may."""
        return self._freeze.reason if self._freeze else None

    def names_bound_since(self) -> datetime | None:
        """Return since when admission has kept messages to their writers' names, `None` where it does not."""
        return self._admission.names_bound_since if self._admission else None

    async def workload_problem(self, namespace: str, workload: Workload) -> str | None:
        """Return why the workload is not fully up to date and available, `None` if it is."""
        try:
            found = await self._server.get(WORKLOADS[workload.kind], namespace, workload.name)
        except Gone:
            return f"{workload.kind} {workload.name} does not exist in namespace {namespace}"
        return problem_of(found)

    async def read(self, resource: str, namespace: str, name: str, *, live: bool = False) -> dict[str, Any]:
        """Return an object that is watched: the copy, or with `live` and where nothing is known of it, the server's.

        Raises:
            Gone: it does not exist.
        """
        key = namespace, name
        if not live:
            if (copy := self._world.object(resource, *key)) is not None:
                return copy
            if self._world.is_absent(resource, key):
                raise Gone(f"there is no {name} among the {resource} of namespace {namespace}")
        newest = self._world.newest(resource)
        try:
            found = await self._server.get(WATCHED[resource], namespace or None, name)
        except Gone:
            self._world.forget(resource, key)
            self._world.note_absent(resource, key, newest)
            raise
        self._world.remember(resource, found)
        return found

    async def create(self, resource: str, namespace: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object and return it. A field that the server does not know is refused, not dropped."""
        try:
            made = await self._server.create(WATCHED[resource], namespace, body, strict=True)
        except Conflict:  # It is there, and the watch has not told of it: what comes next is read from the server.
            self._world.forget(resource, (namespace, body["metadata"]["name"]))
            raise
        self._world.remember(resource, made)
        return made

    async def patch(self, resource: str, namespace: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge `body` into an object and return it, under the same strictness."""
        try:
            changed = await self._server.patch(WATCHED[resource], namespace, name, body, strict=True)
        except (Conflict, Gone):
            # Gone, or changed without the watch's word: what comes next is read from the server.
            self._world.forget(resource, (namespace, name))
            raise
        self._world.remember(resource, changed)
        return changed

    def known(self, resource: str) -> Iterator[dict[str, Any]]:
        """Return the watches' copies of all objects of a kind."""
        return self._world.objects(resource)

    async def serves(self, resource: str) -> bool:
        """Return whether the API server knows this kind of object."""
        group, version, plural = WATCHED[resource]
        return plural in await self._server.served(group, version)

    async def relist(self, resource: str, namespaces: Sequence[str] | None) -> set[Key]:
        """Compare the watches' copy with a complete list, in these namespaces or (`None`) in all.

        Returns the keys of what had changed unnoticed; after the first time the copy counts as complete.
        """
        objects: list[Mapping[str, Any]] = []
        versions = []
        for namespace in namespaces if namespaces is not None else [None]:
            async for page in self._server.pages(WATCHED[resource], namespace):
                objects += page["items"]
                versions.append(int(page["metadata"]["resourceVersion"]))
        # The oldest list counts: an object made in one namespace while another was listed is not a ghost.
        return self._world.replace(resource, objects, min(versions, default=0))


def render_event(about: Mapping[str, Any], event: Event, *, at: datetime, identity: str) -> dict[str, Any]:
    """Return the Event object; its name follows from what happened, so that it is posted once."""
    metadata = about["metadata"]
    what = "\n".join((metadata["uid"], metadata["resourceVersion"], event.reason, event.action, event.note))
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name']}.{hashlib.sha256(what.encode()).hexdigest()[:16]}",
            "namespace": metadata["namespace"],
            "annotations": _owner_marks(event),
        },
        "eventTime": at.isoformat(timespec="microseconds"),  # MicroTime: exactly six digits.
        "reportingController": REPORTER,
        "reportingInstance": identity[:128],
        "type": event.type,
        "reason": event.reason,
        "action": event.action,
        "note": _shorten(event.note),
        "regarding": {
            "apiVersion": about.get("apiVersion", "modelrollout.dev/v1alpha1"),
            "kind": about.get("kind", "ModelRollout"),
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
    }


def _owner_marks(event: Event) -> dict[str, str]:
    """Return who answers for the rollout, for whoever collects events: `kubectl describe` shows notes only."""
    owner = event.owner
    if owner is None:
        return {}
    marks = {"owner-team": owner.team, "owner-contact": owner.contact, "runbook-url": owner.runbook_url}
    return {f"modelrollout.dev/{name}": text for name, text in marks.items() if text}


def _shorten(note: str) -> str:
    """Cut to `LONGEST_NOTE` bytes: the API server counts bytes, and refuses more than 1,024."""
    encoded = note.encode()
    if len(encoded) <= LONGEST_NOTE:
        return note
    return encoded[: LONGEST_NOTE - 3].decode(errors="ignore") + "…"
