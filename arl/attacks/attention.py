"""A decoder of another kind: attention from the patches of the picture to the parts of Z. No defence has seen it while it learned."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from arl.adversary import Distance
from arl.attacks.base import Attack, Public, Schedule, Shapes
from arl.attacks.whitened import OfMixtures, Whitening
from arl.parameters import Number
from arl.training import Journal

BLOCKS, HEADS, TOKENS, CELLS = 4, 6, 16, 8  # tokens of a vector Z; a map is read in at most CELLS × CELLS
SLOWER = 0.25  # of `attack_lr`, at which attention does not learn


class Attention(Attack):
    """Learns by (1) on mixtures, from whitened Z, as `whitened` does; its network is a transformer (Vaswani et al., 2017).

    Z's parts are tokens: a map's positions, or 16 that one linear layer makes of a vector. Each patch of the picture is a learned query.
    """

    patch: Annotated[int, Number, Field(ge=2, le=16)] = Field(8, description="pixels a side of what one query draws")

    @property
    def cost(self) -> float:
        return 3.7 * (8 / self.patch) ** 2

    def player(self, shapes: Shapes, perceptual: Distance | None = None) -> OfMixtures:
        net = PatchDecoder(shapes.z, shapes.image, self.patch, 6 * shapes.width)
        return OfMixtures(nn.Sequential(Whitening(shapes.z[0]), net))

    def train(self, player: OfMixtures, public: Public, schedule: Schedule, journal: Journal) -> dict[str, Any]:
        player.net[0].fit(public.train)
        return super().train(player, public, schedule._replace(lr=SLOWER * schedule.lr), journal)


class PatchDecoder(nn.Module):
    """Z (B, C) or (B, C, h, w) to X̂ (B, 3, S, S) in (0, 1). Patches that reach over the border are cut off."""

    def __init__(self, z: tuple[int, ...], image: int, patch: int, width: int):
        super().__init__()
        self.image, self.patch, self.side = image, patch, -(-image // patch)
        if len(z) == 3:
            stride = -(-max(z[1:]) // CELLS)
            self.enter = nn.Sequential(nn.Conv2d(z[0], width, stride, stride), nn.Flatten(2))
            tokens = self.enter(torch.zeros(1, *z)).shape[2]
        else:
            self.enter, tokens = (
                nn.Sequential(nn.Linear(z[0], width * TOKENS), nn.Unflatten(1, (width, TOKENS))),
                TOKENS,
            )
        self.places = nn.Parameter(torch.randn(1, tokens, width))
        self.queries = nn.Parameter(torch.randn(1, self.side**2, width))
        layer = nn.TransformerDecoderLayer(width, HEADS, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerDecoder(layer, BLOCKS, nn.LayerNorm(width))
        self.leave = nn.Linear(width, 3 * patch * patch)

    def forward(self, z: Tensor) -> Tensor:
        parts = self.enter(z).mT + self.places
        patches = self.leave(self.layers(self.queries.expand(len(z), -1, -1), parts))  # (B, side², 3 patch²)
        x = nn.functional.pixel_shuffle(patches.mT.unflatten(2, (self.side, self.side)), self.patch)
        return torch.sigmoid(x[..., : self.image, : self.image])
