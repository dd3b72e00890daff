"""The mean picture of X2, whatever Z says: the floor that every attacker has to leave."""

from typing import Any

import torch
from torch import Tensor, nn

from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.plateau import Fitted, validation
from arl.training import Journal


class Mean(Attack):
    """E[X], the best guess without Z: its error is the variance of the pixels. Holds one batch at a time."""

    @property
    def cost(self) -> float:
        return 0.1

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> Fitted:
        return Fitted(Constant(shapes.image))

    def train(self, player: Fitted, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        sums = [(x.float().sum(0), len(x)) for _, x in public.train(1)]
        player.net.picture.copy_(sum(total for total, _ in sums) / sum(images for _, images in sums))
        return {"epoch": 1, "plateau": True, "validation": validation(player, player.net, public.held_out)}


class Constant(nn.Module):
    """Z (B, ...) to one picture for all, (B, 3, S, S) in [0, 1]."""

    def __init__(self, image: int):
        super().__init__()
        self.register_buffer("picture", torch.zeros(3, image, image))

    def forward(self, z: Tensor) -> Tensor:
        return self.picture.expand(len(z), -1, -1, -1)
