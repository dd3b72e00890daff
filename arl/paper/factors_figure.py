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
SHOWN_AS = {"answers": "f's answers", "X": "picture X", "C": "C's embedding", "shuffled Z": "shuffled Z"}


def factors_text(ledgers: Ledgers) -> str:
    """R² of each factor by source, and what each Z says beyond the labels; floors and bits; traits; what changed from first to last."""
    if not all(ledgers.values()):
        return NO_TRUTH
    factors, first = ordered(ledgers), next(iter(ledgers.values()))
    r2 = {"labels": [first["labels"][f]["r2"] for f in factors]}
    r2 |= {f"Z, {name}": [of["Z"][f]["r2"] for f in factors] for name, of in ledgers.items()}
    r2 |= {f"beyond labels, {name}": [of["Z"][f]["excess"] for f in factors] for name, of in ledgers.items()}
    r2 |= {SHOWN_AS[source]: [first[source][f]["r2"] for f in factors] for source in ("X", "C")}
    floors: dict[str, Sequence[Any]] = {}
    for name, of in ledgers.items():
        floors |= {
            f"{SHOWN_AS[s]}, {name}": [of[s][f]["r2"] for f in factors] for s in ("answers", "shuffled Z") if s in of
        }
    floors |= {f"bits of Z, {name}": [f"{of['Z'][f]['bits']:.2f}" for f in factors] for name, of in ledgers.items()}
    lines = [*_table("R², 1 is all", factors, r2), "", *_table("floors", factors, floors)]
    return "\n".join([*lines, "", *_traits(ledgers), "", *_changes(ledgers, factors)]).rstrip()


def _table(title: str, factors: Sequence[str], columns: Mapping[str, Sequence[Interval | str]]) -> list[str]:
    """A line a factor; a column's name takes two lines where it has a comma."""
    heads = [[*name.split(", ", 1), ""][:2] for name in columns]
    wide = [max(21, *(len(part) + 2 for part in head)) for head in heads]
    lines = [
        f"{title if part else '':14}" + "".join(f"{head[part]:>{n}}" for head, n in zip(heads, wide, strict=True))
        for part in (0, 1)
    ]
    for i, factor in enumerate(factors):
        cells = [values[i] if isinstance(values[i], str) else said(values[i]) for values in columns.values()]
        lines.append(f"{factor:14}" + "".join(f"{cell:>{n}}" for cell, n in zip(cells, wide, strict=True)))
    return [line.rstrip() for line in lines]


def ordered(ledgers: Ledgers) -> list[str]:
    """The factors, those first of which the first setting's Z says most beyond the labels."""
    z = next(iter(ledgers.values()))["Z"]
    return sorted(z, key=lambda factor: -(z[factor]["excess"]["value"] or 0))


def _traits(ledgers: Ledgers) -> list[str]:
    """What each Z says of the yes-or-no traits: a line a trait."""
    first = next(iter(ledgers.values()))["Z"]
    wide = max(32, *(len(name) + 2 for name in ledgers))
    lines = [f"{'AUC (½ is guessing), bits':28}" + "".join(f"{name:>{wide}}" for name in ledgers)]
    for factor, found in first.items():
        for trait in found["traits"]:
            each = [of["Z"][factor]["traits"][trait] for of in ledgers.values()]
            words = [f"{said(t['auc'])}, {t['bits']['value']:.2f} bit".replace("-", "−") for t in each]
            cells = "".join(f"{cell:>{wide}}" for cell in words)
            lines.append(f"{f'{trait} ({factor})':28}{cells}")
    return lines if len(lines) > 1 else []


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
def factor_dots(ledgers: Ledgers) -> Figure:
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
        xlim=(-0.015, 1),
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
    return save_figure(factor_dots(ledgers), name, rows, dict(ledgers))
