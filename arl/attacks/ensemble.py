"""The mean of kernel ridge's picture and a whitened decoder's: they err differently, so the mean errs less than either."""

from typing import Any

import torch
from torch import Tensor, nn

from arl.adversary import Distance
from arl.attacks.base import Attack, Batches, Player, Public, Schedule, Shapes
from arl.attacks.kernelridge import KernelRidge
from arl.attacks.whitened import Whitened
from arl.plateau import Fitted, validation
from arl.training import Journal, precision

MEMBERS = KernelRidge(), Whitened()


class Ensemble(Attack):
    """(1 − s) · kernel ridge + s · whitened, s in [0, 1] by least squares on held-out X2: there, no worse than either."""

    @property
    def cost(self) -> float:
        return sum(member.cost for member in MEMBERS)

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> "WeighedPair":
        return WeighedPair(*(member.player(shapes) for member in MEMBERS))

    def train(self, player: "WeighedPair", public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        pairs = zip(MEMBERS, player.members, strict=True)
        smooth, descended = (member.train(own, public, schedule, journal) for member, own in pairs)
        net = player.net = Weighed(*(own.net.eval() for own in player.members)).to(player.net.share.device)
        net.share.copy_(best_share(*net.members, public.held_out))
        said = {"validation": validation(player, net, public.held_out), "share": net.share.item()}
        return {**descended, **said, "images": smooth["images"]}


class WeighedPair(Fitted):
    """Two players, and `net`, which is the mean of what they make."""

    def __init__(self, first: Player, second: Player):
        super().__init__(Weighed(first.net, second.net))
        self.members = nn.ModuleList([first, second])


class Weighed(nn.Module):
    """Z (B, ...) to the first member's picture and, to `share`, the second's, (B, 3, S, S) in [0, 1]."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.members = nn.ModuleList([first, second])
        self.register_buffer("share", torch.tensor(0.5))

    def forward(self, z: Tensor) -> Tensor:
        first, second = (member(z).float() for member in self.members)
        return first.lerp(second, self.share)


@torch.no_grad()
def best_share(first: nn.Module, second: nn.Module, held_out: Batches) -> Tensor:
    """The s in [0, 1] with the least E‖(1 − s) first(Z) + s second(Z) − X‖² over held-out images; 0 where they say the same."""
    along, apart = 0.0, 1e-30
    for z, x in held_out(0):
        with precision(z.device):
            a, b = first(z).float(), second(z).float()
        along, apart = along + ((x - a) * (b - a)).sum(), apart + (b - a).square().sum()
    return (along / apart).clamp(0, 1)
