"""Leak against the adversary's budget: the rows of a curve, its points with the errors that they share, its law, and what both say."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from arl.audit.law import AHEAD, POINTS, WORLD, Law, fit_law, resampled_means
from arl.config import RunConfig
from arl.data.base import wanted_images
from arl.data.open import look_at_data
from arl.messages import ConfigError, say
from arl.paper.measured import Line, measured_on
from arl.paper.rows import Setting, numbers
from arl.paper.style import NAMES
from arl.row import Row


class Axis(NamedTuple):
    """What an adversary has more or less of: a field of the configuration or of its attacks, and what it counts."""

    field: str
    words: str


AXES = {
    "images": Axis("extra_images", "images that the adversary owns"),
    "widening": Axis("widening", "width of the decoder, beside Dec$^a$"),
    "centres": Axis("centres", "images that kernel ridge stands on"),
    "epochs": Axis("attack_epochs", "epochs that the attacker may take"),
}
CEILING = {"face_similarity": 1.0, "feature_similarity": 1.0, "ssim": 1.0}  # the most that a metric can be
OF_THE_PAPER = ("decoder", "features")  # attacks whose figures are a row's own


def budget_settings(
    cfg: RunConfig, lambda1s: object, lambda2s: object, ns: object, attackers: str, axis: str = "images"
) -> list[Setting]:
    """The rows of the curves: each encoder at each of the budgets `ns`, the largest first, as it takes longest.

    An encoder for each of `lambda1s`, then, with λ1 = 1 and a simulated μ2 = 1, for each of `lambda2s`, which may be empty. On the axis
    `images` all that the adversary owns are fresh faces, `extra=instead`: where `extra_source` says nothing drawn as those of X1 are, for
    photographs of reserved people, and budgets above what is reserved are that. On other axes it owns X2. Raises `ConfigError`.
    """
    plain = cfg.replace(lambda1=0, lambda2=0, simulated_mu1=0, simulated_mu2=0, attacks=attackers)
    encoders = {f"λ1 = {v:g}" if v else "no protection": dict(lambda1=v) for v in numbers(lambda1s)}
    if str(lambda2s).strip():
        encoders |= {f"λ1 = 1, λ2 = {v:g}": dict(lambda1=1, lambda2=v, simulated_mu2=1) for v in numbers(lambda2s)}
    budgets = budgets_of(ns)
    fresh = {}
    if axis == "images":
        fresh = dict(extra="instead", extra_source=cfg.extra_source or ("standard" if cfg.data == "rendered" else ""))
        budgets = _reserved_budgets(plain.replace(**fresh), budgets)
    return [
        Setting(0, f"{label}, {axis} {n}", label, plain.replace(**protected, **fresh, **{axis_of(axis).field: n}), {})
        for n in reversed(budgets)
        for label, protected in encoders.items()
    ]


def budgets_of(ns: object) -> list[int]:
    """`"250,500,1000"` as whole numbers, each once, in order. Raises `ConfigError`."""
    found = numbers(ns)
    if bad := [n for n in found if n < 1 or n != int(n)]:
        raise ConfigError(f"ns: found {bad[0]:g}, accepted: whole numbers of 1 or more, such as '250,500,1000,2000'")
    return sorted(map(int, found))


def _reserved_budgets(cfg: RunConfig, budgets: list[int]) -> list[int]:
    """Those of `budgets` for which there are photographs, where they are of reserved people; what is reserved in place of those above."""
    cfg.check_extra()
    if cfg.extra_from != "reserved":
        return budgets
    there = wanted_images(cfg.reserved, look_at_data(cfg).images if cfg.reserved < 1 else 0)
    if budgets[-1] > there:
        say(f"ns: reserved={cfg.reserved:g} keeps {there} photographs, so that is the largest budget")
    return sorted({min(n, there) for n in budgets})


def axis_of(axis: str) -> Axis:
    if axis not in AXES:
        raise ConfigError(f"axis: found {axis!r}, accepted: {', '.join(AXES)}")
    return AXES[axis]


# -- curves -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class BudgetCurve:
    """What one attacker recovers from one encoder, at each budget.

    n: (k,) in order; value: (k,) means over seeds; draws: (resamples, k), all budgets from the same people and seeds. floors and
    ceilings by name: what stands beside the figure at the largest budget. lines: a row a budget.
    """

    encoder: str
    attack: str
    metric: str
    axis: str
    n: np.ndarray
    value: np.ndarray
    draws: np.ndarray
    floors: dict[str, float]
    ceilings: dict[str, float]
    lines: tuple[Line, ...]

    @cached_property
    def bounds(self) -> np.ndarray:
        """The 95 % interval of each point, (2, k)."""
        return np.percentile(self.draws, [2.5, 97.5], axis=0)

    def law(self, most: float = np.inf) -> Law | None:
        """The law of the budgets up to `most`; None where there are too few."""
        here = self.n <= most
        if here.sum() < POINTS:
            return None
        covariance = np.atleast_2d(np.cov(self.draws[:, here].T))
        return fit_law(self.n[here], self.value[here], covariance, bound=CEILING.get(self.metric))

    @property
    def ahead(self) -> float:
        """The budget that is foretold."""
        return max(AHEAD, 4 * self.n[-1]) if self.axis == "images" else 4 * self.n[-1]


def budget_curves(lines: Sequence[Line], metric: str = "face_similarity", axis: str = "images") -> list[BudgetCurve]:
    """A curve for each encoder and attacker of `lines` (of `budget_settings`) whose leak `metric` measures."""
    field, found = axis_of(axis).field, []
    by_encoder: dict[str, list[Line]] = {}
    for line in sorted(lines, key=lambda line: getattr(line.setting.cfg, field)):
        by_encoder.setdefault(line.setting.label, []).append(line)
    for label in dict.fromkeys(line.setting.label for line in lines):
        own = by_encoder[label]
        for attack in own[0].setting.cfg.attacks:
            if _figure(own[0].runs[0], attack.name(), metric) is not None:
                found.append(_curve(own, label, attack.name(), metric, axis))
    return found


def _curve(lines: Sequence[Line], label: str, attack: str, metric: str, axis: str) -> BudgetCurve:
    key = metric if attack in OF_THE_PAPER else f"{attack}/{metric}"
    by_seed = list(zip(*(line.runs for line in lines), strict=True))
    scores = [np.stack([row.each(key).double().numpy() for row in rows]) for rows in by_seed]
    people = [rows[0].experiment.data.identities[rows[0].each("t").numpy()] for rows in by_seed]
    resamples = lines[0].setting.cfg.bootstrap
    n = np.array([getattr(line.setting.cfg, axis_of(axis).field) for line in lines], np.float64)
    floors, ceilings = _beside(lines[-1], attack, metric)
    value, draws = np.mean([each.mean(1) for each in scores], 0), resampled_means(scores, people, resamples)
    return BudgetCurve(label, attack, metric, axis, n, value, draws, floors, ceilings, tuple(lines))


def _figure(row: Row, attack: str, metric: str) -> dict[str, Any] | None:
    """What `attack` measured in `row`; None where it is after something else. Dec^a and M share a row's own figures."""
    if attack in OF_THE_PAPER:
        return row.result.get(metric) if (metric == "feature_similarity") == (attack == "features") else None
    return row.result["attacks"][attack].get(metric)


def _beside(line: Line, attack: str, metric: str) -> tuple[dict[str, float], dict[str, float]]:
    """Floors and ceilings, means over seeds."""
    floors: dict[str, list[float]] = {}
    ceilings: dict[str, list[float]] = {}
    for row in line.runs:
        figure = _figure(row, attack, metric)
        for name, value in figure["floors"].items():
            floors.setdefault(name, []).append(value)
        floors.setdefault("answers", []).append(row.result.get("answers", {}).get(metric, {}).get("value"))
        for name, value in figure["ceilings"].items():
            ceilings.setdefault(name, []).append(value)
    return _means(floors), _means(ceilings)


def _means(found: Mapping[str, Sequence[float | None]]) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in found.items() if None not in values}


# -- what they say ------------------------------------------------------------------------------------------------


def budget_numbers(curve: BudgetCurve, fitted: float, tolerance: float) -> dict[str, Any]:
    """`points` (n, value, low, high); `held_back`, those above `fitted`, as the law of the others foretells them; `law` of all points.

    `law`: `b`, `ahead` (the measurement foretold at its `n`), `limit` (y∞), `more` (how far that is above the largest budget's) and
    `verdict`, by whether `more` is within `tolerance`; None where there are too few points.
    """
    points = [
        {"n": n, "value": value, "low": low, "high": high}
        for n, value, low, high in zip(
            curve.n.tolist(), curve.value.tolist(), *(each.tolist() for each in curve.bounds), strict=True
        )
    ]
    found: dict[str, Any] = {
        "encoder": curve.encoder,
        "attack": curve.attack,
        "metric": curve.metric,
        "axis": curve.axis,
    }
    found |= {"points": points, "floors": curve.floors, "ceilings": curve.ceilings, "fitted": fitted, "held_back": []}
    few = curve.law(fitted)
    for point in points if few else []:
        if point["n"] > fitted:
            said = few.measured_at(point["n"])
            found["held_back"].append(
                point | {"foretold": said, "inside": said["low"] <= point["value"] <= said["high"]}
            )
    law = curve.law()
    found["law"] = law and {
        "b": law.b, "ahead": {"n": curve.ahead, **law.measured_at(curve.ahead)}, "limit": law.limit, "more": law.more,
        "tolerance": tolerance, "verdict": law.verdict(tolerance),
    }  # fmt: skip
    return found


def protection_left(curves: Sequence[BudgetCurve]) -> list[dict[str, Any]]:
    """For each protected encoder beside the unprotected one under the same attacker: how much less leaks, by budget, ahead, and at y∞.

    Differences are over the same people. What both curves have yet to gain is added as if neither knew of the other: rather wide.
    """
    found = []
    plain = {curve.attack: curve for curve in curves if not curve.lines[0].setting.cfg.protected}
    for curve in curves:
        base = plain.get(curve.attack)
        if base is None or base is curve or not np.array_equal(base.n, curve.n):
            continue
        gaps = base.draws - curve.draws
        value, bounds = base.value - curve.value, np.percentile(gaps, [2.5, 97.5], axis=0)
        points = [
            {"n": float(n), "value": float(v), "low": float(low), "high": float(high)}
            for n, v, low, high in zip(curve.n, value, *bounds, strict=True)
        ]
        one = {"encoder": curve.encoder, "attack": curve.attack, "metric": curve.metric, "points": points}
        for name, n in (("ahead", curve.ahead), ("limit", WORLD)):
            gains = [law.growth(n) if law else None for law in (base.law(), curve.law())]
            one[name] = None if any(gain is None for gain in gains) else {"n": n, **_apart(gaps[:, -1], *gains)}
        found.append(one)
    return found


def _apart(gap: np.ndarray, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """`value`, `low`, `high` of gap + one − other, drawn independently."""
    rng = np.random.default_rng(0)
    low, value, high = np.percentile(sum(rng.choice(each, 8000) for each in (gap, one, -other)), [2.5, 50, 97.5])
    return {"value": float(value), "low": float(low), "high": float(high)}


def budget_text(curves: Sequence[BudgetCurve], fitted: float, tolerance: float) -> str:
    """All of it for reading: a paragraph a curve, then what is left of the protection."""
    out = []
    for curve in curves:
        found = budget_numbers(curve, fitted, tolerance)
        first, last = found["points"][0], found["points"][-1]
        name, _, digits = NAMES[curve.metric]
        head = f"{curve.encoder}, {curve.attack}: {name} {first['value']:.{digits}f} at {first['n']:g}"
        out.append(f"{head}, {_interval(last, digits)} at {last['n']:g} {curve.axis}")
        for held in found["held_back"]:
            words = "inside" if held["inside"] else "OUTSIDE"
            foretold = f"foretold from {found['fitted']:g} and fewer: {_interval(held['foretold'], digits)}"
            out.append(f"    {held['n']:g}: {held['value']:.{digits}f}, {foretold}: {words}")
        out.extend(_law_lines(found["law"], digits))
    for gap in protection_left(curves):
        first, last, digits = gap["points"][0], gap["points"][-1], NAMES[gap["metric"]][2]
        line = f"{gap['encoder']} takes from {gap['attack']} {_interval(first, digits)} at {first['n']:g}"
        line += f", {_interval(last, digits)} at {last['n']:g}"
        line += f", foretold {_interval(gap['ahead'], digits)} at {gap['ahead']['n']:g}" if gap["ahead"] else ""
        out.append(line + (f", {_interval(gap['limit'], digits)} at last" if gap["limit"] else ""))
    out += ["", "intervals of these curves: 95 %, over the people of T with all their photographs, and over seeds"]
    return "\n".join([*out, measured_on([line for curve in curves for line in curve.lines])])


def _law_lines(law: Mapping[str, Any] | None, digits: int) -> list[str]:
    if law is None:
        return [f"    no law: fewer than {POINTS} budgets"]
    ahead, limit = law["ahead"], law["limit"]
    limit = _interval(limit, digits) if limit else "unknown, as it rises ever faster"
    left = f", {_interval(law['more'], digits)} more" if law["more"] else ""
    at = f"    law: b {_interval(law['b'], 2)}; foretold at {ahead['n']:g}: {_interval(ahead, digits)}"
    return [at, f"    y∞ {limit}{left}; within {law['tolerance']:g}? {law['verdict']}"]


def _interval(figure: Mapping[str, float], digits: int) -> str:
    return f"{figure['value']:.{digits}f} ({figure['low']:.{digits}f} … {figure['high']:.{digits}f})"


def budget_csv(curves: Sequence[BudgetCurve], fitted: float, tolerance: float) -> bytes:
    """A line a point: measured, foretold from `fitted` and fewer, ahead and limit of the law of all, with run ids."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow("encoder attack metric axis kind n value low high verdict runs".split())
    for curve in curves:
        found = budget_numbers(curve, fitted, tolerance)
        names = [curve.encoder, curve.attack, curve.metric, curve.axis]
        for point, line in zip(found["points"], curve.lines, strict=True):
            runs = " ".join(row.id for row in line.runs)
            writer.writerow([*names, "measured", *_cells_of(point, point["n"]), "", runs])
        for held in found["held_back"]:
            writer.writerow([*names, f"foretold from {fitted:g}", *_cells_of(held["foretold"], held["n"]), "", ""])
        if law := found["law"]:
            writer.writerow([*names, "foretold", *_cells_of(law["ahead"], law["ahead"]["n"]), "", ""])
            writer.writerow([*names, "limit", *_cells_of(law["limit"] or {}, "inf"), law["verdict"], ""])
    return out.getvalue().encode()


def _cells_of(figure: Mapping[str, float], n: object) -> list[object]:
    return [n, *(figure.get(name, "") for name in ("value", "low", "high"))]
