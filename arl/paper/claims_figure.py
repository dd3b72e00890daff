"""The claims ledger as a figure."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl.paper.style import COLOURS, WIDTH, themed

LOOKS = {"holds": ("o", COLOURS[2]), "undecided": ("s", "#737373"), "fails": ("X", COLOURS[1])}
COLUMNS = {"effect": 1.06, "paper's": 1.42, "verdict": 1.84}  # where text stands, right of the axis
BY_STRONGEST, AGAINST = "strongest attacker", 2.45  # one more, where there is one, on a wider figure


@themed
def ledger_figure(found: Sequence[dict[str, Any]]) -> Figure:
    """Each claim's effect with its interval, in units of its own largest magnitude; right of 0 the claim is right."""
    more = {BY_STRONGEST: AGAINST} if any("strongest" in f for f in found) else {}
    size = WIDTH * (1.18 if more else 1), 0.7 + 0.23 * len(found)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    y = np.arange(len(found))[::-1]
    axis.hlines(y, -1.05, 1.02, color="0.93", linewidth=0.7, zorder=0)
    axis.axvline(0, color="0.3", linewidth=0.8)
    units = [max(1e-9, *(abs(v) for v in (*f["each"], f["low"] or 0, f["high"] or 0))) for f in found]
    _effects(axis, found, units, y)
    for i, f in zip(y, found, strict=True):
        paper = "–" if f["paper"] is None else f"{f['paper']:+.3f}"
        for words, x in zip((f"{f['value']:+.3f}", paper, f["verdict"]), COLUMNS.values(), strict=True):
            colour = LOOKS[f["verdict"]][1] if words == f["verdict"] else None
            axis.text(x, i, words, fontsize=6.5, va="center", color=colour)
        if hard := f.get("strongest"):
            words, colour = f"{hard['value']:+.3f} {f['stands']}", LOOKS[hard["verdict"]][1]
            axis.text(AGAINST, i, words, fontsize=6.5, va="center", color=colour)
    for head, x in (COLUMNS | more).items():
        axis.text(x, len(found) - 0.1, head, fontsize=6.5, fontweight="bold")
    axis.set(xlim=(-1.05, 3.6 if more else 2.3), ylim=(-0.7, len(found) + 0.4), ylabel="")
    axis.set_xticks([0], ["0"])
    axis.set_xlabel("effect, each in units of its own largest magnitude (claim right →)", fontsize=7, loc="left")
    axis.set_yticks(y, [f"{f['id']}  {f['where']}: {f['claim']}" for f in found], fontsize=6)
    axis.tick_params(length=0)
    seaborn.despine(figure, left=True, bottom=True)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    axis.get_legend().remove()
    return figure


def _effects(axis: Axes, found: Sequence[dict[str, Any]], units: Sequence[float], y: np.ndarray) -> None:
    """Interval, each seed and mean of every claim, in its own unit."""
    verdicts = [f["verdict"] for f in found]
    for i, f, unit in zip(y, found, units, strict=True):
        colour = LOOKS[f["verdict"]][1]
        if f["low"] is not None:
            axis.plot([f["low"] / unit, f["high"] / unit], [i, i], color=colour, linewidth=1.2)
        axis.plot(np.array(f["each"]) / unit, [i] * len(f["each"]), "|", color=colour, markersize=5)
    means = [f["value"] / unit for f, unit in zip(found, units, strict=True)]
    seaborn.scatterplot(
        x=means, y=y, hue=verdicts, style=verdicts, hue_order=list(LOOKS), style_order=list(LOOKS), ax=axis, s=28, zorder=3,
        palette={verdict: colour for verdict, (_, colour) in LOOKS.items()},
        markers={verdict: marker for verdict, (marker, _) in LOOKS.items()},
    )  # fmt: skip
