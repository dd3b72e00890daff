"""Features of any shape as attackers take them, nothing lost: a vector (C,), or a map (C, s, s), s the image's side by a power of two."""

import math

import torch.nn.functional as F  # noqa: N812, its usual name
from torch import Tensor

from arl.messages import ConfigError

VECTOR = 4096  # numbers of a vector at most: attackers hold a matrix of its square
NUMBERS = 1 << 18  # numbers of one Z at most


def shape_of(z: tuple[int, ...], image: int) -> tuple[int, ...]:
    """The shape that `as_features` gives features of shape `z` for images of `image` pixels. Raises `ConfigError` for too many."""
    numbers = math.prod(z)
    if numbers > NUMBERS:
        raise ConfigError(f"TARGET: found {numbers} numbers in one Z, accepted: up to {NUMBERS}")
    if len(z) != 3 and numbers <= VECTOR:
        return (numbers,)
    channels, high, wide = z if len(z) == 3 else _as_map(z, image)
    side, fold = _side(max(high, wide), image)
    return (channels * fold * fold, side, side)


def as_features(z: Tensor, image: int) -> Tensor:
    """(B, ...) to (B, C) or (B, C, s, s): maps are filled up with zeros to the next side that fits, larger ones folded into channels."""
    shape = tuple(z.shape[1:])
    wanted = shape_of(shape, image)
    if len(wanted) == 1:
        return z.flatten(1)
    if len(shape) != 3:
        channels, side, _ = _as_map(shape, image)
        z = z.movedim(-1, 1).flatten(2) if len(shape) == 2 else z.flatten(1).unsqueeze(1)  # tokens (T, C) to (C, T)
        z = (
            F.pad(z.flatten(1), (0, channels * side * side - z[0].numel()))
            if len(shape) != 2
            else F.pad(z, (0, side * side - z.shape[2]))
        )
        z = z.reshape(len(z), channels, side, side)
    side, fold = _side(max(z.shape[2:]), image)
    z = F.pad(z, (0, side * fold - z.shape[3], 0, side * fold - z.shape[2]))
    return F.pixel_unshuffle(z, fold) if fold > 1 else z


def _as_map(z: tuple[int, ...], image: int) -> tuple[int, int, int]:
    """Channels and sides for tokens (T, C): a token a place; for other shapes: as many places as the finest map has."""
    if len(z) == 2:
        side = math.isqrt(z[0] - 1) + 1
        return z[1], side, side
    side = image // 4
    return -(-math.prod(z) // side**2), side, side


def _side(side: int, image: int) -> tuple[int, int]:
    """The least side of a map, `image` by a power of two, that holds `side`; and how many places of one are folded into its channels."""
    sides = [image >> power for power in range(2, 9) if image % (1 << power) == 0]
    fits = [each for each in sides if each >= side]
    return (min(fits), 1) if fits else (sides[0], -(-side // sides[0]))
