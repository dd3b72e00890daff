"""White-box: the picture of a generator trained on X2 of which the frozen encoder makes the Z that was seen."""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.attacks.refined import Inverse, choose_way
from arl.attacks.ridge import penalised
from arl.parameters import Count
from arl.plateau import Fitted, everything
from arl.training import Journal


class Search(Attack):
    """X̂ = G(u), where u has the least ½ ‖Enc(G(u)) − Z‖² + ½ w ‖u‖², Z whitened as X2's; begins at the u that ridge reads from Z.

    G is the generator that is best from few pictures: linear, of 256 independent coordinates of variance one (probabilistic PCA), in closed
    form. So its prior is exact, and no picture of X2 is learned by heart. As GLASS searches a StyleGAN (NeurIPS 2023), which has more
    pictures to learn from. Choices as those of `refined`.
    """

    white_box: ClassVar[bool] = True
    steps: Count = Field(64, description="down the encoder's gradient, at most")

    @property
    def cost(self) -> float:
        """Of a small encoder: each step is once forwards and back through it, for each picture of T too."""
        return 0.3 + 0.5 * self.steps / 64

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> Fitted:
        return Fitted(Generated(shapes))

    def train(self, player: Fitted, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        net = player.net
        (z, x), (z_held, x_held) = everything(public.train), everything(public.held_out)
        net.vary.fit(x, x_held, self.stream())
        known, held = (net.vary.coordinates(each) for each in (x, x_held))
        _, _, weight, bias = penalised(z, known, z_held, held)
        net.matrix.copy_(weight)
        net.bias.copy_(bias)
        return {"epoch": 1, "plateau": True, **choose_way(net, public, self.steps, self.stream())}


class Generated(Inverse):
    """Begins at the coordinates that ridge reads, of a difference from the mean picture."""

    def __init__(self, shapes: Shapes):
        super().__init__(shapes)
        self.register_buffer("matrix", torch.zeros(self.vary.directions, torch.Size(shapes.z).numel()))
        self.register_buffer("bias", torch.zeros(self.vary.directions))

    def begin(self, z: Tensor) -> tuple[Tensor, Tensor]:
        side = self.vary.image
        mean = self.vary.mean.unflatten(0, (3, side, side)).expand(len(z), -1, -1, -1)
        return mean, z.flatten(1) @ self.matrix.T + self.bias
