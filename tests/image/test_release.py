"""What `make release` says of itself: every package with its version, who needs it, and under which licence."""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from modelrollout import __version__

from local.build import find_programs
from local.release.__main__ import make_release
from local.release.bill import NotInstalled, bill_of_materials, installed, licence_list
from local.release.lock import Locked, needed, normalised, operator_needs, read_lock
from tests.support.chart import CHART, TOP

VALIDATE = """
import pathlib, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(pathlib.Path(sys.argv[1]).read_text("utf-8")))
"""
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


def test_a_licence_that_only_its_text_names_is_the_one_of_that_text(packages: list[Locked]):
    (parser,) = (one for one in bill(packages)["components"] if one["name"] == "promql-parser")
    text = installed([one for one in packages if one.name == "promql-parser"])["promql-parser"].read_text(
        "licenses/LICENSE"
    )

    assert parser["licenses"] == [{"expression": "MIT"}]
    assert text is not None
    assert text.startswith("The MIT License (MIT)")


def test_no_licence_is_guessed_of_a_package_of_another_version():
    other = Locked(name="kopf", version="0.1", text="", wanted_by=frozenset())

    with pytest.raises(NotInstalled, match=r"is installed, 0\.1 is locked"):
        installed([other])


def test_chart_and_operator_have_one_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))

    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The release twice: of this work tree, and of a copy elsewhere whose files are of another time and mode."""
    place = tmp_path_factory.mktemp("releases")
    copy = place / "copy"
    parts = ("operator", "charts", "crds", "README.md", "LICENSE", "pyproject.toml", "requirements.lock", ".gitignore")
    for name in parts:
        if (TOP / name).is_dir():
            shutil.copytree(TOP / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(TOP / name, copy / name)
    for file in copy.rglob("*"):
        os.utime(file, (1, 1))
        file.chmod(0o700 if file.is_dir() else 0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1790000000")
        make_release(place / "first")
        make_release(place / "second", copy)
    return place / "first", place / "second"


def test_the_same_sources_give_the_same_bytes(releases: tuple[Path, Path]):
    first, second = ({file.name: file.read_bytes() for file in place.iterdir()} for place in releases)

    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_the_check_sums_are_those_of_every_other_file(releases: tuple[Path, Path]):
    place, _ = releases
    answer = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=place, capture_output=True, text=True, check=True
    )

    assert len(answer.stdout.splitlines()) == len(list(place.iterdir())) - 1


def test_helm_takes_the_chart_that_was_packed(releases: tuple[Path, Path]):
    place, _ = releases
    helm = find_programs(["helm"])["helm"]

    shown = subprocess.run([helm, "show", "all", next(place.glob("*.tgz"))], capture_output=True, text=True, check=True)

    assert f"version: {__version__}" in shown.stdout
    assert "kind: CustomResourceDefinition" in shown.stdout


def test_the_bill_is_valid_by_the_schema_of_cyclonedx(releases: tuple[Path, Path], checkov: Path):
    # The library with the schema comes with checkov, whose environment must not meet ours.
    place, _ = releases
    (written,) = place.glob("*.cdx.json")
    wrong = place.parent / "wrong.json"
    wrong.write_text(written.read_text("utf-8").replace('"type": "library"', '"type": "thing"', 1), "utf-8")

    answers = [
        subprocess.run([checkov.with_name("python"), "-c", VALIDATE, file], capture_output=True, text=True, check=True)
        for file in (written, wrong)
    ]

    assert answers[0].stdout == "None\n"
    assert "thing" in answers[1].stdout
