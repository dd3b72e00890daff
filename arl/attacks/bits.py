"""Low bits: ridge regression from what is left of Z modulo a power of two, where a quantised feature may carry anything."""

from typing import Any

import torch
from torch import Tensor, nn

from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.attacks.ridge import Linear, penalised
from arl.plateau import Fitted, everything
from arl.training import Journal, generator

GRIDS = [
    2.0**power for power in range(2, -15, -1)
]  # in Z's own units; float32 keeps no picture below the last, once standardised
UNWRAPPED = 1 / 8  # of a step, below which a remainder may lie and not wrap round
FEW_IMAGES, FEW_PIXELS = 400, 64  # that the step is chosen with


class Bits(Attack):
    """argmin E‖W r(Z) + b − X‖² + γ ‖W‖², r(Z) = Z mod a step; step and γ chosen on held-out X2.

    Where Z is a multiple of a step plus something smaller, that is noise to every reader that is smooth in Z, however much it holds. The
    attacker undoes the standardisation, whose statistics are its own. What is not read: steps that are no power of two, the last bits of a
    float.
    """

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> Fitted:
        return Fitted(Remainders(torch.Size(shapes.z).numel(), shapes.image))

    def train(self, player: Fitted, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        net = player.net
        if public.standardise is not None:
            one = next(iter(public.held_out(0)))[0][:1]
            for own, given in ((net.at, public.standardise.mean), (net.spread, public.standardise.std)):
                own.copy_(given.to(one).expand_as(one).flatten())
        (z, x), (z_held, x_held) = everything(public.train), everything(public.held_out)
        some = torch.randperm(x.shape[1], generator=generator(self.stream()))[:FEW_PIXELS].to(x.device)
        few, wanted, held = z[:FEW_IMAGES], x[:FEW_IMAGES, some], x_held[:, some]
        found = []
        for step in GRIDS:
            net.fit(few, step)
            found.append((penalised(net.rest(few), wanted, net.rest(z_held), held)[0], step))
        net.fit(z, min(found)[1])
        error, penalty, weight, bias = penalised(net.rest(z), x, net.rest(z_held), x_held)
        net.read.weight.copy_(weight)
        net.read.bias.copy_(bias)
        return {"epoch": 1, "plateau": True, "validation": error, "gamma": penalty, "step": min(found)[1]}


class Remainders(nn.Module):
    """Z (B, ...) to W r + b, an image (B, 3, S, S) in [0, 1]; r: Z · spread + at modulo `step`, standardised."""

    def __init__(self, inputs: int, image: int):
        super().__init__()
        self.read = Linear(inputs, image)
        self.register_buffer("at", torch.zeros(inputs))
        self.register_buffer("spread", torch.ones(inputs))
        self.register_buffer("step", torch.ones(()))
        self.register_buffer("middle", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))

    def fit(self, z: Tensor, step: float) -> None:
        """Take `step`, and the remainders' mean and deviation over `z` (n, D)."""
        self.step.fill_(step)
        rest = self._modulo(z)
        self.middle.copy_(rest.mean(0))
        self.scale.copy_(rest.std(0).clamp(min=1e-4))

    def _modulo(self, z: Tensor) -> Tensor:
        shifted = (z.flatten(1).float() * self.spread + self.at) / self.step + UNWRAPPED
        return shifted - shifted.floor()

    def rest(self, z: Tensor) -> Tensor:
        """The standardised remainders (B, D)."""
        return (self._modulo(z) - self.middle) / self.scale

    def forward(self, z: Tensor) -> Tensor:
        return self.read(self.rest(z))
