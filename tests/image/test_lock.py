"""The part of the lock file that goes into the image."""

import pytest

from local.release.lock import LockIncomplete, needed, operator_needs, read_lock
from tests.support.chart import TOP

LOCK = """\
app==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:ab
    # via modelrollout (pyproject.toml)
Big_Tool==2.1 ; sys_platform == 'linux' \\
    --hash=sha256:bb
    # via
    #   modelrollout (pyproject.toml)
    #   app
leaf==3 \\
    --hash=sha256:cc
    # via big-tool
tests-only==4 \\
    --hash=sha256:dd
    # via modelrollout (pyproject.toml)
"""


def test_what_is_needed_by_way_of_others_comes_along():
    found = needed(read_lock(LOCK), ["App"])

    assert [one.name for one in found] == ["app", "big-tool", "leaf"]


def test_versions_markers_and_hashes_stay_as_they_are_locked():
    (found,) = (one for one in needed(read_lock(LOCK), ["app"]) if one.name == "big-tool")

    assert (found.version, found.text) == ("2.1", "Big_Tool==2.1 ; sys_platform == 'linux' \\\n    --hash=sha256:bb\n")


def test_a_name_that_is_not_locked_is_refused():
    with pytest.raises(LockIncomplete, match="new-one is not in the lock file: run `make lock`"):
        needed(read_lock(LOCK), ["New.One"])


def test_the_image_gets_the_operators_needs_and_not_those_of_demo_and_tests():
    roots = list(operator_needs((TOP / "pyproject.toml").read_text("utf-8")))
    found = {one.name: one for one in needed(read_lock((TOP / "requirements.lock").read_text("utf-8")), roots)}

    assert {"kopf", "kubernetes", "aiohttp", "pydantic-core", "apprise"} <= found.keys()
    assert found.keys().isdisjoint({"scikit-learn", "numpy", "pytest", "mypy", "hatchling", "cloudevents"})
    assert all("--hash=sha256:" in one.text for one in found.values())
