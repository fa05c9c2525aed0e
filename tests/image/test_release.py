"""What `make release` says of itself: every package with its version, who needs it, and under which licence."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from modelrollout import __version__

from local.release.bill import NotInstalled, bill_of_materials, installed, licence_list
from local.release.lock import Locked, needed, normalised, operator_needs, read_lock
from tests.support.chart import CHART, TOP

MADE = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def packages() -> list[Locked]:
    return needed(read_lock((TOP / "requirements.lock").read_text("utf-8")), direct())


def direct() -> list[str]:
    return [normalised(name) for name in operator_needs((TOP / "pyproject.toml").read_text("utf-8"))]


def bill(packages: list[Locked]) -> dict[str, Any]:
    text = bill_of_materials(("modelrollout", __version__), direct(), packages, installed(packages), made=MADE)
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_bill_names_each_package_that_the_image_holds(packages: list[Locked]):
    components = bill(packages)["components"]

    assert {one["purl"] for one in components} == {f"pkg:pypi/{one.name}@{one.version}" for one in packages}
    assert all(one["licenses"] for one in components)


def test_the_bill_says_who_needs_whom(packages: list[Locked]):
    written = bill(packages)
    tree = {one["ref"]: set(one["dependsOn"]) for one in written["dependencies"]}
    own = written["metadata"]["component"]["bom-ref"]
    reached, waiting = set[str](), [own]
    while waiting:
        reached.add(package := waiting.pop())
        waiting += tree[package] - reached

    assert {package.rpartition("/")[2].partition("@")[0] for package in tree[own]} == set(direct())
    assert reached == {own, *(one["bom-ref"] for one in written["components"])}


def test_the_same_release_has_the_same_bill(packages: list[Locked]):
    assert bill(packages) == bill(packages)


def test_every_package_has_a_known_licence_and_its_text(packages: list[Locked]):
    text = licence_list(packages, installed(packages))

    assert "see its licence file" not in text
    assert [one.name for one in packages if f"\n{one.name} {one.version}: " not in text] == []


def test_no_licence_is_guessed_of_a_package_of_another_version():
    other = Locked(name="kopf", version="0.1", text="", wanted_by=frozenset())

    with pytest.raises(NotInstalled, match=r"is installed, 0\.1 is locked"):
        installed([other])


def test_chart_and_operator_have_one_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))

    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
