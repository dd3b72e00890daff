"""A law of leak against the adversary's budget n: y(n) = y∞ − a·n^(−b), or y∞ + a·n^(−b) for an error. Numbers in, numbers out.

It is written with three numbers that mean the same whatever b is: L, the level at the largest n that was measured; R ≥ 0, the rise from
the smallest to there; b, how soon it levels off. b = 0 is a rise with log n, which never levels off, b < 0 one that is faster still.

Few points say little about b, so no best one is chosen. b, and by how much points scatter beyond their known errors (an attacker's luck,
and what the law leaves out), stand on a grid; each pair counts by how likely it makes the points, L and R integrated out; intervals are
quantiles of draws from that. Beyond the largest n the curve goes on with another b than before, by a quarter more or less: sums of two laws
do so. Intervals are as good as the family: a curve that is flat as far as it was measured and rises later is foreseen by nobody.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

EXPONENTS = np.round(np.arange(-0.25, 1.501, 0.05), 2)  # b: laws of learning have 0.05 to 0.5, a model that fits has 1
SCATTERS = np.concatenate([[0.0], np.geomspace(0.25, 32, 15)])  # in units of the points' known error
WORLD = 1e10  # images, one of everybody: where y∞ is read, as b near 0 has no other limit
AHEAD = 64_000  # images for which a law foretells the leak
POINTS = 4  # budgets that a law needs: three numbers, and one to contradict them
DRAWN = 8000
DRIFT = 0.3  # deviation of log b beyond the largest budget from log b before it
BENT = 0.95  # share of draws with b < 0 from which on nothing is said of a limit
VERDICTS = ("saturated", "not saturated", "cannot tell")


@dataclass(frozen=True, eq=False)
class Law:
    """What the points allow: `DRAWN` draws of L, R, b, b beyond the largest budget and the scatter of one more point; of −y for an error.

    smallest, largest: the budgets that b is counted between; bound: the most that y can be (the least, of an error), or None.
    """

    smallest: float
    largest: float
    level: np.ndarray
    rise: np.ndarray
    exponent: np.ndarray
    later: np.ndarray
    scatter: np.ndarray
    rising: bool
    bound: float | None

    def curve(self, n: float) -> dict[str, float]:
        """`value` (the median), `low`, `high`: the 95 % interval of y(n)."""
        return self._said(self._at(n))

    def measured_at(self, n: float) -> dict[str, float]:
        """The same of one more measurement at n, by the same people: with an attacker's luck, and what the law leaves out."""
        luck = np.random.default_rng(1).standard_normal(len(self.level))
        return self._said(self._bounded(self._at(n) + self.scatter * luck))

    @property
    def limit(self) -> dict[str, float] | None:
        """y∞, read at n = 10^10, of the draws that do not rise ever faster; None where hardly any is left."""
        return self._said(self._at(WORLD)[self.exponent >= 0]) if self.levels_off else None

    @property
    def more(self) -> dict[str, float] | None:
        """How much more than at the largest n there is to get: |y∞ − y(n)|, from 0 on; None as `limit`."""
        left = self.growth(WORLD)
        return None if left is None else _quantiles(np.maximum(left, 0))

    def growth(self, n: float) -> np.ndarray | None:
        """Draws of how much more than at the largest budget there is at n; of `WORLD` as `limit`, and None where that is."""
        left = self._at(n) - self._bounded(self.level)
        if n < WORLD:
            return left
        return left[self.exponent >= 0] if self.levels_off else None

    @property
    def levels_off(self) -> bool:
        return bool((self.exponent < 0).mean() < BENT)

    @property
    def b(self) -> dict[str, float]:
        return _quantiles(self.exponent)

    def verdict(self, tolerance: float) -> str:
        """Saturated: all of the interval of `more` is within `tolerance`; not saturated: all of it beyond; else cannot tell."""
        more = self.more
        if more is None:
            return VERDICTS[2]
        if more["high"] <= tolerance:
            return VERDICTS[0]
        return VERDICTS[1] if more["low"] > tolerance else VERDICTS[2]

    def _at(self, n: float) -> np.ndarray:
        span = math.log(self.largest / self.smallest)
        place = math.log(n / self.smallest) / span
        if place <= 1:
            return self._bounded(self.level - self.rise * shape_of_law(self.exponent * span, np.float64(place)))
        slope = _ratio(self.exponent * span)  # at the largest budget; beyond it another exponent
        return self._bounded(self.level + self.rise * slope * (place - 1) / _ratio(-self.later * span * (place - 1)))

    def _bounded(self, y: np.ndarray) -> np.ndarray:
        if self.bound is None:
            return y
        return np.minimum(y, self.bound if self.rising else -self.bound)

    def _said(self, y: np.ndarray) -> dict[str, float]:
        return _quantiles(y if self.rising else -y)


def _ratio(c: np.ndarray) -> np.ndarray:
    """c / (exp(c) − 1), 1 at 0."""
    near = np.abs(c) < 1e-9
    return np.where(near, 1.0, np.where(near, 1.0, c) / np.expm1(np.where(near, 1.0, c)))


def shape_of_law(curvature: np.ndarray, place: np.ndarray) -> np.ndarray:
    """How far below L the law is, in units of R: 1 at `place` 0, the smallest budget, 0 at 1, the largest; places count log n.

    `curvature`: b · log(largest / smallest); 0 is a straight line.
    """
    curvature, place = np.broadcast_arrays(np.asarray(curvature, np.float64), np.asarray(place, np.float64))
    straight = np.abs(curvature) < 1e-9
    c = np.where(straight, 1.0, curvature)
    bent = np.exp(-c) * np.expm1(c * (1 - place)) / -np.expm1(-c)
    return np.where(straight, 1 - place, bent)


def fit_law(
    n: Sequence[float],
    y: Sequence[float],
    covariance: np.ndarray,
    *,
    rising: bool = True,
    bound: float | None = None,
    seed: int = 0,
) -> Law:
    """The law behind `y` (k,) at the budgets `n` (k,), whose known errors have this `covariance` (k, k): of people, and of seeds.

    Errors that all points share move the curve as a whole and do not bend it. `rising`: False where less is more, as of an error.
    `bound`: of what `y` can be. Raises ValueError for fewer than `POINTS` different budgets, or numbers that are not finite.
    """
    n, y, covariance = (np.asarray(values, np.float64) for values in (n, y, covariance))
    if len(set(n.tolist())) < POINTS or y.shape != n.shape or covariance.shape != (len(n), len(n)):
        found = f"{len(set(n.tolist()))} budgets, {y.shape} values, {covariance.shape} covariances"
        raise ValueError(
            f"n: found {found}, accepted: {POINTS} different budgets or more, as many values, their square"
        )
    if not (np.isfinite(n).all() and np.isfinite(y).all() and np.isfinite(covariance).all() and (n > 0).all()):
        raise ValueError("n, y, covariance: found numbers that are not finite, accepted: finite ones, n above 0")
    smallest, largest = n.min(), n.max()
    own, known = _own_and_known(covariance, y)
    place = np.log(n / smallest) / math.log(largest / smallest)
    cells = _cells(place, y if rising else -y, covariance, own, known, math.log(largest / smallest))
    return Law(smallest, largest, *_drawn(cells, np.random.default_rng([seed, 13])), rising, bound)


def _own_and_known(covariance: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The part of a point's variance that it shares with no other, and the deviation that scatter is counted in; never 0."""
    each, count = np.diag(covariance).mean(), len(covariance)
    shared = (covariance.sum() - np.trace(covariance)) / (count * (count - 1))
    own = max(each - max(shared, 0.0), 0.0)
    return own, max(math.sqrt(own), 0.2 * math.sqrt(each), 1e-4 * np.ptp(y), 1e-9)


def _cells(
    place: np.ndarray, y: np.ndarray, covariance: np.ndarray, own: float, known: float, span: float
) -> dict[str, np.ndarray]:
    """Of each pair of b and scatter, (pairs,): its weight, the Gaussian of (L, R) given it, and the deviation of one more point."""
    b, scatter = (grid.ravel() for grid in np.meshgrid(EXPONENTS, SCATTERS * known, indexing="ij"))
    design = np.stack([np.ones((len(b), len(y))), -shape_of_law((b * span)[:, None], place)], -1)  # (pairs, k, 2)
    noise = covariance + (scatter[:, None, None] ** 2 + (1e-3 * known) ** 2) * np.eye(len(y))
    inverse = np.linalg.inv(noise)
    spread = np.linalg.inv(np.swapaxes(design, 1, 2) @ inverse @ design)  # of (L, R)
    best = spread @ np.swapaxes(design, 1, 2) @ inverse @ y[:, None]
    missed = y[:, None] - design @ best
    squares = (np.swapaxes(missed, 1, 2) @ inverse @ missed)[:, 0, 0]
    up = ndtr(best[:, 1, 0] / np.sqrt(spread[:, 1, 1]))  # the share of it where R is above 0
    log = 0.5 * (np.linalg.slogdet(spread)[1] - np.linalg.slogdet(noise)[1] - squares) + np.log(np.maximum(up, 1e-300))
    prior = np.gradient(SCATTERS) / (
        1 + SCATTERS**2
    )  # half a Cauchy: mostly as large as the known errors, with a long tail
    weight = np.exp(log - log.max()) * np.tile(prior, len(EXPONENTS))
    return {
        "weight": weight / weight.sum(), "best": best[..., 0], "spread": spread, "b": b, "up": up,
        "scatter": np.sqrt(scatter**2 + own),
    }  # fmt: skip


def _drawn(cells: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """L, R above 0, b and the deviation of one more point, (DRAWN,) each."""
    which = rng.choice(len(cells["weight"]), DRAWN, p=cells["weight"])
    (level, rise), spread = cells["best"][which].T, cells["spread"][which]
    deviation = np.sqrt(spread[:, 1, 1])
    up = cells["up"][which]
    r = rise + deviation * ndtri(np.clip(1 - up * rng.uniform(size=DRAWN), 1e-300, 1 - 1e-16))
    r = np.maximum(r, 0)
    slope = spread[:, 0, 1] / spread[:, 1, 1]
    left = np.sqrt(np.maximum(spread[:, 0, 0] - slope * spread[:, 0, 1], 0))
    at = level + slope * (r - rise) + left * rng.standard_normal(DRAWN)
    b = cells["b"][which]
    return at, r, b, b * np.exp(DRIFT * rng.standard_normal(DRAWN)), cells["scatter"][which]


def _quantiles(values: np.ndarray) -> dict[str, float]:
    low, value, high = np.percentile(values, [2.5, 50, 97.5])
    return {"value": float(value), "low": float(low), "high": float(high)}


def resampled_means(
    scores: Sequence[np.ndarray], people: Sequence[np.ndarray], resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """The mean at each of k budgets in each resample, (resamples, k): of seeds, and within each of people with all their images.

    scores: of each seed (k, images), the same images at each budget, so that what they share is known; people: who is on each, (images,).
    Two seeds say little of how seeds differ: the spread of s seeds counts s / (s − 1).
    """
    rng, within, means = np.random.default_rng([seed, 14]), 0.0, []
    for each, who in zip(scores, people, strict=True):
        names, place = np.unique(who, return_inverse=True)
        sums = np.stack([np.bincount(place, row, len(names)) for row in each])  # (k, people)
        often = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
        means.append(each.mean(1))
        within = within + (often @ sums.T / (often @ np.bincount(place))[:, None] - means[-1]) / len(scores)
    means = np.stack(means)
    if len(means) == 1:
        return means[0] + within
    away = (means - means.mean(0)) * math.sqrt(len(means) / (len(means) - 1))
    return means.mean(0) + within + away[rng.integers(len(means), size=(resamples, len(means)))].mean(1)
