"""λ(ours) ↔ λ(paper): at which of our λ the effect is as large as the paper's at its own, with its uncertainty, metric by metric.

Levels do not compare across data sets, so an *effect* does, in three kinds: what is left of the leak above its floor (`share`), what is
left of the value (`ratio`), by how much it fell (`fall`). Of the paper's floors nothing is printed; but at λ2 = 10 its mean MCC is 0.000,
so f sees nothing in Z: those similarities stand for its floors in `share`, and are at most too high.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.isotonic import isotonic_regression

from arl.config import RunConfig
from arl.paper.measured import standard_error
from arl.paper.rows import Setting, table1, table2, table3
from arl.paper.scales import Reading, perceptual_readings, pixel_readings

LAMBDA1S = (0.0, 0.3, 1.0, 3.0, 4.0, 10.0, 12.0, 30.0, 100.0, 300.0, 1000.0)
LAMBDA2S_TRIED = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
FOLLOWED = ("feature_similarity", "face_similarity", "mean_mcc", "ssim", "psnr")
KINDS = ("share", "ratio", "fall")
DRAWS = 1000
WIDEST = 30.0  # an interval from one λ to this many times it tells few readings apart


@dataclass(frozen=True)
class Matched:
    """The λ(ours) whose effect on `metric` is the paper's at λ = `paper`. 0 where less than any that was tried, inf where more."""

    metric: str
    kind: str
    paper: float  # λ
    target: float  # the paper's effect
    value: float
    low: float
    high: float
    tried: tuple[float, float]  # the least and the most λ(ours)

    def fits(self, factor: float) -> bool | None:
        """Whether a reading's factor lies in the interval; None where an interval that wide tells nothing."""
        low, high = min(self.low, self.tried[1]), max(self.high, self.tried[0])
        inside = low <= factor * self.paper <= high
        return None if inside and not high <= WIDEST * low else inside

    def __str__(self) -> str:
        least, most = self.tried
        ends = {0.0: f"under {least:g}", math.inf: f"over {most:g}"}
        value, low, high = (ends.get(v, f"{v:.3g}") for v in (self.value, self.low, self.high))
        return value if low == value == high else f"{value} ({low} to {high})"


def ladders(
    cfg: RunConfig,
    lambda1s: Sequence[float] = LAMBDA1S,
    lambda2s: Sequence[float] = LAMBDA2S_TRIED,
    conv1s: Sequence[float] = (),
) -> dict[str, list[tuple[float, Setting]]]:
    """What is measured: `lambda1`, Table 1's first row at each λ1; `conv1`, that of Table 3; `lambda2`, Table 2's at each λ2."""
    first, conv1 = table1(cfg)[0], table3(cfg, ["conv1"])[0]
    of_lambda1 = {
        name: [
            (v, Setting(row.table, f"{row.key}, λ1={v:g}", f"λ1 = {v:g}", row.cfg.replace(lambda1=v), {}))
            for v in values
        ]
        for name, row, values in (("lambda1", first, lambda1s), ("conv1", conv1, conv1s))
    }
    return {**of_lambda1, "lambda2": list(zip(lambda2s, table2(cfg, lambda2s), strict=True))}


def printed_levels(ladder: str) -> dict[float, dict[str, float]]:
    """The paper's figures of a ladder by its λ, that without the effect first, under 0.

    `again`: λ1 = 1 as Table 2 has it, of what no Dec^a takes part in; it differs from Table 1's in the simulated μ2 alone.
    """
    cfg = RunConfig()
    if ladder == "lambda2":
        return {float(row.key.partition("=")[2]): row.paper for row in table2(cfg)}
    if ladder == "again":
        rows = table1(cfg)[0], table2(cfg)[0]
        without, with_ = ({m: row.paper[m] for m in ("feature_similarity", "mean_mcc")} for row in rows)
        return {0.0: without, 1.0: with_}
    without, with_ = table1(cfg)[:2] if ladder == "lambda1" else table3(cfg, [ladder])
    return {0.0: without.paper, 1.0: with_.paper}


def effect_size(value: Any, unprotected: Any, floor: Any, kind: str) -> Any:
    """What is left of a figure, or by how much it changed; numbers or arrays. It falls as protection rises."""
    if kind == "share":
        return (value - floor) / (unprotected - floor)
    return value / unprotected if kind == "ratio" else value - unprotected


def matched(points: Sequence[Mapping[str, Any]], ladder: str, metric: str, kind: str, seed: int = 0) -> list[Matched]:
    """For each λ > 0 that the paper printed: the λ(ours) of the same effect, with the 95 % interval of `DRAWS` normal draws.

    `points`: of a ladder, as `tests/bench_lambda.py` writes them, λ = 0 among them. Empty where the paper has no such figure, and of a
    share where ours at λ = 0 is not above its floor: there is nothing of which a share could be left.
    """
    papers = printed_levels(ladder)
    if metric not in papers[0.0] or (metric, kind) == ("psnr", "ratio"):  # of decibels
        return []
    lambdas = np.array([point["lambda"] for point in points], float)
    means, errors = (np.array([f(point[metric]) for point in points]) for f in (_mean, standard_error))
    floor, zero = floor_of(points, metric), int(lambdas.argmin())
    if kind == "share" and points[zero][metric]["low"] <= floor:
        return []
    drawn = np.random.default_rng(seed).normal(means, errors, (DRAWS, len(points)))
    drawn = np.concatenate([means[None], drawn])
    effects = effect_size(drawn, drawn[:, [zero]], floor, kind)
    curves = _falling(lambdas, effects, errors)
    paper_floor = 0.0 if metric == "mean_mcc" else printed_levels("lambda2")[10.0][metric]
    found = []
    for value, figures in papers.items():
        target = effect_size(figures[metric], papers[0.0][metric], paper_floor, kind)
        if value > 0:
            each = np.array([where(lambdas[lambdas > 0], curve, target) for curve in curves])
            low, high = np.quantile(each[1:], (0.025, 0.975), method="nearest")
            ends = float(each[0]), float(low), float(high)
            found.append(
                Matched(metric, kind, value, float(target), *ends, (lambdas[lambdas > 0].min(), lambdas.max()))
            )
    return found


def _falling(lambdas: np.ndarray, effects: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Each row of `effects` (n, k) as the nearest curve that never rises with λ, at the λ above 0 in their order (n, m)."""
    kept = np.flatnonzero(lambdas > 0)
    weights = 1 / np.maximum(errors[kept], 1e-9) ** 2
    return np.stack([isotonic_regression(row[kept], sample_weight=weights, increasing=False) for row in effects])


def where(lambdas: np.ndarray, curve: np.ndarray, target: float) -> float:
    """The least λ at which a falling `curve` has reached `target`, linear in log λ; 0 if before the first, inf if never."""
    reached = np.flatnonzero(curve <= target)
    if not len(reached):
        return math.inf
    if (i := int(reached[0])) == 0:
        return 0.0
    part = (curve[i - 1] - target) / (curve[i - 1] - curve[i])
    return float(np.exp(np.log(lambdas[i - 1]) + part * np.log(lambdas[i] / lambdas[i - 1])))


def floor_of(points: Sequence[Mapping[str, Any]], metric: str) -> float:
    """What an attacker reaches who never saw Z; 0 for mean MCC."""
    floors = points[0][metric].get("floors") or {}
    return float(floors.get("mean face", 0.0))


def _mean(figure: Mapping[str, Any]) -> float:
    return figure["value"]


def verdicts(found: Sequence[Matched], readings: Sequence[Reading]) -> dict[str, dict[str, str]]:
    """Of each reading, by its name, for each metric: "fits" all of the paper's λ, "does not fit" one of them, or "undecided"."""
    out: dict[str, dict[str, str]] = {}
    for reading in readings:
        out[reading.name] = {}
        for metric in dict.fromkeys(m.metric for m in found):
            each = [m.fits(reading.factor) for m in found if m.metric == metric]
            word = "undecided" if None in each else "fits"
            out[reading.name][metric] = "does not fit" if False in each else word
    return out


def fitting(judged: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The readings that no metric contradicts, and at least one supports."""
    return [name for name, of in judged.items() if "does not fit" not in of.values() and "fits" in of.values()]


# -- what was found, as text and figure ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Mapped:
    """A ladder's points with what was matched, by kind, and each reading's verdicts."""

    ladder: str
    points: Sequence[Mapping[str, Any]]
    matches: dict[str, list[Matched]]
    readings: Sequence[Reading]

    def judged(self, kind: str) -> dict[str, dict[str, str]]:
        return verdicts(self.matches[kind], self.readings)

    @property
    def numbers(self) -> dict[str, Any]:
        """All of it, JSON-able; an end that is open is a word."""
        ends = {kind: [_closed(vars(m)) for m in found] for kind, found in self.matches.items()}
        verdict = {kind: self.judged(kind) for kind in self.matches}
        fits = {kind: fitting(of) for kind, of in verdict.items()}
        readings = [vars(reading) for reading in self.readings]
        return {"ladder": self.ladder, "points": self.points, "matched": ends, "readings": readings} | {
            "verdicts": verdict,
            "fitting": fits,
        }


def mapped(measured: Mapping[str, Any], raw: tuple[float, ...]) -> list[Mapped]:
    """Every ladder of what `tests/bench_lambda.py` wrote that has a rung to match; `raw`: see `scales.perceptual_readings`."""
    found = []
    for ladder in ("lambda1", "again", "conv1", "lambda2"):
        points = measured.get("lambda1" if ladder == "again" else ladder, [])
        if len(points) > 2:
            readings = perceptual_readings(raw) if ladder == "lambda2" else pixel_readings()
            each = {kind: [m for metric in FOLLOWED for m in matched(points, ladder, metric, kind)] for kind in KINDS}
            found.append(Mapped(ladder, points, each, readings))
    return found


def map_text(found: Mapped) -> str:
    """The matched λ by metric and kind, then the readings that nothing contradicts."""
    lines = [f"{found.ladder}: λ(ours) with the paper's effect, 95 % interval"]
    for kind, each in found.matches.items():
        lines += [f"  {kind:6} {m.metric:19} λ(paper) {m.paper:<4g} effect {m.target:+.3f}: {m}" for m in each]
        lines.append(
            f"  {kind}: readings that a metric supports and none contradicts: {'; '.join(fitting(found.judged(kind))) or 'none'}"
        )
    return "\n".join(lines)


def _closed(values: Mapping[str, Any]) -> dict[str, Any]:
    ends = {0.0: "below all tried", math.inf: "above all tried"}
    return {k: ends.get(v, v) if k in ("value", "low", "high") else v for k, v in values.items()}
