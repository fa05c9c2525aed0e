"""Sources that ask a scripted server."""

import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.sources import Sources

from tests.metrics.scripted import Scripted


class Calls(list[str]):
    """The outcomes of all queries, in the order in which they ended."""

    def __call__(self, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.append(outcome)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.close()
    thread.join()


@pytest.fixture
async def sources(scripted: Scripted, calls: Calls) -> AsyncIterator[Sources]:
    config = SourceConfig(url=scripted.url, raw_queries=True)
    made = Sources({"default": config}, now, calls)
    yield made
    await made.close()
