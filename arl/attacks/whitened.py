"""Dec^a behind a whitening of Z: what the paper's decoder would read if descent saw small directions of Z as well as large ones."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from arl.adversary import Adversary, Distance
from arl.attacks.base import Attack, Batches, Public, Schedule, Shapes
from arl.parameters import Number, Rate
from arl.plateau import to_plateau
from arl.training import Journal


class Whitened(Attack):
    """Learns by (1) as Dec^a does, from (Σ + γ · mean variance)^(−1/2) (Z − mean), Σ the covariance of Z's channels over X2 (ZCA).

    An encoder that has learned forty labels puts nearly all of Z's variance into some twenty directions. Gradient descent follows those for
    as long as it lasts, and an attack that stops at a plateau never sees the others; a linear reader in closed form does (Ridge).
    """

    shrinkage: Rate = Field(1e-6, title="γ", description="variance, beside Z's mean, below which a direction is noise")
    widening: Annotated[int, Number, Field(ge=1, le=16)] = Field(1, description="channels beside those of Dec^a")

    @property
    def cost(self) -> float:
        return 1.3 * self.widening**1.5

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> Adversary:
        from arl import models

        decoder = models.ImageDecoder(shapes.z, shapes.image, self.widening * shapes.width)
        return Adversary(nn.Sequential(Whitening(shapes.z[0]), decoder))

    def train(self, player: Adversary, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        player.net[0].fit(public.train, self.shrinkage)
        return to_plateau(player, public, schedule, journal)


class Whitening(nn.Module):
    """Z (B, C) or (B, C, h, w) with its channels uncorrelated and of variance one, as near to Z as can be."""

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("turn", torch.eye(channels))

    @torch.no_grad()
    def fit(self, batches: Batches, shrinkage: float) -> None:
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
