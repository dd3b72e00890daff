"""Tables and figures, drawn from stored runs only: nothing here trains, so redrawing takes seconds.

`save_figure` writes PNG, vector PDF and a JSON with the run ids, numbers, commit and versions behind the figure.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from arl.config import ConfigError, RunConfig, made_with, project_root
from arl.data import FaceData, open_data, pictures
from arl.evaluate import parts, reconstruct
from arl.runs import Run, stored, write_json

# Name in a row's result, name in print, the direction that is better for the user whose face it is, decimals.
METRICS = (
    ("mean_mcc", "mean MCC", "↑", 3),
    ("face_similarity", "face similarity", "↓", 3),
    ("feature_similarity", "feature similarity", "↓", 3),
    ("ssim", "SSIM", "↓", 3),
    ("psnr", "PSNR, dB", "↓", 2),
    ("within_variance", "within-class variance S_w", "", 2),
    ("between_variance", "between-class variance S_b", "", 2),
    ("lda_score", "LDA score S_b / S_w", "↓", 3),
)
INK = "#222222"
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)  # Okabe and Ito: safe for colour-blind readers


def figures_folder(preset: str) -> Path:
    """Where figures of `preset` go: `$ARL_FIGURES`, else `figures/`, and there a folder a preset."""
    return Path(os.environ.get("ARL_FIGURES") or project_root() / "figures") / preset


def save_figure(figure: Figure, name: str, preset: str, runs: Sequence[Run], numbers: Any = None) -> Path:
    """Write `figure` as PNG and PDF, and beside them a JSON: the runs it was drawn from, its numbers, commit, versions.

    Returns the PNG's path.
    """
    folder = figures_folder(preset)
    folder.mkdir(parents=True, exist_ok=True)
    # A fixed date and producer keep the file the same when the figure is.
    figure.savefig(folder / f"{name}.png", dpi=200, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    figure.savefig(folder / f"{name}.pdf", bbox_inches="tight", metadata={"CreationDate": None, "Producer": None})
    provenance = {
        "figure": name,
        "preset": preset,
        "runs": {run.id: run.spec for run in runs},
        "numbers": numbers,
        "drawn_with": made_with(),
    }
    write_json(folder / f"{name}.json", provenance)
    return folder / f"{name}.png"


def reconstruction_grid(
    images: dict[str, Tensor], notes: dict[str, Sequence[str]] | None = None, width: float = 7.0
) -> Figure:
    """One row of pictures for each entry of `images`, named at its left: (n, 3, S, S) in [0, 1], n the same in all.

    `notes`: for an entry of `images`, a short text under each of its pictures, such as a similarity. `width` in inches.
    """
    n = len(next(iter(images.values())))
    label = 1.15
    cell = (width - label) / n
    heights = [cell + (0.17 if notes and name in notes else 0.03) for name in images]
    figure = plt.figure(figsize=(width, sum(heights)))
    y = sum(heights)
    for (name, faces), height in zip(images.items(), heights, strict=True):
        y -= height
        figure.text(
            (label - 0.08) / width,
            (y + height - cell / 2) / sum(heights),
            name,
            ha="right",
            va="center",
            fontsize=8,
            color=INK,
        )
        for i, face in enumerate(faces):
            box = (
                (label + i * cell) / width,
                (y + height - cell * 0.98) / sum(heights),
                cell * 0.97 / width,
                cell * 0.97 / sum(heights),
            )
            axes = figure.add_axes(box)
            axes.imshow(face.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="bicubic")
            axes.set_axis_off()
            if notes and name in notes:
                axes.text(
                    0.5, -0.02, notes[name][i], transform=axes.transAxes, ha="center", va="top", fontsize=6.5, color=INK
                )
    return figure


def training_curves(run: Run) -> Figure:
    """What `metrics.jsonl` of a stored run says, an axis a quantity, epochs along x."""
    lines = run.metrics
    titles = {
        "utility": "utility loss (6) on X1",
        "pixel": "pixel loss (7) on X1",
        "perceptual": "perceptual distance (8) on X1",
        "adversary": "simulated adversary (5) on X2",
        "discriminator": "discriminator (3) on X2",
        "feature_scale": "feature scale: deviation of Z",
        "mcc": "mean MCC on X2, unseen by Enc",
        "attack": "attacker's loss (5) or (10), training",
        "validation": "attacker's loss, held-out X2",
    }
    names = [name for name in titles if name in lines[0]]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(7.0, 1.9 * rows), squeeze=False, layout="constrained")
    for axis, name in zip(axes.flat, names, strict=False):
        axis.plot(
            [m["epoch"] for m in lines],
            [m[name] for m in lines],
            color=COLOURS[0],
            marker=".",
            markersize=4,
            linewidth=1,
        )
        axis.set_title(titles[name], fontsize=8)
        axis.tick_params(labelsize=7)
        axis.set_xlabel("epoch", fontsize=7)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    return figure


def row_text(*rows: Run) -> str:
    """Rows of Table 1 as text: each figure with its 95 % interval, floor and ceiling, and what all was measured on."""
    parts = []
    for row in rows:
        result = row.result
        on = result["measured_on"]
        lines = [f"{row.id}  {on['setting']}", f"measured on  {on['test_set']}", f"g  {on['g']}", f"C  {on['C']}", ""]
        lines += [
            f"{'':28}{'value':>8}  {'95 % interval':^17}  {'floors: mean face, stranger':>27}  ceiling: same person"
        ]
        for key, name, arrow, decimals in METRICS:
            m = result[key]
            if m["value"] is None:
                lines.append(f"{name + ' ' + arrow:28}{'–':>8}  {m.get('why', '')}")
                continue
            interval = f"{m['low']:.{decimals}f} … {m['high']:.{decimals}f}"
            floors, ceilings = (
                "  ".join("–" if v is None else f"{v:.{decimals}f}" for v in m.get(kind, {}).values())
                for kind in ("floors", "ceilings")
            )
            lines.append(
                f"{name + ' ' + arrow:28}{m['value']:8.{decimals}f}  {interval:^17}  {floors:>27}  {ceilings:>20}".rstrip()
            )
        if not on["plateau"]:
            lines.append("an attacker ended before its plateau: a longer attack may leak more")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def runs_text() -> str:
    """One line for each run of the store: id, state, when, and what sets it apart."""
    lines = []
    for run in stored():
        spec, result, metrics = run.spec, run.result, run.metrics
        state = "finished" if result is not None else f"epoch {metrics[-1]['epoch']}" if metrics else "started"
        when = datetime.fromtimestamp((run.folder / "config.json").stat().st_mtime).strftime("%Y-%m-%d %H:%M")
        shown = (
            "encoder",
            "layer",
            "lambda1",
            "lambda2",
            "simulated_mu1",
            "simulated_mu2",
            "mu1",
            "mu2",
            "extra",
            "seed",
        )
        settings = " ".join(f"{k}={spec[k]}" for k in shown if k in spec and spec[k] not in (0, 0.0, "none"))
        if "data" in spec:
            settings = f"{spec['data'].get('kind', '')} {settings}"
        if result and "mean_mcc" in result:
            settings += (
                f" → MCC {result['mean_mcc']['value']:.3f}, face similarity {result['face_similarity']['value']:.3f}"
            )
        lines.append(f"{run.id:24} {state:10} {when}  {settings}")
    return "\n".join(lines) or "no runs yet: `arl run` makes the first one"


def different_people(data: FaceData, index: np.ndarray, n: int) -> np.ndarray:
    """The first photograph in `index` of each of its first `n` people (fewer if there are fewer): nobody is picked by hand."""
    _, first = np.unique(data.identities[index], return_index=True)
    return index[np.sort(first)[:n]]


def choose_people(row: Run, n: int, how: str = "first") -> np.ndarray:
    """Images of T, one a person: the `first` ones, those of the highest face similarity in `row` (`worst`), or the lowest (`best`)."""
    if how not in ("first", "worst", "best"):
        raise ConfigError(f"choose: found {how!r}, accepted: first, worst, best")
    cfg = RunConfig(**row.result["config"])
    measured, _ = row.load()
    order = {
        "first": np.arange(len(measured["t"])),
        "worst": np.argsort(-measured["face_similarity"].numpy(), kind="stable"),
        "best": np.argsort(measured["face_similarity"].numpy(), kind="stable"),
    }[how]
    index = measured["t"].numpy()[order]
    _, first = np.unique(open_data(cfg).identities[index], return_index=True)
    return index[np.sort(first)[:n]]


def wall(data: FaceData, index: np.ndarray, n: int, columns: int = 8) -> Figure:
    """The first `n` different people of `index`."""
    faces = pictures(data, different_people(data, index, n))
    rows = -(-len(faces) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(7.0, 7.0 / columns * rows), squeeze=False)
    figure.subplots_adjust(0, 0, 1, 1, 0.03, 0.03)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, face in zip(axes.flat, faces, strict=False):
        axis.imshow(face.permute(1, 2, 0).numpy(), interpolation="bicubic")
    return figure


def compare(rows: dict[str, Run], index: np.ndarray) -> Figure:
    """Figure 3 for some photographs of T: the input, and what Dec^a of each stored row makes of its features, with its face similarity."""
    shown: dict[str, Tensor] = {}
    notes: dict[str, list[str]] = {}
    for name, row in rows.items():
        cfg = RunConfig(**row.result["config"])
        data = open_data(cfg)
        runs = parts(row)
        shown.setdefault("input", pictures(data, index))
        shown[name] = reconstruct(cfg, runs["encoder"], runs["decoder"], data, index)
        measured, _ = row.load()
        similarity = dict(zip(measured["t"].tolist(), measured["face_similarity"].tolist(), strict=True))
        notes[name] = [f"{similarity[int(i)]:.2f}" for i in index]
    return reconstruction_grid(shown, notes)
