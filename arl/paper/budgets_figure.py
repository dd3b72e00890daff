"""Budget curves drawn: a panel an attacker, a colour an encoder, the law's band, and what it foretells."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl.paper.budgets import BudgetCurve, axis_of, budget_csv, budget_numbers, protection_left
from arl.paper.saved import Saved, figures_folder, preset_of, runs_of, save_figure, saved_name
from arl.paper.style import COLOURS, NAMES, WIDTH, themed
from arl.store import make_folder, write_atomically

FLOORS = {"mean face": ":", "answers": "-."}  # how they are dashed
SAME = "same person"  # the ceiling
USUAL = {"ridge", "kernelridge"}  # who attacks in the notebook as it is
EDGE = 2.2  # times the budget that is foretold: where y∞ stands


def save_budget(curves: Sequence[BudgetCurve], name: str, fitted: float, tolerance: float) -> Saved:
    """Write NAME among the figures as CSV, PNG, PDF and JSON with all numbers; returns the picture.

    Where others attack than the notebook's own, their names follow NAME: one figure does not replace another.
    """
    attacks = dict.fromkeys(curve.attack for curve in curves)
    name = name if set(attacks) <= USUAL else "_".join([name, *attacks])
    lines = list({id(line): line for curve in curves for line in curve.lines}.values())  # curves share them
    folder = figures_folder(preset_of(runs_of(lines)))
    make_folder(folder)
    write_atomically(folder / f"{saved_name(name, lines)}.csv", budget_csv(curves, fitted, tolerance))
    found = {"curves": [budget_numbers(curve, fitted, tolerance) for curve in curves], "left": protection_left(curves)}
    return save_figure(budget_figure(curves, fitted), name, lines, found)


@themed
def budget_figure(curves: Sequence[BudgetCurve], fitted: float) -> Figure:
    """The leak of each curve over its budget in log scale, its law with the 95 % band, and y∞ at the right edge, with intervals.

    Points above `fitted` are hollow: the dashed interval beside each is what the law of the others foretells. Grey: floors and ceiling.
    """
    attacks = list(dict.fromkeys(curve.attack for curve in curves))
    encoders = list(dict.fromkeys(curve.encoder for curve in curves))
    size = (min(WIDTH, 0.6 + 3.2 * len(attacks)), 3.2)
    figure, axes = plt.subplots(1, len(attacks), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axis, attack in zip(axes[0], attacks, strict=True):
        own = [curve for curve in curves if curve.attack == attack]
        for curve in own:
            _draw_curve(axis, curve, encoders.index(curve.encoder), fitted)
        _frame(axis, own, attack)
    name, arrow, _ = NAMES[curves[0].metric]
    axes[0, 0].set_ylabel(f"{name} (better {arrow})")
    looks = [
        plt.Line2D([], [], marker="o", markersize=3.5, color=COLOURS[i % len(COLOURS)], label=encoder)
        for i, encoder in enumerate(encoders)
    ]
    looks += [plt.Line2D([], [], marker="o", markersize=3.5, linestyle="", color="0.3", markerfacecolor="white",
                         label=f"held back (above {fitted:g}); dashed: foretold")]  # fmt: skip
    looks += [
        plt.Line2D([], [], color="0.5", linestyle=dash, label=f"floor: {floor}") for floor, dash in FLOORS.items()
    ]
    looks += [plt.Line2D([], [], color="0.5", linestyle="--", label="another photograph of the person")]
    figure.legend(handles=looks, loc="outside lower center", ncols=3)
    return figure


def _draw_curve(axis: Axes, curve: BudgetCurve, which: int, fitted: float) -> None:
    """Points with intervals, the band of their law, what was foretold of those held back, and y∞; of the encoder number `which`."""
    colour = COLOURS[which % len(COLOURS)]
    held = (curve.n > fitted) if curve.law(fitted) is not None else np.zeros(len(curve.n), bool)
    for here, face in ((~held, colour), (held, "white")):
        sides = np.abs(curve.bounds[:, here] - curve.value[here])
        look = dict(fmt="o", color=colour, markerfacecolor=face, markersize=3.5, elinewidth=0.8, zorder=3)
        axis.errorbar(curve.n[here], curve.value[here], sides, **look)
    for n in curve.n[held]:
        said = curve.law(fitted).measured_at(n)
        axis.plot(
            [n * 1.07 ** (which + 1)] * 2, [said["low"], said["high"]], "--", color=colour, linewidth=1.0, zorder=2
        )
    law = curve.law()
    if law is None:
        axis.plot(curve.n, curve.value, color=colour, linewidth=0.6)
        return
    place = np.geomspace(curve.n[0], curve.ahead, 60)
    said = [law.curve(n) for n in place]
    axis.plot(place, [each["value"] for each in said], color=colour, linewidth=0.9, zorder=2)
    bounds = ([each[side] for each in said] for side in ("low", "high"))
    axis.fill_between(place, *bounds, color=colour, alpha=0.15, linewidth=0, zorder=1)
    if law.limit is not None:
        sides = [[abs(law.limit[end] - law.limit["value"])] for end in ("low", "high")]
        at = EDGE * curve.ahead * 1.25 ** (which % 4)  # so that encoders do not hide one another
        axis.errorbar(at, law.limit["value"], sides, fmt="D", color=colour, markersize=3, elinewidth=0.8)


def _frame(axis: Axes, curves: Sequence[BudgetCurve], attack: str) -> None:
    """Floors, ceiling, scales and names of a panel."""
    for floor, dash in FLOORS.items():
        if values := [curve.floors[floor] for curve in curves if floor in curve.floors]:
            axis.axhline(np.mean(values), color="0.5", linestyle=dash, linewidth=0.8, zorder=0)
    if values := [curve.ceilings[SAME] for curve in curves if SAME in curve.ceilings]:
        axis.axhline(np.mean(values), color="0.5", linestyle="--", linewidth=0.8, zorder=0)
    ahead = max(curve.ahead for curve in curves)
    ticks = {float(n) for curve in curves for n in curve.n[::2]}
    far = {
        float(curve.n[-1]) for curve in curves if curve.n[-1] >= 4 * max(ticks)
    }  # a point held back, far from the others
    ticks = sorted(ticks | far | {ahead})
    axis.set_xscale("log")
    axis.set_xticks([*ticks, EDGE * ahead], [*(f"{n:g}" for n in ticks), "y∞"], fontsize=6)
    axis.minorticks_off()
    axis.set(title=attack, xlabel=axis_of(curves[0].axis).words)
