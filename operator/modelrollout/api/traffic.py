"""`spec.traffic`: the routing object on which traffic is moved."""

from typing import Annotated

from pydantic import ConfigDict, Field, WithJsonSchema

from modelrollout.api.fields import Model, Name, ObjectName, rule, rules


class ParentRef(Model):
    """A Gateway, or one of its listeners, that serves the route."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: Name | None = Field(None, description="Namespace of the Gateway; the rollout's own when left out.")
    section_name: ObjectName | None = Field(
        None, description="Listener of the Gateway; all that allow it when left out."
    )


class Adopt(Model):
    """One named rule of a route that somebody else owns."""

    name: ObjectName = Field(description="The route, in the same namespace.")
    rule: Name = Field(description="Name of the rule (spec.rules[].name) whose backendRefs the operator may set.")


Hostname = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 253,
            **rules(
                rule(
                    "self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
                    "write a host name such as models.example.com, or *.example.com; no scheme, port or path",
                )
            ),
        }
    ),
]


_OWN_OR_ADOPTED = rule(
    "has(self.adopt) != has(self.parentRefs)",
    "give either parentRefs (the operator owns a route of the rollout's name) or adopt (it edits one named rule of your"
    " route), not both and not neither",
)


class GatewayRoute(Model):
    """What a route of the Gateway API has, of whichever kind."""

    parent_refs: list[ParentRef] | None = Field(
        None, min_length=1, max_length=8, description="Gateways that serve the route the operator owns."
    )
    hostnames: list[Hostname] | None = Field(
        None, min_length=1, max_length=16, description="Hosts the route answers for."
    )


class HTTPRouteTraffic(GatewayRoute):
    """An HTTPRoute of the rollout's name that the operator owns, or one rule of yours."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            _OWN_OR_ADOPTED,
            rule(
                "!has(self.adopt) || (!has(self.hostnames) && !has(self.path))",
                "hostnames and path belong to a route that the operator owns: remove them, your adopted rule has its own",
            ),
        )
    )

    path: (
        Annotated[
            str,
            WithJsonSchema(
                {
                    "type": "string",
                    "maxLength": 1024,
                    **rules(
                        rule(
                            # What a Gateway takes as a PathPrefix, percent-encoding and parentheses aside.
                            "self.matches('^/[-A-Za-z0-9/._~!$&*+,;=:@]*$') && !self.matches('/[.]{0,2}/|/[.]{1,2}$')",
                            "write a path prefix that starts with '/', such as /v1/score: no '//', '/./' or '/../', no"
                            " query, spaces or percent signs",
                        )
                    ),
                }
            ),
        ]
        | None
    ) = Field(None, description="Path prefix of the requests to move; all of them when left out.")
    adopt: Adopt | None = Field(None, description="Your HTTPRoute and the one rule of it that the operator may edit.")


class GRPCRouteTraffic(GatewayRoute):
    """A GRPCRoute of the rollout's name that the operator owns, or one rule of yours."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            _OWN_OR_ADOPTED,
            rule(
                "!has(self.adopt) || (!has(self.hostnames) && !has(self.service) && !has(self.method))",
                "hostnames, service and method belong to a route that the operator owns: remove them, your adopted rule has"
                " its own",
            ),
        )
    )

    service: (
        Annotated[
            str,
            WithJsonSchema(
                {
                    "type": "string",
                    "maxLength": 1024,
                    **rules(
                        rule(
                            "self.matches('^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*$')",
                            "write the gRPC service with its package, such as fraud.v1.Scorer: no slashes",
                        )
                    ),
                }
            ),
        ]
        | None
    ) = Field(None, description="gRPC service whose calls to move, with its package; all of them when left out.")
    method: (
        Annotated[
            str,
            WithJsonSchema(
                {
                    "type": "string",
                    "maxLength": 1024,
                    **rules(
                        rule(
                            "self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",
                            "write the name of one gRPC method, such as Score: its service goes into service",
                        )
                    ),
                }
            ),
        ]
        | None
    ) = Field(None, description="gRPC method whose calls to move; all of them when left out.")
    adopt: Adopt | None = Field(None, description="Your GRPCRoute and the one rule of it that the operator may edit.")


class TraefikServiceTraffic(Model):
    """The TraefikService that your HTTPRoute or IngressRoute points to; the operator owns it."""

    name: Name = Field(description="Name of the TraefikService; the operator makes it where it is missing.")


class Traffic(Model):
    """Where the traffic is moved: exactly one kind of router object."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.httpRoute), has(self.grpcRoute), has(self.traefikService)].filter(given, given).size() == 1",
                "give exactly one of httpRoute, grpcRoute and traefikService: a rollout moves traffic on one router object",
            ),
            rule(
                "has(self.httpRoute) == has(oldSelf.httpRoute) && has(self.grpcRoute) == has(oldSelf.grpcRoute)",
                "the kind of router object cannot change: delete this ModelRollout (an attempt goes back to its baseline) and"
                " create one with the new kind",
            ),
            rule(
                "!has(self.traefikService) || !has(oldSelf.traefikService) || self.traefikService == oldSelf.traefikService",
                "traefikService.name cannot change: the old leaf would keep its weights; create a new ModelRollout",
            ),
            rule(
                "!has(self.httpRoute) || !has(oldSelf.httpRoute) || (has(self.httpRoute.adopt) == has(oldSelf.httpRoute.adopt)"
                " && (!has(self.httpRoute.adopt) || self.httpRoute.adopt == oldSelf.httpRoute.adopt))",
                "httpRoute.adopt cannot change: the old rule would keep its weights; create a new ModelRollout",
            ),
            rule(
                "!has(self.grpcRoute) || !has(oldSelf.grpcRoute) || (has(self.grpcRoute.adopt) == has(oldSelf.grpcRoute.adopt)"
                " && (!has(self.grpcRoute.adopt) || self.grpcRoute.adopt == oldSelf.grpcRoute.adopt))",
                "grpcRoute.adopt cannot change: the old rule would keep its weights; create a new ModelRollout",
            ),
        )
    )

    http_route: HTTPRouteTraffic | None = Field(
        None, alias="httpRoute", description="Gateway API: weights on an HTTPRoute."
    )
    grpc_route: GRPCRouteTraffic | None = Field(
        None, alias="grpcRoute", description="Gateway API: weights on a GRPCRoute."
    )
    traefik_service: TraefikServiceTraffic | None = Field(
        None, description="Traefik: weights and mirroring in a TraefikService that your route points to."
    )

    @property
    def gateway_route(self) -> HTTPRouteTraffic | GRPCRouteTraffic | None:
        """The route of the Gateway API, of whichever kind."""
        return self.http_route or self.grpc_route
