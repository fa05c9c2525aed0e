"""The clock of these tests is virtual, and their logs are caught."""

from collections.abc import Callable, Iterator, Mapping

import pytest
import structlog
from structlog.typing import EventDict

from tests.support.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], VirtualTimeLoop]]:
    return {"virtual time": VirtualTimeLoop}


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured
