"""What means hide: the MCC of each attribute, and the leak of each person."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn
from matplotlib.figure import Figure

from arl.paper.measured import Line
from arl.paper.style import COLOURS, NAMES, WIDTH, themed


def mcc_of_attributes(lines: Sequence[Line]) -> tuple[list[str], list[str], np.ndarray]:
    """Names of encoders and of attributes, and the MCC of each, (encoders, attributes), a mean over seeds; nan: not its task.

    Lines that share their encoders are one, as attackers do not change what Enc and f know. Attributes are sorted by the first encoder.
    """
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault(tuple(run.result["runs"]["encoder"] for run in line.runs), []).append(line)
    found = [_mcc(members[0]) for members in groups.values()]
    names = sorted(dict.fromkeys(name for mcc in found for name in mcc), key=lambda name: -found[0].get(name, -1))
    values = np.array([[mcc.get(name, np.nan) for name in names] for mcc in found])
    return [_title(members) for members in groups.values()], names, values


def _mcc(line: Line) -> dict[str, float]:
    """Attribute to MCC, a mean over the seeds in which it can be measured; nan where in none."""
    each: dict[str, list[float]] = {}
    for run in line.runs:
        for name, m in run.result["mcc"].items():
            each.setdefault(name, []).append(np.nan if m["value"] is None else m["value"])
    return {name: _mean(values) for name, values in each.items()}


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")


def _title(lines: Sequence[Line]) -> str:
    """Of lines with one encoder: all their numbers, and the label of the first."""
    label = lines[0].setting.label
    numbers = " ".join(f"#{line.setting.key}" for line in lines if line.setting.table == 1)
    return f"{numbers}  {label}" if numbers else label


@themed
def mcc_map(lines: Sequence[Line]) -> Figure:
    """The MCC of each attribute (columns) by each encoder of `lines` (rows) as a heat map; white: not among its tasks."""
    encoders, attributes, values = mcc_of_attributes(lines)
    figure, axis = plt.subplots(figsize=(WIDTH, 1.45 + 0.2 * len(encoders)), layout="constrained")
    seaborn.heatmap(
        values, ax=axis, vmin=0, vmax=1, cmap="viridis", linewidths=0.3, xticklabels=[a.replace("_", " ") for a in attributes],
        yticklabels=encoders, cbar_kws={"label": "MCC (better ↑)", "pad": 0.01, "aspect": 10},
    )  # fmt: skip
    axis.tick_params(length=0, labelsize=6.5)
    axis.tick_params(axis="x", rotation=90, labelsize=6)
    return figure


def leak_of_people(line: Line, metric: str = "face_similarity") -> dict[int, float]:
    """Each person of T with the mean of `metric` over all their photographs and seeds."""
    each: dict[int, list[float]] = {}
    for row in line.runs:
        people = row.experiment.data.identities[row.each("t").numpy()]
        for person, value in zip(people.tolist(), line.each_image(row, metric).tolist(), strict=True):
            each.setdefault(person, []).append(value)
    return {person: float(np.mean(values)) for person, values in each.items()}


@themed
def people_leak(lines: Sequence[Line], metric: str = "face_similarity") -> Figure:
    """How differently people leak: a dot a person, the shape of their distribution, its mean, and the mean face as a dotted line."""
    leaks = [list(leak_of_people(line, metric).values()) for line in lines]
    table: dict[str, list[Any]] = {
        "leak": [value for leak in leaks for value in leak],
        "line": [line.setting.title for line, leak in zip(lines, leaks, strict=True) for _ in leak],
    }
    figure, axis = plt.subplots(figsize=(WIDTH, 0.8 + 0.36 * len(lines)), layout="constrained")
    look = dict(color=COLOURS[5], inner=None, cut=0, linewidth=0, alpha=0.45, density_norm="width", zorder=1)
    seaborn.violinplot(table, x="leak", y="line", ax=axis, **look)
    apart = np.random.default_rng(0).uniform(-0.2, 0.2, len(table["leak"]))  # so that dots do not hide one another
    at = np.repeat(np.arange(len(lines)), [len(leak) for leak in leaks])
    axis.scatter(table["leak"], at + apart, s=2.5, color=COLOURS[0], alpha=0.6, linewidths=0, zorder=2)
    means = [float(np.mean(leak)) for leak in leaks]
    axis.plot(
        means, range(len(lines)), "D", color="white", markeredgecolor="black", markersize=4, label="mean over people"
    )
    floors = [f for f in (line.floor(metric) for line in lines) if f is not None]
    if floors:
        axis.axvline(np.mean(floors), color="0.4", linestyle=":", label="floor: the mean face")
    name, arrow, _ = NAMES[metric]
    axis.set(xlabel=f"{name} of a person's decoded photographs (better {arrow}); a dot a person", ylabel="")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
