"""Features in two dimensions (Figure 4), and privacy and utility in bits and probes: figures of `probes` and `information`."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from arl.paper.style import COLOURS, INK, WIDTH, themed
from arl.row import Row

# Marker, face and edge of each of `probes.CLASSES`: a triangle wears glasses, a filled one smiles.
CLASSES = {
    "neither": ("o", "white", COLOURS[5]),
    "Smiling": ("o", COLOURS[0], "white"),
    "Eyeglasses": ("^", "white", COLOURS[1]),
    "both": ("^", INK, "white"),
}
BITS = {
    "pixel_bits": "bits a pixel value, X̂ on X\n← better",
    "picture_bits": "bits a picture, X̂ on X\n← better",
    "identity_bits": "bits a picture, M(Z) on C(X)\n← better",
}
SOURCES = {"Z": ("o", "-", COLOURS[0]), "X̂": ("s", "--", COLOURS[1]), "skin of X̂": ("^", ":", COLOURS[2])}


def panels_numbers(panels: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What `tsne_panels` shows as numbers: how many points each map has, and what was read."""
    return {title.replace("\n", " "): {"points": len(p["classes"]), **p["read"]} for title, p in panels.items()}


@themed
def tsne_panels(panels: dict[str, dict[str, Any]]) -> Figure:
    """Figure 4: panels of `probes.figure4` by title, side by side, with the probes' numbers under each map."""
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 2.6), squeeze=False)
    figure.subplots_adjust(0.155, 0.32, 0.995, 0.86, 0.06)
    for i, (axis, (title, panel)) in enumerate(zip(axes.flat, panels.items(), strict=True)):
        for c, (name, (marker, face, edge)) in enumerate(CLASSES.items()):
            x, y = panel["map"][panel["classes"] == c].T
            look = dict(s=15 if marker == "o" else 18, c=face, marker=marker, edgecolors=edge, linewidths=0.7)
            axis.scatter(x, y, label=name, **look)
        axis.set(xticks=[], yticks=[], title=title)
        axis.spines[:].set_visible(True)
        axis.spines[:].set_color("#BBBBBB")
        _numbers(axis, panel["read"], named=i == 0)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, bbox_to_anchor=(0.57, -0.01))
    return figure


def _numbers(axis: Axes, read: dict[str, Any], named: bool) -> None:
    """What the probes read, under a map; the first map has the numbers' names at its left."""
    shown = {
        "Eyeglasses, MCC": read["Eyeglasses"]["mcc"],
        "Smiling, MCC": read["Smiling"]["mcc"],
        "four classes, recall": read["four classes"]["balanced_accuracy"],
    }
    for k, (name, v) in enumerate(shown.items()):
        y, words = -0.05 - 0.11 * k, "–"
        if v["value"] is not None:
            words = f"{v['value']:.2f} ({v['low']:.2f}–{v['high']:.2f})".replace("-", "−")
        axis.text(0.5, y, words, transform=axis.transAxes, ha="center", va="top")
        if named:
            axis.text(-0.08, y, name, transform=axis.transAxes, ha="right", va="top")


@themed
def information_planes(
    settings: Sequence[str], rows: Sequence[Row], bits: Sequence[Any], read: Sequence[Any]
) -> Figure:
    """Above: bits about pixels, pictures and identity against the share of the labels' information, a point a setting.

    Below: what linear probes read of traits, against face similarity. `bits` by `information.bits`, `read` by `probes.readable`.
    Hollow points and their lines: attackers with μ2 > 0.
    """
    traits = list(read[0]["Z"])
    hollow = [row.result["config"]["mu2"] > 0 for row in rows]
    figure = plt.figure(figsize=(WIDTH, 4.9))
    above = figure.add_gridspec(1, 3, top=0.98, bottom=0.66, left=0.085, right=0.99, wspace=0.1)
    below = figure.add_gridspec(1, max(1, len(traits)), top=0.42, bottom=0.15, left=0.085, right=0.99, wspace=0.12)
    axis = _bits(figure, above, settings, bits, hollow)
    keys = axis.get_legend_handles_labels()
    figure.legend(*keys, loc="center", ncols=min(5, len(rows)), bbox_to_anchor=(0.53, 0.515))
    if traits:
        axis = _traits(figure, below, traits, rows, read, hollow)
        figure.text(0.537, 0.06, "face similarity of X̂ and X   (← better)", ha="center", fontsize=8)
        keys = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        figure.legend(keys.values(), keys, loc="center", ncols=4, bbox_to_anchor=(0.53, 0.025))
    return figure


def _bits(figure: Figure, grid: GridSpec, settings: Sequence[str], bits: Sequence[Any], hollow: Sequence[bool]) -> Axes:
    """The upper panels; returns the last."""
    axis = None
    for i, (key, title) in enumerate(BITS.items()):
        axis = figure.add_subplot(grid[i], sharey=axis)
        for k, (name, found) in enumerate(zip(settings, bits, strict=True)):
            _cross(axis, found[key], found["label_share"], "os^DvPX*<>"[k % 10], INK, name, hollow[k])
        axis.set_xlabel(title)
        axis.tick_params(labelleft=i == 0)
        axis.margins(0.12)
    figure.axes[0].set_ylabel("share of the labels'\ninformation in f(Z)\nbetter →")
    return axis


def _traits(
    figure: Figure,
    grid: GridSpec,
    traits: Sequence[str],
    rows: Sequence[Row],
    read: Sequence[Any],
    hollow: Sequence[bool],
) -> Axes:
    """The lower panels, one a trait; returns the last."""
    axis = None
    for i, trait in enumerate(traits):
        axis = figure.add_subplot(grid[i], sharex=axis, sharey=axis)
        for source in SOURCES:
            points = [
                (row.result["face_similarity"], found[source][trait], h)
                for row, found, h in zip(rows, read, hollow, strict=True)
            ]
            _readings(axis, [p for p in points if p[1]["value"] is not None], source)
        if (yardstick := read[0]["X"][trait]["value"]) is not None:
            look = dict(color="#888888", linewidth=0.8, dashes=(6, 2, 1, 2), zorder=0)
            axis.axhline(yardstick, label="from X itself", **look)
        axis.axhline(0, color=INK, linewidth=0.5, zorder=0)
        axis.set_title(f"{trait.replace('_', ' ')}, {'R²' if trait == 'skin tone' else 'MCC'}")
        axis.tick_params(labelleft=i == 0)
        axis.xaxis.set_major_locator(plt.MaxNLocator(3))
        axis.margins(0.15, 0.08)
        if i == 0:
            axis.set_ylabel("read by a linear probe\n← better")
    return axis


def _readings(axis: Axes, points: Sequence[tuple[Any, Any, bool]], source: str) -> None:
    """What a probe reads from `source`: (face similarity, reading, hollow); hollow points are joined, and full ones."""
    marker, line, colour = SOURCES[source]
    points = sorted(points, key=lambda p: p[0]["value"])
    for kind in (False, True):
        joined = [(x["value"], y["value"]) for x, y, hollow in points if hollow == kind]
        if joined:
            axis.plot(*zip(*joined, strict=True), line, color=colour, linewidth=0.8)
    for x, y, hollow in points:
        _cross(axis, x, y, marker, colour, f"from {source}", hollow)


def _cross(
    axis: Axes, x: dict[str, Any], y: dict[str, Any], marker: str, colour: str, label: str, hollow: bool = False
) -> None:
    """A point with the intervals of both its figures."""
    errors = [[[v["value"] - v["low"]], [v["high"] - v["value"]]] for v in (x, y)]
    looks = dict(marker=marker, markersize=4, color=colour, linewidth=0.8, linestyle="none", label=label)
    axis.errorbar(x["value"], y["value"], errors[1], errors[0], markerfacecolor="white" if hollow else colour, **looks)
