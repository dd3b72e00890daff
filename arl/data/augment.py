"""Photographs that were not taken: each of a batch, a little otherwise. Where images are few, f learns the more from them."""

import math

import torch
import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor

from arl.parallel import team

TURN, SHIFT, SCALE = 10.0, 0.08, 0.12  # at most: degrees, parts of the side, parts of the size
LIGHT, CONTRAST = 0.15, 0.15  # parts of the brightness, of the spread about the image's mean


def crops(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (B, 3, S, S) in [0, 1], each shifted, scaled, turned and lit a little differently; the edge is repeated beyond it.

    `generator`, on the CPU, decides; mirroring is not its business.
    """
    n = len(x)
    drawn = 2 * torch.rand(team().size * n, 6, generator=generator) - 1  # all at once, and one copy to the device
    drawn = team().share(drawn).to(x.dtype)  # the same for an image, whoever has it
    angle = drawn[:, 0] * math.radians(TURN)
    scale, shift = 1 + SCALE * drawn[:, 1], 2 * SHIFT * drawn[:, 2:4]  # a grid's side is 2
    cos, sin = scale * angle.cos(), scale * angle.sin()
    theta = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], 1).view(n, 2, 3)
    light = torch.stack([1 + LIGHT * drawn[:, 4], 1 + CONTRAST * drawn[:, 5]], 1)
    theta, light = (t.to(x.device, non_blocking=True) for t in (theta, light))
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    brightness, contrast = light[:, 0].view(n, 1, 1, 1), light[:, 1].view(n, 1, 1, 1)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (((x - mean) * contrast + mean) * brightness).clamp(0, 1)
    return x.contiguous(memory_format=torch.channels_last)
