"""Kernel ridge, then a decoder for what it leaves."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.attacks.ensemble import best_share
from arl.attacks.kernelridge import Gaussians, KernelRidge
from arl.attacks.whitened import OfMixtures, Whitened
from arl.plateau import Fitted, everything, validation
from arl.training import Journal, generator


class Boosted(Attack):
    """X̂ = kernel ridge + s · a whitened decoder of X − kernel ridge, s in [0, 1] by least squares on held-out X2.

    Kernel ridge errs less on what it has seen. So the decoder learns from the errors that the kernel ridge of one half of X2 makes on the
    other. It sees X2 in one pass, each image as it is or mirrored.
    """

    @property
    def cost(self) -> float:
        return 3 * KernelRidge().cost + Whitened().cost

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> "Booster":
        added = Whitened().player(shapes)
        added.net.append(Signed())
        return Booster(KernelRidge().player(shapes), added, shapes)

    def train(self, player: "Booster", public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        shapes, batch = player.shapes, len(next(iter(public.train(1)))[0])
        z, x = everything(public.train)
        z, x = z.unflatten(1, shapes.z), x.unflatten(1, (3, shapes.image, shapes.image))

        def smooth(rows: Tensor) -> tuple[nn.Module, dict[str, Any]]:
            own = Fitted(Gaussians(torch.Size(shapes.z).numel(), shapes.image, 0).to(z.device))
            mine = public._replace(train=lambda epoch: iter([(z[rows], x[rows])]))
            said = KernelRidge().train(own, mine, schedule, journal)
            return own.net, said

        halves = torch.arange(len(z), device=z.device).chunk(2)
        left = torch.cat([errors(smooth(halves[1 - i])[0], z[half], x[half]) for i, half in enumerate(halves)])
        base, said = smooth(torch.arange(len(z), device=z.device))

        def train(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            order = torch.randperm(len(z), generator=generator(self.stream() + 1, epoch)).to(z.device)
            return ((z[rows], left[rows]) for rows in order.split(batch) if len(rows) == batch)

        def held_out(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            return ((z, errors(base, z, x)) for z, x in public.held_out(epoch))

        state = Whitened().train(player.added, Public(train, len(z) // batch, held_out), schedule, journal)
        net = player.net = CorrectedPicture(base, player.added.net).to(z.device).eval()
        net.share.copy_(best_share(net.base, net, public.held_out))
        made = {"validation": validation(player, net, public.held_out), "share": net.share.item()}
        return {**state, **made, "images": said["images"]}


class Booster(Fitted):
    """Two players, what they are built for, and `net`, which is their sum."""

    def __init__(self, base: Fitted, added: OfMixtures, shapes: Shapes):
        super().__init__(CorrectedPicture(base.net, added.net))
        self.added, self.shapes = added, shapes


class CorrectedPicture(nn.Module):
    """Z (B, ...) to the picture that `base` makes of it, and to `share` that one corrected by `added`; (B, 3, S, S) in [0, 1]."""

    def __init__(self, base: nn.Module, added: nn.Module):
        super().__init__()
        self.base, self.added = base, added
        self.register_buffer("share", torch.ones(()))

    def forward(self, z: Tensor) -> Tensor:
        x = self.base(z).float()
        return x.lerp((x + self.added(z).float()).clamp(0, 1), self.share)


class Signed(nn.Module):
    """(0, 1) to (−1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x - 1


@torch.no_grad()
def errors(net: nn.Module, z: Tensor, x: Tensor) -> Tensor:
    """X − net(Z), in [−1, 1]."""
    return torch.cat([b - net(a).float() for a, b in zip(z.split(256), x.split(256), strict=True)])
