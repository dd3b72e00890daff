"""The ledger of factors as lines and as one picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from arl.messages import say
from arl.metrics import Interval
from arl.paper.probes import said, trend
from arl.paper.saved import Saved, save_figure
from arl.paper.style import COLOURS, INK, WIDTH, themed
from arl.row import Row

Ledgers = Mapping[str, Mapping[str, Mapping[str, Any]]]  # by a setting's name, what `factors.factor_ledger` found
NO_TRUTH = (
    "factors: these faces are photographs, and of a photograph nobody knows what made it; data=rendered has the ledger"
)
SHOWN_AS = {
    "Z": "Z",
    "answers": "f's answers",
    "labels": "the labels",
    "X": "the picture X",
    "C": "C's embedding",
    "shuffled Z": "shuffled Z",
}


def factors_text(ledgers: Ledgers) -> str:
    """R² of each factor by source, a setting below the other; what each Z says beyond the labels; what changed from first to last."""
    if not all(ledgers.values()):
        return NO_TRUTH
    names, first = list(ledgers), next(iter(ledgers.values()))
    factors = ordered(ledgers)
    wide = max(map(len, (*names, "for every setting"))) + 2
    lines = [f"{'R², of 1':{wide}}{'from':16}" + "".join(f"{factor:>20}" for factor in factors)]
    for name, sources in [*ledgers.items(), ("for every setting", first)]:
        mine = ("labels", "X", "C") if name == "for every setting" else ("Z", "answers", "shuffled Z")
        for source in (s for s in mine if s in sources):
            lines.append(_line(name, SHOWN_AS[source], [sources[source][f]["r2"] for f in factors], wide))
    lines += ["", f"{'Z beyond labels':{wide + 16}}" + "".join(f"{factor:>20}" for factor in factors)]
    lines += [_line(name, "", [of["Z"][f]["excess"] for f in factors], wide) for name, of in ledgers.items()]
    lines += ["", f"{'bits':{wide}}{'':16}" + "".join(f"{factor:>20}" for factor in factors)]
    for name, of in ledgers.items():
        lines.append(f"{name:{wide}}{'Z':16}" + "".join(f"{of['Z'][f]['bits']:>20.2f}" for f in factors))
    lines += ["", *_traits(ledgers, wide), "", *_changes(ledgers, factors)]
    return "\n".join(line.rstrip() for line in lines)


def ordered(ledgers: Ledgers) -> list[str]:
    """The factors, those first of which the first setting's Z says most beyond the labels."""
    z = next(iter(ledgers.values()))["Z"]
    return sorted(z, key=lambda factor: -(z[factor]["excess"]["value"] or 0))


def _line(name: str, source: str, values: Sequence[Interval], wide: int) -> str:
    return f"{name:{wide}}{source:16}" + "".join(f"{said(value):>20}" for value in values)


def _traits(ledgers: Ledgers, wide: int) -> list[str]:
    """What each Z says of the yes-or-no traits: a line a trait."""
    first = next(iter(ledgers.values()))["Z"]
    lines = [f"{'AUC (½ is guessing) and bits':32}" + "".join(f"{name:>30}" for name in ledgers)]
    for factor, found in first.items():
        for trait in found["traits"]:
            each = [of["Z"][factor]["traits"][trait] for of in ledgers.values()]
            cells = "".join(f"{said(t['auc']):>20}{t['bits']['value']:>6.2f} bit" for t in each)
            lines.append(f"{f'{trait} ({factor})':32}{cells}")
    return lines


def _changes(ledgers: Ledgers, factors: Sequence[str]) -> list[str]:
    if len(ledgers) < 2:
        return []
    (before, a), *_, (after, b) = ledgers.items()
    lines = [f"{before} → {after}, R² from Z beyond the labels:"]
    for factor in factors:
        one, two = (of["Z"][factor]["excess"] for of in (a, b))
        lines.append(f"  {factor}: {said(one)} → {said(two)}, {trend(one, two)}")
    return lines


@themed
def factors_figure(ledgers: Ledgers) -> Figure:
    """A line a factor: what Z says of it in each setting, joined; a tick where the labels alone get; a bar to what the picture says."""
    factors, colours = ordered(ledgers)[::-1], (COLOURS[1], COLOURS[0], *COLOURS[2:])
    figure, axis = plt.subplots(figsize=(WIDTH, 0.9 + 0.25 * len(factors)), layout="constrained")
    first, places = next(iter(ledgers.values())), range(len(factors))
    value = {name: [max(0.0, of["Z"][f]["r2"]["value"]) for f in factors] for name, of in ledgers.items()}
    ceiling = [max(0.0, first["X"][f]["r2"]["value"]) for f in factors]
    axis.barh(places, ceiling, height=0.62, color="#EEEEEE", label="from the picture itself", zorder=0)
    joined = list(zip(*value.values(), strict=True))
    axis.hlines(places, list(map(min, joined)), list(map(max, joined)), color="#999999", linewidth=1.6, zorder=1)
    floor = [max(0.0, first["labels"][f]["r2"]["value"]) for f in factors]
    axis.plot(
        floor, places, "|", color=INK, markersize=11, markeredgewidth=1.4, label="from the labels alone", zorder=2
    )
    for (name, values), colour in zip(value.items(), colours, strict=False):
        ends = [[ledgers[name]["Z"][f]["r2"][end] for f in factors] for end in ("low", "high")]
        errors = [
            [max(0.0, v - low) for v, low in zip(values, ends[0], strict=True)],
            [max(0.0, h - v) for v, h in zip(values, ends[1], strict=True)],
        ]
        axis.errorbar(
            values,
            places,
            xerr=errors,
            fmt="o",
            color=colour,
            markersize=6,
            elinewidth=0.7,
            label=f"from Z, {name}",
            zorder=3,
        )
    axis.set(
        yticks=list(places),
        yticklabels=factors,
        xlim=(0, 1),
        xlabel="share of the factor that can be read (R²)   ← better for the user",
    )
    axis.tick_params(axis="y", length=0, labelsize=8)
    axis.spines["left"].set_visible(False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def save_factors(ledgers: Ledgers, rows: Sequence[Row], name: str) -> Saved | None:
    """Write the figure NAME with every number as JSON; of photographs nothing, which is said. `rows`: those of the settings."""
    if not all(ledgers.values()):
        say(NO_TRUTH)
        return None
    return save_figure(factors_figure(ledgers), name, rows, dict(ledgers))
