"""Programs that look at the chart, built before the session moves to where nothing can be fetched."""

from pathlib import Path

import pytest

from local.build import find_definitions, find_programs
from local.python_tool import find_python_tool
from local.targets import PROMETHEUS_OPERATOR


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    needed = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        if "kubeconform" in needed:
            find_programs(["kubeconform"])
            find_definitions(PROMETHEUS_OPERATOR)
        if "checkov" in needed:
            find_python_tool("checkov")


@pytest.fixture(scope="session")
def kubeconform() -> Path:
    return find_programs(["kubeconform"])["kubeconform"]


@pytest.fixture(scope="session")
def checkov() -> Path:
    return find_python_tool("checkov")
