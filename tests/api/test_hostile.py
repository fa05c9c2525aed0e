"""What the schema lets through at its edges: the API server stores it, or says in a sentence why not."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from local.api import ApiRefused
from local.cluster import LocalCluster
from local.hostile.manifests import MOST_TEXT, manifest, status
from local.hostile.texts import Size

pytestmark = pytest.mark.cluster

ETCD_LIMIT = 1_572_864
KINDS = [(Size.SMALLEST, 0), (Size.LARGEST, 0), (Size.LARGEST, 1), *((Size.ANY, seed) for seed in range(12))]
MERGE = "application/merge-patch+json"


def path_of(wanted: Mapping[str, Any], subresource: str = "") -> str:
    meta = wanted["metadata"]
    name = f"/{meta['name']}/{subresource}" if subresource else ""
    return f"/apis/modelrollout.dev/v1alpha1/namespaces/{meta['namespace']}/modelrollouts{name}"


def refusal(cluster: LocalCluster, method: str, path: str, body: Any, content_type: str = "application/json") -> str:
    try:
        cluster.api.call(method, path, body, content_type=content_type)
    except ApiRefused as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(("size", "seed"), KINDS, ids=lambda value: getattr(value, "value", value))
def test_a_hostile_manifest_and_a_hostile_status_are_stored_within_etcds_limit(contract, namespace, size, seed):
    wanted = manifest(seed, size, namespace=namespace)

    assert refusal(contract, "POST", path_of(wanted), wanted) == ""
    said = refusal(contract, "PATCH", path_of(wanted, "status"), {"status": status(seed, size)}, MERGE)
    stored = contract.api.call("GET", path_of(wanted, "status"))

    assert said == ""
    assert stored["spec"] == wanted["spec"]
    assert len(json.dumps(stored, ensure_ascii=False).encode()) < ETCD_LIMIT


def test_more_text_than_etcd_could_take_is_refused_with_a_sentence_not_with_a_500(contract, namespace):
    wanted = manifest(0, Size.LARGEST, namespace=namespace)
    gate = {"name": "long", "value": {"query": "\U0010ffff" * 156, "max": "1"}}
    lists = [[{**gate, "name": f"g{number}"} for number in range(20)] for _ in range(21)]
    for stage, gates in zip(wanted["spec"]["stages"], lists, strict=False):
        stage["gates"] = [{**one, "name": f"s{one['name']}"} for one in gates]
    wanted["spec"]["gates"] = lists[-1]

    assert refusal(contract, "POST", f"{path_of(wanted)}?dryRun=All", wanted) == ""  # 420 * 156 is just within.
    wanted["spec"]["gates"][0]["runbookURL"] = "x" * (MOST_TEXT - 420 * 156 + 1)
    said = refusal(contract, "POST", f"{path_of(wanted)}?dryRun=All", wanted)

    assert said.startswith("422")
    assert "queries, matchers, parameters and addresses of all gates have more than 65536 characters together" in said
