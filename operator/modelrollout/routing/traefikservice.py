"""TraefikService: a leaf that the operator owns and the user's route points to."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelrollout.api.fields import NONE
from modelrollout.api.versions import ServiceRef
from modelrollout.core.traffic import Acceptance, Blocked, Capabilities, Place, Shares, Unmanaged
from modelrollout.engine.ports import Refused
from modelrollout.routing.driver import Obj, RouteDriver, Shape
from modelrollout.routing.objects import Objects, is_labelled, labels_for
from modelrollout.routing.weights import candidate_share, percent_of, weights_of


def traefikservice_driver(objects: Objects) -> RouteDriver:
    """Return the driver for `spec.traffic.traefikService`."""
    return RouteDriver(
        objects,
        kind="TraefikService",
        resource="traefikservices",
        install="install Traefik's CRDs, and let Traefik run with its kubernetesCRD provider",
        shape_for=_shape_for,
        ask_capabilities=_capabilities,
    )


async def _capabilities(place: Place) -> Capabilities:
    del place
    return Capabilities(
        mirror=True,
        mirror_percent=True,
        fractional_mirror=False,
        remedy="Traefik mirrors whole percents only: write one",
    )


def _shape_for(place: Place) -> Shape:
    traffic = place.traffic.traefik_service
    if traffic is None:
        raise ValueError("the place is on another kind of router")
    return _Leaf(traffic.name)


class _Leaf:
    """A TraefikService that is either weighted or mirroring."""

    def __init__(self, name: str) -> None:
        self._name = name

    def name_of(self, place: Place) -> str:
        del place
        return self._name

    def absent(self, place: Place) -> Unmanaged | Blocked:
        del place
        return Unmanaged()

    def obstacle(self, obj: Obj, place: Place) -> Blocked | None:
        if is_labelled(obj, place):
            return None
        return Blocked(
            "RouteExists",
            f"TraefikService {self._name} exists in namespace {place.namespace} and is not this rollout's: delete it, or"
            " name another in spec.traffic.traefikService (the operator makes it)",
        )

    def shares_of(self, obj: Obj, place: Place) -> Shares | str:
        kinds = sorted(name for name, value in obj["spec"].items() if value is not None)
        match kinds:
            case ["weighted"]:
                return _weighted_shares(obj["spec"]["weighted"].get("services") or [], place)
            case ["mirroring"]:
                return _mirrored_shares(obj["spec"]["mirroring"], place)
            case _:
                return f"it is {' and '.join(kinds) or 'empty'} instead of weighted or mirroring"

    def fields_of(self, obj: Obj) -> Sequence[tuple[str, ...]]:
        spec = obj["spec"]
        weighted = [("spec", "weighted", "services")] if "weighted" in spec else []
        mirroring = [
            ("spec", "mirroring", name) for name in ("name", "mirrors") if name in (spec.get("mirroring") or {})
        ]
        return [*weighted, *mirroring]

    def acceptance_of(self, obj: Obj) -> tuple[Acceptance, str]:
        del obj
        return Acceptance.ACCEPTED, ""  # It has no status.

    def fresh(self, place: Place, shares: Shares) -> Obj:
        # No ownerReference: without its leaf, the user's route answers 404.
        return {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "TraefikService",
            "metadata": {"name": self._name, "namespace": place.namespace, "labels": labels_for(place)},
            "spec": _spec(place, shares),
        }

    def before(self, obj: Obj) -> None:
        del obj  # It is ours from the first moment.

    def change(self, obj: Obj, place: Place, shares: Shares, before: Obj | None) -> Obj:
        del before
        # One write takes the mirror away and gives weights, so that there is no moment without either.
        return {**dict.fromkeys(obj["spec"]), **_spec(place, shares)}


def _spec(place: Place, shares: Shares) -> dict[str, Any]:
    if shares.mirror == NONE:
        baseline, candidate = weights_of(shares)
        backends = [*([(place.baseline, baseline)] if place.baseline else []), (place.candidate, candidate)]
        services = [{**_ref(service), "weight": weight} for service, weight in backends if weight > 0]
        return {"weighted": {"services": services}}
    if place.baseline is None or shares.candidate > NONE:
        raise ValueError(f"a TraefikService cannot split and mirror at once: {shares}")
    if not shares.mirror.is_whole:
        raise Refused(f"Traefik mirrors whole percents only, not {shares.mirror}%")
    mirror = {**_ref(place.candidate), "percent": shares.mirror.hundredths // 100}
    return {"mirroring": {**_ref(place.baseline), "mirrors": [mirror]}}


def _ref(service: ServiceRef) -> dict[str, Any]:
    return {"kind": "Service", "name": service.name, "port": service.port}


def _weighted_shares(services: Sequence[Mapping[str, Any]], place: Place) -> Shares | str:
    weights = []
    for ref in services:
        weight = ref.get("weight", 1)
        if weight == 0:
            continue  # No traffic, whatever it names.
        is_candidate = _names(ref, place.candidate, place)
        if not is_candidate and not (place.baseline and _names(ref, place.baseline, place)):
            return f"it gives weight {weight} to {ref.get('kind', 'Service')} {ref.get('name')}:{ref.get('port', '?')}"
        weights.append((is_candidate, weight))
    candidate = candidate_share(weights)
    return Shares(candidate, NONE) if candidate is not None else "it gives no backend any weight"


def _mirrored_shares(mirroring: Mapping[str, Any], place: Place) -> Shares | str:
    if not (place.baseline and _names(mirroring, place.baseline, place)):
        return f"{mirroring.get('name')}:{mirroring.get('port', '?')} answers instead of the baseline"
    mirrors = mirroring.get("mirrors") or []
    if len(mirrors) > 1 or not all(_names(mirror, place.candidate, place) for mirror in mirrors):
        return f"it mirrors to {', '.join(str(mirror.get('name')) for mirror in mirrors)}"
    return Shares(NONE, percent_of(mirrors[0].get("percent", 0), 100) if mirrors else NONE)


def _names(ref: Mapping[str, Any], service: ServiceRef, place: Place) -> bool:
    return (
        ref.get("kind", "Service") == "Service"
        and ref.get("namespace", place.namespace) == place.namespace
        and (ref.get("name"), ref.get("port")) == (service.name, service.port)
    )
