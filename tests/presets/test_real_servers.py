"""Gates asked of real model servers, scraped by a real Prometheus: `make test-presets`."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from modelrollout.api.metrics import Metrics
from modelrollout.core.evidence import Answer, Counted
from modelrollout.core.stats import Counts
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.servers.exports import Lacks
from modelrollout.metrics.servers.table import PRESETS
from modelrollout.metrics.sources import Sources

from local.cluster import LocalCluster
from tests.metrics.builders import question, track
from tests.presets.servers import SERVERS, Instance, Server, running

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.environ.get("MODELROLLOUT_PRESET_TESTS"), reason="for make test-presets: they are large"),
]

KEPT = Path(__file__).parents[1] / "metrics" / "expositions" / "real"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def source(cluster: LocalCluster) -> AsyncIterator[Sources]:
    made = Sources({"default": SourceConfig(url=cluster.prometheus.url)}, now, lambda *_: None)
    yield made
    await made.close()


async def settled(source: Sources, server: Server, gate: dict[str, Any], since: datetime, expected: Counted) -> Answer:
    """Ask until Prometheus has scraped all of it."""
    asked = None
    for _ in range(40):
        asked = await source.measure(
            question(
                {"name": "it", **gate},
                metrics=Metrics.model_validate({"preset": server.preset}),
                candidate=track(f"{server.preset}-v2"),
                baseline=track(f"{server.preset}-v1") if server.instances == 2 else None,
                since=since,
                until=now(),
            )
        )
        if asked == expected:
            return asked
        await asyncio.sleep(0.5)  # half a scrape
    assert asked is not None
    return asked


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.preset)
async def test_gates_count_what_the_server_was_asked(
    cluster: LocalCluster, source: Sources, tmp_path: Path, server: Server
) -> None:
    since = now() - timedelta(seconds=1)
    with ExitStack() as stack:
        made = [stack.enter_context(running(server, 18100 + 10 * n, tmp_path)) for n in range(server.instances)]
        candidate = made[0]
        for version, instance in zip(("v2", "v1"), made, strict=False):
            labels = {
                "namespace": "models",
                "service": f"{server.preset}-{version}",
                "pod": f"{server.preset}-{version}-0",
            }
            cluster.prometheus.add_target(f"{server.preset}-{version}", instance.metrics, labels)
            stack.callback(cluster.prometheus.remove_target, f"{server.preset}-{version}", instance.metrics)

        statuses = [candidate.ask() for _ in range(40)] + [candidate.ask(fail=True) for _ in range(6)]
        statuses += [candidate.ask(delay=0.7) for _ in range(4)]
        statuses += [other.ask() for other in made[1:] for _ in range(20)]

        baseline = Counts(20, 0) if server.instances == 2 else None
        errors = Counted(Counts(50, 6), baseline)
        slow = Counted(Counts(50, 4), baseline)
        assert sorted({*statuses}) == [200, 500]
        assert await settled(source, server, {"latency": {"threshold": "500ms", "maxAbove": "1%"}}, since, slow) == slow
        if not isinstance(PRESETS[server.preset].errors, Lacks):
            assert await settled(source, server, {"errorRate": {"max": "1%"}}, since, errors) == errors
        keep(server, candidate)


def keep(server: Server, instance: Instance) -> None:
    """Write down what it exposes, for the tests that have no such server; `git diff` shows what has changed."""
    if os.environ.get("MODELROLLOUT_KEEP_EXPOSITIONS"):
        lines = [line for line in instance.exposition().splitlines()
                 if re.match(rf"(# TYPE )?(?:{server.keeps})", line) and "_created" not in line]  # fmt: skip
        KEPT.mkdir(exist_ok=True)
        (KEPT / f"{server.preset}.txt").write_text("\n".join([*lines, ""]), "utf-8")
