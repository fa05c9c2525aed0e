"""A real Prometheus behind a password or a certificate, and one that namespaces share."""

import json
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from hypothesis import given, settings
from modelrollout.api.metrics import Metrics
from modelrollout.core.evidence import Answer, Counted, Distributed, Measured, NoData, Unknown
from modelrollout.metrics.answers import Found
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.prometheus import PrometheusSource
from modelrollout.metrics.queries import PromQL
from modelrollout.metrics.sources import Sources
from modelrollout.metrics.tenancy import Tenancy

from local.cluster import LocalCluster
from tests.metrics.builders import COMPARED, CUSTOM, DISAGREEMENT, LATENCY, LOAD, SCORES, question, track, value
from tests.metrics.conftest import Calls, now
from tests.metrics.exporter import Exporter, Points, exporting, tell
from tests.metrics.guarded import HASH, PASSWORD, Authority, guarded
from tests.metrics.test_tenancy import WHOLE

pytestmark = pytest.mark.cluster

QUERY = PromQL("vector(1)")


async def asked(url: str, **config: Any) -> Found | NoData:
    source = PrometheusSource("default", SourceConfig.model_validate({"url": url, **config}), Calls())
    try:
        return await source.ask(QUERY)
    finally:
        await source.close()


def refused(found: Found | NoData) -> str:
    assert isinstance(found, NoData)
    assert found.reason is Unknown.REFUSED
    return found.message


async def test_a_prometheus_that_wants_a_password_answers_who_has_it(cluster: LocalCluster, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(f"{PASSWORD}\n")
    wrong.write_text("battery staple")

    with guarded(cluster, tmp_path, {"basic_auth_users": {"rollouts": HASH}}) as address:
        url = f"http://{address}"
        let_in = await asked(url, basicAuth={"username": "rollouts", "passwordFile": str(right)})
        others = [
            await asked(url, basicAuth={"username": "rollouts", "passwordFile": str(wrong)}),
            await asked(url, basicAuth={"username": "other", "passwordFile": str(right)}),
            await asked(url),
        ]

    assert isinstance(let_in, Found)
    for found in others:
        assert "refuses the operator's credentials (401)" in refused(found)
        assert PASSWORD not in refused(found)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def behind_tls(cluster: LocalCluster, tmp_path: Path, authority: Authority) -> Iterator[str]:
    cert, key = authority.issue("server")
    tls = {
        "cert_file": str(cert),
        "key_file": str(key),
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": str(authority.ca),
    }
    with guarded(cluster, tmp_path, {"tls_server_config": tls}) as address:
        yield f"https://{address}"


async def test_a_prometheus_that_wants_a_certificate_answers_who_shows_one(
    behind_tls: str, authority: Authority, tmp_path: Path
) -> None:
    cert, key = authority.issue("operator")
    foreign = Authority(tmp_path / "foreign").issue("operator")
    ca = str(authority.ca)

    let_in = await asked(behind_tls, caFile=ca, clientCertificate={"certFile": str(cert), "keyFile": str(key)})
    without = await asked(behind_tls, caFile=ca)
    unknown = await asked(
        behind_tls, caFile=ca, clientCertificate={"certFile": str(foreign[0]), "keyFile": str(foreign[1])}
    )
    untrusted = await asked(behind_tls, clientCertificate={"certFile": str(cert), "keyFile": str(key)})

    assert isinstance(let_in, Found)
    for found in (without, unknown):
        assert isinstance(found, NoData)
        assert found.reason is Unknown.UNREACHABLE
        assert "clientCertificate" in found.message or "hung up" in found.message
    assert isinstance(untrusted, NoData)
    assert "its TLS certificate is not trusted" in untrusted.message


async def test_another_certificate_is_shown_once_it_is_there(
    behind_tls: str, authority: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path / "foreign").issue("operator")
    shown = tmp_path / "tls.crt", tmp_path / "tls.key"
    config = {
        "url": behind_tls,
        "caFile": str(authority.ca),
        "clientCertificate": {"certFile": str(shown[0]), "keyFile": str(shown[1])},
    }
    source = PrometheusSource("default", SourceConfig.model_validate(config), Calls())

    async def with_(*files: Path) -> Found | NoData:
        for file, place in zip(files, shown, strict=False):
            shutil.copy(file, place)
        return await source.ask(QUERY)

    missing = await source.ask(QUERY)
    good = authority.issue("operator")
    found = [await with_(*good), await with_(*foreign), await with_(*authority.issue("again"))]
    unpaired = await with_(good[0])
    await source.close()

    assert "its client certificate cannot be read" in refused(missing)
    assert [isinstance(one, Found) for one in found] == [True, False, True]
    assert "and its key are no pair in PEM" in refused(unpaired)


async def test_a_key_with_a_password_is_refused_and_asks_nobody(behind_tls: str, tmp_path: Path) -> None:
    locked = Authority(tmp_path / "locked")
    cert, key = locked.issue("operator")
    locked._openssl("ec", "-in", key.name, "-aes256", "-passout", "pass:secret", "-out", "locked.key")

    found = await asked(
        behind_tls, clientCertificate={"certFile": str(cert), "keyFile": str(locked.place / "locked.key")}
    )

    assert "need a password" in refused(found)


# Two namespaces in one Prometheus.

PRESENT = "other"
"""The namespace whose series there are."""

ABSENT = "deserted"
"""The one that has none, nor had: `models`, of other tests, may have some in this Prometheus."""


@pytest.fixture(scope="module")
def exporter(cluster: LocalCluster) -> Iterator[Exporter]:
    with exporting(cluster) as running:
        yield running


@pytest.fixture
async def shared(cluster: LocalCluster) -> AsyncIterator[Sources]:
    config = SourceConfig(url=cluster.prometheus.url, enforce_namespace=True, raw_queries=True)
    made = Sources({"default": config}, now, Calls())
    yield made
    await made.close()


GATES = [
    COMPARED,
    LATENCY,
    LOAD,
    SCORES,
    {**DISAGREEMENT, "ratio": {**DISAGREEMENT["ratio"], "bad": {"metric": "answers_total", "matchers": [{"label": "code", "value": "500"}]}}},
    value("sum(model_requests_total)"),
    value('sum(last_over_time({__name__="model_requests_total"}[10m])) # {namespace="other"}'),
    value(f'count(model_requests_total or label_replace(model_requests_total, "namespace", "{ABSENT}", "namespace", ".*"))'),
    value("scalar(sum(model_requests_total))"),
]  # fmt: skip


def rising(until: float, each: float) -> Points:
    return [(until - 240 + n * 15, 10_000 + n * each) for n in range(17)]


@pytest.fixture
def told(cluster: LocalCluster, exporter: Exporter, request: pytest.FixtureRequest) -> datetime:
    """Have series of the other namespace; return a moment at which they are there."""
    end = float(int(time.time()) - 5)
    base = f'namespace="{PRESENT}",service="fraud-v2"'
    tell(cluster, exporter, re.sub(r"\W", "_", request.node.name), {
        f'model_requests_total{{{base},code="200"}}': rising(end, 100),
        f'model_requests_total{{{base},code="500"}}': rising(end, 1),
        f'answers_total{{{base},code="200"}}': rising(end, 100),
        f'answers_total{{{base},code="500"}}': rising(end, 1),
        **{f'model_request_duration_seconds_bucket{{{base},le="{le}"}}': rising(end, 90) for le in ("0.3", "+Inf")},
        f"model_request_duration_seconds_count{{{base}}}": rising(end, 90),
        **{f'model_score_bucket{{{base},le="{le}"}}': rising(end, 90) for le in ("0.5", "+Inf")},
        f"model_score_count{{{base}}}": rising(end, 90),
    })  # fmt: skip
    return datetime.fromtimestamp(end, UTC)


async def test_no_gate_of_one_namespace_reads_anothers_series(shared: Sources, told: datetime) -> None:
    async def of(namespace: str, gate: dict[str, Any]) -> Answer:
        candidate = track(namespace=namespace)
        return await shared.measure(
            question(gate, metrics=CUSTOM, candidate=candidate, since=told - timedelta(minutes=3), until=told)
        )

    for gate in GATES:
        theirs, ours = await of(PRESENT, gate), await of(ABSENT, gate)

        assert isinstance(theirs, Counted | Measured | Distributed), (gate, theirs)
        assert isinstance(ours, NoData), (gate, ours)
        assert ours.reason in {Unknown.NO_DATA, Unknown.NOT_A_NUMBER}, (gate, ours)


@pytest.mark.parametrize(
    "query",
    [
        'sum(model_requests_total{namespace="other"})',
        'sum(model_requests_total{namespace=~"models|other"})',
        'sum(model_requests_total{namespace!=""})',
        'sum(model_requests_total{namespace="models"} or {namespace="other",__name__="model_requests_total"})',
        'sum(info(model_requests_total, {namespace="other"}))',
    ],
)
async def test_who_names_anothers_namespace_is_refused(shared: Sources, told: datetime, query: str) -> None:
    found = await shared.measure(question(value(query), since=told - timedelta(minutes=3), until=told))

    assert isinstance(found, NoData)
    assert found.reason is Unknown.REFUSED
    assert "namespace" in found.message or "info()" in found.message


async def test_an_unconfined_query_would_have_read_them(cluster: LocalCluster, told: datetime) -> None:
    open_ = Sources({"default": SourceConfig(url=cluster.prometheus.url, raw_queries=True)}, now, Calls())

    found = await open_.measure(
        question(value("sum(model_requests_total)"), since=told - timedelta(minutes=3), until=told)
    )

    assert isinstance(found, Measured)
    await open_.close()


@settings(max_examples=150, deadline=None)
@given(query=WHOLE)
def test_prometheus_own_parser_finds_the_matcher_in_each_selector(cluster: LocalCluster, query: str) -> None:
    sent = Tenancy(SourceConfig(url="http://x", enforce_namespace=True)).confine(PromQL(query), "models")

    with urlopen(f"{cluster.prometheus.url}/api/v1/parse_query?{urlencode({'query': sent})}", timeout=10) as reply:
        selectors = list(selectors_of(json.load(reply)["data"]))

    assert selectors
    for matchers in selectors:
        assert {"name": "namespace", "type": "=", "value": "models"} in matchers


def selectors_of(node: Any) -> Iterator[list[dict[str, str]]]:
    """Yield the matchers of each selector in a query as Prometheus tells of it."""
    match node:
        case {"type": "vectorSelector" | "matrixSelector", "matchers": list(matchers)}:
            yield matchers
        case dict():
            for part in node.values():
                yield from selectors_of(part)
        case list():
            for part in node:
                yield from selectors_of(part)
        case _:
            return


async def test_a_preset_that_counts_at_the_gateway_finds_nothing_in_another_namespace(
    shared: Sources, told: datetime
) -> None:
    found = await shared.measure(
        question(COMPARED, metrics=Metrics(preset="traefik"), since=told - timedelta(minutes=3), until=told)
    )

    assert isinstance(found, NoData)
    assert found.reason is Unknown.NO_DATA
