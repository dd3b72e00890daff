"""Utility, privacy and separability as pure functions, each with its bootstrap interval.

Intervals are the 2.5th and 97.5th percentiles over resamples of the test images (of the identities for S_w, S_b and LDA, whose images
are not independent). A resample is a row of counts, so that a thousand of them are one matrix product.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor

Interval = dict[str, Any]  # value, low, high

KEPT = 2_000_000  # numbers of a set of resamples, at most, that is kept: 16 MB
WINDOW = 11  # pixels a side of SSIM's window, 3.5 σ to either side
PSNR_CAP = 100.0  # dB, for identical images, whose PSNR is infinite


def mcc(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Matthews correlation of each attribute, (A,) in [−1, 1], for boolean (N, A); 0 where a margin of the confusion matrix is empty."""
    return _mcc(np.ones((1, len(truth))), predicted, truth)[0]


def mean_mcc(predicted: np.ndarray, truth: np.ndarray) -> float:
    """The paper's utility metric: the mean of `mcc` over attributes."""
    return float(mcc(predicted, truth).mean())


def best_cuts(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """For each attribute the logit above which to say yes, (A,), so that MCC is highest; from `logits` and bool `truth`, both (N, A).

    Of a rare attribute the few positives would decide alone. So their probability is first fitted by a logistic curve (Platt, 1999), and
    the cut has the highest *expected* MCC. Where an attribute has one class only, the cut is 0.
    """
    return np.array(
        [
            _best_cut(*column) if column[1].any() and not column[1].all() else 0.0
            for column in zip(logits.T, truth.T, strict=True)
        ]
    )


def _best_cut(logits: np.ndarray, truth: np.ndarray) -> float:
    from sklearn.linear_model import LogisticRegression

    n, ranked = len(logits), np.sort(logits.astype(np.float64))[::-1]
    hits = LogisticRegression(C=1e3).fit(logits[:, None], truth).predict_proba(ranked[:, None])[:, 1].cumsum()
    said, positive = np.arange(1, n), hits[-1]
    mcc = (n * hits[:-1] - said * positive) / np.sqrt(said * (n - said) * positive * (n - positive))
    best = int(mcc.argmax())
    return float(ranked[best] + ranked[best + 1]) / 2


def mcc_intervals(predicted: np.ndarray, truth: np.ndarray, *, seed: int = 0, resamples: int = 1000) -> dict[str, Any]:
    """`{"mean": interval, "attributes": [interval, ...]}`; images are resampled jointly for all attributes."""
    values, drawn = mcc(predicted, truth), _mcc(resampled(len(truth), resamples, seed), predicted, truth)
    each = [percentile_interval(value, drawn[:, i]) for i, value in enumerate(values)]
    return {"mean": percentile_interval(values.mean(), drawn.mean(1)), "attributes": each}


def interval(values: np.ndarray, *, seed: int = 0, resamples: int = 1000) -> Interval:
    """The mean of one number per test image, (N,), with its interval."""
    values = np.asarray(values, np.float64)
    return percentile_interval(values.mean(), resampled(len(values), resamples, seed) @ values / len(values))


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarity of rows, (N,) in [−1, 1], for (N, d); face similarity on C's middle layer, feature similarity on M(Z), C(X)."""
    return F.cosine_similarity(a.float(), b.float(), dim=1)


def ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """Structural similarity of each image, (N,), for (N, 3, S, S) in [0, 1]: Gaussian window of σ 1.5 (Wang et al., 2004).

    The mean is over windows that lie inside the image, as in the paper of SSIM and in scikit-image; torchmetrics also counts the border.
    The window is a product of two curves, so the means in all windows of an image are two matrix products.
    """
    if x_hat.shape != x.shape:
        raise ValueError(f"x_hat: found shape {tuple(x_hat.shape)}, accepted: that of x, {tuple(x.shape)}")
    if x.shape[-1] < WINDOW or x.shape[-2] < WINDOW:
        raise ValueError(f"x: found {x.shape[-2]} × {x.shape[-1]} pixels, accepted: {WINDOW} × {WINDOW} or more")
    rows, columns = (_windows(side).to(x.device) for side in x.shape[-2:])
    pairs = zip(*(images.float().split(256) for images in (x_hat, x)), strict=True)
    return torch.cat([_ssim(a, b, lambda t: rows @ t @ columns.T) for a, b in pairs])


def _ssim(a: Tensor, b: Tensor, mean: Callable[[Tensor], Tensor]) -> Tensor:
    """`ssim`, where `mean` is that in each window. With C1 and C2 of the paper, which keep dark and even windows from dividing by 0."""
    c1, c2 = 0.01**2, 0.03**2
    of_a, of_b = mean(a), mean(b)
    square_a, square_b, product = of_a * of_a, of_b * of_b, of_a * of_b
    variances = (mean(a * a) - square_a).clamp(min=0) + (mean(b * b) - square_b).clamp(min=0)
    covariance = mean(a * b) - product
    each = (2 * product + c1) * (2 * covariance + c2) / ((square_a + square_b + c1) * (variances + c2))
    return each.flatten(1).mean(1)


@cache
def _windows(side: int) -> Tensor:
    """The curve of each window that lies inside `side` pixels, float32 (side − WINDOW + 1, side)."""
    curve = np.exp(-np.square((np.arange(WINDOW) - WINDOW // 2) / 1.5) / 2)
    placed = np.stack([np.pad(curve / curve.sum(), (k, side - WINDOW - k)) for k in range(side - WINDOW + 1)])
    return torch.from_numpy(placed.astype(np.float32))


def psnr(x_hat: Tensor, x: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, (N,) in dB, for (N, 3, S, S) in [0, 1], so peak 1; at most `PSNR_CAP`."""
    if x_hat.shape != x.shape:
        raise ValueError(f"x_hat: found shape {tuple(x_hat.shape)}, accepted: that of x, {tuple(x.shape)}")
    error = (x_hat.float() - x.float()).square().flatten(1).mean(1)
    return (-10 * torch.log10(error)).clamp(max=PSNR_CAP)


def separability(z: np.ndarray, identities: np.ndarray) -> dict[str, float | None]:
    """S_w, S_b and LDA score S_b / S_w of features (N, D) over identities (N,), as `within_variance` and so on (Table 3).

    S_w is the mean of ‖z − mean of its identity‖² and S_b that of ‖mean of its identity − mean‖², over images of identities with at
    least two, so S_w + S_b is the total variance. None where there are fewer than two such identities.
    """
    people = _people(z, identities)
    if people is None:
        return {"within_variance": None, "between_variance": None, "lda_score": None}
    return {name: float(v[0]) for name, v in _separability(np.ones((1, len(people[0]))), *people).items()}


def separability_intervals(
    z: np.ndarray, identities: np.ndarray, *, seed: int = 0, resamples: int = 1000
) -> dict[str, Interval]:
    """`separability` with intervals; identities are resampled, each with all its images."""
    values, people = separability(z, identities), _people(z, identities)
    if people is None:
        why = "needs two images of two people in T"
        return {name: {"value": None, "low": None, "high": None, "why": why} for name in values}
    drawn = _separability(resampled(len(people[0]), resamples, seed), *people)
    return {name: percentile_interval(value, drawn[name]) for name, value in values.items()}


def partners(identities: np.ndarray, index: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """For each image `index` of `identities` (N,): a random image of another person, and another image of the same person.

    Both int64, as `index`; −1 where there is none.
    """
    rng = np.random.default_rng([seed, 77])
    by_person = {int(person): np.flatnonzero(identities == person) for person in np.unique(identities)}
    stranger, same = np.full(len(index), -1), np.full(len(index), -1)
    for k, i in enumerate(index):
        mine = by_person[int(identities[i])]
        others = mine[mine != i]
        if len(others):
            same[k] = rng.choice(others)
        if len(mine) < len(identities):
            guess = rng.integers(len(identities))
            while identities[guess] == identities[i]:
                guess = rng.integers(len(identities))
            stranger[k] = guess
    return stranger, same


def resampled(n: int, resamples: int, seed: int) -> np.ndarray:
    """How often each of `n` items is drawn in each resample, (resamples, n); not to be written to, as a small one is kept."""
    return (_kept if n * resamples <= KEPT else _drawn)(n, resamples, seed)


def _drawn(n: int, resamples: int, seed: int) -> np.ndarray:
    counts = np.random.default_rng([seed, 55]).multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    counts.flags.writeable = False
    return counts


_kept = lru_cache(maxsize=4)(_drawn)  # a row asks fifty times for two or three


def percentile_interval(value: float, drawn: np.ndarray) -> Interval:
    """`value` between the 2.5th and the 97.5th percentile of what the resamples have, `drawn` (resamples,)."""
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"value": float(value), "low": float(low), "high": float(high)}


def _mcc(counts: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """MCC (B, A) of B resamples given as counts (B, N)."""
    if predicted.shape != truth.shape:  # NumPy would stretch (N, 1) in silence
        raise ValueError(f"predicted: found shape {predicted.shape}, accepted: that of truth, {truth.shape}")
    p, t = predicted.astype(np.float64), truth.astype(np.float64)
    tp, fp, fn = counts @ (p * t), counts @ (p * (1 - t)), counts @ ((1 - p) * t)
    tn = counts.sum(1, keepdims=True) - tp - fp - fn
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return np.where(margins > 0, (tp * tn - fp * fn) / np.sqrt(np.where(margins > 0, margins, 1.0)), 0.0)


def _people(z: np.ndarray, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Of each identity with two images or more: how many, their mean, their summed squared distance from it."""
    groups = [z[identities == person].astype(np.float64) for person in np.unique(identities)]
    groups = [group for group in groups if len(group) > 1]
    if len(groups) < 2:
        return None
    means = np.stack([group.mean(0) for group in groups])
    scatter = np.array([np.square(group - mean).sum() for group, mean in zip(groups, means, strict=True)])
    return np.array([len(group) for group in groups], np.float64), means, scatter


def _separability(
    counts: np.ndarray, sizes: np.ndarray, means: np.ndarray, scatter: np.ndarray
) -> dict[str, np.ndarray]:
    """S_w, S_b, LDA (B,) of B resamples of identities given as counts (B, I)."""
    images = counts @ sizes
    within = counts @ scatter / images
    centre = counts @ (sizes[:, None] * means) / images[:, None]
    between = counts @ (sizes * np.square(means).sum(1)) / images - np.square(centre).sum(1)
    return {"within_variance": within, "between_variance": between, "lda_score": between / np.maximum(within, 1e-12)}
