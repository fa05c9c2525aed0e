"""A quick version of `make statistics`: the promises hold, and the figures that are known are found again."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from modelrollout.core.counts import PASS_THRESHOLD
from modelrollout.core.stats import Counts, Pair, log_evidence_above, log_evidence_below, log_evidence_increase

from local.statistics import experiments, rules, worlds
from local.statistics.__main__ import DOCS
from local.statistics.experiments import FAIL, Seconds, Share, Table
from local.statistics.page import render_page, text_of
from local.statistics.plot import draw

QUICK = {
    "healthy": 600, "at_the_limit": 500, "compared": 120, "cold_start": 600, "common_drift": 60, "bursty": 60,
    "detection": 60, "detection_absolute": 100,
}  # fmt: skip


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return {name: getattr(experiments, name)(runs) for name, runs in QUICK.items()}


def shares(table: Table, column: str) -> Iterator[Share]:
    for name, _ in table.rows:
        cell = table.cell(name, column)
        assert isinstance(cell, Share)
        yield cell


def most(alpha: float, runs: int) -> float:
    """Return the share that is too much for chance: a promise of alpha, three standard errors, and one run."""
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs) + 1 / runs


@pytest.mark.parametrize(
    ("table", "column", "alpha"),
    [
        ("healthy", "ours", 0.0),
        ("at_the_limit", "ours", 0.01),
        ("at_the_limit", "ours at 5 %", 0.05),
        ("at_the_limit", "ours passes", 0.05),
        ("compared", "ours, 0 %", 0.01),
        ("compared", "ours, 25 % at the edge", 0.01),
        ("bursty", "ours", 0.01),
        ("bursty", "broken, ours", 0.01),
        ("bursty", "kept, ours", 0.05),
    ],
)
def test_at_no_rate_and_with_no_bursts_are_there_more_false_verdicts_than_promised(tables, table, column, alpha):
    assert all(share.estimate <= most(alpha, share.runs) for share in shares(tables[table], column))


@pytest.mark.parametrize(
    ("table", "row", "column", "known"),
    [
        ("healthy", "0.1", "one look", 0.262),
        ("healthy", "0.1", "any look", 0.975),
        ("healthy", "0.5", "any look", 0.968),
        ("healthy", "0.5", "5 in a row", 0.741),
        ("healthy", "1", "any look", 0.872),
        ("healthy", "1", "3 in a row", 0.632),
        ("healthy", "2", "3 in a row", 0.236),
        ("healthy", "5", "any look", 0.163),
        ("healthy", "10", "any look", 0.063),
        ("healthy", "20", "any look", 0.012),
        ("at_the_limit", "1", "any look", 1.0),
        ("cold_start", "two minutes of warm-up", "ours", 0.003),
        ("bursty", "1.5", "relative, plain", 0.066),
        ("bursty", "3", "relative, plain", 0.28),
        ("bursty", "5", "relative, plain", 0.39),
    ],
)
def test_figures_that_others_found_are_found_again(tables, table, row, column, known):
    share = tables[table].cell(row, column)

    assert abs(share.estimate - known) <= 4 * math.hypot(share.error, math.sqrt(known * (1 - known) / 3000))


def test_added_up_over_steps_a_common_drift_is_taken_for_a_difference_and_multiplied_it_is_not(tables):
    drift = tables["common_drift"]

    assert drift.cell("alpha 1 %", "added up").estimate > 0.15
    assert drift.cell("alpha 1 %", "ours").estimate <= most(0.01, QUICK["common_drift"])


def test_a_cold_start_is_a_rollback_without_warm_up(tables):
    assert tables["cold_start"].cell("all requests count", "ours").estimate > 0.95


@pytest.mark.parametrize(("row", "median"), [("2x", 870), ("3x", 270), ("5x", 90), ("10x", 30), ("30x", 30)])
def test_a_worse_candidate_is_caught_as_soon_as_is_known(tables, row, median):
    found = tables["detection"].cell(row, "ours, 0 %")

    assert found.median == pytest.approx(median, rel=0.35, abs=30)


def test_a_disaster_is_caught_before_consecutive_looks_can_act(tables):
    detection = tables["detection"]

    assert detection.cell("10x", "ours").median < detection.cell("10x", "3 in a row").median
    assert detection.cell("10x", "5 in a row").median == 150


class TestShortcuts:
    """Bounds instead of evidence at each look say the same as the operator's code asked each time."""

    RUNS = 20

    def requests(self):
        random = worlds.generator(11)
        requests = worlds.arriving(random, self.RUNS, 45)
        return requests, worlds.independent(random, requests, 0.03)

    def test_of_one_version(self):
        requests, bad = self.requests()
        totals = [
            [Counts(int(n), int(x)) for n, x in zip(*row, strict=True)]
            for row in zip(worlds.so_far(requests), worlds.so_far(bad), strict=True)
        ]

        broken = [[log_evidence_above(one, 0.02, 1.7) >= FAIL for one in row] for row in totals]
        kept = [[log_evidence_below(one, 0.05, 1.7) >= PASS_THRESHOLD for one in row] for row in totals]

        assert np.any(broken)
        assert rules.broken(requests, bad, 0.02, FAIL, 1.7).tolist() == broken
        assert np.any(kept)
        assert rules.kept(requests, bad, 0.05, PASS_THRESHOLD, 1.7).tolist() == kept

    def test_of_two(self):
        random = worlds.generator(12)
        bad = worlds.independent(random, worlds.steady(self.RUNS, 45), 0.03)
        other = worlds.independent(random, worlds.steady(self.RUNS, 400), 0.01)
        mine, theirs = worlds.so_far(bad), worlds.so_far(other)

        one_by_one = [
            [
                log_evidence_increase([Pair(Counts(45 * n, int(x)), Counts(400 * n, int(y)))], 0.25, 1.7) >= FAIL
                for n, (x, y) in enumerate(zip(*row, strict=True), 1)
            ]
            for row in zip(mine, theirs, strict=True)
        ]

        assert np.any(one_by_one)
        assert rules.worse(bad, other, (45, 400), 0.25, FAIL, 1.7).tolist() == one_by_one


def test_in_a_row_is_in_a_row():
    hits = np.array([[True, True, False, True, True, True, False]])

    assert rules.in_a_row(hits, 3).tolist() == [[False] * 5 + [True, False]]
    assert rules.in_a_row(hits, 1).tolist() == hits.tolist()


def test_the_last_five_minutes_are_ten_looks():
    counts = np.arange(1, worlds.LOOKS + 1)[None, :]

    window = worlds.last(counts, rules.FIVE_MINUTES)[0]

    assert window[:3].tolist() == [1, 3, 6]
    assert window[-1] == sum(range(111, 121))


def test_the_page_in_docs_has_the_tables_that_are_made_now(tables):
    page = (DOCS / "statistics.md").read_text()

    for table in tables.values():
        assert f"## {table.title}\n\n{table.about}\n\n| {' | '.join(table.head)} |" in page
        assert all(f"\n| {name} | " in page for name, _ in table.rows)
    assert (DOCS / "statistics.svg").read_text().startswith("<?xml")


def test_the_page_has_each_figure_with_its_error_and_the_picture_is_the_same_each_time(tables, tmp_path):
    page = render_page(list(tables.values()), 12.3, "2.0")
    for name in ("one.svg", "two.svg"):
        draw(tables, tmp_path / name)

    assert "Made in 12 s of one core's time" in page
    assert text_of(Share(3, 100)) == "0.03 ± 0.02"
    assert text_of(Seconds(90.0, math.inf)) == "90 / over 1 h"
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
