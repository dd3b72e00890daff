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

from arl.config import RunConfig
from arl.data import FaceData, open_data, pictures
from arl.evaluate import parts, reconstruct
from arl.messages import ConfigError
from arl.store import Run, made_with, project_root, stored, write_json

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
    images: dict[str, Tensor], notes: dict[str, Sequence[str]] | None = None, notes_are: str = "", width: float = 7.0
) -> Figure:
    """One row of pictures for each entry of `images`, named at its left: (n, 3, S, S) in [0, 1], n the same in all.

    `notes`: for an entry of `images`, a short text under each of its pictures, such as a similarity; `notes_are` says below all what
    they are. `width` in inches.
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
    if notes_are:
        figure.text(label / width, -0.01, notes_are, ha="left", va="top", fontsize=7, color=INK)
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
    names = [name for name in titles if name in lines[-1]]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(7.0, 1.9 * rows), squeeze=False, layout="constrained")
    for axis, name in zip(axes.flat, names, strict=False):
        measured = [m for m in lines if name in m]  # in its first epochs Enc may be without an adversary
        axis.plot(
            [m["epoch"] for m in measured],
            [m[name] for m in measured],
            color=COLOURS[0],
            marker=".",
            markersize=4,
            linewidth=1,
        )
        axis.set_title(titles[name], fontsize=8)
        axis.tick_params(labelsize=7)
        axis.set_xlabel("epoch", fontsize=7)
        axis.set_xlim(0.5, lines[-1]["epoch"] + 0.5)
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


def choose_people(row: Run, n: int, how: str | int = "first") -> np.ndarray:
    """Images of T, one a person: the `first` ones, those of the highest face similarity in `row` (`worst`), or the lowest (`best`).

    Or chosen ones: `how` holds their places in T, counted from 0, such as "3,17,40"; `n` does not matter then. Raises `ConfigError`.
    """
    measured, _ = row.load()
    t, leak = measured["t"].numpy(), measured["face_similarity"].numpy()
    if how in ("first", "worst", "best"):
        sign = {"first": 0, "worst": -1, "best": 1}[how]
        index = t[np.argsort(sign * leak, kind="stable")]
        _, first = np.unique(open_data(RunConfig(**row.result["config"])).identities[index], return_index=True)
        return index[np.sort(first)[:n]]
    places = [int(place) if place.strip().isdecimal() else -1 for place in str(how).split(",")]
    if not all(0 <= place < len(t) for place in places):
        raise ConfigError(
            f"choose: found {how!r}, accepted: first, worst, best, or places in T such as 3,17 (0 to {len(t) - 1})"
        )
    return t[places]


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
    return reconstruction_grid(shown, notes, "numbers: face similarity to the input (better ↓)")


def tsne_panels(panels: dict[str, dict[str, Any]]) -> Figure:
    """Figure 4: panels of `probes.figure4` by title, side by side, with the probes' numbers under each map."""
    names = ("neither", "Smiling", "Eyeglasses", "both")
    looks = (("o", "white", COLOURS[5]), ("o", COLOURS[0], "white"), ("^", "white", COLOURS[1]), ("^", INK, "white"))
    figure, axes = plt.subplots(1, len(panels), figsize=(7.0, 2.6), squeeze=False)
    figure.subplots_adjust(0.155, 0.32, 0.995, 0.86, 0.06)
    for i, (axis, (title, panel)) in enumerate(zip(axes.flat, panels.items(), strict=True)):
        for c, (marker, face, edge) in enumerate(looks):
            x, y = panel["map"][panel["classes"] == c].T
            looks_of = dict(s=15 if marker == "o" else 18, c=face, marker=marker, edgecolors=edge)
            axis.scatter(x, y, linewidths=0.7, label=names[c], **looks_of)
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, fontsize=8)
        axis.spines[:].set_color("#BBBBBB")
        read = panel["read"]
        shown = {
            "Eyeglasses, MCC": read["Eyeglasses"]["mcc"],
            "Smiling, MCC": read["Smiling"]["mcc"],
            "four classes, recall": read["four classes"]["balanced_accuracy"],
        }
        for k, (name, v) in enumerate(shown.items()):
            y = -0.05 - 0.11 * k
            spread = (
                "–" if v["value"] is None else f"{v['value']:.2f} ({v['low']:.2f}–{v['high']:.2f})".replace("-", "−")
            )
            axis.text(0.5, y, spread, transform=axis.transAxes, ha="center", va="top", fontsize=7, color=INK)
            if i == 0:
                axis.text(-0.08, y, name, transform=axis.transAxes, ha="right", va="top", fontsize=7, color=INK)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize=7, frameon=False, bbox_to_anchor=(0.57, -0.01))
    return figure


def information_planes(
    settings: Sequence[str], rows: Sequence[Run], bits: Sequence[Any], read: Sequence[Any]
) -> Figure:
    """Above: bits about pixels, pictures and identity against the share of the labels' information, a point a setting.

    Below: what linear probes read of traits, against face similarity. `bits` by `information.information`, `read` by `probes.readable`.
    Hollow points and their lines: attackers with μ2 > 0.
    """
    traits = list(read[0]["Z"])
    hollow = [row.result["config"]["mu2"] > 0 for row in rows]
    figure = plt.figure(figsize=(7.0, 4.9))
    above = figure.add_gridspec(1, 3, top=0.98, bottom=0.66, left=0.085, right=0.99, wspace=0.1)
    below = figure.add_gridspec(1, max(1, len(traits)), top=0.42, bottom=0.15, left=0.085, right=0.99, wspace=0.12)
    titles = {
        "pixel_bits": "bits a pixel value, X̂ on X\n← better",
        "picture_bits": "bits a picture, X̂ on X\n← better",
        "identity_bits": "bits a picture, M(Z) on C(X)\n← better",
    }
    axis = None
    for i, (key, title) in enumerate(titles.items()):
        axis = figure.add_subplot(above[i], sharey=axis)
        for k, (name, found) in enumerate(zip(settings, bits, strict=True)):
            _cross(axis, found[key], found["label_share"], "os^DvPX*<>"[k % 10], INK, name, hollow[k])
        axis.set_xlabel(title, fontsize=8)
        axis.tick_params(labelsize=7, labelleft=i == 0)
        axis.margins(0.12)
    figure.axes[0].set_ylabel("share of the labels'\ninformation in f(Z)\nbetter →", fontsize=8)
    keys = axis.get_legend_handles_labels()
    figure.legend(*keys, loc="center", ncols=min(5, len(rows)), fontsize=7, frameon=False, bbox_to_anchor=(0.53, 0.515))

    looks = {"Z": ("o", "-", COLOURS[0]), "X̂": ("s", "--", COLOURS[1]), "skin of X̂": ("^", ":", COLOURS[2])}
    axis = None
    for i, trait in enumerate(traits):
        axis = figure.add_subplot(below[i], sharex=axis, sharey=axis)
        for source, (marker, line, colour) in looks.items():
            points = [
                (row.result["face_similarity"], r[source][trait], h)
                for row, r, h in zip(rows, read, hollow, strict=True)
            ]
            points = sorted((p for p in points if p[1]["value"] is not None), key=lambda p: p[0]["value"])
            for kind in (False, True):
                line_of = [(x["value"], y["value"]) for x, y, h in points if h == kind]
                axis.plot(*zip(*line_of, strict=True) if line_of else ((), ()), line, color=colour, linewidth=0.8)
            for x, y, h in points:
                _cross(axis, x, y, marker, colour, f"from {source}", h)
        if (yardstick := read[0]["X"][trait]["value"]) is not None:
            axis.axhline(
                yardstick, color="#888888", linewidth=0.8, dashes=(6, 2, 1, 2), label="from X itself", zorder=0
            )
        axis.axhline(0, color=INK, linewidth=0.5, zorder=0)
        axis.set_title(f"{trait.replace('_', ' ')}, {'R²' if trait == 'skin tone' else 'MCC'}", fontsize=8)
        axis.tick_params(labelsize=7, labelleft=i == 0)
        axis.xaxis.set_major_locator(plt.MaxNLocator(3))
        axis.margins(0.15, 0.08)
    if traits:
        figure.axes[3].set_ylabel("read by a linear probe\n← better", fontsize=8)
        figure.text(0.537, 0.06, "face similarity of X̂ and X   (← better)", ha="center", fontsize=8)
        keys = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        figure.legend(
            keys.values(), keys, loc="center", ncols=4, fontsize=7, frameon=False, bbox_to_anchor=(0.53, 0.025)
        )
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _cross(
    axis: Any, x: dict[str, Any], y: dict[str, Any], marker: str, colour: str, label: str, hollow: bool = False
) -> None:
    """A point with the intervals of both its figures."""
    errors = [[[v["value"] - v["low"]], [v["high"] - v["value"]]] for v in (x, y)]
    looks = dict(marker=marker, markersize=4, color=colour, linewidth=0.8, linestyle="none", label=label)
    axis.errorbar(x["value"], y["value"], errors[1], errors[0], markerfacecolor="white" if hollow else colour, **looks)
