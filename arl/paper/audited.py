"""An audit as a figure: what each attacker gets, between floors and ceiling, and whom it finds. Nobody's picture is in it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl.audit import Audit, audit_json
from arl.audit.questions import Cited, path_of
from arl.audit.worst import UNION
from arl.paper.measured import over_seeds
from arl.paper.style import COLOURS, INK, WIDTH, themed

MARKS = "osD^vP"
LAST = {
    "Z itself": ("attackers", "Z"),
    "the answers alone": ("beside", "answers"),
    "any of the chosen": (UNION,),
}  # lines below the attackers, and where they lie
LINES = {"mean face": ":", "stranger": "-.", "same person": "--"}  # what could stand for a picture


@themed
def attackers_figure(audits: Mapping[str, Sequence[Audit]]) -> Figure:
    """A line an attacker; left its face similarity, right the share of people whom it finds; `audits` of each seed, by their names.

    Over several seeds: the mean with its 95 % t-interval. Floors and ceiling are of the first of `audits`. People are found by the
    threshold of strangers; where too few strangers decide in one of the audits, the share is of those who come first in the line-up.
    """
    every = [one for each in audits.values() for one in each]
    names = {name: None for one in every for name in one.result["held_out"]}
    rows = [*names, *LAST]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 1.2 + 0.3 * len(rows)), sharey=True, layout="constrained"
    )
    measure = "found" if all(_worst(one, (UNION,), "found") for one in every) else "first"
    for i, (title, each) in enumerate(audits.items()):
        look: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "marker": MARKS[i % len(MARKS)], "label": title}
        beside = (i - (len(audits) - 1) / 2) * 0.6 / len(audits)
        _similarities(left, each, list(names), beside, look)
        _people(right, each, rows, beside, look, measure)
    _yardsticks(left, every[0])
    left.set(
        yticks=range(len(rows)), yticklabels=rows, xlabel="face similarity (worse →)", ylim=(len(rows) - 0.5, -0.5)
    )
    found = "found by any of their pictures" if measure == "found" else "first in the line-up by any picture"
    right.set(xlabel=f"people {found}, % (worse →)", xlim=(-2, 102))
    for axis in (left, right):
        axis.grid(axis="y", alpha=0.3)
        axis.tick_params(axis="y", length=0)
    figure.legend(*_legend(left), loc="outside lower center", ncols=4)
    return figure


def _similarities(axis: Axes, audits: Sequence[Audit], names: list[str], beside: float, look: dict[str, Any]) -> None:
    for place, name in enumerate(names):
        each = [Cited(one.run.id, one.result).at(*path_of(name), "face_similarity") for one in audits]
        if figure := _over(each):
            _dot(axis, figure, place + beside, 1.0, look)


def _over(figures: Iterable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """One figure as it is; of several the mean over seeds, with its interval, and their mean chance; None where there is none."""
    known = [each for each in figures if each is not None and each["value"] is not None]
    if len(known) < 2:
        return known[0] if known else None
    chance = {"chance": sum(each["chance"] for each in known) / len(known)} if "chance" in known[0] else {}
    return over_seeds([each["value"] for each in known]) | chance


def _yardsticks(axis: Axes, audit: Audit) -> None:
    """What could stand for a picture, as lines."""
    cited = Cited(audit.run.id, audit.result)
    strongest = cited.at(*path_of(audit.result["strongest"]), "face_similarity")
    for name, value in (strongest["floors"] | strongest["ceilings"]).items():
        if value is not None and name in LINES:
            axis.axvline(value, color="0.5", linestyle=LINES[name], linewidth=0.8, label=name, zorder=0)
    if (answers := cited.at("answers", "face_similarity")) is not None:
        axis.axvline(answers["value"], color=INK, linewidth=0.8, label="the answers alone", zorder=0)


def _people(
    axis: Axes, audits: Sequence[Audit], rows: list[str], beside: float, look: dict[str, Any], measure: str
) -> None:
    """The share that each attacker finds, and the answers alone, and any of the chosen; a tick where chance is."""
    for place, name in enumerate(rows):
        figure = _over(_worst(one, LAST.get(name, ("attackers", name)), measure) for one in audits)
        if figure is not None:
            _dot(axis, figure, place + beside, 100.0, look)
            chance = axis.plot(100 * figure["chance"], place + beside, "|", color="0.4", markersize=6)
            chance[0].set_label("chance" if not place else "_")


def _worst(audit: Audit, place: tuple[str, ...], measure: str) -> dict[str, Any] | None:
    """The share of people at `place` of the worst case, if it is known."""
    cited = Cited(audit.run.id, audit.result)
    at = ("worst", *place, measure)
    return cited.at(*at) if cited.has(*at) else None


def audit_numbers(audits: Mapping[str, Sequence[Audit]]) -> dict[str, Any]:
    """What `attackers_figure` shows, by the ids of the audits; without their configurations, which name folders of one machine."""
    every = (one for each in audits.values() for one in each)
    return {one.run.id: {k: v for k, v in audit_json(one).items() if k != "config"} for one in every}


def _dot(axis: Axes, figure: dict[str, Any], place: float, scale: float, look: dict[str, Any]) -> None:
    value, low, high = (scale * figure[key] for key in ("value", "low", "high"))
    said = look if not any(line.get_label() == look["label"] for line in axis.lines) else look | {"label": "_"}
    axis.plot(value, place, linestyle="none", markersize=4, **said)
    axis.plot([low, high], [place, place], color=look["color"], linewidth=1.2, label="_")


def _legend(axis: Axes) -> tuple[list[Any], list[str]]:
    """Each label once, those of the other axis too."""
    found: dict[str, Any] = {}
    for each in axis.figure.axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)
