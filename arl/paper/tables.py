"""The paper's tables from stored rows: ours over seeds beside the paper's, as text, CSV, LaTeX and a picture."""

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl.paper.measured import Line, measured_on
from arl.paper.saved import Saved, figures_folder, preset_of, runs_of, save_figure, saved_name
from arl.paper.style import COLOURS, NAMES, WIDTH, themed
from arl.store import make_folder, write_atomically

# Where a metric's name is broken under a narrow panel.
BREAKS = {" similarity": "\nsimilarity", " variance ": "\nvariance ", "LDA score ": "LDA score\n"}
NARROW = 15  # letters that fit under a panel
LATEX = {
    "%": r"\%",
    "#": r"\#",
    "λ1": r"$\lambda_1$",
    "λ2": r"$\lambda_2$",
    "μ": r"$\mu$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "S_w": "$S_w$",
    "S_b": "$S_b$",
    "–": "--",
}


def table_text(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """The table for reading in a notebook: ours with interval, and in brackets the paper's."""
    names = [line.setting.title for line in lines]
    columns = [names, *([_cell(line, metric) for line in lines] for metric in metrics)]
    heads = ["", *(NAMES[metric][0].split(",")[0] for metric in metrics)]
    widths = [max(map(len, [head, *column])) for head, column in zip(heads, columns, strict=True)]
    out = [
        cells[0].ljust(widths[0]) + "".join(f"  {cell:>{n}}" for cell, n in zip(cells[1:], widths[1:], strict=True))
        for cells in (heads, *zip(*columns, strict=True))
    ]
    return "\n".join([*out, "", "ours, ± half of the interval, (the paper's). " + measured_on(lines)])


def save_table(
    lines: Sequence[Line], name: str, metrics: Sequence[str], more: Mapping[str, Any] | None = None
) -> Saved:
    """Write NAME among the figures as CSV (one line a cell, with run ids), LaTeX (booktabs), PNG, PDF and JSON, which has `more` as well;
    returns the picture."""
    folder = figures_folder(preset_of(runs_of(lines)))
    make_folder(folder)
    cells = [_csv_cell(line, metric) for line in lines for metric in metrics]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(cells[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    stem = saved_name(name, lines)
    write_atomically(folder / f"{stem}.csv", out.getvalue().encode())
    write_atomically(folder / f"{stem}.tex", latex(lines, metrics).encode())
    return save_figure(picture(lines, metrics), name, lines, {"cells": cells, "on": measured_on(lines), **(more or {})})


def read_cells(path: Path) -> list[dict[str, str]]:
    """The cells of a table's CSV file, as `save_table` wrote them; what could not be measured is empty."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _csv_cell(line: Line, metric: str) -> dict[str, Any]:
    return {
        "row": line.setting.name,
        "label": line.setting.label,
        "metric": metric,
        **{k: v for k, v in line.figure(metric).items() if k != "each"},
        "seeds": " ".join(f"{v:.6g}" for v in line.each(metric)),
        "paper": line.setting.paper.get(metric, ""),
        "runs": " ".join(run.id for run in line.runs),
    }


def latex(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """A booktabs table: ours ± half of the interval, the paper's in brackets. Needs `\\usepackage{booktabs}`."""
    arrows = {"↑": r" $\uparrow$", "↓": r" $\downarrow$", "": ""}
    head = " & ".join(["", *(_tex(NAMES[m][0]) + arrows[NAMES[m][1]] for m in metrics)])
    rows = [
        " & ".join([_tex(line.setting.title.replace("  ", " ")), *(_cell(line, m, tex=True) for m in metrics)])
        for line in lines
    ]
    note = _tex("Ours, ± half of the interval (in brackets: the paper, CelebA). " + measured_on(lines))
    body = " \\\\\n".join(rows)
    return (
        f"% made by arl; \\usepackage{{booktabs}}\n\\begin{{tabular}}{{l{'r' * len(metrics)}}}\n\\toprule\n{head} \\\\\n\\midrule\n"
        f"{body} \\\\\n\\bottomrule\n\\end{{tabular}}\n% {note}\n"
    )


@themed
def picture(lines: Sequence[Line], metrics: Sequence[str]) -> Figure:
    """A panel a metric, a row a line: ours with interval and each seed, the paper's as a diamond, the mean face as a dotted line."""
    deep = 0.13 * max(_broken(metric).count("\n") - 1 for metric in metrics)
    figure, axes = plt.subplots(
        1,
        len(metrics),
        figsize=(WIDTH, 0.8 + 0.2 * len(lines) + max(deep, 0)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, metric in zip(axes[0], metrics, strict=True):
        _panel(axis, lines, metric)
    axes[0, 0].set_yticks(np.arange(len(lines))[::-1], [line.setting.title for line in lines])
    axes[0, 0].set_ylim(-0.6, len(lines) - 0.4)
    ours = dict(marker="o", color=COLOURS[0], markersize=3.5, linewidth=1.2, label="ours, 95 % interval; | each seed")
    theirs = dict(marker="D", color="white", markeredgecolor=COLOURS[1], markersize=4, label="the paper (CelebA)")
    floor = dict(color="0.5", linestyle=":", linewidth=0.9, label="floor: the mean face (ours)")
    handles = [plt.Line2D([], [], **look) for look in (ours, theirs, floor)]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _panel(axis: Axes, lines: Sequence[Line], metric: str) -> None:
    """One metric of `picture`: the lines from top to bottom."""
    for y, line in enumerate(reversed(lines)):
        m = line.figure(metric)
        if m["value"] is None:
            continue
        if m["low"] is not None:
            axis.plot([m["low"], m["high"]], [y, y], color=COLOURS[0], linewidth=1.2, zorder=2)
        axis.plot(m["each"], [y] * len(m["each"]), "|", color=COLOURS[0], markersize=5, zorder=2)
        axis.plot(m["value"], y, "o", color=COLOURS[0], markersize=3.5, zorder=3)
        if metric in line.setting.paper:
            look = dict(color="white", markeredgecolor=COLOURS[1], markersize=4, zorder=3)
            axis.plot(line.setting.paper[metric], y, "D", **look)
    floors = [f for f in (line.floor(metric) for line in lines) if f is not None]
    if floors:
        axis.axvline(np.mean(floors), color="0.5", linestyle=":", linewidth=0.9, zorder=1)
    axis.set_xlabel(_broken(metric), fontsize=7)
    axis.grid(axis="y", color="0.92", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.margins(x=0.08)  # no marker is cut


def _broken(metric: str) -> str:
    """The metric's name and arrow in lines that fit under its panel."""
    name, arrow, _ = NAMES[metric]
    for words, broken in BREAKS.items():
        name = name.replace(words, broken)
    lines = f"{name}\u00a0{arrow}".split("\n")  # an arrow is not left alone
    return "\n".join(textwrap.fill(line, NARROW) for line in lines)


def _cell(line: Line, metric: str, tex: bool = False) -> str:
    m, decimals = line.figure(metric), NAMES[metric][2]
    if m["value"] is None:
        return "–"
    half = (m["high"] - m["low"]) / 2
    sign = r" $\pm$ " if tex else " ± "
    cell = f"{m['value']:.{decimals}f}{sign}{half:.{decimals}f}"
    paper = line.setting.paper.get(metric)
    return cell + (f" ({paper:.{decimals}f})" if paper is not None else "")


def _tex(words: str) -> str:
    for symbol, tex in LATEX.items():
        words = words.replace("\\" + symbol, symbol).replace(symbol, tex)
    return words
