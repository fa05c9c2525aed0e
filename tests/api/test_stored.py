"""Fault matrix row 49: what operators of earlier releases have left in clusters is read as it was meant.

The files in `stored` are never made again. A release that changes what status holds adds files of its own.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from modelrollout.core.plan import identity_of
from modelrollout.core.rollout import Rollout, parse_rollout

STORED = sorted((Path(__file__).parent / "stored").glob("*.json"))


def read(file: Path) -> tuple[dict[str, Any], Rollout]:
    stored = json.loads(file.read_text("utf-8"))
    return stored["status"], parse_rollout(stored)


@pytest.mark.parametrize("file", STORED, ids=[file.stem for file in STORED])
def test_row_49_each_field_that_a_release_stored_is_read(file: Path):
    status, rollout = read(file)

    assert (rollout.problem, rollout.ignored) == ("", ())
    assert missing(status, rollout.status.render()) == []


@pytest.mark.parametrize("file", STORED, ids=[file.stem for file in STORED])
def test_row_49_versions_and_plan_are_recognized_so_that_no_attempt_begins_anew(file: Path):
    status, rollout = read(file)
    assert rollout.spec

    assert identity_of(rollout.spec.candidate).digest == status["attempt"]["candidate"]["digest"]
    assert rollout.plan(has_baseline=True).digest == status["attempt"]["plan"]


def test_releases_are_kept_with_attempts_under_way_promoted_and_rolled_back():
    phases = {file.stem.partition("-")[2] for file in STORED}

    assert phases >= {"canary", "full", "promoted", "rolled-back"}


def missing(stored: Any, known: Any, path: str = "status") -> list[str]:
    """Return where `known` says something else than `stored` does, or nothing."""
    if isinstance(stored, dict) and isinstance(known, dict):
        return [place for key, value in stored.items() for place in missing(value, known.get(key), f"{path}.{key}")]
    if isinstance(stored, list) and isinstance(known, list) and len(stored) == len(known):
        return [
            place for n, (a, b) in enumerate(zip(stored, known, strict=True)) for place in missing(a, b, f"{path}.{n}")
        ]
    return [] if stored == known else [path]
