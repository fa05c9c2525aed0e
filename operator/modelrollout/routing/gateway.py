"""What the gateways in front of a route can do: by their class's own word, or by what is known of its controller."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from modelrollout.core.traffic import Blocked, Capabilities, Place
from modelrollout.engine.ports import Gone
from modelrollout.routing.objects import Objects

SETTING = "--gateway-mirror"
MIRROR, PERCENT = "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"


class Mirroring(StrEnum):
    """How a controller treats the mirror filter of a route, the most able first; the values of `SETTING`."""

    PERCENT = "percent"
    ALL = "all"
    NONE = "none"


_ENVOY_GATEWAY = "gateway.envoyproxy.io/gatewayclass-controller"
"""Puts all backends of a rule into one cluster of Envoy's, unless they have filters of their own; it numbers them then,
and a number is nobody's name."""

# For controllers whose GatewayClass publishes no features; measured, or from their conformance reports.
# Traefik answers 500 to the whole rule while its status says that all is well; Contour mirrors everything
# whatever the percentage.
KNOWN: Mapping[str, Mirroring] = {
    _ENVOY_GATEWAY: Mirroring.PERCENT,
    "istio.io/gateway-controller": Mirroring.PERCENT,
    "projectcontour.io/gateway-controller": Mirroring.ALL,
    "traefik.io/gateway-controller": Mirroring.NONE,
}
_ALTERNATIVES = "remove the shadow stage, or use a gateway that mirrors"
_REMEDIES = {
    (
        "traefik.io/gateway-controller",
        "HTTPRoute",
    ): "remove the shadow stage, or point the route to a TraefikService, which mirrors, and"
    " name it in spec.traffic.traefikService",
}


class Gateways:
    """Asks the Gateways and their classes. `settings` is the administrator's word by controller.

    It outranks what is known of a controller, which may have learned since; of what a class says itself it can only
    take away.
    """

    def __init__(self, objects: Objects, settings: Mapping[str, Mirroring]) -> None:
        self._objects = objects
        self._settings = settings

    async def capabilities(self, place: Place) -> Capabilities | Blocked:
        """Return what all gateways of the route can do together, or which of them is not there."""
        parents = await self._parents(place)
        if isinstance(parents, Blocked):
            return parents
        weakest = _capabilities(Mirroring.PERCENT, "")
        one_cluster = False
        for parent in parents:
            found = await self._capabilities_behind(parent, place)
            if isinstance(found, Blocked):
                return found
            one_cluster |= found.one_cluster
            if (found.mirror, found.mirror_percent) < (weakest.mirror, weakest.mirror_percent):
                weakest = found
        return replace(weakest, one_cluster=one_cluster)

    async def _parents(self, place: Place) -> Sequence[Mapping[str, Any]] | Blocked:
        traffic = place.traffic.gateway_route
        if traffic is None:
            raise ValueError("the place is on another kind of router")
        if traffic.adopt is None:
            return [parent.render() for parent in traffic.parent_refs or []]
        kind, resource = _kind_of(place)
        try:
            route = await self._objects.read(resource, place.namespace, traffic.adopt.name)
        except Gone:
            return Blocked("RouteMissing", f"{kind} {traffic.adopt.name} does not exist: create it")
        parents: list[Mapping[str, Any]] = route["spec"].get("parentRefs") or []
        if not parents:
            return Blocked("GatewayMissing", f"{kind} {traffic.adopt.name} has no parentRefs: name its Gateway there")
        return parents

    async def _capabilities_behind(self, parent: Mapping[str, Any], place: Place) -> Capabilities | Blocked:
        kind, namespace, name = parent.get("kind", "Gateway"), parent.get("namespace", place.namespace), parent["name"]
        if kind != "Gateway":
            return _capabilities(
                Mirroring.NONE, f"it is not known whether the {kind} {name} of the route can: {_ALTERNATIVES}"
            )
        try:
            gateway = await self._objects.read("gateways", namespace, name)
        except Gone:
            return Blocked(
                "GatewayMissing",
                f"Gateway {name} does not exist in namespace {namespace}: create it, or correct the route's parentRefs",
            )
        class_name = gateway["spec"]["gatewayClassName"]
        try:
            class_ = await self._objects.read("gatewayclasses", "", class_name)
        except Gone:
            return Blocked(
                "GatewayClassMissing",
                f"GatewayClass {class_name} of Gateway {namespace}/{name} does not exist: install its controller, or"
                " correct the Gateway's gatewayClassName",
            )
        return self._capabilities_of(class_, f"Gateway {namespace}/{name}", _kind_of(place)[0])

    def _capabilities_of(self, class_: Mapping[str, Any], gateway: str, kind: str) -> Capabilities:
        controller = class_["spec"]["controllerName"]
        features = _features_of(class_)
        if features:
            said = _mirroring_by(features)
            mirroring = min(said, self._settings.get(controller, said), key=list(reversed(Mirroring)).index)
        elif controller in self._settings:
            mirroring = self._settings[controller]
        elif controller in KNOWN:
            mirroring = KNOWN[controller]
        else:
            return _capabilities(
                Mirroring.NONE,
                f"its class says nothing of what {gateway} ({controller}) can do: if it is known to mirror, the"
                f" administrator says so with {SETTING} {controller}=percent (or =all, if it always copies everything);"
                f" else {_ALTERNATIVES}",
            )
        found = _capabilities(mirroring, _remedy(mirroring, gateway, controller, kind))
        return replace(found, one_cluster=controller == _ENVOY_GATEWAY)


def _kind_of(place: Place) -> tuple[str, str]:
    """Return the kind of the place's route and its plural."""
    return ("GRPCRoute", "grpcroutes") if place.traffic.grpc_route else ("HTTPRoute", "httproutes")


def _remedy(mirroring: Mirroring, gateway: str, controller: str, kind: str) -> str:
    match mirroring:
        case Mirroring.PERCENT:
            return ""
        case Mirroring.ALL:
            return (
                f"{gateway} ({controller}) copies all of them whatever the percentage: write shadow: {{percent: 100}},"
                " or remove the shadow stage"
            )
        case Mirroring.NONE:
            return f"{gateway} ({controller}) cannot: {_REMEDIES.get((controller, kind), _ALTERNATIVES)}"


def _capabilities(mirroring: Mirroring, remedy: str) -> Capabilities:
    # Whoever takes a percentage takes a fraction too: they are one feature.
    percent = mirroring is Mirroring.PERCENT
    return Capabilities(
        mirror=mirroring is not Mirroring.NONE, mirror_percent=percent, fractional_mirror=percent, remedy=remedy
    )


def _features_of(class_: Mapping[str, Any]) -> frozenset[str]:
    listed = (class_.get("status") or {}).get("supportedFeatures") or []
    # Before v1.1 the list held plain strings.
    return frozenset(item["name"] if isinstance(item, Mapping) else item for item in listed)


def _mirroring_by(features: frozenset[str]) -> Mirroring:
    if MIRROR not in features:
        return Mirroring.NONE
    return Mirroring.PERCENT if PERCENT in features else Mirroring.ALL
