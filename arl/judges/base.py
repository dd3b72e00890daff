"""What every recogniser C is, and what all of them share: the window of a face, its embeddings, verification."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor

from arl.data import batches


class Recogniser(Protocol):
    """C: who is it? `embed` maps images (B, 3, S, S) in [0, 1] to its embedding (B, d) and its middle layer (B, m).

    `name` and `middle_name` stand in outputs. `spec`, JSON-able and the same on every machine, goes into run ids.
    """

    name: str
    middle_name: str
    spec: dict[str, Any]

    def embed(self, x: Tensor) -> tuple[Tensor, Tensor]: ...


class Window(NamedTuple):
    """The square that a recogniser looks at, in parts of the image's side. It may reach beyond the image."""

    left: float
    top: float
    side: float


WHOLE = Window(0.0, 0.0, 1.0)
BATCH_OF_FACES = 256  # images that a recogniser is given at once


def look(x: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    """The `window` of images (B, 3, S, S) in [0, 1] at `size` (height, width) pixels. Beyond the image its edge is repeated.

    The image is resized first and cut afterwards, so that small images are cut between their pixels.
    """
    height, width = size
    scaled = round(height / window.side), round(width / window.side)
    x = F.interpolate(x.float(), size=scaled, mode="bilinear", antialias=True).clamp(0, 1)
    if window == WHOLE:
        return x
    top, left = round(window.top * scaled[0]), round(window.left * scaled[1])
    beyond = [max(0, -left), max(0, left + width - scaled[1]), max(0, -top), max(0, top + height - scaled[0])]
    x = F.pad(x, beyond, mode="replicate")
    top, left = max(0, top), max(0, left)
    return x[:, :, top : top + height, left : left + width]


def embed_all(judge: Recogniser, images: np.ndarray, index: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """`judge.embed` of the images `index`, uint8 (N, 3, S, S): float32 (n, d) and (n, m) on the CPU."""
    embedding, middle = zip(*embed_batches(judge, images, index, device), strict=True)
    return torch.cat(embedding), torch.cat(middle)


def embed_batches(
    judge: Recogniser, images: np.ndarray, index: np.ndarray, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """`embed_all`, `BATCH_OF_FACES` images at a time."""
    for _, x in batches(images, index, BATCH_OF_FACES, device=device):
        embedding, middle = judge.embed(x)
        yield embedding.float().cpu(), middle.float().cpu()


def pairs(features: Tensor, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each pair of rows (n, d): whether it is one person, bool, and its cosine."""
    unit = F.normalize(features.float())
    i, j = np.triu_indices(len(unit), 1)
    return identities[i] == identities[j], (unit @ unit.T).numpy()[i, j]


def verification_auc(features: Tensor, identities: np.ndarray) -> float:
    """Area under the ROC of "same person?" by cosine, over all pairs of rows (n, d)."""
    return auc(*pairs(features, identities))


def auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC: how often a positive (bool) has the higher score."""
    from sklearn.metrics import roc_auc_score  # here, as it takes two seconds

    return float(roc_auc_score(positive, scores))
