"""Figures of one or more rows, drawn from stored runs only: nothing here trains, so redrawing takes seconds."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from arl.config import RunConfig
from arl.data import open_data, pictures, split
from arl.paper.measured import Line
from arl.paper.people import choose_people, different_people
from arl.paper.style import COLOURS, WIDTH, themed
from arl.row import Row

CURVES = {
    "utility": "utility loss (6) on X1",
    "pixel": "pixel loss (7) on X1",
    "perceptual": "perceptual distance (8) on X1",
    "adversary": "simulated adversary (5) on X2",
    "discriminator": "discriminator (3) on X2",
    "feature_scale": "feature scale: deviation of Z",
    "mcc": "mean MCC on X2, unseen by Enc",
}
MARGIN = 1.15  # inches at the left of a grid of pictures, for the rows' names


@themed
def reconstruction_grid(
    images: dict[str, Tensor], notes: dict[str, Sequence[str]] | None = None, notes_are: str = "", width: float = WIDTH
) -> Figure:
    """One row of pictures for each entry of `images`, named at its left: (n, 3, S, S) in [0, 1], n the same in all.

    `notes`: for an entry of `images`, a short text under each of its pictures, such as a similarity; `notes_are` says below all what
    they are. `width` in inches.
    """
    notes = notes or {}
    cell = (width - MARGIN) / len(next(iter(images.values())))
    heights = [cell + (0.17 if name in notes else 0.03) for name in images]
    total = sum(heights)
    figure = plt.figure(figsize=(width, total))
    y = total
    for (name, faces), height in zip(images.items(), heights, strict=True):
        middle = (y - cell / 2) / total
        figure.text((MARGIN - 0.08) / width, middle, name, ha="right", va="center", fontsize=8)
        for i, face in enumerate(faces):
            corner = ((MARGIN + i * cell) / width, (y - cell * 0.98) / total)
            axes = figure.add_axes((*corner, cell * 0.97 / width, cell * 0.97 / total))
            axes.imshow(face.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="bicubic")
            axes.set_axis_off()
            if name in notes:
                axes.text(0.5, -0.02, notes[name][i], transform=axes.transAxes, ha="center", va="top", fontsize=6.5)
        y -= height
    if notes_are:
        figure.text(MARGIN / width, -0.01, notes_are, ha="left", va="top")
    return figure


@themed
def training_curves(row: Row) -> Figure:
    """How the Enc and f of `row` were trained: an axis a quantity, epochs along x."""
    lines = row.of("encoder").metrics
    noted = [name for name in lines[-1] if name not in CURVES and name != "epoch"]  # by a defence of another paper
    names = [name for name in [*CURVES, *noted] if name in lines[-1]]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 1.9 * rows), squeeze=False, layout="constrained")
    for axis, name in zip(axes.flat, names, strict=False):
        measured = [m for m in lines if name in m]  # in its first epochs Enc may be without an adversary
        epochs, values = [m["epoch"] for m in measured], [m[name] for m in measured]
        axis.plot(epochs, values, color=COLOURS[0], marker=".", markersize=4)
        axis.set(title=CURVES.get(name, f"{name} on X1"), xlim=(0.5, lines[-1]["epoch"] + 0.5))
        axis.set_xlabel("epoch", fontsize=7)
        axis.xaxis.get_major_locator().set_params(integer=True)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    return figure


@themed
def wall(cfg: RunConfig, n: int, columns: int = 8) -> Figure:
    """The first `n` different people of T."""
    data = open_data(cfg)
    faces = pictures(data, different_people(data, split(data, cfg).t, n))
    rows = -(-len(faces) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, WIDTH / columns * rows), squeeze=False)
    figure.subplots_adjust(0, 0, 1, 1, 0.03, 0.03)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, face in zip(axes.flat, faces, strict=False):
        axis.imshow(face.permute(1, 2, 0).numpy(), interpolation="bicubic")
    return figure


def compare(
    rows: Mapping[str, Row] | Sequence[Line], people: int | np.ndarray = 8, choose: str | int = "first"
) -> Figure:
    """Figure 3: photographs of T, and what Dec^a of each row makes of their features, with its face similarity.

    `rows`: stored rows by the name that stands at their left, or lines of a table, each shown by its first seed. `people`: how many, each
    once, chosen as `choose_people` does in the first of the rows; or an array of images. Raises `ConfigError`.
    """
    line = None if isinstance(rows, Mapping) else rows[0]
    rows = rows if isinstance(rows, Mapping) else rows_by_name(rows)
    first = next(iter(rows.values()))
    index = people if isinstance(people, np.ndarray) else choose_people(first, people, choose)
    by = f", by {line.judge}" if line is not None and line.judge else ""
    shown: dict[str, Tensor] = {}
    notes: dict[str, list[str]] = {}
    for name, row in rows.items():
        shown.setdefault("input", pictures(row.experiment.data, index))
        shown[name] = row.reconstruct(index)
        notes[name] = _similarities(line, row, index)
    return reconstruction_grid(shown, notes, f"numbers: face similarity to the input{by} (better ↓)")


def rows_by_name(lines: Sequence[Line]) -> dict[str, Row]:
    """The first seed's run of each line, by its number and label; lines of several tables have their table's number as well."""
    mixed = len({line.setting.table for line in lines}) > 1
    found: dict[str, Row] = {}
    for line in lines:
        setting = line.setting
        number = f"#{setting.key}" if setting.table == 1 else ""
        head = f"Table {setting.table}{', ' if number else ''}{number}" if mixed else number
        label = setting.label.replace(", ", "\n", 1)
        found[f"{head}\n{label}" if head else label] = line.runs[0]
    return found


def _similarities(line: Line | None, row: Row, index: np.ndarray) -> list[str]:
    """The face similarity of each image of `index`, as `row` measured it on T; by the judge of `line`."""
    each = row.each("face_similarity") if line is None else line.each_image(row, "face_similarity")
    similarity = dict(zip(row.each("t").tolist(), each.tolist(), strict=True))
    return [f"{similarity[int(i)]:.2f}" for i in index]
