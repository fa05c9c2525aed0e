"""What the drivers need of the API server, and what can be read off any object: whose it is, who wrote it last."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from modelrollout.core.traffic import Place

FIELD_MANAGER = "modelrollout-operator"
MANAGED_BY = "app.kubernetes.io/managed-by"
ROLLOUT = "modelrollout.dev/rollout"
GATEWAY_API = "gateway.networking.k8s.io"
API_VERSIONS = {
    "httproutes": f"{GATEWAY_API}/v1",
    "grpcroutes": f"{GATEWAY_API}/v1",
    "traefikservices": "traefik.io/v1alpha1",
}


class Objects(Protocol):
    """Objects of the kinds that routing looks at, by plural name. Each method may raise the engine's four errors."""

    async def read(self, resource: str, namespace: str, name: str, *, live: bool = False) -> dict[str, Any]:
        """Return an object; without `live` a watch's copy will do. The namespace is empty for a kind without.

        Raises:
            Gone: it does not exist.
        """
        ...

    async def create(self, resource: str, namespace: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object and return it; a field that the server does not know is refused.

        Raises:
            Conflict: it exists.
        """
        ...

    async def patch(self, resource: str, namespace: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge `body` into an object and return it; `metadata.resourceVersion` in it guards the write.

        Raises:
            Conflict: the object is at another resourceVersion.
        """
        ...

    def known(self, resource: str) -> Iterator[dict[str, Any]]:
        """Return the watches' copies of all objects of a kind."""
        ...

    async def serves(self, resource: str) -> bool:
        """Return whether the API server knows this kind of object."""
        ...


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote a field, as the API server noted it: a name that the client chose, no proof of identity."""

    manager: str
    operation: str
    time: str

    def __str__(self) -> str:
        return f"{self.manager} ({self.operation}, {self.time})" if self.time else self.manager


UNKNOWN_WRITER = Writer("somebody unknown", "", "")


def labels_for(place: Place) -> dict[str, str]:
    """Return the labels by which an object is known as the operator's, and as this rollout's."""
    return {MANAGED_BY: "modelrollout", ROLLOUT: place.rollout}


def is_labelled(obj: Mapping[str, Any], place: Place) -> bool:
    """Whether the object carries those labels."""
    labels = obj["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in labels_for(place).items())


def other_writer(obj: Mapping[str, Any], fields: Sequence[tuple[str, ...]]) -> Writer | None:
    """Return who last changed one of these fields, `None` if what stands in all of them is ours.

    Whoever changes a field is its only owner afterwards; whoever applies the value it has already, owns it too.
    So a field that we still own has not been changed since we wrote it, no matter who else has been at the object.
    """
    for field in fields:
        owners = sorted(_owners_of(obj, field), key=lambda owner: owner.time)
        if all(owner.manager != FIELD_MANAGER for owner in owners):
            return owners[-1] if owners else UNKNOWN_WRITER
    return None


def _owners_of(obj: Mapping[str, Any], field: tuple[str, ...]) -> Iterator[Writer]:
    for entry in obj["metadata"].get("managedFields") or []:
        if entry.get("subresource") or not _has_field(entry.get("fieldsV1") or {}, field):
            continue
        yield Writer(entry.get("manager") or "unknown", entry.get("operation", ""), entry.get("time", ""))


def _has_field(owned: object, field: tuple[str, ...]) -> bool:
    for part in field:
        if not isinstance(owned, Mapping) or f"f:{part}" not in owned:
            return False
        owned = owned[f"f:{part}"]
    return True
