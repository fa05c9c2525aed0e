"""The two pictures of the page, as SVG: the same bytes for the same tables."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from local.statistics.experiments import Seconds, Share, Table

_STYLES = {"ours": "#0b6e4f", "any look": "#c1121f", "3 in a row": "#e07a1f", "5 in a row": "#c9a227"}


def draw(tables: Mapping[str, Table], path: Path) -> None:
    """Write the picture: false rollbacks by rate, and time to detect by size of the regression."""
    with mpl.rc_context({"svg.hashsalt": "modelrollout", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        _false_rollbacks(left, tables["healthy"])
        _time_to_detect(right, tables["detection"])
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "make statistics"})


def _false_rollbacks(axes: Axes, table: Table) -> None:
    rates = [float(name) for name, _ in table.rows]
    for column in ("any look", "3 in a row", "5 in a row", "ours"):
        cells = [cell for name, _ in table.rows if isinstance(cell := table.cell(name, column), Share)]
        # A log scale has no 0: never is drawn at half a run.
        shares = [max(cell.estimate, 0.5 / cell.runs) for cell in cells]
        axes.errorbar(
            rates,
            shares,
            yerr=[cell.error for cell in cells],
            label=column,
            color=_STYLES[column],
            marker="o",
            capsize=2,
        )
    axes.axhline(0.01, color="grey", linestyle=":", linewidth=1)
    axes.annotate("1 % promised", (rates[-1], 0.01), ha="right", va="bottom", color="grey")
    axes.set(
        xscale="log", yscale="log", ylim=(3e-5, 1.5), xlabel="requests of the candidate a second",
        ylabel="share rolled back within an hour", title="Healthy candidate (1 % bad, 2 % allowed)",
    )  # fmt: skip
    axes.legend()


def _time_to_detect(axes: Axes, table: Table) -> None:
    times = [float(name.rstrip("x")) for name, _ in table.rows]
    for column in ("3 in a row", "5 in a row", "ours"):
        cells = [cell for name, _ in table.rows if isinstance(cell := table.cell(name, column), Seconds)]
        axes.plot(times, [cell.median for cell in cells], label=column, color=_STYLES[column], marker="o")
    axes.set(
        xscale="log", yscale="log", xlabel="candidate's errors, times the baseline's 1 %",
        ylabel="seconds to rollback (median)", title="Worse candidate, 2 requests a second of 20",
    )  # fmt: skip
    axes.set_xticks(times, [f"{one:g}" for one in times])
    axes.minorticks_off()
    axes.legend()
