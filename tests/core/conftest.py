"""The flag that rewrites stories."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-stories", action="store_true", help="rewrite tests/core/stories as they go today")
