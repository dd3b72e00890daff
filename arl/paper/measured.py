"""Settings measured over seeds: the mean of each metric with its interval, what it was measured on, and what to recommend.

An interval is the 95 % t-interval of the mean over seeds (split, initial weights and order change with the seed). One seed alone has
the bootstrap interval over the images of T instead, and every output says which of the two it shows.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from scipy.special import stdtrit
from torch import Tensor

from arl.inputs import further_judge
from arl.paper.rows import Setting, seeded
from arl.paper.style import NAMES
from arl.row import Row
from arl.schedule import sweep

OF_JUDGES = ("face_similarity", "embedding_similarity", "feature_similarity")  # the rest is nobody's opinion


@dataclass(frozen=True)
class Line:
    """A line of a table: one setting with its run for each seed. `judge`: whose face similarity it shows, "" for C."""

    setting: Setting
    runs: tuple[Row, ...]
    judge: str = ""

    def measured(self, run: Row, metric: str) -> dict[str, Any] | None:
        """The figure of one run; None where the judge does not measure it: feature similarity is C's only."""
        if not self.judge or metric not in OF_JUDGES:
            return run.result[metric]
        return run.result["judges"][self.judge].get(metric)

    def each(self, metric: str) -> np.ndarray:
        """The metric on T of each seed, (seeds,); none where the judge does not measure it."""
        found = [self.measured(run, metric) for run in self.runs]
        return np.array([one["value"] for one in found if one is not None], np.float64)

    def each_image(self, run: Row, metric: str) -> Tensor:
        """The metric of each image of T, (N,), in one run."""
        return run.each(f"judges/{self.judge}/{metric}" if self.judge and metric in OF_JUDGES else metric)

    def figure(self, metric: str) -> dict[str, Any]:
        """`value`, `low`, `high`: the mean over seeds with its t-interval; of one seed, the interval over images.

        All three None where the judge does not measure it.
        """
        values = self.each(metric)
        if not len(values):
            return {"value": None, "low": None, "high": None, "each": []}
        if len(values) > 1:
            return {**over_seeds(values), "each": values.tolist()}
        one = self.measured(self.runs[0], metric)
        return {"value": one["value"], "low": one["low"], "high": one["high"], "each": values.tolist()}

    def floor(self, metric: str) -> float | None:
        """What an attacker reaches who never saw Z: the mean face. None where the metric has no floor."""
        found = [(self.measured(run, metric) or {}).get("floors", {}).get("mean face") for run in self.runs]
        return float(np.mean(found)) if None not in found else None


def over_seeds(values: Sequence[float]) -> dict[str, float]:
    """The mean of two or more values with its 95 % t-interval."""
    values = np.asarray(values, np.float64)
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return {"value": float(values.mean()), "low": float(values.mean() - half), "high": float(values.mean() + half)}


def measure(settings: Sequence[Setting], seeds: object, judge: str = "") -> list[Line]:
    """Every setting with every seed of the list `seeds` ("0,1,2"), found or made in one sweep.

    `judge`: whose face similarity the lines show, C's or that of a further one in `recogniser`. Raises `ConfigError`.
    """
    shown = [further_judge(setting.cfg, judge) for setting in settings]
    cfgs = [seeded(setting.cfg, seeds) for setting in settings]
    runs = iter(sweep(list(chain.from_iterable(cfgs))))
    each = zip(settings, cfgs, shown, strict=True)
    return [Line(setting, tuple(next(runs) for _ in seeds), whose) for setting, seeds, whose in each]


def measured_on(lines: Sequence[Line]) -> str:
    """What the figures of `lines` were measured on: data, attributes' judge C, perceptual g, seeds, kind of interval."""
    results = [run.result for line in lines for run in line.runs]
    seeds = sorted({r["config"]["seed"] for r in results})
    tests = _counted({r["measured_on"]["test_set"].split(" (split")[0] for r in results})
    judges = sorted({r["measured_on"]["C"].split(";")[0] for r in results})
    told = {
        f"{j}, {r['measured_on']['judges'][j].split(';')[0]}" for line in lines if (j := line.judge) for r in results
    }
    judges = [*judges, *(f"here judged by {words}" for words in sorted(told))]
    g = {part for r in results for part in re.split(" for Dec\\^a, | for the simulated Dec", r["measured_on"]["g"])}
    g -= {"none", ""}
    kind = f"95 % t-interval over {len(seeds)} seeds ({', '.join(map(str, seeds))})"
    if len(seeds) == 1:
        kind = f"95 % bootstrap interval over test images, seed {seeds[0]}"
    return f"{'; '.join(tests)}. C: {'; '.join(judges)}. g: {'; '.join(sorted(g)) or 'none'}. {kind}."


def _counted(said: Iterable[str]) -> list[str]:
    """Sentences that differ in their first number alone as one: "T, 919 or 920 images"."""
    counts: dict[tuple[str, str], set[int]] = {}
    for words in said:
        before, number, after = re.match(r"(\D*)(\d*)(.*)", words, re.DOTALL).groups()
        counts.setdefault((before, after), set()).update([int(number)] if number else [])
    return sorted(f"{before}{' or '.join(map(str, sorted(ns)))}{after}" for (before, after), ns in counts.items())


def recommend(lines: Sequence[Line], least_mcc: float, privacy: str = "face_similarity", draws: int = 20_000) -> str:
    """The setting that leaks least among those whose mean MCC is at least `least_mcc`, and how sure that is.

    Uncertainty: both metrics of each line are drawn from normal distributions with the standard error over seeds (with one seed: over
    images, from its bootstrap interval), independently; the share of draws in which a line is the answer is its probability.
    """
    if not lines:
        raise ValueError("lines: found none, accepted: at least one measured line")
    rng = np.random.default_rng(0)
    drawn = {}
    for metric in ("mean_mcc", privacy):
        mean = np.array([line.figure(metric)["value"] for line in lines])
        error = np.array([standard_error(line.figure(metric)) for line in lines])
        drawn[metric] = rng.normal(mean, error, (draws, len(lines)))
    accepted = drawn["mean_mcc"] >= least_mcc
    best = np.where(accepted, drawn[privacy], np.inf).argmin(1)
    share = np.bincount(best[accepted.any(1)], minlength=len(lines)) / draws
    means = [(line.figure("mean_mcc")["value"], line.figure(privacy)["value"]) for line in lines]
    labels = [line.setting.label for line in lines]
    fitting = [i for i, (mcc, _) in enumerate(means) if mcc >= least_mcc]
    if not fitting:
        top = max(range(len(lines)), key=lambda i: means[i][0])
        return (
            f"no measured setting keeps a mean MCC of {least_mcc:g}; the most useful is {labels[top]} with {means[top][0]:.3f} "
            f"(none fits in {1 - accepted.any(1).mean():.0%} of the draws)"
        )
    chosen = min(fitting, key=lambda i: means[i][1])
    others = sorted((i for i in range(len(lines)) if i != chosen and share[i] >= 0.05), key=lambda i: -share[i])
    rest = "".join(f"; {labels[i]} in {share[i]:.0%}" for i in others)
    return (
        f"for a mean MCC of at least {least_mcc:g}: {labels[chosen]}, mean MCC {means[chosen][0]:.3f}, {NAMES[privacy][0]} "
        f"{means[chosen][1]:.3f}; it keeps that MCC in {accepted[:, chosen].mean():.0%} of the draws and is the best choice in "
        f"{share[chosen]:.0%}{rest}. {measured_on(lines)}"
    )


def standard_error(figure: Mapping[str, Any]) -> float:
    """The standard error behind a 95 % interval: of the mean over the seeds `each`, or of one seed over images."""
    each = figure.get("each", ())
    if len(each) > 1:
        return float(np.std(each, ddof=1) / np.sqrt(len(each)))
    return (figure["high"] - figure["low"]) / (2 * 1.96)
