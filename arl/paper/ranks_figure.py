"""The rank correlations of `ranks` as a figure: a strip a pair, a panel a metric, a point a row."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import NullFormatter

from arl.paper.ranks import DRAWS, RULE, Measured, common, correlations, is_bed
from arl.paper.saved import Saved, figures_folder, write_figure
from arl.paper.style import COLOURS, NAMES, WIDTH, themed

COLUMNS_OF_PANELS = 4
STRIP, PANEL = 0.35, 1.75  # inches: the title of a strip, a line of its panels
WIDE = ("within_variance", "between_variance", "lda_score")  # over orders of magnitude: on logarithmic axes
SHAPES = {"1": "o", "2": "s", "3": "D"}  # by table

Pair = tuple[Measured, Measured]


@themed
def ranks_figure(pairs: Sequence[Pair], found: Sequence[Mapping[str, Any]]) -> Figure:
    """The distinct rows of each of `pairs`, one against the other, with Spearman's ρ and its interval; `found`: their `correlations`."""
    lines = [-(-len(metrics) // COLUMNS_OF_PANELS) for metrics in found]
    heights = [STRIP + PANEL * n for n in lines]
    figure = plt.figure(figsize=(WIDTH, sum(heights) + 0.3), layout="constrained")
    strips = figure.subfigures(len(pairs), 1, squeeze=False, height_ratios=heights)[:, 0]
    for strip, pair, metrics, n in zip(strips, pairs, found, lines, strict=True):
        _strip(strip, pair, metrics, n)
    looks = [
        plt.Line2D([], [], linestyle="", marker=shape, color=colour, markersize=4, label=f"a row of Table {table}")
        for (table, shape), colour in zip(SHAPES.items(), COLOURS, strict=False)
    ]
    figure.legend(handles=looks, loc="outside lower center", ncols=3)
    return figure


def _strip(strip: SubFigure, pair: Pair, metrics: Mapping[str, Any], lines: int) -> None:
    x, y = (data.title for data in pair)
    strip.suptitle(f"{x} (across) against {y} (up)", fontsize=8, fontweight="bold", x=0.01, ha="left")
    axes = strip.subplots(lines, COLUMNS_OF_PANELS, squeeze=False).flat
    for axis, (metric, groups) in zip(axes, metrics.items(), strict=False):
        _scatter(axis, pair, metric)
        rho = groups["all rows"].get("spearman")
        words = f"ρ {rho['value']:.2f} ({rho['low']:.2f} … {rho['high']:.2f})" if rho else "too few rows"
        axis.set_title(f"{NAMES[metric][0].partition(' S_')[0].partition(',')[0]}\n{words}", fontsize=7)
    for axis in [*axes][len(metrics) :]:
        axis.set_visible(False)


def _scatter(axis: Axes, pair: Pair, metric: str) -> None:
    rows = common(*pair, metric)
    for (table, shape), colour in zip(SHAPES.items(), COLOURS, strict=False):
        places = np.array([[data.values[row, metric].mean() for data in pair] for row in rows if row.startswith(table)])
        axis.plot(*places.reshape(-1, 2).T, shape, color=colour, markersize=3, alpha=0.8, markeredgewidth=0)
    if metric in WIDE:
        axis.set(xscale="log", yscale="log")
        axis.xaxis.set_minor_formatter(NullFormatter()), axis.yaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(labelsize=6)
    axis.margins(0.1)


def save_ranks(pairs: Sequence[Pair], name: str) -> Saved | None:
    """Write the figure NAME and a JSON with the rule, every number, every point, and the run ids behind each row.

    It goes to the folder of the last of the data of the first pair, as a preset of that name. None where `pairs` are none.
    """
    if not pairs:
        return None
    found = [correlations(pair) for pair in pairs]
    preset = pairs[0][1].folder.name
    runs = {data.title: data.runs for pair in pairs for data in pair if data.runs}
    numbers = {"rule": RULE, "draws": DRAWS, "pairs": [_numbers(*each) for each in zip(pairs, found, strict=True)]}
    return write_figure(ranks_figure(pairs, found), figures_folder(preset), name, preset, runs, numbers)


def _numbers(pair: Pair, found: Mapping[str, Any]) -> dict[str, Any]:
    """What was drawn of a pair: `points` by metric and row are (across, up)."""
    points = {
        metric: {row: [float(data.values[row, metric].mean()) for data in pair] for row in common(*pair, metric)}
        for metric in found
    }
    return {
        "across": pair[0].title,
        "up": pair[1].title,
        "rule": is_bed(pair),
        "on": [d.on for d in pair],
        "correlations": found,
        "points": points,
    }
