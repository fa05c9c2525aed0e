"""These faults take hours: they are played on the API server in memory, in virtual time."""

from tests.engine.conftest import logs, pytest_asyncio_loop_factories

__all__ = ["logs", "pytest_asyncio_loop_factories"]
