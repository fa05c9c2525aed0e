"""The examples are good manifests, and show what they say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from modelrollout.api.reference import PAGE, render_reference
from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.api.structural import structural_schema
from modelrollout.core.plan import plan_of

from local.api import parse_objects
from local.cluster import LocalCluster
from tests.support.chart import TOP

EXAMPLES = sorted((TOP / "examples").glob("*.yaml"))


def rollout_in(file: Path) -> dict[str, Any]:
    (found,) = (one for one in parse_objects(file.read_text("utf-8")) if one["kind"] == "ModelRollout")
    return found


@pytest.mark.cluster
@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in EXAMPLES])
def test_an_example_can_be_applied_as_it_stands(contract: LocalCluster, namespace: str, file: Path) -> None:
    told = contract.kubectl(
        "apply", "-n", namespace, "-f", str(file), "--dry-run=server", "--validate=strict", "-o", "name"
    )

    assert told.split() == [
        f"{one['kind'].lower()}.{one['apiVersion'].split('/')[0]}/{one['metadata']['name']}"
        for one in parse_objects(file.read_text("utf-8"))
    ]


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in EXAMPLES])
def test_the_operator_reads_an_example_and_prints_it_back(file: Path) -> None:
    written = rollout_in(file)["spec"]

    read = ModelRolloutSpec.model_validate(written)

    assert ModelRolloutSpec.model_validate(read.render()) == read
    assert plan_of(read, has_baseline=True).steps[-1].stage == "full"


def test_the_smallest_example_fits_into_25_lines() -> None:
    assert len((TOP / "examples/minimal.yaml").read_text("utf-8").splitlines()) <= 25


def test_the_full_example_names_every_field() -> None:
    text = (TOP / "examples/full.yaml").read_text("utf-8")

    assert [name for name in field_names(structural_schema(ModelRolloutSpec)) if f"{name}:" not in text] == []


def field_names(schema: dict[str, Any]) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield name
        yield from field_names(field)
    yield from field_names(schema["items"]) if "items" in schema else ()


def test_the_reference_page_is_what_the_models_say() -> None:
    assert (TOP / PAGE).read_text("utf-8") == render_reference(), "run `python -m modelrollout.api.reference --write`"


def test_every_link_of_the_reference_page_leads_to_a_section() -> None:
    page = render_reference()
    sections = {line.removeprefix("## ").lower() for line in page.splitlines() if line.startswith("## ")}
    links = {part.split(")")[0] for part in page.split("](#")[1:]}

    assert links <= sections


def test_the_kind_cluster_is_reached_from_this_machine_only() -> None:
    config = yaml.safe_load((TOP / "kind-config.yaml").read_text("utf-8"))
    mappings = [mapping for node in config["nodes"] for mapping in node.get("extraPortMappings", [])]

    assert {mapping["listenAddress"] for mapping in mappings} == {"127.0.0.1"}
