"""The paper's tables from stored rows: ours over seeds beside the paper's, as text, CSV, LaTeX and a picture; and what to recommend.

An interval is the 95 % t-interval of the mean over seeds (split, initial weights and order change with the seed). One seed alone has
the bootstrap interval over the images of T instead, and every output says which of the two it shows.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from arl.paper.figures import COLOURS, METRICS, figures_folder, save_figure
from arl.paper.front import front  # noqa: F401, a table has one: `tables.front(lines)`
from arl.paper.rows import Row, seeded
from arl.store import Run, write_atomically
from arl.sweep import run_all

NAMES = {key: (name, arrow, decimals) for key, name, arrow, decimals in METRICS}


@dataclass(frozen=True)
class Line:
    """One row of a table with its run for each seed."""

    row: Row
    runs: tuple[Run, ...]

    def each(self, metric: str) -> np.ndarray:
        """The metric on T of each seed, (seeds,)."""
        return np.array([run.result[metric]["value"] for run in self.runs], np.float64)

    def figure(self, metric: str) -> dict[str, Any]:
        """`value`, `low`, `high`: the mean over seeds with its t-interval; of one seed, the interval over images."""
        values = self.each(metric)
        if len(values) > 1:
            return {**over_seeds(values), "each": values.tolist()}
        one = self.runs[0].result[metric]
        return {"value": one["value"], "low": one["low"], "high": one["high"], "each": values.tolist()}

    def floor(self, metric: str) -> float | None:
        """What an attacker reaches who never saw Z: the mean face. None where the metric has no floor."""
        found = [run.result[metric].get("floors", {}).get("mean face") for run in self.runs]
        return float(np.mean(found)) if None not in found else None


def over_seeds(values: Sequence[float]) -> dict[str, float]:
    """The mean of two or more values with its 95 % t-interval."""
    values = np.asarray(values, np.float64)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return {"value": float(values.mean()), "low": float(values.mean() - half), "high": float(values.mean() + half)}


def measure(rows: Sequence[Row], seeds: object) -> list[Line]:
    """Every row with every seed of the list `seeds` ("0,1,2"), found or made in one sweep."""
    cfgs = [seeded(row.cfg, seeds) for row in rows]
    runs = iter(run_all(list(chain.from_iterable(cfgs))))
    return [Line(row, tuple(next(runs) for _ in each)) for row, each in zip(rows, cfgs, strict=True)]


def measured_on(lines: Sequence[Line]) -> str:
    """What the figures of `lines` were measured on: data, attributes' judge C, perceptual g, seeds, kind of interval."""
    results = [run.result for line in lines for run in line.runs]
    seeds = sorted({r["config"]["seed"] for r in results})
    tests = sorted({r["measured_on"]["test_set"].split(" (split")[0] for r in results})
    judges = sorted({r["measured_on"]["C"].split(";")[0] for r in results})
    g = {part for r in results for part in re.split(" for Dec\\^a, | for the simulated Dec", r["measured_on"]["g"])} - {
        "none",
        "",
    }
    kind = f"95 % t-interval over {len(seeds)} seeds ({', '.join(map(str, seeds))})"
    if len(seeds) == 1:
        kind = f"95 % bootstrap interval over test images, seed {seeds[0]}"
    return f"{'; '.join(tests)}. C: {'; '.join(judges)}. g: {'; '.join(sorted(g)) or 'none'}. {kind}."


def text(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """The table for reading in a notebook: ours with interval, and in brackets the paper's."""
    names = [(f"#{line.row.key}  " if line.row.table == 1 else "") + line.row.label for line in lines]
    columns = [names, *([_cell(line, metric) for line in lines] for metric in metrics)]
    heads = ["", *(NAMES[metric][0].split(",")[0] for metric in metrics)]
    widths = [max(map(len, [head, *column])) for head, column in zip(heads, columns, strict=True)]
    out = [
        cells[0].ljust(widths[0]) + "".join(f"  {cell:>{n}}" for cell, n in zip(cells[1:], widths[1:], strict=True))
        for cells in (heads, *zip(*columns, strict=True))
    ]
    return "\n".join([*out, "", "ours, ± half of the interval, (the paper's). " + measured_on(lines)])


def save_table(lines: Sequence[Line], name: str, preset: str, metrics: Sequence[str]) -> Figure:
    """Write `figures/PRESET/NAME` as CSV (one line a cell, with run ids), LaTeX (booktabs), PNG, PDF and JSON; returns the picture."""
    folder = figures_folder(preset)
    folder.mkdir(parents=True, exist_ok=True)
    cells = [
        {
            "row": line.row.name,
            "label": line.row.label,
            "metric": m,
            **{k: v for k, v in line.figure(m).items() if k != "each"},
            "seeds": " ".join(f"{v:.6g}" for v in line.each(m)),
            "paper": line.row.paper.get(m, ""),
            "runs": " ".join(run.id for run in line.runs),
        }
        for line in lines
        for m in metrics
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(cells[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    write_atomically(folder / f"{name}.csv", out.getvalue().encode())
    write_atomically(folder / f"{name}.tex", latex(lines, metrics).encode())
    figure = picture(lines, metrics)
    save_figure(
        figure, name, preset, [run for line in lines for run in line.runs], {"cells": cells, "on": measured_on(lines)}
    )
    return figure


def latex(lines: Sequence[Line], metrics: Sequence[str]) -> str:
    """A booktabs table: ours ± half of the interval, the paper's in brackets. Needs `\\usepackage{booktabs}`."""
    head = " & ".join(
        ["", *(_tex(NAMES[m][0]) + {"↑": r" $\uparrow$", "↓": r" $\downarrow$", "": ""}[NAMES[m][1]] for m in metrics)]
    )
    rows = [
        " & ".join(
            [
                _tex((f"\\#{line.row.key} " if line.row.table == 1 else "") + line.row.label),
                *(_cell(line, m, tex=True) for m in metrics),
            ]
        )
        for line in lines
    ]
    note = _tex("Ours, ± half of the interval (in brackets: the paper, CelebA). " + measured_on(lines))
    body = " \\\\\n".join(rows)
    return (
        f"% made by arl; \\usepackage{{booktabs}}\n\\begin{{tabular}}{{l{'r' * len(metrics)}}}\n\\toprule\n{head} \\\\\n\\midrule\n"
        f"{body} \\\\\n\\bottomrule\n\\end{{tabular}}\n% {note}\n"
    )


def picture(lines: Sequence[Line], metrics: Sequence[str]) -> Figure:
    """A panel a metric, a row a line: ours with interval and each seed, the paper's as a diamond, the mean face as a dotted line."""
    figure, axes = plt.subplots(
        1, len(metrics), figsize=(7.0, 0.8 + 0.2 * len(lines)), sharey=True, squeeze=False, layout="constrained"
    )
    y = np.arange(len(lines))[::-1]
    for axis, metric in zip(axes[0], metrics, strict=True):
        name, arrow, _ = NAMES[metric]
        for i, line in zip(y, lines, strict=True):
            m = line.figure(metric)
            if m["low"] is not None:
                axis.plot([m["low"], m["high"]], [i, i], color=COLOURS[0], linewidth=1.2, zorder=2)
            axis.plot(m["each"], [i] * len(m["each"]), "|", color=COLOURS[0], markersize=5, zorder=2)
            axis.plot(m["value"], i, "o", color=COLOURS[0], markersize=3.5, zorder=3)
            if metric in line.row.paper:
                axis.plot(
                    line.row.paper[metric], i, "D", color="white", markeredgecolor=COLOURS[1], markersize=4, zorder=3
                )
        floors = [f for f in (line.floor(metric) for line in lines) if f is not None]
        if floors:
            axis.axvline(np.mean(floors), color="0.5", linestyle=":", linewidth=0.9, zorder=1)
        label = (
            name.replace(" similarity", "\nsimilarity")
            .replace(" variance ", "\nvariance ")
            .replace("LDA score ", "LDA score\n")
        )
        axis.set_xlabel(f"{label} {arrow}", fontsize=7)
        axis.tick_params(labelsize=6.5)
        axis.grid(axis="y", color="0.92", linewidth=0.7)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.08)  # no marker is cut
    axes[0, 0].set_yticks(
        y, [("#" + x.row.key + "  " if x.row.table == 1 else "") + x.row.label for x in lines], fontsize=7
    )
    axes[0, 0].set_ylim(-0.6, len(lines) - 0.4)
    handles = [
        plt.Line2D(
            [],
            [],
            marker="o",
            color=COLOURS[0],
            markersize=3.5,
            linewidth=1.2,
            label="ours, 95 % interval; | each seed",
        ),
        plt.Line2D(
            [], [], marker="D", color="white", markeredgecolor=COLOURS[1], markersize=4, label="the paper (CelebA)"
        ),
        plt.Line2D([], [], color="0.5", linestyle=":", linewidth=0.9, label="floor: the mean face (ours)"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=6.5, frameon=False)
    return figure


def recommend(lines: Sequence[Line], least_mcc: float, privacy: str = "face_similarity", draws: int = 20_000) -> str:
    """The setting that leaks least among those whose mean MCC is at least `least_mcc`, and how sure that is.

    Uncertainty: both metrics of each line are drawn from normal distributions with the standard error over seeds (with one seed: over
    images, from its bootstrap interval), independently; the share of draws in which a line is the answer is its probability.
    """
    if not lines:
        raise ValueError("lines: found none, accepted: at least one measured line")
    rng = np.random.default_rng(0)
    drawn = {}
    for metric in ("mean_mcc", privacy):
        mean = np.array([line.figure(metric)["value"] for line in lines])
        error = np.array([_standard_error(line, metric) for line in lines])
        drawn[metric] = rng.normal(mean, error, (draws, len(lines)))
    accepted = drawn["mean_mcc"] >= least_mcc
    best = np.where(accepted, drawn[privacy], np.inf).argmin(1)
    share = np.bincount(best[accepted.any(1)], minlength=len(lines)) / draws
    means = [(line.figure("mean_mcc")["value"], line.figure(privacy)["value"]) for line in lines]
    fitting = [i for i, (mcc, _) in enumerate(means) if mcc >= least_mcc]
    if not fitting:
        top = max(range(len(lines)), key=lambda i: means[i][0])
        return (
            f"no measured setting keeps a mean MCC of {least_mcc:g}; the most useful is {lines[top].row.label} with {means[top][0]:.3f} "
            f"(none fits in {1 - accepted.any(1).mean():.0%} of the draws)"
        )
    chosen = min(fitting, key=lambda i: means[i][1])
    others = sorted((i for i in range(len(lines)) if i != chosen and share[i] >= 0.05), key=lambda i: -share[i])
    rest = "".join(f"; {lines[i].row.label} in {share[i]:.0%}" for i in others)
    return (
        f"for a mean MCC of at least {least_mcc:g}: {lines[chosen].row.label}, mean MCC {means[chosen][0]:.3f}, {NAMES[privacy][0]} "
        f"{means[chosen][1]:.3f}; it keeps that MCC in {accepted[:, chosen].mean():.0%} of the draws and is the best choice in "
        f"{share[chosen]:.0%}{rest}. {measured_on(lines)}"
    )


def _standard_error(line: Line, metric: str) -> float:
    values = line.each(metric)
    if len(values) > 1:
        return float(values.std(ddof=1) / np.sqrt(len(values)))
    m = line.figure(metric)
    return (m["high"] - m["low"]) / (2 * 1.96)


def _cell(line: Line, metric: str, tex: bool = False) -> str:
    m, decimals = line.figure(metric), NAMES[metric][2]
    if m["value"] is None:
        return "–"
    half = (m["high"] - m["low"]) / 2
    sign = r" $\pm$ " if tex else " ± "
    cell = f"{m['value']:.{decimals}f}{sign}{half:.{decimals}f}"
    paper = line.row.paper.get(metric)
    return cell + (f" ({paper:.{decimals}f})" if paper is not None else "")


def _tex(words: str) -> str:
    for symbol, tex in {
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
    }.items():
        words = words.replace("\\" + symbol, symbol).replace(symbol, tex)
    return words
