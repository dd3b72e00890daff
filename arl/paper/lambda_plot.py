"""The map λ(ours) ↔ λ(paper) drawn: python -m arl.paper.lambda_plot MEASURED.json [NAME of g's raw distances, default random].

MEASURED.json is what `tests/bench_lambda.py` wrote; a figure a ladder goes to where figures go, and the map as text to the screen.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl.paper.lambda_map import FOLLOWED, Mapped, Matched, effect_size, floor_of, map_text, mapped
from arl.paper.saved import save_figure
from arl.paper.scales import RAW
from arl.paper.style import COLOURS, NAMES, WIDTH, themed
from arl.store import Run, runs_root

EFFECTS = {"share": "what is left above the floor", "ratio": "what is left", "fall": "change"}
SYMBOLS = {"lambda1": "λ1", "again": "λ1", "conv1": "λ1, Z at conv1", "lambda2": "λ2"}


@themed
def lambda_figure(found: Mapped, kind: str = "share") -> Figure:
    """A panel a metric: its effect along λ(ours), the paper's levels as horizontal lines, the readings' factors as vertical ones.

    The last panel: for each λ that the paper printed, the λ(ours) of the same effect with its 95 % interval; an arrow where it is open.
    """
    shown = [m for m in FOLLOWED if any(match.metric == m for match in found.matches[kind])]
    columns = 2 if len(shown) == 3 else 3
    rows = -(-(len(shown) + 1) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 2.3 * rows), layout="constrained", squeeze=False)
    for axis, metric in zip(axes.flat, shown, strict=False):
        _effects(axis, found, metric, kind)
    _map(axes.flat[len(shown)], found, kind, shown)
    for axis in axes.flat[len(shown) + 1 :]:
        axis.set_visible(False)
    return figure


def _effects(axis: Axes, found: Mapped, metric: str, kind: str) -> None:
    """One metric's effect at each λ above 0, its interval, and what the paper and the readings say."""
    points = [point for point in found.points if point["lambda"] > 0]
    unprotected = min(found.points, key=lambda point: point["lambda"])[metric]["value"]
    floor = floor_of(found.points, metric)
    lambdas = [point["lambda"] for point in points]
    value, low, high = (
        np.array([effect_size(point[metric][side], unprotected, floor, kind) for point in points])
        for side in ("value", "low", "high")
    )
    axis.errorbar(lambdas, value, np.abs([value - low, high - value]), fmt="o-", color=COLOURS[0], markersize=3.5)
    for match in found.matches[kind]:
        if match.metric == metric:
            axis.axhline(match.target, color=COLOURS[1], linestyle="--", linewidth=0.8)
    least, most = lambdas[0] / 2, lambdas[-1] * 2
    for reading in found.readings:
        if least < reading.factor < most:
            axis.axvline(reading.factor, color="0.75", linewidth=0.6, zorder=0)
    axis.set(xscale="log", xlim=(least, most), title=NAMES[metric][0], xlabel=f"{SYMBOLS[found.ladder]}, ours")
    axis.set_ylabel(EFFECTS[kind])


def _map(axis: Axes, found: Mapped, kind: str, metrics: list[str]) -> None:
    """λ(paper) to λ(ours), a colour a metric, slightly apart."""
    tried = [point["lambda"] for point in found.points if point["lambda"] > 0]
    least, most = min(tried) / 2, max(tried) * 2
    papers = sorted({match.paper for match in found.matches[kind]})
    for i, metric in enumerate(metrics):
        colour = COLOURS[FOLLOWED.index(metric)]
        for match in (m for m in found.matches[kind] if m.metric == metric):
            x = papers.index(match.paper) + 0.13 * (i - len(metrics) / 2)
            _interval(axis, x, match, least, most, colour)
        axis.plot([], [], "o", color=colour, markersize=3.5, label=NAMES[metric][0])
    for reading in found.readings:
        at = [reading.factor * paper for paper in papers]
        style = ("-", "0.3") if reading.factor == 1 else ("-", "0.85")
        axis.plot(range(len(papers)), at, style[0], color=style[1], marker="_", linewidth=0.6, zorder=0)
    axis.set(yscale="log", ylim=(least, most), xlim=(-0.6, len(papers) - 0.4), title="same effect; grey: readings")
    axis.set_xticks(range(len(papers)), [f"{paper:g}" for paper in papers])
    axis.set(xlabel=f"{SYMBOLS[found.ladder]}, the paper's", ylabel=f"{SYMBOLS[found.ladder]}, ours")
    axis.legend(fontsize=5.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncol=2, columnspacing=1)


def _interval(axis: Axes, x: float, match: Matched, least: float, most: float, colour: str) -> None:
    low, high, value = (float(np.clip(v, least * 1.05, most / 1.05)) for v in (match.low, match.high, match.value))
    axis.plot([x, x], [low, high], color=colour, linewidth=0.9)
    shape = "v" if match.value < least else "^" if match.value > most else "o"
    axis.plot([x], [value], shape, color=colour, markersize=3.5, clip_on=False)


def main() -> None:
    source = Path(sys.argv[1])
    measured = json.loads(source.read_text())
    raw = RAW[sys.argv[2] if len(sys.argv) > 2 else "random"]
    print(measured["on"])
    for found in mapped(measured, raw):
        print(map_text(found))
        runs = [Run(runs_root() / id) for point in found.points for id in point["runs"]]
        numbers = {"on": measured["on"], **found.numbers}
        print(save_figure(lambda_figure(found), f"12_{found.ladder}", runs, numbers).path)


if __name__ == "__main__":
    main()
