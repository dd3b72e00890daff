"""The utility–privacy front: what is kept over what leaks, with intervals. What stands where is computed here, once.

`of_points` makes the `Front` of some settings, `of_lines` that of a table beside the paper's; `draw` puts either on a matplotlib axis.
The explorer draws the same `Front` as SVG, in the colours of the page. Left is more private, up is more useful.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from arl.paper.style import COLOURS, INK, METRICS, themed

Interval = tuple[float, float, float]  # value, low, high; all three the same where there is no interval

COLOUR = {"protected": COLOURS[0], "plain": INK, "chosen": COLOURS[1], "paper": COLOURS[1]}
FAINT = 0.35  # the opacity of a setting that compares only partly
MARGIN = 0.08  # of the range, beside the outermost interval


class Point(NamedTuple):
    """One setting: `x` its privacy lost, `y` its utility; `row` is whatever it stands for."""

    row: Any
    x: Interval
    y: Interval
    alike: bool = True  # of the layer and the seed that were chosen
    protected: bool = True


class Mark(NamedTuple):
    """One symbol with its whiskers. `kind`: protected, plain (no protection), chosen or paper."""

    x: Interval
    y: Interval
    kind: str
    shape: str  # matplotlib's: o, s, D
    opacity: float = 1.0
    name: str = ""  # written beside it


class Path(NamedTuple):
    """Marks that are joined, as (x, y). A broken line is the paper's."""

    places: tuple[tuple[float, float], ...]
    kind: str
    label: str = ""
    broken: bool = False


class Scale(NamedTuple):
    """One axis: from `low` to `high`, with a line at each of `ticks`."""

    low: float
    high: float
    ticks: tuple[float, ...]
    title: str

    def at(self, value: float) -> float:
        """Where a value stands, 0 at `low` and 1 at `high`."""
        return (value - self.low) / (self.high - self.low)


class Front(NamedTuple):
    """All that is drawn, in the units of the figures."""

    marks: tuple[Mark, ...]
    paths: tuple[Path, ...]
    x: Scale
    y: Scale
    floor: float | None = None  # what leaks without any feature


class TableLine(Protocol):
    """What `of_lines` needs of a line of a table: `measured.Line` has it."""

    setting: Any

    def figure(self, metric: str) -> dict[str, Any]: ...

    def floor(self, metric: str) -> float | None: ...


def interval_of(figure: dict[str, Any]) -> Interval:
    """A figure's value with its interval, from a result's `value`, `low`, `high`."""
    value = figure["value"]
    low, high = (value if figure[side] is None else figure[side] for side in ("low", "high"))
    return value, low, high


def undominated(points: Iterable[Point]) -> list[Point]:
    """Those that no other point beats in both figures (less leaks, more is kept), from the most private on."""
    best, found = -math.inf, []
    for point in sorted(points, key=lambda p: (p.x[0], -p.y[0])):
        if point.y[0] > best:
            best = point.y[0]
            found.append(point)
    return found


# -- what stands where --------------------------------------------------------------------------------------------


def of_points(points: Sequence[Point], chosen: Any = None, privacy: str = "face_similarity") -> Front:
    """The front of at least one point: a mark each, in their order, and a line through the best of those that are alike.

    The point whose `row` is `chosen` stands out.
    """
    if not points:
        raise ValueError("points: found none, accepted: at least one")
    marks = []
    for point in points:
        here = chosen is not None and point.row is chosen
        kind = "chosen" if here else "protected" if point.protected else "plain"
        marks.append(
            Mark(point.x, point.y, kind, "o" if point.protected else "s", 1.0 if point.alike or here else FAINT)
        )
    best = undominated(p for p in points if p.alike)
    paths = (Path(tuple((p.x[0], p.y[0]) for p in best), "protected"),) if len(best) > 1 else ()
    return _scaled(marks, paths, privacy)


def of_lines(lines: Sequence[TableLine], privacy: str = "face_similarity") -> Front:
    """The front of a table's lines, joined in their order, with the paper's points and the mean face as the floor."""
    marks, paper = [], []
    for line in lines:
        name = line.setting.label.removeprefix("λ2 = ")
        marks.append(
            Mark(interval_of(line.figure(privacy)), interval_of(line.figure("mean_mcc")), "protected", "o", name=name)
        )
        if {"mean_mcc", privacy} <= set(line.setting.paper):
            x, y = line.setting.paper[privacy], line.setting.paper["mean_mcc"]
            paper.append(Mark((x, x, x), (y, y, y), "paper", "D", name=name))
    paths = [Path(_middles(marks), "protected", "ours")]
    if paper:
        paths.append(Path(_middles(paper), "paper", "the paper (CelebA)", broken=True))
    floors = [f for f in (line.floor(privacy) for line in lines) if f is not None]
    return _scaled([*marks, *paper], paths, privacy, float(np.mean(floors)) if floors else None)


def _middles(marks: Sequence[Mark]) -> tuple[tuple[float, float], ...]:
    return tuple((mark.x[0], mark.y[0]) for mark in marks)


def _scaled(marks: Sequence[Mark], paths: Sequence[Path], privacy: str, floor: float | None = None) -> Front:
    name = next(name for key, name, *_ in METRICS if key == privacy)
    x = scale([v for mark in marks for v in mark.x] + ([] if floor is None else [floor]), f"{name} (← more private)")
    y = scale([v for mark in marks for v in mark.y], "mean MCC (more useful →)")
    return Front(tuple(marks), tuple(paths), x, y, floor)


def scale(values: Sequence[float], title: str) -> Scale:
    """An axis on which all `values` stand, with a margin."""
    low, high = min(values), max(values)
    space = MARGIN * (high - low) or 0.05
    low, high = low - space, high + space
    ticks = (round(float(tick), 6) for tick in MaxNLocator(5).tick_values(low, high))
    return Scale(low, high, tuple(tick for tick in ticks if low <= tick <= high), title)


def label_places(places: np.ndarray, away: float = 8.0) -> np.ndarray:
    """Where names go: `away` from each of `places` (n, 2), where it is furthest from all places and names before; (n, 2)."""
    taken = list(places)
    angles = np.deg2rad([a + b for a in range(0, 360, 90) for b in (45, 33, 57)])  # error bars lie along the axes
    found = []
    for i in range(len(places)):
        around = places[i] + away * np.stack([np.cos(angles), np.sin(angles)], 1)
        others = np.array(taken[:i] + taken[i + 1 :])
        free = np.linalg.norm(around[:, None] - others[None], axis=2).min(1) if len(others) else np.ones(len(angles))
        found.append(around[int(np.minimum(free, 2 * away).argmax())])
        taken.append(found[-1])
    return np.array(found).reshape(-1, 2)


# -- on paper -----------------------------------------------------------------------------------------------------


def draw(axis: Axes, front: Front) -> None:
    """Draw `front` on an empty axis; its legend is the caller's."""
    for path in front.paths:
        style, label = "--" if path.broken else "-", path.label or None
        axis.plot(*zip(*path.places, strict=True), style, color=COLOUR[path.kind], linewidth=0.8, label=label, zorder=1)
    for mark in front.marks:
        (x, *across), (y, *up) = mark.x, mark.y
        axis.errorbar(
            x,
            y,
            xerr=_sides(x, *across),
            yerr=_sides(y, *up),
            fmt=mark.shape,
            color=COLOUR[mark.kind],
            markerfacecolor="white" if mark.kind == "paper" else COLOUR[mark.kind],
            alpha=mark.opacity,
            markersize=6 if mark.kind == "chosen" else 4.5,
            elinewidth=0.8,
            zorder=3 if mark.kind == "chosen" else 2,
        )
    if front.floor is not None:
        label = "floor: the mean face (ours)"
        axis.axvline(front.floor, color="0.5", linestyle=":", linewidth=0.9, label=label, zorder=1)
    axis.set(xlim=front.x[:2], ylim=front.y[:2], xticks=front.x.ticks, yticks=front.y.ticks)
    axis.set_xlabel(front.x.title, fontsize=8)
    axis.set_ylabel(front.y.title, fontsize=8)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)


def _sides(value: float, low: float, high: float) -> list[list[float]]:
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def key(axis: Axes, looks: dict[str, tuple[str, str, float]], **options: Any) -> None:
    """A legend of what `draw` drew: for each name a kind, a shape and an opacity of `Mark`. `options` go to matplotlib."""
    for name, (kind, shape, opacity) in looks.items():
        axis.plot([], [], shape, color=COLOUR[kind], alpha=opacity, label=name)
    axis.legend(fontsize=7, frameon=False, **options)


@themed
def front_figure(lines: Sequence[TableLine], privacy: str = "face_similarity") -> Figure:
    """Utility against privacy lost, a point a line with its intervals, the mean face as the floor, the paper's points hollow."""
    figure, axis = plt.subplots(figsize=(5.0, 3.6), layout="constrained")
    found = of_lines(lines, privacy)
    draw(axis, found)
    axis.legend(fontsize=7, frameon=False, title="numbers: λ2", title_fontsize=7)
    _write_names(axis, found.marks)
    return figure


def _write_names(axis: Axes, marks: Sequence[Mark]) -> None:
    """Write the name of each mark beside it."""
    axis.figure.canvas.draw()  # the limits are final now
    scale = axis.figure.dpi / 72
    places = axis.transData.transform([(mark.x[0], mark.y[0]) for mark in marks]) / scale
    for mark, place, there in zip(marks, places, label_places(places), strict=True):
        axis.annotate(
            mark.name,
            (mark.x[0], mark.y[0]),
            xytext=tuple(there - place),
            textcoords="offset points",
            fontsize=6.5,
            color=COLOUR[mark.kind],
            ha="center",
            va="center",
        )
