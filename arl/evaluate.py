"""The measured figures: utility, privacy and separability on T, each with its interval, floors and ceiling. Arrays in, numbers out.

Privacy is what *fresh* attackers recover from a frozen encoder (never the decoder of training). Beside each figure stand the floor, what
an attacker gets who never saw Z, and the ceiling, another photograph of the same person.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from arl import metrics

PRIVACY = ("face_similarity", "feature_similarity", "ssim", "psnr")


class Seen(NamedTuple):
    """Images (N, 3, S, S) in [0, 1], and what C makes of them: embedding (N, d), middle layer (N, m). None where not asked for."""

    images: Tensor | None = None
    embedding: Tensor | None = None
    middle: Tensor | None = None


class Yardsticks(NamedTuple):
    """What could be shown instead of a reconstruction, row by row: the mean face, a stranger's photograph, another one of the person.

    `has_stranger`, `has_same` (N,) bool: where there is one; elsewhere the row is anything.
    """

    mean_face: Seen
    stranger: Seen
    same: Seen
    has_stranger: Tensor
    has_same: Tensor


Score = Callable[[Seen], Tensor]  # of a guess, one number an image, (N,)


def utility(logits: Tensor, y: np.ndarray, names: tuple[str, ...], **resampling: int) -> dict[str, Any]:
    """`mean_mcc`, and `mcc` of each attribute; `logits` (N, A), `y` bool (N, A)."""
    found = metrics.mcc_intervals((logits > 0).numpy(), y, **resampling)
    return {"mean_mcc": found["mean"], "mcc": dict(zip(names, found["attributes"], strict=True))}


def image_scores(x: Seen) -> dict[str, Score]:
    """How much of the images `x` a guess brought back: by C's middle layer, by SSIM, by PSNR."""
    return {
        "face_similarity": lambda guess: metrics.cosine(guess.middle, x.middle),
        "ssim": lambda guess: metrics.ssim(guess.images, x.images),
        "psnr": lambda guess: metrics.psnr(guess.images, x.images),
    }


def face_scores(x: Seen) -> dict[str, Score]:
    """How much of the faces on the images `x` a guess brought back, as a further judge sees them: by its middle layer and its embedding."""
    return {
        "face_similarity": lambda guess: metrics.cosine(guess.middle, x.middle),
        "embedding_similarity": lambda guess: metrics.cosine(guess.embedding, x.embedding),
    }


def embedding_scores(x: Seen) -> dict[str, Score]:
    """How much of who it is a guess brought back: by C's embedding."""
    return {"feature_similarity": lambda guess: metrics.cosine(guess.embedding, x.embedding)}


def label_scores(y: Tensor) -> dict[str, Score]:
    """How many of the labels `y` (N, A) a guess, logits (N, A) as `embedding`, has right; and each image's part in their mean MCC.

    MCC is the correlation of two rows of zeros and ones, hence the mean of a product of deviations; 0 of a label that is always the same.
    """

    def deviations(said: Tensor) -> Tensor:
        away = said.float() - said.float().mean(0)
        return away / away.square().mean(0).sqrt().clamp(min=1e-6)

    return {
        "label_accuracy": lambda guess: ((guess.embedding > 0) == (y > 0.5)).float().mean(1),
        "label_mcc": lambda guess: (deviations(guess.embedding > 0) * deviations(y > 0.5)).mean(1),
    }


def figure(each: Tensor, score: Score, yardsticks: Yardsticks | None, **resampling: int) -> dict[str, Any]:
    """The mean of `each` (N,) with its interval; the same score's floors and ceiling."""
    found = metrics.interval(each.numpy(), **resampling)
    if yardsticks is None:
        return found
    has_stranger, has_same = yardsticks.has_stranger, yardsticks.has_same
    floor = score(yardsticks.stranger)[has_stranger].mean().item() if has_stranger.any() else None
    ceiling = score(yardsticks.same)[has_same].mean().item() if has_same.any() else None
    return {
        **found,
        "floors": {"mean face": score(yardsticks.mean_face).mean().item(), "stranger": floor},
        "ceilings": {"same person": ceiling},
    }
