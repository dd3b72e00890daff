"""What means hide: the MCC of each attribute, and the leak of each person."""

from collections.abc import Sequence
from math import isnan
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn
from matplotlib.figure import Figure

from arl.paper.label_noise import label_noise
from arl.paper.measured import Line, over_seeds
from arl.paper.style import COLOURS, INK, NAMES, WIDTH, themed

Cell = dict[str, Any]  # value, low, high; change: the same of the difference to the unprotected encoder
ROW = 0.163  # inches: an attribute's row
COLUMN = 0.66  # inches: an encoder's column
NOTE = (
    "▾ less, ▴ more than the unprotected encoder at its left: the 95 % interval of the difference leaves out 0 (by chance 1 in 20).\n"
    "White: not among its tasks. –: not known."
)
CEILING = " Ceiling: √r, r the correlation of CelebA's two labels of one picture; at least: its lower end."


def mcc_of_attributes(lines: Sequence[Line]) -> tuple[list[str], list[str], np.ndarray]:
    """Names of encoders and of attributes, and the MCC of each, (encoders, attributes), a mean over seeds; nan: not its task.

    Lines that share their encoders are one, as attackers do not change what Enc and f know. Attributes are sorted by the first encoder.
    """
    groups = _encoders(lines)
    found = [_mcc(members[0]) for members in groups]
    names = sorted(dict.fromkeys(name for mcc in found for name in mcc), key=lambda name: -_known(found[0].get(name)))
    values = np.array([[mcc.get(name, np.nan) for name in names] for mcc in found])
    return [_title(members) for members in groups], names, values


def _known(value: float | None) -> float:
    return -2.0 if value is None or isnan(value) else value


def _encoders(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines by their encoders, in order."""
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault(tuple(run.result["runs"]["encoder"] for run in line.runs), []).append(line)
    return list(groups.values())


def _mcc(line: Line) -> dict[str, float]:
    """Attribute to MCC, a mean over the seeds in which it can be measured; nan where in none."""
    names = dict.fromkeys(name for run in line.runs for name in run.result["mcc"])
    return {name: _mean(list(_by_seed(line, name).values())) for name in names}


def _by_seed(line: Line, name: str) -> dict[int, float]:
    """The MCC of one attribute by the place of its seed, where it can be measured."""
    each = [run.result["mcc"].get(name, {}).get("value") for run in line.runs]
    return {i: value for i, value in enumerate(each) if value is not None}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _title(lines: Sequence[Line]) -> str:
    """Of lines with one encoder: all their numbers, and the label of the first."""
    label = lines[0].setting.label
    numbers = " ".join(f"#{line.setting.key}" for line in lines if line.setting.table == 1)
    return f"{numbers}  {label}" if numbers else label


def mcc_numbers(lines: Sequence[Line]) -> dict[str, Any]:
    """What `mcc_map` draws: `encoders`, by title and attribute, each MCC on T with its 95 % interval and its `change`; `ceiling` of each.

    `change` is the difference to the last unprotected encoder before it, with the t-interval of the difference over seeds; of one seed,
    the widest that the two intervals over images allow. None: there is none, or it cannot be measured, as a value that is None.
    `ceiling`: of each attribute `value`, `low`, `high`; None but on CelebA.
    """
    titles, names, _ = mcc_of_attributes(lines)
    found: dict[str, dict[str, Cell]] = {}
    plain: Line | None = None
    for title, (line, *_) in zip(titles, _encoders(lines), strict=True):
        tasks = {name for run in line.runs for name in run.result["mcc"]}
        cells = {name: _cell(line, name) for name in names if name in tasks}
        found[title] = {name: cell | {"change": _change(line, plain, name)} for name, cell in cells.items()}
        plain = plain if line.setting.cfg.protected else line
    celeba = all(run.result["config"]["data"] == "celeba" for line in lines for run in line.runs)
    ceilings = {name: noise.ceiling for name, noise in label_noise(names).items()} if celeba else None
    return {"encoders": found, "ceiling": ceilings}


def _cell(line: Line, name: str) -> Cell:
    values = _by_seed(line, name)
    if len(values) > 1:
        return over_seeds(list(values.values()))
    if not values:
        return dict.fromkeys(("value", "low", "high"))
    only = line.runs[next(iter(values))].result["mcc"][name]
    return {bound: only.get(bound, only["value"]) for bound in ("value", "low", "high")}


def _change(line: Line, plain: Line | None, name: str) -> dict[str, float] | None:
    if plain is None:
        return None
    ours, theirs = _by_seed(line, name), _by_seed(plain, name)
    if len(both := sorted(set(ours) & set(theirs))) > 1:
        return over_seeds([ours[i] - theirs[i] for i in both])
    if not both:
        return None
    a, b = _cell(line, name), _cell(plain, name)
    return {"value": a["value"] - b["value"], "low": a["low"] - b["high"], "high": a["high"] - b["low"]}


@themed
def mcc_map(lines: Sequence[Line]) -> Figure:
    """The MCC of each attribute (rows) by each encoder of `lines` (columns) as a heat map; white: not among its tasks, –: not measurable.

    ▾ and ▴: less and more than the unprotected encoder at its left, outside noise. On CelebA, at the right: the highest MCC that its
    labels allow, what that is at least, and the share of it that the first encoder has. Labels of drawn people have no noise.
    """
    numbers = mcc_numbers(lines)
    titles, names, values = mcc_of_attributes(lines)
    cells = [[_words(numbers["encoders"][title].get(name)) for title in titles] for name in names]
    shown, heads, note = values.T, [_head(title) for title in titles], NOTE
    if numbers["ceiling"]:
        tops = [numbers["ceiling"][name] for name in names]
        bounds = np.array([[top["value"], top["low"], np.nan] for top in tops], float)
        share = [_share(first, top["value"]) for first, top in zip(values[0], tops, strict=True)]
        cells = [[*own, *map(_decimals, top[:2]), part] for own, top, part in zip(cells, bounds, share, strict=True)]
        shown, note = np.hstack([shown, bounds]), NOTE + CEILING
        heads += ["ceiling by\nlabel noise", "at least", f"{titles[0].split('  ')[0].split()[0]} of\nceiling"]
    return _heat(shown, cells, [name.replace("_", " ") for name in names], heads, len(titles), note)


def _head(title: str) -> str:
    """A title over a narrow column: its numbers, then its label in short lines."""
    numbers, _, label = title.rpartition("  ")
    label = label.replace(" = ", "\u00a0=\u00a0").replace(" ‡", "\u00a0‡")  # stay on one line
    return "\n".join(part for part in (numbers, fill(label, 12)) if part)


def _share(mcc: float, ceiling: float | None) -> str:
    return "–" if isnan(mcc) or ceiling is None else f"{max(mcc, 0) / ceiling:.0%}"


def _decimals(value: float | None) -> str:
    """Such as ".62", "−.04" and "1.00"; a dash for what is not known."""
    if value is None or isnan(value):
        return "–"
    words = f"{abs(value):.2f}".removeprefix("0")
    return f"−{words}" if value < 0 and words != ".00" else words


def _words(cell: Cell | None) -> str:
    """Such as ".62 ▾"; the mark where the whole interval of the change is on one side of 0. Nothing for what is not a task."""
    if cell is None:
        return ""
    change = cell["change"] or {"low": 0, "high": 0}
    mark = " ▾" if change["high"] < 0 else " ▴" if change["low"] > 0 else ""
    return _decimals(cell["value"]) + mark


def _heat(
    shown: np.ndarray, cells: list[list[str]], names: list[str], heads: list[str], encoders: int, note: str
) -> Figure:
    """Numbers (rows, columns) as colours with `cells` written in them; a gap after the columns of the `encoders`."""
    size = (1.9 + COLUMN * len(heads), 1.0 + ROW * len(names))
    figure, axis = plt.subplots(figsize=(min(WIDTH, size[0]), size[1]), layout="constrained")
    seaborn.heatmap(
        shown, ax=axis, vmin=0, vmax=1, cmap="viridis", linewidths=0.4, annot=False, xticklabels=heads, yticklabels=names,
        cbar_kws={"label": "MCC (better ↑)", "pad": 0.01, "aspect": 45},
    )  # fmt: skip
    for (i, j), value in np.ndenumerate(shown):
        colour = "white" if not isnan(value) and value < 0.55 else INK
        axis.text(j + 0.5, i + 0.52, cells[i][j], ha="center", va="center", fontsize=6.5, color=colour)
    if len(heads) > encoders:
        axis.axvline(encoders, color="white", linewidth=5)
    axis.tick_params(length=0, labelsize=6.5)
    axis.tick_params(axis="x", labeltop=True, labelbottom=False, rotation=0, labelsize=6)
    axis.tick_params(axis="y", rotation=0)
    figure.supxlabel(note, fontsize=6, x=0.01, ha="left")
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
