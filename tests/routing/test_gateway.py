"""What a gateway is believed to be able to do."""

from typing import Any

import pytest
from modelrollout.core.traffic import Blocked, Capabilities
from modelrollout.routing.gateway import Gateways, Mirroring

from tests.routing.conftest import ROUTERS
from tests.support.fake_api import FakeApi

FULL = Capabilities(mirror=True, mirror_percent=True, fractional_mirror=True)
MIRROR, PERCENT = "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"
OWNED, ADOPTED = ROUTERS["HTTPRoute"].place(), ROUTERS["adopted rule"].place()


def api_with(
    controller: str, features: list[Any] | None = None, *, gateway: bool = True, class_: bool = True
) -> FakeApi:
    api = FakeApi()
    if gateway:
        api.add("gateways", {"metadata": {"name": "web", "namespace": "gateway"}, "spec": {"gatewayClassName": "c"}})
    if class_:
        api.add("gatewayclasses", {"metadata": {"name": "c"}, "spec": {"controllerName": controller}})
        api.edit("gatewayclasses", "", "c", {"status": {"supportedFeatures": features}}, status=True)
    return api


async def ask(api: FakeApi, settings: dict[str, Mirroring] | None = None) -> Capabilities | Blocked:
    return await Gateways(api, settings or {}).capabilities(OWNED)


@pytest.mark.parametrize(
    ("controller", "features", "mirror", "percent"),
    [
        pytest.param("x/y", [{"name": MIRROR}, {"name": PERCENT}], True, True, id="its class lists both"),
        pytest.param("x/y", [MIRROR, PERCENT], True, True, id="its class lists both, in the old form"),
        pytest.param("x/y", [{"name": MIRROR}], True, False, id="its class lists mirrors without percent"),
        pytest.param("x/y", [{"name": "HTTPRoute"}], False, False, id="its class lists other things"),
        pytest.param(
            "gateway.envoyproxy.io/gatewayclass-controller", None, True, True, id="Envoy Gateway lists nothing"
        ),
        pytest.param("istio.io/gateway-controller", None, True, True, id="Istio"),
        pytest.param("projectcontour.io/gateway-controller", None, True, False, id="Contour ignores the percentage"),
        pytest.param("traefik.io/gateway-controller", None, False, False, id="Traefik would answer 500"),
        pytest.param("x/y", None, False, False, id="nothing is known"),
    ],
)
async def test_a_gateway_mirrors_only_where_that_is_known(
    controller: str, features: list[Any] | None, mirror: bool, percent: bool
) -> None:
    found = await ask(api_with(controller, features))

    assert isinstance(found, Capabilities)
    assert (found.mirror, found.mirror_percent, found.fractional_mirror) == (mirror, percent, percent)
    assert found.one_cluster is controller.startswith("gateway.envoyproxy.io")
    assert bool(found.remedy) is not percent


async def test_a_published_list_outranks_what_was_known_of_the_controller() -> None:
    known = "istio.io/gateway-controller"

    found = await ask(api_with(known, [{"name": "HTTPRoute"}]))

    assert isinstance(found, Capabilities)
    assert not found.mirror


async def test_the_administrators_word_outranks_what_is_known_and_takes_away_from_what_a_class_says() -> None:
    contour = "projectcontour.io/gateway-controller"
    assert await ask(api_with(contour), {contour: Mirroring.PERCENT}) == FULL
    assert await ask(api_with("x/y"), {"x/y": Mirroring.PERCENT}) == FULL
    listed = api_with("x/y", [{"name": MIRROR}, {"name": PERCENT}])
    found = await ask(listed, {"x/y": Mirroring.NONE})
    assert isinstance(found, Capabilities)
    assert not found.mirror


@pytest.mark.parametrize("features", [[{"name": "HTTPRoute"}], [{"name": MIRROR}]], ids=["no mirror", "no percentage"])
async def test_the_administrator_cannot_add_to_what_a_class_says_of_itself(features: list[Any]) -> None:
    said = await ask(api_with("x/y", features))

    assert await ask(api_with("x/y", features), {"x/y": Mirroring.PERCENT}) == said


async def test_the_remedy_for_an_unknown_controller_is_the_administrators_setting() -> None:
    found = await ask(api_with("example.com/new"))

    assert isinstance(found, Capabilities)
    assert "--gateway-mirror example.com/new=percent" in found.remedy


async def test_the_remedy_for_traefik_is_a_traefikservice() -> None:
    found = await ask(api_with("traefik.io/gateway-controller"))

    assert isinstance(found, Capabilities)
    assert "spec.traffic.traefikService" in found.remedy


@pytest.mark.parametrize(
    ("controller", "features", "mirror", "percent"),
    [
        pytest.param("x/y", [MIRROR, PERCENT], True, True, id="its class lists both, for HTTPRoute"),
        pytest.param("gateway.envoyproxy.io/gatewayclass-controller", None, True, True, id="Envoy Gateway"),
        pytest.param("projectcontour.io/gateway-controller", None, True, False, id="Contour"),
        pytest.param("traefik.io/gateway-controller", None, False, False, id="Traefik, which has no leaf for gRPC"),
    ],
)
async def test_a_grpcroute_is_mirrored_where_an_httproute_is(
    controller: str, features: list[Any] | None, mirror: bool, percent: bool
) -> None:
    found = await Gateways(api_with(controller, features), {}).capabilities(ROUTERS["GRPCRoute"].place())

    assert isinstance(found, Capabilities)
    assert (found.mirror, found.mirror_percent) == (mirror, percent)
    assert "traefikService" not in found.remedy


@pytest.mark.parametrize(
    ("api", "reason"),
    [
        (api_with("x/y", gateway=False), "GatewayMissing"),
        (api_with("x/y", class_=False), "GatewayClassMissing"),
    ],
)
async def test_without_gateway_or_class_nobody_can_know(api: FakeApi, reason: str) -> None:
    found = await ask(api)

    assert isinstance(found, Blocked)
    assert found.reason == reason
    assert "correct the" in found.message


async def test_of_two_gateways_the_weaker_one_counts() -> None:
    api = api_with("istio.io/gateway-controller")
    api.add("gateways", {"metadata": {"name": "old", "namespace": "models"}, "spec": {"gatewayClassName": "d"}})
    api.add("gatewayclasses", {"metadata": {"name": "d"}, "spec": {"controllerName": "traefik.io/gateway-controller"}})
    route = ROUTERS["adopted rule"].users_own
    assert route
    api.add("httproutes", route("models"))
    parents = [{"name": "web", "namespace": "gateway"}, {"name": "old"}]
    api.edit("httproutes", "models", "shared", {"spec": {"parentRefs": parents}})

    found = await Gateways(api, {}).capabilities(ADOPTED)

    assert isinstance(found, Capabilities)
    assert not found.mirror
    assert "models/old" in found.remedy


@pytest.mark.parametrize("router", ["adopted rule", "adopted gRPC rule"])
async def test_an_adopted_route_that_does_not_exist_blocks(router: str) -> None:
    found = await Gateways(FakeApi(), {}).capabilities(ROUTERS[router].place())

    assert isinstance(found, Blocked)
    assert found.reason == "RouteMissing"
