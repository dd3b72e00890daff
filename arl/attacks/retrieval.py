"""Retrieval: the pictures of X2 whose features are nearest, in a Z where every direction counts alike."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.parameters import Number
from arl.plateau import Fitted, everything, validation
from arl.training import Journal, initialised

DIRECTIONS, NEIGHBOURS = (8, 32, 128, 256), (1, 4, 16, 64)  # what is tried


class Retrieval(Attack):
    """The mean of the k nearest pictures, weighted by a Gaussian kernel as wide as the k-th is far; Z whitened in its leading directions.

    How many directions, and k where it is 0, are chosen on held-out X2. Keeps of each image its bytes and 256 numbers, 175 MB for 22 000
    of 48 pixels; what `everything` leaves out, it has not seen.
    """

    neighbours: Annotated[int, Number, Field(ge=0, le=64)] = Field(
        0, title="k", description="pictures that are mixed; 0: chosen on held-out X2"
    )

    @property
    def cost(self) -> float:
        return 0.2

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> Fitted:
        return Fitted(Nearest(torch.Size(shapes.z).numel(), shapes.image, shapes.images))

    def train(self, player: Fitted, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        z, x = everything(public.train)
        net = player.net = Nearest(z.shape[1], player.net.image, len(z)).to(z.device)
        net.at.copy_(z.mean(0))
        rank = min(DIRECTIONS[-1], *z.shape)
        with initialised(self.stream()):  # the decomposition draws its first directions
            u, s, v = torch.pca_lowrank(z - net.at, rank, center=False, niter=4)
        root = len(z) ** 0.5 * (s > 1e-6 * s[0])
        net.axes[:, :rank], net.keys[:, :rank] = v * root / s.clamp(min=1e-30), u * root
        net.pictures.copy_((x * 255).round().unflatten(1, net.pictures.shape[1:]))
        found = []
        for directions in DIRECTIONS:
            for k in (self.neighbours,) if self.neighbours else NEIGHBOURS:
                net.use.copy_(torch.tensor([min(directions, rank), min(k, len(z))]))
                found.append((validation(player, net, public.held_out), *net.use.tolist()))
        error, directions, k = min(found)
        net.use.copy_(torch.tensor([directions, k]))
        return {"epoch": 1, "plateau": True, "validation": error, "images": len(z), "directions": directions, "k": k}


class Nearest(nn.Module):
    """Z (B, ...) to a mixture (B, 3, S, S) of its pictures. `use` holds the number of directions, and k."""

    def __init__(self, inputs: int, image: int, images: int):
        super().__init__()
        self.image = image
        self.register_buffer("at", torch.zeros(inputs))
        self.register_buffer("axes", torch.zeros(inputs, DIRECTIONS[-1]))
        self.register_buffer("keys", torch.zeros(images, DIRECTIONS[-1]))
        self.register_buffer("pictures", torch.zeros(images, 3, image, image, dtype=torch.uint8))
        self.register_buffer("use", torch.tensor([DIRECTIONS[-1], 1]))

    def forward(self, z: Tensor) -> Tensor:
        directions, k = self.use.tolist()
        query = (z.flatten(1).float() - self.at) @ self.axes[:, :directions]
        far, which = torch.cdist(query, self.keys[:, :directions]).topk(k, largest=False)
        weight = torch.softmax(-0.5 * (far / far[:, -1:].clamp(min=1e-12)).square(), dim=1)
        return sum(weight[:, i, None, None, None] * self.pictures[which[:, i]] for i in range(k)) / 255
