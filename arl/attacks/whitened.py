"""Dec^a behind a whitening of Z, taught on mixtures: the paper's decoder, were it to see all of Z and learn no face by heart."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from arl.adversary import Adversary, Distance
from arl.attacks.base import Attack, Batches, Public, Schedule, Shapes
from arl.parameters import Number, Rate
from arl.plateau import Learner
from arl.training import Journal

SHRINKAGE = 1e-6  # variance, beside Z's mean, below which a direction is noise


class Whitened(Attack):
    """Learns by (1) as Dec^a does, from (Σ + γ · mean variance)^(−1/2) (Z − mean), Σ the covariance of Z's channels over X2 (ZCA).

    An encoder that has learned forty labels puts nearly all of Z's variance into some twenty directions. Gradient descent follows those for
    as long as it lasts, and an attack that stops at a plateau never sees the others; a linear reader in closed form does (Ridge). What then
    reads all of Z soon knows X2 by heart, so it is shown mixtures of two images and of their Z (mixup; Zhang et al., ICLR 2018).
    """

    shrinkage: Rate = Field(
        SHRINKAGE, title="γ", description="variance, beside Z's mean, below which a direction is noise"
    )
    widening: Annotated[int, Number, Field(ge=1, le=16)] = Field(2, description="channels beside those of Dec^a")

    @property
    def cost(self) -> float:
        return 1.3 * self.widening**1.5

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> "OfMixtures":
        return OfMixtures(self.network(shapes))

    def network(self, shapes: Shapes) -> nn.Sequential:
        """The whitening, to be fitted, and Dec^a, wider."""
        from arl import models

        decoder = models.ImageDecoder(shapes.z, shapes.image, self.widening * shapes.width)
        return nn.Sequential(Whitening(shapes.z[0]), decoder)

    def train(self, player: "OfMixtures", public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        player.net[0].fit(public.train, self.shrinkage)
        return super().train(player, public, schedule, journal)


class OfMixtures(Adversary):
    """Learns from each image mixed with the batch's next one, in shares from 0 to 1: batches are shuffled, and resuming draws nothing."""

    def learn(self, z: Tensor, x: Tensor, lr: float) -> dict[str, Tensor]:
        return super().learn(*mixed(z, x), lr)


class LearnerOfMixtures(Learner):
    """The same by any loss; the targets are mixed as Z is."""

    def learn(self, z: Tensor, target: Tensor, lr: float) -> dict[str, Tensor]:
        return super().learn(*mixed(z, target), lr)


def mixed(*batch: Tensor) -> list[Tensor]:
    """Each row of the tensors with the row before it, in shares from 0 to 1 along the batch, the same in each tensor."""
    share = torch.linspace(0, 1, len(batch[0]), device=batch[0].device)
    return [t.lerp(t.roll(1, 0), share.view(-1, *[1] * (t.ndim - 1))) for t in batch]


class Whitening(nn.Module):
    """Z (B, C) or (B, C, h, w) with its channels uncorrelated and of variance one, as near to Z as can be."""

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("turn", torch.eye(channels))

    @torch.no_grad()
    def fit(self, batches: Batches, shrinkage: float = SHRINKAGE) -> None:
        """Take mean and covariance from one pass, on the CPU in double precision, which not every device has."""
        count, total, products = 0, 0.0, 0.0
        for z, _ in batches(1):
            rows = z.movedim(1, -1).flatten(0, -2).cpu().double()
            count, total, products = count + len(rows), total + rows.sum(0), products + rows.T @ rows
        mean = total / count
        variances, directions = torch.linalg.eigh(products / count - mean.outer(mean))
        variances = variances.clamp(min=0)
        scale = (variances + shrinkage * variances.mean().clamp(min=1e-12)).rsqrt()
        self.mean.copy_(mean)
        self.turn.copy_((directions * scale) @ directions.T)

    def forward(self, z: Tensor) -> Tensor:
        return ((z.movedim(1, -1).float() - self.mean) @ self.turn).movedim(-1, 1)
