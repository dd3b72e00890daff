"""The adversary's own recogniser: an attack learns by it, and it judges nobody. As C on drawings, of other people again."""

from typing import Any

import torch
from torch import Tensor

from arl.adversary import Distance
from arl.config import RunConfig
from arl.judges.rendered import RenderedRecogniser, rendered_recogniser, rendered_spec
from arl.metrics import cosine
from arl.training import learning


def own_spec(cfg: RunConfig) -> dict[str, Any]:
    """What tells it from another, without training it."""
    return rendered_spec(cfg, "own")


def own_recogniser(cfg: RunConfig, device: torch.device) -> RenderedRecogniser:
    """Found in the store, or trained there."""
    return rendered_recogniser(cfg, device, "own")


def likeness(own: RenderedRecogniser) -> Distance:
    """1 − cosine of two batches of images (B, 3, S, S), the mean over its embedding and its middle layer; 0 to 2, a scalar."""

    def distance(x_hat: Tensor, x: Tensor) -> Tensor:
        seen = []
        for images in (x_hat, x):
            with learning(images.device):
                embedding, middle = own.features(images)
            seen.append((embedding.float(), middle.float() - own.middle_mean))
        return torch.stack([1 - cosine(a, b).mean() for a, b in zip(*seen, strict=True)]).mean()

    return distance
