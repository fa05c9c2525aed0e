"""The places that routing is tested on, and one fixture per driver."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from modelrollout.api.traffic import Traffic
from modelrollout.api.versions import ServiceRef
from modelrollout.core.traffic import Place
from modelrollout.routing.driver import RouteDriver
from modelrollout.routing.gateway import Gateways
from modelrollout.routing.httproute import grpcroute_driver, httproute_driver
from modelrollout.routing.objects import Objects
from modelrollout.routing.traefikservice import traefikservice_driver

V1, V2, V3 = (ServiceRef(name=f"fraud-{version}", port=8080) for version in ("v1", "v2", "v3"))
GATEWAY_API = "gateway.networking.k8s.io/v1"
PARENTS = [{"name": "web", "namespace": "gateway"}]


@dataclass(frozen=True)
class Router:
    """One kind of routing object: its traffic, its driver, and what of it the user makes."""

    traffic: dict[str, Any]
    resource: str
    api_version: str
    name: str
    make_driver: Callable[[Objects], RouteDriver]
    users_own: Callable[[str], dict[str, Any]] | None = None

    def place(self, namespace: str = "models", baseline: ServiceRef | None = V1, candidate: ServiceRef = V2) -> Place:
        """Return the place of rollout `fraud` on this router."""
        return Place(namespace, "fraud", Traffic.model_validate(self.traffic), baseline, candidate)


def users_route(namespace: str) -> dict[str, Any]:
    """A user's route with three rules, all traffic on v1."""
    path = {"type": "PathPrefix", "value": "/v1/score"}
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-team", "value": "risk"}]}}
    return {
        "apiVersion": GATEWAY_API,
        "kind": "HTTPRoute",
        "metadata": {"name": "shared", "namespace": namespace},
        "spec": {
            "parentRefs": PARENTS,
            "hostnames": [f"{namespace}.shared.test"],
            "rules": [
                {"matches": [{"path": {"type": "PathPrefix", "value": "/health"}}], "backendRefs": [_ref("other")]},
                {"name": "score", "matches": [{"path": path}], "filters": [header], "backendRefs": [_ref("fraud-v1")]},
                {"name": "other", "backendRefs": [_ref("other")]},
            ],
        },
    }


def users_grpc_route(namespace: str) -> dict[str, Any]:
    """A user's GRPCRoute with three rules, all traffic on v1."""
    route = users_route(namespace)
    first, second, third = route["spec"]["rules"]
    methods = [{"method": {"type": "Exact", "service": name}} for name in ("grpc.health.v1.Health", "fraud.v1.Scorer")]
    rules = [{**first, "matches": methods[:1]}, {**second, "matches": methods[1:]}, third]
    return {**route, "kind": "GRPCRoute", "spec": {**route["spec"], "rules": rules}}


def _ref(service: str) -> dict[str, Any]:
    return {"name": service, "port": 8080, "weight": 1}


def _httproute(objects: Objects) -> RouteDriver:
    return httproute_driver(objects, Gateways(objects, {}))


def _grpcroute(objects: Objects) -> RouteDriver:
    return grpcroute_driver(objects, Gateways(objects, {}))


ROUTERS = {
    "HTTPRoute": Router({"httpRoute": {"parentRefs": PARENTS}}, "httproutes", GATEWAY_API, "fraud", _httproute),
    "adopted rule": Router(
        {"httpRoute": {"adopt": {"name": "shared", "rule": "score"}}},
        "httproutes",
        GATEWAY_API,
        "shared",
        _httproute,
        users_route,
    ),
    "GRPCRoute": Router({"grpcRoute": {"parentRefs": PARENTS}}, "grpcroutes", GATEWAY_API, "fraud", _grpcroute),
    "adopted gRPC rule": Router(
        {"grpcRoute": {"adopt": {"name": "shared", "rule": "score"}}},
        "grpcroutes",
        GATEWAY_API,
        "shared",
        _grpcroute,
        users_grpc_route,
    ),
    "TraefikService": Router(
        {"traefikService": {"name": "leaf"}}, "traefikservices", "traefik.io/v1alpha1", "leaf", traefikservice_driver
    ),
}


@pytest.fixture(params=ROUTERS)
def router(request: pytest.FixtureRequest) -> Router:
    """Each kind of router in turn."""
    return ROUTERS[request.param]
