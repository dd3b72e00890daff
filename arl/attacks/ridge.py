"""Ridge regression from Z to the picture: what a linear reader gets, in closed form. A decoder that does worse has a bug."""

from typing import Any

import torch
from torch import Tensor, nn

from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.plateau import Fitted, everything
from arl.training import Journal

PENALTIES = [10.0**power for power in range(-6, 4)]  # beside the mean variance of Z


class Ridge(Attack):
    """argmin E‖W Z + b − X‖² + γ ‖W‖² (Hoerl and Kennard, 1970), γ chosen on held-out X2."""

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> Fitted:
        return Fitted(Linear(torch.Size(shapes.z).numel(), shapes.image))

    def train(self, player: Fitted, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        (z, x), (z_held, x_held) = everything(public.train), everything(public.held_out)
        error, penalty, weight, bias = penalised(z, x, z_held, x_held)
        player.net.weight.copy_(weight)
        player.net.bias.copy_(bias)
        return {"epoch": 1, "plateau": True, "validation": error, "gamma": penalty}


def penalised(z: Tensor, x: Tensor, z_held: Tensor, x_held: Tensor) -> tuple[float, float, Tensor, Tensor]:
    """W (m, D) and b (m,) of the penalty with the least error on (k, D), (k, m) held out; before them that error, and the penalty."""
    at, offset = z.mean(0), x.mean(0)
    u, s, v = torch.linalg.svd(z - at, full_matrices=False)
    found = []
    for penalty in PENALTIES:
        gamma = penalty * s.square().mean().clamp(min=1e-30)  # of a Z that says nothing
        weight = (x - offset).T @ (u * (s / (s.square() + gamma))) @ v  # (m, D)
        error = ((z_held - at) @ weight.T + offset - x_held).square().mean().item()
        found.append((error, penalty, weight))
    error, penalty, weight = min(found, key=lambda each: each[0])
    return error, penalty, weight, offset - weight @ at


class Linear(nn.Module):
    """Z (B, ...) to W Z + b, as an image (B, 3, S, S) in [0, 1]."""

    def __init__(self, inputs: int, image: int):
        super().__init__()
        self.image = image
        self.register_buffer("weight", torch.zeros(3 * image * image, inputs))
        self.register_buffer("bias", torch.zeros(3 * image * image))

    def forward(self, z: Tensor) -> Tensor:
        x = z.flatten(1).float() @ self.weight.T + self.bias
        return x.clamp(0, 1).unflatten(1, (3, self.image, self.image))
