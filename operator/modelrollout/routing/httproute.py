"""HTTPRoute and GRPCRoute, whose rules are alike: the operator's own, or one named rule of somebody's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from modelrollout.api.fields import ALL, NONE, Percent
from modelrollout.api.traffic import Adopt, GRPCRouteTraffic, HTTPRouteTraffic
from modelrollout.api.versions import ServiceRef
from modelrollout.core.traffic import BASELINE_ONLY, Acceptance, Blocked, Place, Shares, Unmanaged
from modelrollout.routing.driver import Obj, RouteDriver, Shape
from modelrollout.routing.floor import Weights, weights_on_the_way
from modelrollout.routing.gateway import Gateways
from modelrollout.routing.objects import GATEWAY_API, Objects, is_labelled, labels_for
from modelrollout.routing.restore import OWN_FIELDS, before_of, put_back, same_refs
from modelrollout.routing.status import acceptance_of
from modelrollout.routing.weights import candidate_share, percent_of, weights_of

RULE = "rollout"


GatewayTraffic = HTTPRouteTraffic | GRPCRouteTraffic
T = TypeVar("T", HTTPRouteTraffic, GRPCRouteTraffic)


def httproute_driver(objects: Objects, gateways: Gateways) -> RouteDriver:
    """Return the driver for `spec.traffic.httpRoute`."""
    return _driver(objects, gateways, _HTTP, lambda place: place.traffic.http_route, _http_match)


def grpcroute_driver(objects: Objects, gateways: Gateways) -> RouteDriver:
    """Return the driver for `spec.traffic.grpcRoute`."""
    return _driver(objects, gateways, _GRPC, lambda place: place.traffic.grpc_route, _grpc_match)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What tells one kind of route from the other.

    `mirror_needs_ref`: Envoy Gateway 1.9.1 does not find the Service of a GRPCRoute's mirror unless something else
    refers to it, and then answers the whole rule with an error. A reference at weight 0 is enough.
    """

    kind: str
    resource: str
    field: str
    mirror_needs_ref: bool

    def needs_ref(self, ref: Mapping[str, Any], place: Place, shares: Shares) -> bool:
        """Whether this reference has to stand though it has no weight."""
        return self.mirror_needs_ref and shares.mirror > NONE and _names(ref, place.candidate, place)


_HTTP = _Kind("HTTPRoute", "httproutes", "httpRoute", mirror_needs_ref=False)
_GRPC = _Kind("GRPCRoute", "grpcroutes", "grpcRoute", mirror_needs_ref=True)


def _driver(
    objects: Objects,
    gateways: Gateways,
    kind: _Kind,
    traffic_of: Callable[[Place], T | None],
    match_of: Callable[[T], dict[str, Any] | None],
) -> RouteDriver:
    def shape_for(place: Place) -> Shape:
        traffic = traffic_of(place)
        if traffic is None:
            raise ValueError("the place is on another kind of router")
        if traffic.adopt:
            return _AdoptedRule(kind, traffic.adopt)
        return _OwnRoute(kind, traffic, match_of(traffic))

    return RouteDriver(
        objects,
        kind=kind.kind,
        resource=kind.resource,
        install="install the Gateway API's CRDs and a gateway",
        shape_for=shape_for,
        ask_capabilities=gateways.capabilities,
    )


def _http_match(traffic: HTTPRouteTraffic) -> dict[str, Any]:
    return {"path": {"type": "PathPrefix", "value": traffic.path or "/"}}


def _grpc_match(traffic: GRPCRouteTraffic) -> dict[str, Any] | None:
    named = {name: value for name, value in (("service", traffic.service), ("method", traffic.method)) if value}
    return {"method": {"type": "Exact", **named}} if named else None


class _OwnRoute:
    """A route of the rollout's name, with one rule."""

    def __init__(self, kind: _Kind, traffic: GatewayTraffic, match: dict[str, Any] | None) -> None:
        self._kind = kind
        self._traffic = traffic
        self._match = match

    def name_of(self, place: Place) -> str:
        return place.rollout

    def absent(self, place: Place) -> Unmanaged | Blocked:
        del place
        return Unmanaged()

    def obstacle(self, obj: Obj, place: Place) -> Blocked | None:
        if is_labelled(obj, place):
            return None
        return Blocked(
            "RouteExists",
            f"{self._kind.kind} {place.rollout} exists in namespace {place.namespace} and is not this operator's: rename"
            f" the rollout, delete the route, or name the route and its rule in spec.traffic.{self._kind.field}.adopt",
        )

    def shares_of(self, obj: Obj, place: Place) -> Shares | str:
        found = obj["spec"].get("rules") or []
        if len(found) != 1:
            return f"it has {len(found)} rules instead of one"
        return _shares_of(found[0], place)

    def fields_of(self, obj: Obj) -> Sequence[tuple[str, ...]]:
        del obj
        return [("spec", "rules")]  # An atomic list: managedFields knows it as a whole.

    def acceptance_of(self, obj: Obj) -> tuple[Acceptance, str]:
        return acceptance_of(obj)

    def fresh(self, place: Place, shares: Shares) -> Obj:
        # No ownerReference: the end of a rollout must not take traffic away.
        return {
            "apiVersion": f"{GATEWAY_API}/v1",
            "kind": self._kind.kind,
            "metadata": {"name": place.rollout, "namespace": place.namespace, "labels": labels_for(place)},
            "spec": {name: value for name, value in self._spec(place, shares).items() if value is not None},
        }

    def before(self, obj: Obj) -> None:
        del obj  # It is ours from the first moment.

    def change(self, obj: Obj, place: Place, shares: Shares, before: Obj | None) -> Obj:
        del obj, before
        return self._spec(place, shares)

    def _spec(self, place: Place, shares: Shares) -> dict[str, Any]:
        rule: dict[str, Any] = {
            "name": RULE,
            **({"matches": [self._match]} if self._match else {}),
            "backendRefs": [
                ref
                for ref in (_ref(*weighted) for weighted in _weighted(place, shares))
                if ref["weight"] > 0 or self._kind.needs_ref(ref, place, shares)
            ],
        }
        if shares.mirror > NONE:
            rule["filters"] = [_mirror_to(place.candidate, shares.mirror)]
        parents = [parent.render() for parent in self._traffic.parent_refs or []]
        return {"parentRefs": parents, "hostnames": self._traffic.hostnames, "rules": [rule]}


class _AdoptedRule:
    """One named rule of a route that is somebody else's: its backendRefs, and our mirror filter."""

    def __init__(self, kind: _Kind, adopt: Adopt) -> None:
        self._kind = kind
        self._adopt = adopt

    def name_of(self, place: Place) -> str:
        del place
        return self._adopt.name

    def absent(self, place: Place) -> Unmanaged | Blocked:
        return Blocked(
            "RouteMissing",
            f"{self._kind.kind} {self._adopt.name} does not exist in namespace {place.namespace}: create it, or correct"
            f" spec.traffic.{self._kind.field}.adopt.name",
        )

    def obstacle(self, obj: Obj, place: Place) -> Blocked | None:
        del place
        if self._find(obj) is not None:
            return None
        names = [rule["name"] for rule in obj["spec"].get("rules") or [] if rule.get("name")]
        known = f"its rules are {', '.join(names)}" if names else "none of its rules has a name"
        return Blocked(
            "RuleMissing",
            f"{self._kind.kind} {self._adopt.name} has no rule named {self._adopt.rule} ({known}): give the rule that"
            f" name, or create a rollout with the right one in spec.traffic.{self._kind.field}.adopt.rule",
        )

    def shares_of(self, obj: Obj, place: Place) -> Shares | str:
        return _shares_of(self._rule(obj), place)

    def fields_of(self, obj: Obj) -> Sequence[tuple[str, ...]]:
        del obj
        return [("spec", "rules")]

    def acceptance_of(self, obj: Obj) -> tuple[Acceptance, str]:
        return acceptance_of(obj)

    def fresh(self, place: Place, shares: Shares) -> Obj:
        raise NotImplementedError("an adopted route is made by its owner")

    def before(self, obj: Obj) -> Obj:
        return before_of(self._rule(obj))

    def change(self, obj: Obj, place: Place, shares: Shares, before: Obj | None) -> Obj:
        # The list is atomic, so all rules are sent, as the guard says they still stand.
        mended = self._mend(rule := self._rule(obj), place, shares)
        if before is not None and shares == BASELINE_ONLY == _shares_of(mended, place):
            mended = self._as_it_was(rule, mended, place, before)
        return {"rules": [mended if rule.get("name") == self._adopt.rule else rule for rule in obj["spec"]["rules"]]}

    def _mend(self, rule: Mapping[str, Any], place: Place, shares: Shares) -> dict[str, Any]:
        refs = self._refs(rule, place, shares)
        filters = [filter_ for filter_ in rule.get("filters") or [] if not _mirrors_to(filter_, place.candidate, place)]
        if shares.mirror > NONE:
            filters.append(_mirror_to(place.candidate, shares.mirror))
        rest = {name: value for name, value in rule.items() if name not in {"backendRefs", "filters"}}
        return {**rest, "backendRefs": refs, **({"filters": filters} if filters else {})}

    def _refs(self, rule: Mapping[str, Any], place: Place, shares: Shares) -> list[dict[str, Any]]:
        """Return the references with the weights of the next write, in the order in which they stand."""
        stand = rule.get("backendRefs") or []
        has_clusters = any(set(ref) - OWN_FIELDS for ref in stand)
        weighted = _weighted(place, shares)
        if has_clusters and place.baseline and (weights := weights_on_the_way(_weights_now(rule, place), shares)):
            weighted = list(zip((place.baseline, place.candidate), weights, strict=True))
        refs = [{**ref, "weight": 0} for ref in stand]
        for service, weight in weighted:
            if not any(_names(ref, service, place) for ref in refs):
                refs.append(_ref(service, 0))
            next(ref for ref in refs if _names(ref, service, place))["weight"] = weight
        # A reference with filters of its own stays, at 0: nobody could put them back. Others stay before one that is
        # needed, as clusters are called by their number in the list.
        needed = [
            number
            for number, ref in enumerate(refs)
            if ref["weight"] > 0 or set(ref) - OWN_FIELDS or self._kind.needs_ref(ref, place, shares)
        ]
        return refs[: needed[-1] + 1] if has_clusters else [refs[number] for number in needed]

    def _as_it_was(self, rule: Mapping[str, Any], mended: dict[str, Any], place: Place, before: Obj) -> dict[str, Any]:
        """Return the rule with the references of `before`, where they gave the candidate nothing and are still the same.

        They are, if what we would make of those then is what stands now; weights aside, which are ours to set.
        """
        was = put_back(mended, before)
        now = _shares_of(rule, place)
        if isinstance(now, str) or _shares_of(was, place) != BASELINE_ONLY:
            return mended
        return was if same_refs(rule, self._mend(was, place, now)) or same_refs(rule, was) else mended

    def _rule(self, obj: Obj) -> Mapping[str, Any]:
        rule = self._find(obj)
        if rule is None:
            raise ValueError(f"no rule {self._adopt.rule}: `obstacle` comes first")
        return rule

    def _find(self, obj: Obj) -> Mapping[str, Any] | None:
        rules = obj["spec"].get("rules") or []
        return next((rule for rule in rules if rule.get("name") == self._adopt.rule), None)


def _weighted(place: Place, shares: Shares) -> list[tuple[ServiceRef, int]]:
    """Return the backends with their weights, baseline first."""
    baseline, candidate = weights_of(shares)
    return [*([(place.baseline, baseline)] if place.baseline else []), (place.candidate, candidate)]


def _ref(service: ServiceRef, weight: int) -> dict[str, Any]:
    return {"name": service.name, "port": service.port, "weight": weight}


def _mirror_to(service: ServiceRef, percent: Percent) -> dict[str, Any]:
    mirror: dict[str, Any] = {"backendRef": {"name": service.name, "port": service.port}}
    if percent < ALL and percent.is_whole:
        mirror["percent"] = percent.hundredths // 100
    elif percent < ALL:
        mirror["fraction"] = {"numerator": percent.hundredths, "denominator": ALL.hundredths}
    return {"type": "RequestMirror", "requestMirror": mirror}


def _shares_of(rule: Mapping[str, Any], place: Place) -> Shares | str:
    weights = []
    for ref in rule.get("backendRefs") or []:
        weight = ref.get("weight", 1)
        if weight == 0:
            continue  # No traffic, whatever it names.
        is_candidate = _names(ref, place.candidate, place)
        if not is_candidate and not (place.baseline and _names(ref, place.baseline, place)):
            return f"it gives weight {weight} to {_describe(ref)}"
        weights.append((is_candidate, weight))
    candidate = candidate_share(weights)
    if candidate is None:
        return "it gives no backend any weight"
    mirrors = [filter_ for filter_ in rule.get("filters") or [] if _mirrors_to(filter_, place.candidate, place)]
    if len(mirrors) > 1:
        return f"it mirrors to {place.candidate.name} more than once"
    return Shares(candidate, _mirrored(mirrors[0]) if mirrors else NONE)


def _weights_now(rule: Mapping[str, Any], place: Place) -> Weights:
    """Return what stands for baseline and candidate, whatever else has weight."""
    backends = (place.baseline, place.candidate)
    refs = rule.get("backendRefs") or []
    baseline, candidate = (
        sum(ref.get("weight", 1) for ref in refs if backend and _names(ref, backend, place)) for backend in backends
    )
    return baseline, candidate


def _names(ref: Mapping[str, Any], service: ServiceRef, place: Place) -> bool:
    """Whether a reference is to this Service; the API's defaults are filled in."""
    return (
        (ref.get("group") or "") == ""
        and ref.get("kind", "Service") == "Service"
        and ref.get("namespace", place.namespace) == place.namespace
        and (ref.get("name"), ref.get("port")) == (service.name, service.port)
    )


def _mirrors_to(filter_: Mapping[str, Any], service: ServiceRef, place: Place) -> bool:
    return filter_.get("type") == "RequestMirror" and _names(
        (filter_.get("requestMirror") or {}).get("backendRef") or {}, service, place
    )


def _mirrored(filter_: Mapping[str, Any]) -> Percent:
    mirror = filter_["requestMirror"]
    if "percent" in mirror:
        return percent_of(mirror["percent"], 100)
    if fraction := mirror.get("fraction"):
        return percent_of(fraction["numerator"], fraction.get("denominator", 100))
    return ALL


def _describe(ref: Mapping[str, Any]) -> str:
    return f"{ref.get('kind', 'Service')} {ref.get('name')}:{ref.get('port', '?')}"
