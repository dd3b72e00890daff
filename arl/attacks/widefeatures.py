"""M with a stronger head: ridge regression from all of Z, and a wide network for what that leaves."""

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor, nn

from arl import losses, models
from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.attacks.ensemble import best_share
from arl.attacks.ridge import penalised
from arl.attacks.whitened import LearnerOfMixtures, Whitening
from arl.plateau import everything, validation
from arl.training import Journal

NEURONS_WIDE, DROPPED_INPUTS = 1024, 0.3
GENTLE = 0.25  # of `attack_lr`: faster, the network soon forgets what ridge knew


class WideFeatures(Attack):
    """Z to C's embedding: W Z + b, fitted first, + M four times as wide on whitened Z, by the angle that judges it and by (10).

    M starts at nothing and learns on mixtures; its share in [0, 1] is the best on held-out X2: by (10), never worse there than ridge.
    """

    target: ClassVar[Literal["image", "embedding", "label"]] = "embedding"

    @property
    def cost(self) -> float:
        return 1.4

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> LearnerOfMixtures:
        wide = models.FeatureMap(shapes.z, shapes.embedding, NEURONS_WIDE)
        nn.init.zeros_(wide[-1].weight)
        nn.init.zeros_(wide[-1].bias)
        wide = nn.Sequential(Whitening(shapes.z[0]), nn.Dropout(DROPPED_INPUTS), *wide)
        return LearnerOfMixtures(BesideRidge(torch.Size(shapes.z).numel(), shapes.embedding, wide), angle_and_distance)

    def train(self, player: LearnerOfMixtures, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        net = player.net
        _, _, weight, bias = penalised(*everything(public.train), *everything(public.held_out))
        net.weight.copy_(weight)
        net.bias.copy_(bias)
        net.wide[0].fit(public.train)
        state = super().train(player, public, schedule._replace(lr=GENTLE * schedule.lr), journal)
        net.share.copy_(best_share(net.ridge, net.eval(), public.held_out))
        return state | {"validation": validation(player, net, public.held_out), "share": net.share.item()}


class BesideRidge(nn.Module):
    """Z (B, ...) to W Z + b + share · wide(Z), (B, outputs); only `wide` learns by descent."""

    def __init__(self, inputs: int, outputs: int, wide: nn.Module):
        super().__init__()
        self.register_buffer("weight", torch.zeros(outputs, inputs))
        self.register_buffer("bias", torch.zeros(outputs))
        self.register_buffer("share", torch.ones(()))
        self.wide = wide

    def ridge(self, z: Tensor) -> Tensor:
        return z.flatten(1).float() @ self.weight.T + self.bias

    def forward(self, z: Tensor) -> Tensor:
        return self.ridge(z) + self.share * self.wide(z).float()


def angle_and_distance(m: Tensor, c: Tensor) -> Tensor:
    """1 − cos(M(Z), C(X)), and (10) beside the size of C(X): both (B, d), both 0 where M is right."""
    m, c = m.float(), c.float()
    return (1 - F.cosine_similarity(m, c)).mean() + losses.feature_attack_loss(m, c) / c.square().mean().clamp(
        min=1e-12
    )
