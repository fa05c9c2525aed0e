"""What Argo CD and Flux would do to an adopted route in mid-attempt, under the rules of docs/gitops-routes.md."""

import copy
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import jq
import pytest
import yaml
from modelrollout.api.fields import NONE, Percent
from modelrollout.api.traffic import Traffic
from modelrollout.api.versions import ServiceRef
from modelrollout.core.traffic import BASELINE_ONLY, Place, Routed, Shares
from modelrollout.engine.apply import merge_patch
from modelrollout.routing.driver import RouteDriver
from modelrollout.routing.gateway import Gateways
from modelrollout.routing.httproute import httproute_driver

from local.cluster import LocalCluster
from tests.routing.stage import open_kubernetes
from tests.support.chart import TOP
from tests.support.fake_api import merge

pytestmark = pytest.mark.cluster
V1, V2 = ServiceRef(name="fraud-scorer-v1", port=8080), ServiceRef(name="fraud-scorer-v2", port=8080)
STEPS = [Shares(NONE, Percent(3_000)), Shares(Percent(500), NONE), Shares(Percent(10_000), NONE)]
ARGO, FLUX = "argocd-controller", "kustomize-controller"
Obj = dict[str, Any]


def settings(kind: str) -> Obj:
    """Return what the page shows of a kind of object."""
    text = (TOP / "docs/gitops-routes.md").read_text("utf-8")
    shown = (yaml.safe_load(block.partition("```")[0]) for block in text.split("```yaml\n")[1:])
    found: Obj = next(one for one in shown if one["kind"] == kind)
    return found


JQ = settings("Application")["spec"]["ignoreDifferences"][0]["jqPathExpressions"]
PATHS = settings("Kustomization")["spec"]["ignore"][0]["paths"]


class Shop:
    """A route in Git and its copy in the cluster, of which a rollout has adopted one rule."""

    def __init__(self, cluster: LocalCluster, driver: RouteDriver, namespace: str) -> None:
        self.driver = driver
        self._api = cluster.api
        path = {"path": {"type": "PathPrefix", "value": "/docs"}}
        rules = [
            {"name": "docs", "matches": [path], "backendRefs": [{"name": "docs", "port": 80}]},
            {"name": "score", "backendRefs": [{"name": V1.name, "port": 8080}]},
        ]
        self.git: Obj = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "shop", "namespace": namespace},
            "spec": {"parentRefs": [{"name": "web"}], "hostnames": ["shop.test"], "rules": rules},
        }
        traffic = Traffic.model_validate({"httpRoute": {"adopt": {"name": "shop", "rule": "score"}}})
        self.place = Place(namespace, "fraud", traffic, V1, V2)

    def live(self) -> Obj:
        found: Obj = self._api.call("GET", self._api.path_of(self.git))
        return found

    def apply(self, manifest: Mapping[str, Any], manager: str, *, dry: bool = False) -> Obj:
        """Return the route as it is, or would be, after a server-side apply that takes over what it names."""
        how = f"fieldManager={manager}&force=true{'&dryRun=All' if dry else ''}"
        path = f"{self._api.path_of(self.git)}?{how}"
        found: Obj = self._api.call("PATCH", path, manifest, content_type="application/apply-patch+yaml")
        return found

    async def write(self, shares: Shares) -> None:
        found = await self.driver.read(self.place, live=True)
        await self.driver.write(self.place, shares, found.guard)  # type: ignore[union-attr]  # it is there

    async def is_ours(self, shares: Shares) -> bool:
        found = await self.driver.read(self.place, live=True)
        return isinstance(found, Routed) and found.shares == shares


@pytest.fixture
async def shop(cluster: LocalCluster, namespace: str) -> AsyncIterator[Shop]:
    server, kubernetes = await open_kubernetes(cluster)
    yield Shop(cluster, httproute_driver(kubernetes, Gateways(kubernetes, {})), namespace)
    await server.close()


def essence(obj: Mapping[str, Any]) -> Obj:
    """Return what a comparison looks at."""
    labels = obj["metadata"].get("labels") or {}
    return {"labels": labels, "spec": copy.deepcopy(obj["spec"])}


def without_ignored(obj: Mapping[str, Any], expressions: Sequence[str] = JQ) -> Obj:
    """Return an object as Argo CD compares it: each expression deleted in turn."""
    left: Obj = copy.deepcopy(dict(obj))
    for expression in expressions:
        left = jq.compile(f"del({expression})").input_value(left).first()
    return left


def synced(git: Obj, live: Obj) -> Obj:
    """Return what Argo CD applies with RespectIgnoreDifferences: what is ignored as it is live, lists as a whole."""
    ignored = merge_patch({"spec": without_ignored(live)["spec"]}, {"spec": live["spec"]})
    return dict(merge(without_ignored(git), ignored))


@pytest.mark.parametrize("shares", STEPS, ids=str)
async def test_argo_cd_sees_no_difference_and_its_sync_changes_nothing(shop: Shop, shares: Shares) -> None:
    shop.apply(shop.git, ARGO)
    await shop.write(shares)

    live, predicted = shop.live(), shop.apply(shop.git, ARGO, dry=True)

    assert essence(predicted) != essence(live)  # Or the rule would not be needed.
    assert essence(without_ignored(predicted)) == essence(without_ignored(live))
    shop.apply(synced(shop.git, live), ARGO)
    assert essence(shop.live()) == essence(live)
    assert await shop.is_ours(shares)
    await shop.write(BASELINE_ONLY)
    assert await shop.is_ours(BASELINE_ONLY)


@pytest.mark.parametrize("missing", range(len(JQ)))
async def test_argo_cd_needs_each_of_the_expressions(shop: Shop, missing: int) -> None:
    shop.apply(shop.git, ARGO)
    await shop.write(STEPS[0])
    rest = [expression for number, expression in enumerate(JQ) if number != missing]

    live, predicted = shop.live(), shop.apply(shop.git, ARGO, dry=True)

    assert essence(without_ignored(predicted, rest)) != essence(without_ignored(live, rest))


async def test_argo_cd_still_sees_a_change_elsewhere_and_brings_it_without_touching_the_rule(shop: Shop) -> None:
    shop.apply(shop.git, ARGO)
    await shop.write(STEPS[1])
    live = shop.live()

    shop.git["spec"]["rules"][0]["backendRefs"][0]["port"] = 81
    other_rule = without_ignored(shop.apply(shop.git, ARGO, dry=True))
    shop.git["spec"]["hostnames"] = ["new.test"]
    shop.apply(synced(shop.git, live), ARGO)

    assert essence(other_rule) != essence(without_ignored(live))
    assert shop.live()["spec"] == {**live["spec"], "hostnames": ["new.test"]}
    assert await shop.is_ours(STEPS[1])


async def test_argo_cd_still_sees_another_mirror_in_the_rule(shop: Shop) -> None:
    shop.apply(shop.git, ARGO)
    await shop.write(STEPS[0])
    live = shop.live()

    recorder = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "recorder", "port": 80}}}
    shop.git["spec"]["rules"][1]["filters"] = [recorder]

    predicted = shop.apply(shop.git, ARGO, dry=True)
    assert essence(without_ignored(predicted)) != essence(without_ignored(live))


def corrected(git: Obj, live: Obj) -> Obj:
    """Return what Flux applies where something else has drifted: at ignored paths that Git has, what is live."""
    payload: Obj = copy.deepcopy(git)
    for path in PATHS:
        if path in set(_paths(payload)):
            *parents, last = path.split("/")[1:]
            _at(payload, parents)[last] = _at(live, parents).get(last, [])
    return payload


def without_paths(obj: Obj) -> Obj:
    """Return an object as Flux compares it."""
    left: Obj = copy.deepcopy(obj)
    for path in PATHS:
        *parents, last = path.split("/")[1:]
        _at(left, parents).pop(last, None)
    return left


@pytest.mark.parametrize("shares", STEPS, ids=str)
async def test_flux_sees_no_drift(shop: Shop, shares: Shares) -> None:
    shop.git["spec"]["rules"][1]["filters"] = []
    shop.apply(shop.git, FLUX)
    await shop.write(shares)

    live, predicted = shop.live(), shop.apply(shop.git, FLUX, dry=True)

    assert essence(predicted) != essence(live)
    assert essence(without_paths(predicted)) == essence(without_paths(live))


@pytest.mark.parametrize("shares", STEPS, ids=str)
async def test_flux_corrects_what_has_drifted_elsewhere_and_leaves_the_rule(shop: Shop, shares: Shares) -> None:
    shop.git["spec"]["rules"][1]["filters"] = []
    shop.apply(shop.git, FLUX)
    await shop.write(shares)
    live = shop.live()

    shop.git["spec"]["rules"][0]["backendRefs"][0]["port"] = 81
    assert essence(without_paths(shop.apply(shop.git, FLUX, dry=True))) != essence(without_paths(live))
    shop.apply(corrected(shop.git, live), FLUX)

    assert shop.live()["spec"]["rules"][0]["backendRefs"][0]["port"] == 81
    found = await shop.driver.read(shop.place, live=True)
    assert getattr(found, "shares", None) == shares


def _at(obj: Any, parents: list[str]) -> Any:
    for part in parents:
        obj = obj[int(part)] if isinstance(obj, list) else obj[part]
    return obj


def _paths(value: Any, path: str = "") -> Iterator[str]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in pairs:
        yield from _paths(inner, f"{path}/{name}")
