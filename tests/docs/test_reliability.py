"""The table of faults is whole: each row names tests that exist, or says why there is none."""

import re

import pytest

from tests.docs.pages import TOP, page

ROWS = page("docs/reliability.md").rows(r"[0-9]+")
WRITTEN = {
    name: file.relative_to(TOP).as_posix()
    for file in (TOP / "tests").rglob("test_*.py")
    for name in re.findall(r"^\s*(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
}


def test_there_is_a_row_for_each_fault():
    assert [int(row[0]) for row in ROWS] == list(range(1, 53))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_row_names_tests_that_exist_or_says_why_not(row: list[str]):
    _, _, does, shown = row
    named = re.findall(r"`(test_\w+)`", shown)

    assert [name for name in named if name not in WRITTEN] == []
    assert named or (shown == "-" and len(does.split()) > 8)


def test_every_test_named_after_a_row_is_in_it():
    shown = {name: int(row[0]) for row in ROWS for name in re.findall(r"test_\w+", row[3])}
    numbered = {int(name[9:11]) for name in WRITTEN if re.match(r"test_row_\d\d_", name)}

    assert {number for name, number in shown.items() if name.startswith("test_row_")} == numbered
    assert all(int(name[9:11]) == number for name, number in shown.items() if name.startswith("test_row_"))
