"""The run as docs/bench.svg: lane-steps a second of every system, a panel a workload."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.benchmarks.campaign import ENGINE
from tests.benchmarks.row import Results
from tests.benchmarks.summary import median

_OURS, _THEIRS = "#2a6f97", "#b8b8b8"


def draw(results: Results, path: Path) -> None:
    """Writes the chart; equal results give an equal file."""
    sound = [r for r in results.rows if r.measure == "throughput" and r.samples and not r.refused]
    groups = list(dict.fromkeys(row.group for row in sound))
    with mpl.rc_context({"svg.hashsalt": "seedbed", "font.size": 9}):
        figure = Figure(figsize=(8, 1.2 + 1.2 * max(1, len(groups))), layout="constrained")
        for place, group in enumerate(groups):
            axes = figure.add_subplot(len(groups), 1, place + 1)
            rows = [row for row in reversed(sound) if row.group == group]
            rates = [median(row.column("rate")) for row in rows]
            colours = [_OURS if row.name == ENGINE else _THEIRS for row in rows]
            bars = axes.barh(
                [f"{row.name} x {row.arguments['lanes']}" for row in rows], rates, color=colours
            )
            axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=3)
            axes.margins(x=0.12)
            axes.set_title(group, loc="left", fontsize=9)
            axes.spines[["top", "right"]].set_visible(False)
        figure.supxlabel("lane-steps a second of one core", fontsize=9)
        figure.savefig(path, metadata={"Date": None})
