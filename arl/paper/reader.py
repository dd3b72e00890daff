"""A strong reader: what the best smooth function of features says of numbers, for people whom it has not met.

Everything is chosen on X2, for each group of numbers by itself: features standardised or whitened, linear or Gaussians of a width, the
penalty, or saying nothing at all. Each fifth of X2's people is judged by what was learned from the others; T is looked at once.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from arl.attacks.kernelridge import Basis
from arl.messages import ConfigError
from arl.paper.probes import FOLDS, Sample
from arl.training import generator

STANDS_ON, TRIED_ON = (
    1000,
    500,
)  # Gaussians that a reader stands on (Nyström; Williams and Seeger, 2001), and while its width is chosen
DIRECTIONS = 512  # principal directions of the features, at most, that it sees; no more than a quarter of X2's images
SHRUNK = 1e-6  # variance, beside the mean, below which whitening blows up no direction
REACHES = (0.0, 0.5, 1.0, 2.0, 8.0)  # widths, times the median distance; 0: linear
WEIGHTS = (*(10.0**power for power in range(-7, 2)), np.inf)  # penalties an image; the last says nothing


class SmoothReading(NamedTuple):
    """Of T's images, in order, what is said, `says` (n, k), and what would be without features, `guess` (n, k): the mean.

    `held_out` (k,): R² on X2, whose people are read as those of T are; `choice`: of each group, in words.
    """

    says: np.ndarray
    guess: np.ndarray
    held_out: np.ndarray
    choice: dict[str, str]


def smooth_reading(of: Sample, target: np.ndarray, groups: Mapping[str, slice], seed: int) -> SmoothReading:
    """What can be read of `target` (n, k) from `of.values` (n, d); `groups`: columns that share one choice. Raises `ConfigError`."""
    views, fold = _views(of), folds(of, seed)
    task = _Task(views, torch.from_numpy(np.asarray(target, np.float64)), of.learn, fold, groups, seed)
    ways = {name: () for name in groups}
    best = dict.fromkeys(groups, np.inf)
    for way in ((view, width) for view in views for width in REACHES):
        for name, errors in task.errors(task.fits(way, TRIED_ON)).items():
            if min(errors) < best[name]:
                ways[name], best[name] = way, min(errors)
    says, words = task.guess.clone(), {}
    for way in sorted(set(ways.values())):
        fits = task.fits(way, STANDS_ON)
        errors = task.errors(fits)
        for name in (name for name, mine in ways.items() if mine == way):
            weight = WEIGHTS[int(np.argmin(errors[name]))]
            task.say(fits, weight, groups[name], says)
            words[name] = _words(*way, weight)
    wrong, rest = ((each - task.y)[of.learn].square().sum(0) for each in (says, task.guess))
    held_out = 1 - wrong / rest.clamp(min=1e-12)
    return SmoothReading(says[~of.learn].numpy(), task.guess[~of.learn].numpy(), held_out.numpy(), words)


def _words(view: str, width: float, weight: float) -> str:
    return (
        "nothing"
        if weight == np.inf
        else f"{view}, {f'{width:g} × median' if width else 'linear'}, penalty {weight:.0e}"
    )


def folds(of: Sample, seed: int) -> np.ndarray:
    """Groups of people, (n,): of X2's people 0 to `FOLDS` − 1, of everybody else −1. Raises `ConfigError` where X2 has one person."""
    known = np.unique(of.people[of.learn])
    if len(known) < 2:
        raise ConfigError(f"x2: found images of {len(known)} person, accepted: of 2 people or more")
    place = np.random.default_rng([seed, 99]).permutation(len(known)) % min(FOLDS, len(known))
    at = np.searchsorted(known, of.people).clip(max=len(known) - 1)
    return np.where(known[at] == of.people, place[at], -1)


def _views(of: Sample) -> dict[str, Tensor]:
    """The features in their principal directions on X2: as they are once each element is standardised, and whitened."""
    values = StandardScaler().fit(of.values[of.learn]).transform(of.values)
    most = max(
        1, min(DIRECTIONS, values.shape[1], of.learn.sum() // 4)
    )  # whitening by few images blows up what they do not show
    exact = "covariance_eigh" if values.shape[1] <= DIRECTIONS else "randomized"
    with np.errstate(invalid="ignore"):  # features that never vary
        pca = PCA(most, svd_solver=exact, random_state=0).fit(values[of.learn])
    turned = torch.from_numpy(pca.transform(values).astype(np.float64))
    variance = turned[torch.from_numpy(of.learn)].square().mean(0)
    floor = SHRUNK * variance.mean().clamp(min=1e-12)
    return {"standardised": turned, "whitened": turned / (variance + floor).sqrt()}


class _Fit:
    """Functions of the features, their Gram matrix over the images `x` (n, d), and their products with `y` (n, k)."""

    def __init__(self, x: Tensor, y: Tensor, width: float, centres: int, seed: int):
        self.n, self.offset, self.middle = len(x), y.mean(0), x.mean(0)
        self.scale = (x - self.middle).square().sum(1).mean().sqrt().clamp(min=1e-12)
        self.basis = None
        if width:
            stand = x[torch.randperm(len(x), generator=generator(seed, 90))[:centres]]
            median = torch.cdist(stand, stand).median()  # 0 where most features are the same
            reach = torch.maximum(median, 0.1 * self.scale) if self.scale > 1e-9 else torch.ones_like(median)
            self.basis = Basis(stand, width * reach)
        phi = self.functions(x)
        self.gram, self.right = phi.T @ phi, phi.T @ (y - self.offset)

    def functions(self, x: Tensor) -> Tensor:
        return (x - self.middle) / self.scale if self.basis is None else self.basis(x)

    def __call__(self, phi: Tensor, weight: float, columns: slice = slice(None)) -> Tensor:
        """What is said where the functions are `phi`, with the penalty `weight`."""
        if weight == np.inf:
            return self.offset[columns].expand(len(phi), -1)
        factor = torch.linalg.cholesky(self.gram + weight * self.n * torch.eye(len(self.gram), dtype=torch.float64))
        return phi @ torch.cholesky_solve(self.right[:, columns], factor) + self.offset[columns]


Fits = dict[
    int, tuple[_Fit, np.ndarray, Tensor]
]  # by fold: what others' people taught, its images, the functions of these


class _Task:
    """What is to be read, `y` (n, k), and by whom: a fold's images of X2 and of T are read by what the other folds of X2 taught."""

    def __init__(
        self,
        views: dict[str, Tensor],
        y: Tensor,
        learn: np.ndarray,
        fold: np.ndarray,
        groups: Mapping[str, slice],
        seed: int,
    ):
        self.views, self.y, self.learn, self.fold, self.groups, self.seed = views, y, learn, fold, groups, seed
        self.guess = torch.zeros_like(y)  # without features
        for k in np.unique(fold):
            self.guess[fold == k] = y[learn & (fold != k)].mean(0)

    def fits(self, way: tuple[str, float], centres: int) -> Fits:
        (view, width), found = way, {}
        for k in np.unique(self.fold).tolist():
            x, learn, here = self.views[view], self.learn & (self.fold != k), np.flatnonzero(self.fold == k)
            fit = _Fit(x[learn], self.y[learn], width, centres, self.seed)
            found[k] = fit, here, fit.functions(x[here])
        return found

    def errors(self, fits: Fits) -> dict[str, list[float]]:
        """By group, the squared error over the images of X2 with each of `WEIGHTS`."""
        found: dict[str, list[float]] = {name: [] for name in self.groups}
        for weight in WEIGHTS:
            total = torch.zeros(self.y.shape[1], dtype=torch.float64)
            for fit, here, phi in fits.values():
                known = self.learn[here]
                total += (fit(phi[known], weight) - self.y[here[known]]).square().sum(0)
            for name, columns in self.groups.items():
                found[name].append(float(total[columns].sum()))
        return found

    def say(self, fits: Fits, weight: float, columns: slice, into: Tensor) -> None:
        """Write what is said of `columns` of every image into `into` (n, k)."""
        for fit, here, phi in fits.values():
            into[here, columns] = fit(phi, weight, columns)
