"""A probe that is a network: the labels that it reads from all of Z, also those that no linear reader sees."""

from typing import Any, ClassVar, Literal

import torch
from torch import nn

from arl import losses
from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.attacks.whitened import Whitening
from arl.plateau import Learner
from arl.training import Journal

NEURONS, DROPPED = 256, 0.3


class ProbeMLP(Attack):
    """Whitened Z through two hidden layers, by (6), to the plateau on held-out X2."""

    target: ClassVar[Literal["image", "embedding", "label"]] = "label"

    @property
    def cost(self) -> float:
        return 0.4

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> Learner:
        steps, inputs = [Whitening(shapes.z[0]), nn.Flatten()], torch.Size(shapes.z).numel()
        for width in (inputs, NEURONS):
            steps += [nn.Linear(width, NEURONS, bias=False), nn.BatchNorm1d(NEURONS), nn.ReLU(), nn.Dropout(DROPPED)]
        return Learner(nn.Sequential(*steps, nn.Linear(NEURONS, shapes.labels)), losses.utility_loss)

    def train(self, player: Learner, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        player.net[0].fit(public.train)
        return super().train(player, public, schedule, journal)
