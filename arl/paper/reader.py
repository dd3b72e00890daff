"""A strong reader: what the best smooth function of features says of numbers, for people whom it has not met.

Everything is chosen on X2, for each group of numbers by itself: features standardised or whitened, linear or Gaussians of a width, the
penalty, or saying nothing at all. Choices are made on a fifth of X2's people, after learning from the others; T is looked at once.
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
DIRECTIONS = 512  # principal directions of the features, at most, that it sees
SHRUNK = 1e-6  # variance, beside the mean, below which whitening blows up no direction
REACHES = (0.0, 0.5, 1.0, 2.0, 8.0)  # widths, times the median distance; 0: linear
WEIGHTS = (*(10.0**power for power in range(-7, 2)), np.inf)  # penalties an image; the last says nothing


class Reading(NamedTuple):
    """`says` (n, k): of the images of T, in order; `held_out` (k,): R² on the people of X2 that it was chosen by; `choice`: in words."""

    says: np.ndarray
    held_out: np.ndarray
    choice: dict[str, str]


def smooth_reading(of: Sample, target: np.ndarray, groups: Mapping[str, slice], seed: int) -> Reading:
    """What can be read of `target` (n, k) from `of.values` (n, d); `groups`: columns that share one choice. Raises `ConfigError`."""
    views, y, fold = _views(of), torch.from_numpy(np.asarray(target, np.float64)), folds(of, seed)
    learn, held = of.learn & (fold != 0), of.learn & (fold == 0)
    chosen = _choose(views, y, learn, held, groups, seed)
    says, test = np.zeros((np.count_nonzero(~of.learn), y.shape[1])), np.flatnonzero(~of.learn)
    for k in np.unique(fold[test]):
        here = fold[test] == k
        says[here] = _said(views, y, of.learn & (fold != k), test[here], chosen, groups, seed)
    rest = y[held] - y[learn].mean(0)
    wrong = y[held] - torch.from_numpy(_said(views, y, learn, np.flatnonzero(held), chosen, groups, seed))
    held_out = 1 - wrong.square().sum(0) / rest.square().sum(0).clamp(min=1e-12)
    words = {
        name: "nothing"
        if gamma == np.inf
        else f"{view}, {f'{width:g} × median' if width else 'linear'}, penalty {gamma:.0e}"
        for name, (view, width, gamma) in chosen.items()
    }
    return Reading(says, held_out.numpy(), words)


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
    most = min(DIRECTIONS, *values[of.learn].shape)
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
            self.basis = Basis(stand, (width * torch.cdist(stand, stand).median()).clamp(min=1e-9))
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


Choice = dict[str, tuple[str, float, float]]  # by group: the view, the width, the penalty


def _choose(
    views: dict[str, Tensor], y: Tensor, learn: np.ndarray, held: np.ndarray, groups: Mapping[str, slice], seed: int
) -> Choice:
    """What is least wrong on the images `held`; the penalty once more with all Gaussians."""

    def tried(ways: set[tuple[str, float]], centres: int) -> dict[str, list[tuple[float, tuple[str, float, float]]]]:
        errors: dict[str, list[tuple[float, tuple[str, float, float]]]] = {name: [] for name in groups}
        for view, width in sorted(ways):
            fit = _Fit(views[view][learn], y[learn], width, centres, seed)
            phi = fit.functions(views[view][held])
            for weight in WEIGHTS:
                wrong = (fit(phi, weight) - y[held]).square().sum(0)
                for name, columns in groups.items():
                    errors[name].append((float(wrong[columns].sum()), (view, width, weight)))
        return errors

    first = {name: min(each)[1] for name, each in tried({(v, w) for v in views for w in REACHES}, TRIED_ON).items()}
    again = tried({way[:2] for way in first.values()}, STANDS_ON)
    return {name: min(e for e in again[name] if e[1][:2] == way[:2])[1] for name, way in first.items()}


def _said(
    views: dict[str, Tensor],
    y: Tensor,
    learn: np.ndarray,
    rows: np.ndarray,
    chosen: Choice,
    groups: Mapping[str, slice],
    seed: int,
) -> np.ndarray:
    """What the `chosen` readers, after learning from the images `learn`, say of the images `rows`: (rows, k)."""
    says = y[learn].mean(0).expand(len(rows), -1).clone()
    for view, width in sorted({way[:2] for way in chosen.values() if way[2] != np.inf}):
        fit = _Fit(views[view][learn], y[learn], width, STANDS_ON, seed)
        phi = fit.functions(views[view][rows])
        for name, (mine, my_width, weight) in chosen.items():
            if (mine, my_width) == (view, width) and weight != np.inf:
                says[:, groups[name]] = fit(phi, weight, groups[name])
    return says.numpy()
