"""Gates asked of real model servers, scraped by a real Prometheus: `make test-presets`."""

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.sources import Sources

from local.cluster import LocalCluster
from tests.metrics import told
from tests.presets.keeping import keep
from tests.presets.servers import SERVERS, Instance, Server, running

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.environ.get("MODELROLLOUT_PRESET_TESTS"), reason="for make test-presets: they are large"),
]

Say = Callable[[str], None]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def source(cluster: LocalCluster) -> AsyncIterator[Sources]:
    made = Sources({"default": SourceConfig(url=cluster.prometheus.url)}, now, lambda *_: None)
    yield made
    await made.close()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """What a person reads who waits for a server that takes its time."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(text, end="", flush=True)

    return say


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.preset)
async def test_gates_judge_what_the_server_was_told_to_do(
    cluster: LocalCluster, source: Sources, tmp_path: Path, server: Server, say: Say
) -> None:
    since = now() - timedelta(seconds=1)
    with ExitStack() as stack:
        say(f"\n  {server.preset}: two versions start ")
        made = {}
        for number, version in enumerate(("v1", "v2")):
            made[version] = stack.enter_context(running(server, 18100 + 10 * number, tmp_path, dots(say)))
            name, address = f"{server.preset}-{version}", made[version].metrics
            cluster.prometheus.add_target(name, address, told.labels(server.preset, version))
            stack.callback(cluster.prometheus.remove_target, name, address)
        say(" are asked,")
        statuses = tell(made["v1"], made["v2"])
        say(" gates are asked")

        assert statuses == {200: told.OF_BASELINE + told.FAST + told.SLOW, 500: told.FAILING}
        await told.check(source, server.preset, since)
        if os.environ.get("MODELROLLOUT_KEEP_EXPOSITIONS"):
            for version, instance in made.items():
                keep(version, instance)
        say(", versions stop ")


def tell(baseline: Instance, candidate: Instance) -> dict[int, int]:
    """Make all requests, with probes among them; return how often each status was answered."""
    statuses = [baseline.ask() for _ in range(told.OF_BASELINE)]
    statuses += [candidate.ask() for _ in range(told.FAST)]
    statuses += [candidate.ask(fail=True) for _ in range(told.FAILING)]
    statuses += [candidate.ask(delay=1.2) for _ in range(told.SLOW)]
    for instance in (baseline, candidate):
        assert [instance.probe() for _ in range(5)] == [200] * 5
    return {status: statuses.count(status) for status in sorted({*statuses})}


def dots(say: Say) -> Callable[[], None]:
    """Return what says a dot once a second, however often it is called."""
    last = time.monotonic()

    def tick() -> None:
        nonlocal last
        if time.monotonic() - last >= 1:
            last = time.monotonic()
            say(".")

    return tick
