"""How many photographs make a protection void: lines of text, and a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl.config import RunConfig
from arl.messages import say
from arl.metrics import Interval
from arl.paper.composition import FEWEST_PEOPLE, void_at
from arl.paper.probes import said
from arl.paper.saved import Saved, save_figure
from arl.paper.style import COLOURS, INK, WIDTH, themed
from arl.row import Row

Pools = Mapping[
    str, Mapping[str, Any]
]  # by a setting's name, the one without protection first, what `composition.pooled` found
YARDSTICK, FLOOR = "originals", "answers"
IN_PRINT = {
    "features": "M(Z)",
    "decoder": "Dec^a",
    "kernelridge": "kernel ridge",
    "Z": "Z itself",
    FLOOR: "f's answers",
    YARDSTICK: "photographs",
}


TOO_FEW = f"composition: fewer than {FEWEST_PEOPLE} people have two photographs in T, so there is nothing to pool"


def voids(cfg: RunConfig, pools: Pools) -> dict[str, dict[str, Interval]]:
    """By setting but the first, then by attacker that both have: `void_at`; with `why` where there is nothing to undo."""
    (_, before), *others = pools.items()
    found: dict[str, dict[str, Interval]] = {}
    for name, after in others:
        found[name] = {}
        for attacker in (a for a in after["hits"] if a in before["hits"] and a != YARDSTICK):
            if before["rank1"][attacker][0]["low"] <= 1 / before["gallery"]:
                why = "one photograph without protection gives nothing away"
                found[name][attacker] = {"value": None, "low": None, "high": None, "why": why}
                continue
            curves = before["hits"][attacker], after["hits"][attacker]
            found[name][attacker] = void_at(*curves, before["ks"], cfg.seed, cfg.bootstrap)
    return found


def pooling_text(cfg: RunConfig, pools: Pools) -> str:
    """Rank-1 of each attacker by the number of pooled photographs; at how many each protection is void."""
    if not all(pools.values()):
        return TOO_FEW
    first = next(iter(pools.values()))
    wide = max(map(len, pools)) + 2
    lines = [f"{'rank-1 from photographs':{wide + 16}}" + "".join(f"{k:>19}" for k in first["ks"])]
    for name, found in [*pools.items(), ("any", {"rank1": {YARDSTICK: first["rank1"][YARDSTICK]}})]:
        for attacker, values in found["rank1"].items():
            if attacker != YARDSTICK or name == "any":
                cells = "".join(f"{said(value):>19}" for value in values)
                lines.append(f"{name:{wide}}{IN_PRINT.get(attacker, attacker):16}{cells}")
    lines += ["", f"closed set, gallery of {first['gallery']}, chance {1 / first['gallery']:.3f}; {first['words']}", ""]
    for name, found in voids(cfg, pools).items():
        lines += [f"{name}: as much as one photograph without protection gives away,"]
        for attacker, void in found.items():
            words = void_words(void, first["ks"][-1])
            lines.append(f"  to {IN_PRINT.get(attacker, attacker)}: {words}")
    return "\n".join(lines)


def void_words(void: Interval, most: int) -> str:
    """`5.3 photographs (3.1–9.8)`; what was never reached is more than `most`."""
    if "why" in void:
        return f"not asked: {void['why']}"
    value, low, high = (f">{most}" if void[end] is None else f"{void[end]:.1f}" for end in ("value", "low", "high"))
    return f"{value} photograph{'' if value == '1.0' else 's'} ({low}–{high})"


def pooling_numbers(cfg: RunConfig, pools: Pools) -> dict[str, Any]:
    """All that is drawn: rank-1 by setting and attacker, and where each protection is void."""
    shown = {name: {key: value for key, value in found.items() if key != "hits"} for name, found in pools.items()}
    return {"rank1": shown, "void_at": voids(cfg, pools)}


@themed
def pooling_curves(cfg: RunConfig, pools: Pools) -> Figure:
    """A panel an attacker: rank-1 against the number of photographs, a line a setting; where the others reach the first one's start."""
    first, found = next(iter(pools.values())), voids(cfg, pools)
    attackers = [
        name for name in first["rank1"] if name != YARDSTICK and all(name in of["rank1"] for of in pools.values())
    ]
    figure, axes = plt.subplots(
        1, len(attackers), figsize=(WIDTH, 2.5), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, attacker in zip(axes.flat, attackers, strict=True):
        ks = first["ks"]
        axis.plot(
            ks,
            [v["value"] for v in first["rank1"][YARDSTICK]],
            color="#999999",
            linestyle="--",
            label="the photographs themselves",
        )
        axis.axhline(
            first["rank1"][attacker][0]["value"],
            color=INK,
            linewidth=0.7,
            linestyle=":",
            label="one photograph, no protection",
        )
        for (name, of), colour in zip(pools.items(), (COLOURS[1], COLOURS[0], *COLOURS[2:]), strict=False):
            _curve(axis, ks, of["rank1"][attacker], colour, name)
            if (void := found.get(name, {}).get(attacker, {}).get("value")) is not None:
                height = first["rank1"][attacker][0]["value"]
                axis.plot([void, void], [0, height], color=colour, linewidth=0.8, linestyle=":")
                axis.annotate(
                    f"void at {void:.1f}", (void, 0), (2, 2), textcoords="offset points", fontsize=6.5, color=colour
                )
        axis.set(title=IN_PRINT.get(attacker, attacker), xscale="log", xticks=ks, xticklabels=ks, ylim=(0, 1))
        axis.minorticks_off()
        axis.set_xlabel("photographs pooled", fontsize=7)
    axes[0, 0].set_ylabel(f"rank-1 of {first['gallery']} (better ↓)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _curve(axis: Axes, ks: Sequence[int], values: Sequence[Interval], colour: str, name: str) -> None:
    low, mean, high = ([v[end] for v in values] for end in ("low", "value", "high"))
    axis.plot(ks, mean, color=colour, marker="o", markersize=3, label=name)
    axis.fill_between(ks, low, high, color=colour, alpha=0.15, linewidth=0)


def save_pooling(cfg: RunConfig, pools: Pools, rows: Sequence[Row], name: str) -> Saved | None:
    """Write the figure NAME with every number as JSON; where there was nothing to pool, nothing, which is said. `rows`: the settings'."""
    if not all(pools.values()):
        say(TOO_FEW)
        return None
    return save_figure(pooling_curves(cfg, pools), name, rows, pooling_numbers(cfg, pools))
